#!/usr/bin/env python3
"""Let spin explore every state of a model: it must find no mistake, and with --broken it must find one.

    check.py SPIN CC MODEL [--broken] [-DNAME[=VALUE]...]

Models end in a state where nothing can move; what must hold then they assert themselves, after `timeout`. So spin's own
look for processes that wait is off.
"""

import os
import re
import subprocess
import sys
import tempfile

LIMIT_S = 50
DEPTH = 1000000  # steps of one run; a model that needs more is not explored, and fails


def run(command, folder):
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=LIMIT_S)


def main():
    spin, cc, model, *rest = sys.argv[1:]
    broken = "--broken" in rest
    defines = [word for word in rest if word != "--broken"]
    with tempfile.TemporaryDirectory() as folder:
        made = run([spin, "-a", *defines, os.path.abspath(model)], folder)
        if made.returncode != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
            sys.exit(f"spin: {made.stdout}")
        built = run([*cc.split(), "-w", "-O0", "-DSAFETY", "-DMEMLIM=1024", "-o", "pan", "pan.c"], folder)
        if built.returncode != 0:
            sys.exit(f"{cc}: {built.stdout}")
        said = run(["./pan", "-E", f"-m{DEPTH}"], folder).stdout
    print(said)
    errors = re.search(r"errors: (\d+)", said)
    if not errors:
        sys.exit("pan says no result")
    if "search depth too small" in said or "out of memory" in said or "Search not completed" in said and not broken:
        sys.exit("not all states were explored")
    if broken and errors[1] == "0":
        sys.exit("the mistake was not found")
    if not broken and errors[1] != "0":
        sys.exit("spin found a mistake")


main()
