#!/usr/bin/env python3
"""However the benchmark house ends, nothing that it started stays: bench_ends.py SOURCE_DIR. Each program it starts holds one end of a pipe; when the other
end reads its end, all of them are gone."""

import os
import pathlib
import select
import signal
import subprocess
import sys

HOUSE = str(pathlib.Path(sys.argv[1]) / "bench" / "house")
LIMIT_S = 30

# Stands for the house: a contender that answers, one that does nothing, one that would not heed its end of input,
# and a run in the foreground.
BODY = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
import children, contest
pipe = int(sys.argv[2])
children.heed_signals()
deaf = [sys.executable, "-c", "import signal; print('ready deaf', flush=True); signal.sigwait([signal.SIGUSR1])"]
jobs = contest.Jobs("deaf", deaf, {0}, "none", inherit=[pipe])
idle = children.start(["sleep", "1000"], pass_fds=[pipe])
try:
    if sys.argv[3] == "dies":
        idle.kill()
        jobs.process.kill()
        jobs.ask("none 1")
    os.write(pipe, b"x")
    children.run(["sleep", "1000"], pass_fds=[pipe])
finally:
    jobs.end_limit_s = 0
    jobs.close()
"""


def wait_for(fd, expected, what):
    if not select.select([fd], [], [], LIMIT_S)[0]:
        sys.exit(f"{what}: nothing for {LIMIT_S} s")
    found = os.read(fd, 1)
    if found != expected:
        sys.exit(f"{what}: {found!r} where {expected!r} was expected")


def ends(how):
    reads, writes = os.pipe()
    house = subprocess.Popen([sys.executable, "-c", BODY, HOUSE, str(writes), how if isinstance(how, str) else "waits"], pass_fds=[writes],
                             stderr=subprocess.DEVNULL)
    os.close(writes)
    if how != "dies":
        wait_for(reads, b"x", f"{how}: it runs")
        house.send_signal(how)
    wait_for(reads, b"", f"{how}: all are gone")
    status = house.wait(LIMIT_S)
    if status == 0:
        sys.exit(f"{how}: it ended as if nothing had happened")
    os.close(reads)


for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, "dies"):
    ends(how)
