"""Programs that run side by side and are loaded in turns. A contender is kept running; a slice is a short stretch of load on one of them while the
others wait. What a slice gives: operations, wall time, the CPU time of the program under load, for servers the latencies, and how
much of the machine somebody else used meanwhile, by which alone slices are left out (see LEFT_OUT)."""

import functools
import json
import os
import random
import select
import subprocess
import time

import children

# The only rule for leaving a slice out, fixed before any campaign and the same for every program: somebody else
# (other processes, or the machine's owner) used more than this share of one processor while it ran. Results
# always say how many this removed, and what the ratio is with them. A campaign that would lose more than
# LEFT_OUT_MOST of its pairs is not measured.
LEFT_OUT = 0.05
LEFT_OUT_MOST = 1 / 3

TICK = os.sysconf("SC_CLK_TCK")
UNSURE_S = 0.1    # what is found by the time that processors were idle: up to 0.03 s off, and some 0.05 s of the kernel's own now and then;
UNSURE = 0.08     # or this share of one processor, if more: to go idle and to be woken from it is no program's time, some 0.8 us a request
PATIENCE_S = 120  # for one line


class Broken(Exception):
    """A contender that said something wrong or ended."""


def cpu_ns(pid):
    """CPU time of all threads of a process: the clock that clock_getcpuclockid names."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def machine_s():
    """Seconds that all processors together had nothing to do, and that were stolen. The kernel measures the first where its clock stops in idleness;
    what it says of their being busy are guesses at each tick, off by up to 0.2 s in 1.3, and more so for some programs than for others."""
    fields = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
    _user, _nice, _system, idle, wait, _irq, _softirq, steal = fields
    return (idle + wait) / TICK, steal / TICK


def programs():
    """All processes but the kernel's own threads."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                os.readlink(f"/proc/{name}/exe")
                yield int(name)
            except OSError:
                pass  # the kernel's, or gone


@functools.cache
def interrupt_threads():
    """The kernel's threads that do what network interrupts leave over: on loopback, the work of who is under load."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and not os.path.exists(f"/proc/{name}/exe"):
            try:
                with open(f"/proc/{name}/comm") as file:
                    if file.read().startswith("ksoftirqd/"):
                        found.append(int(name))
            except OSError:
                pass
    return found


def family(pid):
    yield pid
    for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
        yield from family(int(child))


class Usage:
    """What the machine does from now on. Programs are asked for their own clocks, to the nanosecond. What those miss, the
    short-lived, shows in the time that processors were not idle. What the kernel's threads do of the network's
    interrupts, 0.03 to 0.07 s in 0.6 s of 10,000 connections, is known to the nanosecond too, and is no other's."""

    def __init__(self):
        self.clocks = {pid: self.clock(pid) or 0 for pid in programs()}
        self.interrupts = {pid: self.clock(pid) or 0 for pid in interrupt_threads()}
        self.begin, (self.idle, self.stolen) = time.monotonic(), machine_s()

    @staticmethod
    def clock(pid):
        try:
            return cpu_ns(pid)
        except OSError:
            return None

    def others_s(self, own_s):
        """Seconds that others than us, who used own_s, have used."""
        took, (idle, stolen) = time.monotonic() - self.begin, machine_s()
        now = {pid: self.clock(pid) for pid in programs()}
        seen = sum(ns - self.clocks.get(pid, 0) for pid, ns in now.items() if ns) / 1e9
        interrupts = sum((self.clock(pid) or ns) - ns for pid, ns in self.interrupts.items()) / 1e9
        busy = os.cpu_count() * took - (idle - self.idle)
        return max(seen - own_s + stolen - self.stolen, busy - own_s - interrupts - max(UNSURE_S, UNSURE * took), 0.0)


class Contender:
    """A program that answers lines. Bound to processors from its first instruction."""

    end_limit_s = 5

    def __init__(self, name, command, cpus, env=None, inherit=()):
        self.name = name
        self.process = children.start(command, cpus, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, pass_fds=inherit)

    def line(self):
        """The next line. One is asked for at a time, so none waits in a buffer of ours."""
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            self.process.kill()
            raise Broken(f"{self.name} said nothing for {PATIENCE_S} s")
        text = self.process.stdout.readline()
        if not text:
            raise Broken(f"{self.name} ended with status {self.process.wait()}")
        return text.rstrip("\n")

    def ask(self, text):
        try:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.line()

    def close(self):
        """Once is enough, more does no harm."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(self.end_limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def own_cpu_ns(self):
        return cpu_ns(self.process.pid)

    def measured(self, work):
        """Does the work; what it returned, with the share of a processor that somebody else used meanwhile."""
        usage, own, begin = Usage(), self.family_ns() + time.process_time_ns(), time.monotonic()
        result = work()
        took = time.monotonic() - begin
        result["others"] = round(usage.others_s((self.family_ns() + time.process_time_ns() - own) / 1e9) / took, 4)
        return result

    def family_ns(self):
        """CPU time of the program and all it has started."""
        return sum(map(cpu_ns, family(self.process.pid)))


class Jobs(Contender):
    """A program that does jobs on request: "JOB N" is answered by "OPS WALL_NS"."""

    def __init__(self, name, command, cpus, job, size=None, env=None, inherit=()):
        super().__init__(name, command, cpus, env, inherit)
        self.job = job
        self.fixed = size is not None
        self.size = size or 1000
        self.version = self.line().removeprefix("ready ")

    def once(self):
        answer = self.ask(f"{self.job} {self.size}")
        if answer == "none":
            raise Broken(f"{self.name} has no job {self.job}")
        ops, wall = map(int, answer.split())
        return ops, wall

    def warm_up(self, slice_s):
        """Finds the size that takes about a slice; a job of fixed size is done once."""
        ops, wall = self.once()
        while not self.fixed and wall < 0.05e9 and self.size < 1 << 40:
            self.size *= 4
            ops, wall = self.once()
        if not self.fixed:
            self.size = max(1, int(ops * slice_s * 1e9 / max(wall, 1)))

    def slice(self, slice_s):
        def work():
            ops_all, wall_all, cpu = 0, 0, self.own_cpu_ns()
            while wall_all < slice_s * (1e9 if self.fixed else 0.5e9):
                ops, wall = self.once()
                ops_all += ops
                wall_all += wall
            return {"ops": ops_all, "wall_ns": wall_all, "cpu_ns": self.own_cpu_ns() - cpu}
        return self.measured(work)


class ColdJobs:
    """The same in a process that has done nothing before: a slice is one run of a new one."""

    def __init__(self, name, command, cpus, job, size, env=None):
        self.name, self.make = name, lambda: Jobs(name, command, cpus, job, size, env)
        self.version = ""

    def warm_up(self, slice_s):
        pass

    def slice(self, _slice_s):
        jobs = self.make()
        self.version = jobs.version
        try:
            return self.first(jobs)
        finally:
            jobs.close()

    @staticmethod
    def first(jobs):
        def work():
            cpu = jobs.own_cpu_ns()
            ops, wall = jobs.once()
            return {"ops": ops, "wall_ns": wall, "cpu_ns": jobs.own_cpu_ns() - cpu}
        return jobs.measured(work)

    def close(self):
        pass


class Server(Contender):
    """A server and the load generator that started it. CPU time is the server's, read by the generator at the edges of its window."""

    def __init__(self, name, load, options, command, cpus, load_cpus, env=None):
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        listed = ",".join(map(str, sorted(cpus)))
        super().__init__(name, [load, *words, "--cpus", ",".join(map(str, sorted(load_cpus))), "--server-cpus", listed, "--", *command],
                         cpus | load_cpus, env)
        self.version = ""
        self.line()

    def warm_up(self, slice_s):
        self.slice(slice_s / 2)

    def slice(self, slice_s):
        return self.measured(lambda: json.loads(self.ask(f"slice {max(1, int(slice_s * 1000))}")))

    def memory(self):
        return json.loads(self.ask("memory"))


# ---- figures of slices ----

def figure(slice_, metric):
    if metric == "wall":
        return slice_["wall_ns"] / slice_["ops"]
    if metric == "cpu":
        return slice_["cpu_ns"] / slice_["ops"]
    if metric == "switches":
        return slice_["switches"] / slice_["ops"]
    if metric == "throughput":
        return slice_["ops"] * 1e9 / slice_["wall_ns"]
    raise KeyError(metric)


QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def disturbed(slice_):
    return slice_["others"] > LEFT_OUT


# ---- orders ----

def rounds(contenders, count, slice_s, each, rng=None):
    """Every contender gets a slice in each round, in an order drawn anew. Calls each(contender, round, slice)."""
    rng = rng or random.Random()
    for number in range(count):
        order = list(contenders)
        rng.shuffle(order)
        for contender in order:
            each(contender, number, contender.slice(slice_s))


def plan(ours, others, number):
    """The order of round `number`: each of the others has one slice of ours beside it, and ours between two of them serves both. Every second round
    is the one before it backwards, so that with one other the slices alternate A B B A."""
    order = list(others)
    random.Random(number // 2).shuffle(order)
    found = []
    for at in range(0, len(order), 2):
        found += [ours, *order[at:at + 2]]
    if len(order) % 2 == 0:
        found.append(ours)
    return found[::-1] if number % 2 else found


def pairs(ours, others, number, slice_s):
    """One round: {name: (ours, theirs)}."""
    order = plan(ours, others, number)
    slices = [contender.slice(slice_s) for contender in order]
    found = {}
    for at, contender in enumerate(order):
        if contender is not ours:
            beside = at - 1 if at > 0 and order[at - 1] is ours else at + 1
            found[contender.name] = (slices[beside], slices[at])
    return found
