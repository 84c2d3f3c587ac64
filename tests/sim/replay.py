#!/usr/bin/env python3
"""Every failure in the simulator prints one line, and the line, typed into a shell, brings the same failure again.

    replay.py PROGRAM        tests/sim/fails.c inside tests/sim/unmodified.c
"""

import os
import re
import subprocess
import sys

# What the line gives as the reason, and what else is said both times; by how fails.c fails.
WAYS = {
    "check": ("a check", r"figure is \d+, 40 is 40"),
    "assertion": ("aborted", r"figure == 40"),
    "fault": ("a fault", r""),
    "result": ("its result", r""),
    "deadlock": ("deadlock: every thread waits", r"thread 0 'main' [^\n]*"),
    "mode": ("a check", r"not so: [^\n]*per-core[^\n]*"),
    "argument a b": ("a check", r"not so: [^\n]*argc[^\n]*"),
    "endless": ("Alarm clock", r""),
    "differs": ("not the same run twice", r""),
}
# These end by the runner's limit or by comparing two runs: there is nothing that one run alone would say.
NOT_AGAIN = ("endless", "differs")

LINE = re.compile(r"^weft: simulation failed \((.*?)\): (.*)$", re.M)


def run(command):
    env = {k: v for k, v in os.environ.items() if k not in ("WEFT_SIM_SEED", "WEFT_SIM_LOG", "WEFT_MODE")}
    # The shell's own words stay out of the picture.
    return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, errors="replace", timeout=120)


def fail(how, why, *runs):
    print(f"{how}: {why}")
    for r in runs:
        print(f"--- exit status {r.returncode}\n{r.stdout}{r.stderr}")
    sys.exit(1)


def check(program, how):
    reason, said = WAYS[how]
    first = run(f"{program} --limit 2 --seeds 6 {how}")
    lines = LINE.findall(first.stderr)
    if first.returncode == 0:
        fail(how, "it did not fail", first)
    # A sanitizer that takes the fault after us ends the process with a status of its own,
    # and the parent tells it as well.
    if len(lines) != 1 and not (how == "fault" and len(set(command for _, command in lines)) == 1):
        fail(how, f"{len(lines)} lines instead of one", first)
    if lines[0][0] != reason:
        fail(how, f"the reason is '{lines[0][0]}' instead of '{reason}'", first)
    if not re.search(said, first.stderr):
        fail(how, f"it did not say '{said}'", first)
    if how in NOT_AGAIN:
        return
    again = run(lines[0][1])
    if again.returncode == 0:
        fail(how, "the line does not bring it again", first, again)
    if how == "fault":
        return
    if LINE.findall(again.stderr) != lines:
        fail(how, "replayed, it ends otherwise", first, again)
    if re.search(said, first.stderr).group() != (re.search(said, again.stderr) or re.match("", "")).group():
        fail(how, "replayed, it says something else", first, again)


for way in WAYS:
    check(sys.argv[1], way)
for way in ("", "argument a c"):
    good = run(f"{sys.argv[1]} --seeds 2 {way}")
    if good.returncode != 0 or LINE.search(good.stderr):
        fail(way, "it fails without a reason", good)
