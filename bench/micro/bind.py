#!/usr/bin/env python3
"""What binding env and port directly (-Dbind=direct) buys over reaching them through tables: user-space instructions per operation,
counted by callgrind in two builds of the same program. No timing: the difference is far below what these machines' noise allows to see."""

import os
import pathlib
import re
import subprocess
import sys

SOURCE, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
OPERATIONS = ["yield", "spawn", "deadline", "echo"]
FEW, MANY = 2000, 12000


def build(bind):
    where = BUILD / f"bind-{bind}"
    if not (where / "build.ninja").exists():
        subprocess.run(["meson", "setup", where, SOURCE, "--buildtype=release", f"-Dbind={bind}", "-Dtests=false",
                        "-Dprograms=false", "-Dbench=true"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", where, "bench/bench-count"], check=True, stdout=subprocess.DEVNULL)
    return where / "bench" / "bench-count"


def instructions(program, operation, n):
    run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, operation, str(n)],
                         env=dict(os.environ, WEFT_PORT="epoll"), capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def main():
    programs = {bind: build(bind) for bind in ("table", "direct")}
    print(f"{'operation':12} {'table':>10} {'direct':>10}  instructions each")
    for operation in OPERATIONS:
        each = {bind: (instructions(p, operation, MANY) - instructions(p, operation, FEW)) / (MANY - FEW)
                for bind, p in programs.items()}
        print(f"{operation:12} {each['table']:10.1f} {each['direct']:10.1f}  ({each['direct'] / each['table']:.3f})", flush=True)


if __name__ == "__main__":
    main()
