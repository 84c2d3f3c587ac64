#!/usr/bin/env python3
"""What binding env and port directly (-Dbind=direct) buys over reaching them through tables: user-space instructions per operation,
counted by callgrind in two builds of the same program. No timing: the difference is far below what these machines' noise allows to see."""

import pathlib
import subprocess
import sys

SOURCE, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(SOURCE / "bench" / "house"))

import counts  # noqa: E402


def build(bind):
    where = BUILD / f"bind-{bind}"
    if not (where / "build.ninja").exists():
        subprocess.run(["meson", "setup", where, SOURCE, "--buildtype=release", f"-Dbind={bind}", "-Dtests=false",
                        "-Dprograms=false", "-Dbench=true"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", where, "bench/bench-count"], check=True, stdout=subprocess.DEVNULL)
    return where / "bench" / "bench-count"


def main():
    table, direct = (dict(counts.count_operations("epoll", build(bind))) for bind in ("table", "direct"))
    print(f"{'operation':12} {'table':>10} {'direct':>10}  instructions each")
    for name in table:
        kind, operation = name.split(", ")
        if kind == "instructions":
            print(f"{operation:12} {table[name]:10.1f} {direct[name]:10.1f}  ({direct[name] / table[name]:.3f})", flush=True)


if __name__ == "__main__":
    main()
