"""Programs that the house starts: bound to their processors from their first instruction, and ended with it however it ends.

Each gets a process group of its own, so that what a terminal sends to ours does not reach it half-way, and the kernel kills it when we are gone. The load
generator and the lockstep counter ask the same for their servers. SIGTERM and SIGHUP end the house as SIGINT does: by an exception, on whose
way everything is closed and kept."""

import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def prepared(cpus=None):
    """What a child does before it becomes its program. Bound to what of these processors there is, or wherever it likes."""
    parent = os.getpid()

    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # it ended before the kernel was asked
        here = os.sched_getaffinity(0)
        os.sched_setaffinity(0, (cpus & here or here) if cpus else here)
    return prepare


def start(command, cpus=None, **options):
    return subprocess.Popen([str(c) for c in command], preexec_fn=prepared(cpus), start_new_session=True, **options)


def run(command, **options):
    """subprocess.run for programs that start others: with a time-out or an exception the whole group is gone."""
    limit, text = options.pop("timeout", None), options.pop("input", None)
    check = options.pop("check", False)
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                    stdin=subprocess.DEVNULL if text is None else subprocess.PIPE, **options)
    try:
        out, err = process.communicate(text, limit)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if check and process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, out, err)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def stop(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def heed_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
