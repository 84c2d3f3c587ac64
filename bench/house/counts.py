"""`make bench-check`: figures that do not depend on the machine's mood, against bench/baseline.json.

Instructions are counted by callgrind in the program and the library in it, not in the C library (which of its variants of a function runs is the CPU's
choice) nor in the linker's stubs. System calls are counted in lockstep (bench/load/lockstep.c). No figure depends on the CPU, but compiler and kernel
have a part in some. So a figure that is counted where its baseline was may be 3 % above it; elsewhere it is held to the baseline with the room that
another compiler or kernel may take (ROOM). Three rules need no baseline: warm operations allocate nothing; a round of requests takes our
server at most 1.05 of the system calls that the control of the same interface takes in the same run; and what is done to one of many (X-many) takes as
many instructions as to one of few (X-few)."""

import ctypes
import errno
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess
import tempfile

import children
import peers

BASELINE = peers.ROOT / "bench" / "baseline.json"
TOLERANCE = 0.03
ROOM = {"instructions": 0.30, "calls": 0.10, "bytes": 0.15, "allocations": 0.0}  # where compiler or kernel are others
OF_CONTROL = {"weft-uring": "uring-multishot", "weft-epoll": "epoll-edge"}
OF_CONTROL_MOST = 1.05
FLAT = 1.05
GRAIN = {"instructions": 2, "calls": 0, "bytes": 16, "allocations": 0}  # what a figure may grow by whatever its size
LIMIT_S = 120
ATTEMPTS = 4
NOT_HERE = 77
IO_URING_SETUP = 425
REQUESTS = (160, 1600)  # multiples of the rounds' size
CONNECTIONS = (500, 4500)
PARKED = 20000


class NotHere(Exception):
    pass


def needs_uring(name):
    """io_uring_setup with nothing to set up: it says what is wrong with that where there is one."""
    if "uring" in name and ctypes.CDLL(None, use_errno=True).syscall(IO_URING_SETUP, 0, None) < 0 and ctypes.get_errno() in (errno.ENOSYS, errno.EPERM):
        raise NotHere("no io_uring here")


def needs_descriptors(n):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < n + 200:
        raise NotHere(f"no more than {resource.getrlimit(resource.RLIMIT_NOFILE)[1]} descriptors here")


def environment(**more):
    # The C library then takes the same variants everywhere; what little of it shows in the
    # program's own count is the same as well.
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
    """Of one callgrind file: what was executed in functions of that program, inclusive costs of calls not counted twice. The linker's stubs have no
    names, and as many instructions as that linker likes."""
    total, ours, named, names, skip = 0, False, False, {}, False
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("ob="):
            number, _, name = line[3:].partition(" ")
            if name:
                names[number] = name
            ours = names.get(number, number).endswith("/" + program)
        elif line.startswith("fn="):
            named = not line.startswith(("fn=0x", "fn=???"))
        elif line.startswith("calls="):
            skip = True
        elif line and (line[0].isdigit() or line[0] in "+-*"):
            if not skip and ours and named:
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
        run([peers.LOCKSTEP, "--cpu", min(os.sched_getaffinity(0)), "--count", 0, "--k", k, "--rounds", requests // k, "--", *callgrind(folder), *command])
        return sum(own_instructions(p, pathlib.Path(command[0]).name) for p in pathlib.Path(folder).glob("out*"))


def count_requests(name, k=16):
    """Instructions of a request on a server, in rounds of k: the difference of a long run and a short one, so that start and end cancel out. Rounds
    of one would count how often an idle worker looks about before it sleeps, and a long tick is cut in two, both of which is time's to say and not
    the code's: so the least of three counts."""
    needs_uring(name)
    few, many = REQUESTS
    command = peers.ECHO[name](1)
    return min((request_instructions(command, k, many) - request_instructions(command, k, few)) / (many - few) for _ in range(3))


def count_calls(name):
    """System calls of a round of k requests, of the round that took fewest: one in which nobody else had the processor meanwhile. Beyond a tick's
    time (100 us) it is the machine's speed that decides how often a worker looks at its port, so that is for verdicts and not for here."""
    needs_uring(name)
    found = json.loads(run([peers.LOCKSTEP, "--cpu", min(os.sched_getaffinity(0)), "--k", "1,16,64", "--rounds", 100, "--", *peers.ECHO[name](1)]))
    for k, f in found.items():
        yield f"calls, {name}, {k} at once", f["least"]


def traced_calls(port, *arguments):
    """All threads' system calls of bench-small."""
    with tempfile.TemporaryDirectory() as folder:
        run(["strace", "-f", "-o", f"{folder}/out", peers.PROGRAMS / "bench-small", *arguments], WEFT_PORT=port)
        return len(re.findall(r"^\d+ +\w+\(", pathlib.Path(f"{folder}/out").read_text(), re.M))


def small_program(port):
    """The calls of a whole small program, without those that the loader makes for it."""
    needs_uring(port)
    if not shutil.which("strace"):
        raise NotHere("no strace here")
    return traced_calls(port) - traced_calls(port, "nothing")


def connection_bytes(name):
    """What a connection that has been served and is idle costs the server."""
    needs_uring(name)
    needs_descriptors(max(CONNECTIONS))
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
        # Valgrind keeps signals from a program that waits in a ring, so the controls that do cannot
        # be ended with their count written.
        for name in ("weft-epoll", "weft-uring", "stream-epoll", "stream-uring", "epoll-edge", "epoll-level"):
            yield f"instructions of {name}", lambda name=name: [(f"instructions, {name}, a request", count_requests(name))]
    else:
        say("not counted: instructions: no valgrind here", keep=True)
    for name in ("weft-epoll", "weft-uring", "stream-epoll", "stream-uring", "epoll-edge", "epoll-level", "uring-tuned", "uring-multishot"):
        yield f"system calls of {name}", lambda name=name: count_calls(name)
    for what in ("fiber", "lane"):
        yield f"bytes of a parked {what}", lambda what=what: [
            (f"bytes, parked {what}", int(run([peers.PROGRAMS / "bench-memory", what, PARKED])))]
    for port in ("epoll", "uring"):
        yield f"system calls of a small program, {port}", lambda port=port: [(f"calls, a small program, {port}", small_program(port))]
    for name in ("weft-epoll", "weft-uring", "stream-epoll", "stream-uring"):
        yield f"bytes of a connection of {name}", lambda name=name: [(f"bytes, {name}, a connection", connection_bytes(name))]


def read(path):
    return pathlib.Path(path).read_text() if os.path.exists(path) else ""


def surroundings():
    """What these figures depend on, beside the code."""
    gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True).stdout.strip() or "?"
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{platform.machine()}, gcc {gcc}, linux {kernel}"


class Baseline:
    """What is held against: the figures kept for these surroundings, or those of the nearest with more room."""

    def __init__(self, baselines, here):
        self.here = here
        arch, gcc, kernel = here.split(", ")
        near = sorted((key for key in baselines if key.startswith(arch + ", ")), key=lambda key: (gcc in key, kernel in key, key), reverse=True)
        self.key = near[0] if near else None
        self.figures = baselines.get(self.key, {})
        kept = (self.key or "?, ?, ?").split(", ")
        # Where every mapping may get huge pages, what a fiber takes is the kernel's choice.
        self.huge = "[always]" in read("/sys/kernel/mm/transparent_hugepage/enabled")
        self.same = {"instructions": kept[1] == gcc, "calls": kept[2] == kernel, "bytes": kept[1:] == [gcc, kernel], "allocations": True}

    def most(self, name):
        """The most that a figure may be; None: it is not held. Controls are counted for comparison."""
        kind = name.split(",")[0]
        if kind == "allocations":
            return 0.0
        before = self.figures.get(name)
        if before is None or not ours(name) or (self.huge and kind == "bytes"):
            return None
        return max(before * (1 + (TOLERANCE if self.same[kind] else ROOM[kind])), before + GRAIN[kind])

    def worse(self, name, value):
        most = self.most(name)
        return most is not None and value > most

    def __str__(self):
        if not self.key:
            return f"there is no baseline for {self.here.split(', ')[0]}: only allocations, and system calls beside the controls', are held"
        if all(self.same.values()):
            return f"held to within {TOLERANCE:.0%} of the baseline of {self.key}, whatever the CPU"
        rooms = ", ".join(f"{kind} {TOLERANCE if same else ROOM[kind]:.0%}" for kind, same in self.same.items() if kind != "allocations")
        return f"the baseline is of {self.key}, this is {self.here}: held to within {rooms} above it"


def ours(name):
    return not any(f", {control}," in name for control in peers.CONTROLS)


def beside_controls(found):
    """What takes more system calls than the control of the same interface in the same run: (name, value, the most it may be)."""
    for name, value in found.items():
        for who, control in OF_CONTROL.items():
            theirs = found.get(name.replace(f", {who},", f", {control},")) if name.startswith(f"calls, {who},") else None
            if theirs is not None and value > theirs * OF_CONTROL_MOST:
                yield name, value, theirs * OF_CONTROL_MOST


def beside_few(found):
    """What takes more instructions where there are many: (name, value, the most it may be)."""
    for name, value in found.items():
        few = found.get(name.replace("-many", "-few")) if name.startswith("instructions, ") and name.endswith("-many") else None
        if few is not None and value > few * FLAT:
            yield name, value, few * FLAT


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
                if not any(base.worse(name, found[name]) for name in counted) and not list(beside_controls(found)):
                    break
        except NotHere as e:
            say(f"not counted: {what}: {e}", keep=True)
    return found


def judge(base, found, say):
    """Says what each figure is; which are worse, and how many were held."""
    failed, held = [], 0
    for name, value in found.items():
        before = base.figures.get(name)
        most = base.most(name)
        held += most is not None
        if most is None:
            verdict = "for comparison" if not ours(name) else "no baseline" if before is None else "not held: huge pages everywhere"
        elif value > most:
            failed.append(name)
            verdict = f"WORSE than {before or 0:g}"
        elif before is not None and value < before * (1 - TOLERANCE) - GRAIN[name.split(",")[0]]:
            verdict = f"better than {before:g}: make bench-check UPDATE=1 keeps it"
        else:
            verdict = f"as before ({before or 0:g})"
        say(f"  {name:44} {value:12.2f}  {verdict}", keep=True)
    for name, value, most in beside_controls(found):
        failed.append(name)
        say(f"  {name:44} {value:12.2f}  WORSE than {most:.2f}, {OF_CONTROL_MOST:g} of the control's", keep=True)
    for name, value, most in beside_few(found):
        failed.append(name)
        say(f"  {name:44} {value:12.2f}  WORSE than {most:.2f}, {FLAT:g} of what it takes among few", keep=True)
    return sorted(set(failed)), held


def command(options, say):
    baselines = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    key = surroundings()
    base = Baseline({} if options.update else baselines, key)
    found = {name: round(value, 2) for name, value in figures(base, say).items()}
    failed, held = judge(base, found, say)
    if options.update:
        baselines[key] = found
        BASELINE.write_text(json.dumps(baselines, indent=1, sort_keys=True) + "\n")
        say(f"kept as the baseline of {key}", keep=True)
        return 0
    say(str(base), keep=True)
    missing = sorted(name for name in base.figures if name not in found and ours(name))
    for name in missing:
        say(f"  {name:44} {'-':>12}  not counted here", keep=True)
    print(f"bench-check: {held - len(failed)} figures held, {len(failed)} worse, {len(missing)} not counted here", flush=True)
    if not held:
        say("nothing could be counted here", keep=True)
    return 1 if failed or not held else 0
