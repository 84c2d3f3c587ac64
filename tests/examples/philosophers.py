#!/usr/bin/env python3
"""The dining philosophers: in a bad order the program ends by itself, with a status of its own and a report that names
everybody; in a good one they eat.

    philosophers.py PROGRAM
"""

import os
import subprocess
import sys

DEADLOCK = 88
NAMES = ["Plato", "Konfuzius", "Socrates", "Voltaire", "Descartes"]


def dinner(*arguments):
    command = [*os.environ.get("MESON_EXE_WRAPPER", "").split(), sys.argv[1]]  # the emulator of a cross build
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=50)


def main():
    bad = dinner()
    wanted = ["deadlock: nothing can run any more: 6 fibers of 6 lanes wait",
              'fiber "main" of lane "root" (spawned at weft_main) waits for the end of lane "Plato"']
    wanted += [f'fiber "{name}" of lane "{name}" (spawned at ' for name in NAMES]
    wanted += ["philosophers.c:", "waits for units of a semaphore"]
    missing = [text for text in wanted if text not in bad.stderr]
    if bad.returncode != DEADLOCK or missing or bad.stdout:
        sys.exit(f"status {bad.returncode}, lacking {missing}:\n{bad.stdout}{bad.stderr}")
    good = dinner("ordered")
    if good.returncode != 0 or good.stderr or good.stdout != "5 philosophers ate 100 times\n":
        sys.exit(f"ordered: status {good.returncode}:\n{good.stdout}{good.stderr}")


main()
