"""`make bench-check`: figures that do not depend on the machine's mood, against bench/baseline.json. A figure more than 3 % above it fails.

Instructions are counted by callgrind in the program and the library in it, not in the C library: which of its variants of a function runs is the
CPU's choice. System calls are counted in lockstep (bench/load/lockstep.c). What depends on compiler or kernel is held only against a baseline of the
same compiler and kernel; where there is none, this says so and compares nothing."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile

import children
import peers

BASELINE = peers.ROOT / "bench" / "baseline.json"
TOLERANCE = 0.03
GRAIN = {"instructions": 2, "calls": 0, "bytes": 16, "allocations": 0}  # what a figure may grow by whatever its size
LIMIT_S = 120
ATTEMPTS = 4
NOT_HERE = 77
REQUESTS = (160, 1600)  # multiples of the rounds' size
CONNECTIONS = (500, 4500)
PARKED = 20000


class NotHere(Exception):
    pass


def environment(**more):
    # The C library then takes the same variants everywhere; what little of it shows in the program's own count is the same as well.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WEFT_")}
    return dict(kept, GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX512F_Usable,-AVX2_Usable,-ERMS,-AVX2,-AVX512F", **more)


def run(command, **more):
    done = children.run(command, timeout=LIMIT_S, env=environment(**more))
    if done.returncode == NOT_HERE:
        raise NotHere(done.stderr.strip().splitlines()[-1])
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def own_instructions(path, program):
    """Of one callgrind file: what was executed in functions of that program, inclusive costs of calls not counted twice."""
    total, ours, names, skip = 0, False, {}, False
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("ob="):
            number, _, name = line[3:].partition(" ")
            if name:
                names[number] = name
            ours = names.get(number, number).endswith("/" + program)
        elif line.startswith("calls="):
            skip = True
        elif line and (line[0].isdigit() or line[0] in "+-*"):
            if not skip and ours:
                total += int(line.split()[1])
            skip = False
    return total


def callgrind(folder):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--compress-strings=no", "--compress-pos=no", "--quiet"]


def count_operations(port, program=peers.PROGRAMS / "bench-count"):
    """Instructions and allocations of each operation of the library."""
    with tempfile.TemporaryDirectory() as folder:
        said = run(callgrind(folder) + [program], WEFT_PORT=port)
        dumps = {}
        for path in pathlib.Path(folder).glob("out.*"):
            trigger = re.search(r"^desc: Trigger: Client Request: (\S+)", path.read_text(), re.M)
            if trigger:
                dumps[trigger.group(1)] = own_instructions(path, "bench-count")
        for line in said.splitlines():
            name, n, allocations = line.split()
            if name in dumps:
                yield f"instructions, {name}", dumps[name] / int(n)
            yield f"allocations, {name}", int(allocations) / int(n)


def request_instructions(command, k, requests):
    with tempfile.TemporaryDirectory() as folder:
        run([peers.LOCKSTEP, "--count", 0, "--k", k, "--rounds", requests // k, "--", *callgrind(folder), *command])
        return sum(own_instructions(p, pathlib.Path(command[0]).name) for p in pathlib.Path(folder).glob("out*"))


def count_requests(name, k=16):
    """Instructions of a request on a server, in rounds of k: the difference of a long run and a short one, so that start and end cancel out. Rounds
    of one would count how often an idle worker looks about before it sleeps, and a long tick is cut in two, both of which is time's to say and not
    the code's: so the least of three counts."""
    few, many = REQUESTS
    command = peers.ECHO[name](1)
    return min((request_instructions(command, k, many) - request_instructions(command, k, few)) / (many - few) for _ in range(3))


def count_calls(name):
    """System calls of a round of k requests, of the round that took fewest: one in which nobody else had the processor meanwhile. Beyond a tick's
    time (100 us) it is the machine's speed that decides how often a worker looks at its port, so that is for verdicts and not for here."""
    found = json.loads(run([peers.LOCKSTEP, "--k", "1,16,64", "--rounds", 100, "--", *peers.ECHO[name](1)]))
    for k, f in found.items():
        yield f"calls, {name}, {k} at once", f["least"]


def connection_bytes(name):
    """What a connection that has been served and is idle costs the server."""
    used = []
    for n in CONNECTIONS:
        said = children.run([peers.LOAD, "--connections", n, "--", *peers.ECHO[name](1)], input="slice 50\nmemory\n", timeout=LIMIT_S,
                            env=environment(), check=True).stdout.splitlines()
        memory = json.loads(said[-1])
        used.append(memory["rss"] + memory["page_tables"])
    return (used[1] - used[0]) / (CONNECTIONS[1] - CONNECTIONS[0])


def groups(say):
    """What is counted together: (what, a function that gives (name, value) pairs)."""
    if shutil.which("valgrind"):
        yield "operations", lambda: count_operations("epoll")
        # Valgrind keeps signals from a program that waits in a ring, so the controls that do cannot be ended with their count written.
        for name in ("weft-epoll", "weft-uring", "epoll-edge", "epoll-level"):
            yield f"instructions of {name}", lambda name=name: [(f"instructions, {name}, a request", count_requests(name))]
    else:
        say("not counted: instructions: no valgrind here", keep=True)
    for name in ("weft-epoll", "weft-uring", "epoll-edge", "epoll-level", "uring-tuned", "uring-multishot"):
        yield f"system calls of {name}", lambda name=name: count_calls(name)
    for what in ("fiber", "lane"):
        yield f"bytes of a parked {what}", lambda what=what: [
            (f"bytes, parked {what}", int(run([peers.PROGRAMS / "bench-memory", what, PARKED])))]
    for name in ("weft-epoll", "weft-uring"):
        yield f"bytes of a connection of {name}", lambda name=name: [(f"bytes, {name}, a connection", connection_bytes(name))]


def figures(base, say):
    """{name: value} of everything that can be counted here; what cannot is said. What a busy machine does to a figure is make it larger, so a group
    with one that is worse than its baseline is counted again, and the least holds."""
    found = {}
    for what, work in groups(say):
        say(f"counting {what}")
        try:
            for _ in range(ATTEMPTS):
                counted = dict(work())
                for name, value in counted.items():
                    found[name] = min(value, found.get(name, value))
                if not any(worse(name, found[name], base) for name in counted):
                    break
        except NotHere as e:
            say(f"not counted: {what}: {e}", keep=True)
    return found


def surroundings():
    """What these figures depend on, beside the code."""
    gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True).stdout.strip() or "?"
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{platform.machine()}, gcc {gcc}, linux {kernel}"


def worse(name, value, base):
    before = base.get(name)
    return before is not None and value > max(before * (1 + TOLERANCE), before + GRAIN[name.split(",")[0]])


def command(options, say):
    baselines = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    key = surroundings()
    base = baselines.get(key, {})
    found, failed, skipped = figures(base, say), 0, 0
    for name, value in found.items():
        found[name] = round(value, 2)
        before = base.get(name)
        if before is None:
            skipped += 1
            verdict = "no baseline"
        elif worse(name, value, base):
            failed += 1
            verdict = f"WORSE than {before:g}"
        elif value < before * (1 - TOLERANCE) - GRAIN[name.split(",")[0]]:
            verdict = f"better than {before:g}: make bench-check UPDATE=1 keeps it"
        else:
            verdict = f"as before ({before:g})"
        say(f"  {name:44} {value:12.2f}  {verdict}", keep=True)
    if options.update:
        baselines[key] = found
        BASELINE.write_text(json.dumps(baselines, indent=1, sort_keys=True) + "\n")
        say(f"kept as the baseline of {key}", keep=True)
        return 0
    if not base:
        say(f"there is no baseline of {key}: nothing was compared", keep=True)
    for name in sorted(set(base) - set(found)):
        skipped += 1
        say(f"  {name:44} {'-':>12}  not counted here", keep=True)
    print(f"{len(found) - failed - sum(n not in base for n in found)} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0
