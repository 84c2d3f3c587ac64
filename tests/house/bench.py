#!/usr/bin/env python3
"""How the benchmark house judges: bench.py SOURCE_DIR. On made-up slices, so nothing is timed."""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

sys.path.insert(0, str(pathlib.Path(sys.argv[1]) / "bench" / "house"))

import bars  # noqa: E402
import begun  # noqa: E402
import campaign  # noqa: E402
import choices  # noqa: E402
import contest  # noqa: E402
import counts  # noqa: E402
import field  # noqa: E402
import modes  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402
import stats  # noqa: E402
import store  # noqa: E402
import verdict  # noqa: E402


def slice_(wall_ns, others=0.0, latency=None):
    return {"ops": 1000, "wall_ns": wall_ns * 1000, "cpu_ns": wall_ns * 1000, "others": others, "latency": latency or []}


def pairs(ours, theirs, count, wobble=0.01, others=0.0):
    """Ratios around ours / theirs that wobble by so much, evenly."""
    return [(slice_(ours * (1 + wobble * (i % 5 - 2) / 2), others), slice_(theirs, others)) for i in range(count)]


def check(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found!r} where {expected!r} was expected")


def said(pairs_, limit, at_least=False, stray=0.0, last=False, metric="wall"):
    return verdict.settle(pairs_, rows.Bar(metric, "them", limit, at_least), stray, last)


def judging():
    check(said(pairs(80, 100, 16), 1.0)["verdict"], "met", "clearly below a bar")
    check(said(pairs(120, 100, 16), 1.0)["verdict"], "not met", "clearly above it")
    check(said(pairs(100, 100, 16), 1.0)["verdict"], "unresolved", "across it")
    check(said(pairs(98, 100, 96, 0.001), 1.0, stray=0.03)["verdict"], "unresolved", "closer to the bar than ours strays from itself")
    check(said(pairs(100, 100, 96, 0.5), 1.0, last=True)["verdict"], "not measured", "wide to the last")
    # 80 ns against 100 is 1.25 times the throughput.
    check(said(pairs(80, 100, 16), 0.97, at_least=True, metric="throughput")["verdict"], "met", "throughput above a bar")
    check(said(pairs(120, 100, 16), 0.97, at_least=True, metric="throughput")["verdict"], "not met", "throughput below it")


def leaving_out():
    quiet, noisy = pairs(80, 100, 14), pairs(500, 100, 2, others=0.5)
    found = said(quiet + noisy, 1.0)
    check((found["verdict"], found["left_out"], found["pairs"]), ("met", 2, 16), "two disturbed pairs")
    check(said(pairs(80, 100, 16, others=0.5), 1.0)["why"], verdict.NOT_OURS, "nothing but disturbed pairs")


def quantiles():
    low, high = [[1000, 990], [5000, 10]], [[1000, 900], [9000, 100]]
    check(stats.quantile(stats.pool([low]), 0.5), 1000, "a median")
    check(stats.quantile(stats.pool([low]), 0.995), 5000, "a tail")
    check(stats.quantile(stats.pool([low, high]), 0.97), 9000, "a pooled tail")
    few = [(slice_(1, latency=low), slice_(1, latency=high))] * 16
    check(said(few, 1.2, metric="p99")["why"], "too few samples beyond the quantile", "a quantile of too few samples")
    many = [(slice_(1, latency=[[e, n * 10000] for e, n in low]), slice_(1, latency=[[e, n * 10000] for e, n in high]))] * 16
    check(said(many, 1.2, metric="p99")["verdict"], "met", "a better tail")
    # Half of the time the machine is three times as slow, for both: the ratio inside each pair is the same.
    moods = [tuple([[1000 * mood, 99000], [edge * mood, 3000]] for edge in (9500, 10000)) for mood in (1, 3)] * 8
    ratio, low, high = stats.quantile_ratio(moods, 0.99, 0.98)
    check((ratio, low, high), (0.95, 0.95, 0.95), "pairs are drawn as they were made")


def callgrind():
    """Self cost of one program's functions, of a file with calls into and out of another object."""
    with tempfile.NamedTemporaryFile("w+", suffix=".out") as f:
        f.write("events: Ir\n\nob=/x/prog\nfn=a\n10 5\n11 7\ncfn=b\ncob=/lib/libc\ncalls=1 3\n11 1000\n+1 2\n\n"
                "ob=/lib/libc\nfn=b\n3 1000\n\nob=/x/prog\nfn=c\n* 4\n\nfn=0x1100\n1 9\n")
        f.flush()
        check(counts.own_instructions(f.name, "prog"), 18, "a program's own instructions")


def baselines():
    """Within 3 % where the baseline was counted, with more room elsewhere, and never nothing at all."""
    kept = {"instructions, x": 100, "calls, x": 33, "allocations, x": 0, "bytes, x": 100, "instructions, epoll-edge, a request": 100}
    here = "x86_64, gcc 12.2.0, linux 6.18"
    same = counts.Baseline({here: kept, "x86_64, gcc 14.1.0, linux 6.18": {}}, here)
    for name, value, expected in (("instructions, x", 103, False), ("instructions, x", 103.1, True), ("calls, x", 33, False), ("calls, x", 34, True),
                                  ("allocations, x", 0, False), ("allocations, x", 0.001, True), ("bytes, x", 116, False),
                                  ("bytes, x", 117, True), ("calls, y", 1000, False), ("instructions, epoll-edge, a request", 200, False)):
        check(same.worse(name, value), expected, f"{value} for {name}")
    kernel = counts.Baseline({here: kept}, "x86_64, gcc 12.2.0, linux 6.1")
    check([kernel.worse(*f) for f in (("instructions, x", 104), ("calls, x", 36), ("calls, x", 37), ("bytes, x", 114))], [True, False, True, False],
          "another kernel")
    compiler = counts.Baseline({here: kept}, "x86_64, gcc 14.1.0, linux 6.18")
    check([compiler.worse(*f) for f in (("instructions, x", 130), ("instructions, x", 131), ("calls, x", 34))], [False, True, True], "another compiler")
    nothing = counts.Baseline({here: kept}, "aarch64, gcc 12.2.0, linux 6.18")
    check((nothing.worse("instructions, x", 999), nothing.worse("allocations, x", 0.01)), (False, True), "another instruction set")
    calls = {"calls, weft-uring, 16 at once": 4, "calls, uring-multishot, 16 at once": 3, "calls, weft-epoll, 16 at once": 34,
             "calls, epoll-edge, 16 at once": 33, "calls, weft-epoll, 1 at once": 9}
    check([name for name, _, _ in counts.beside_controls(calls)], ["calls, weft-uring, 16 at once"], "beside the controls of the same run")
    flat = {"instructions, a-few": 100, "instructions, a-many": 104, "instructions, b-few": 100, "instructions, b-many": 106, "instructions, c-many": 999,
            "allocations, d-few": 0, "allocations, d-many": 1}
    check([name for name, _, _ in counts.beside_few(flat)], ["instructions, b-many"], "what costs more where there are many")
    said = []
    failed, held = counts.judge(same, {"instructions, x": 104, "allocations, x": 0, "calls, epoll-edge, 1 at once": 9}, lambda text, keep: said.append(text))
    check((failed, held, len(said)), (["instructions, x"], 2, 3), "what is worse, what was held, what is said")


def tables():
    every = rows.all_rows()
    check(len({row.name for row in every}), len(every), "rows of different names")
    shown = list(rows.tables(every))
    check(len({row.name for row in shown}), len(shown), "tables of different names")
    both = next(row for row in shown if row.name == "echo-64")
    check({"weft-uring", "weft-epoll"} <= {both.ours, *both.peers}, True, "both ports in one table")
    check([row.name for row in rows.named("spawn")], ["spawn"], "a row by its name")


def who_else():
    """Others are told by programs' clocks, by what was stolen and by how long processors were busy; of that, what the
    kernel's threads did for the network is no other's."""
    clocks, machine, clock = {}, [], [0.0]
    real = {name: getattr(contest, name) for name in ("cpu_ns", "programs", "interrupt_threads", "machine_s", "time")}
    made_up = {"cpu_ns": lambda pid: int(1e9 + clocks[pid] * 1e9), "programs": lambda: [1, 2], "interrupt_threads": lambda: [9],
               "machine_s": lambda: tuple(machine), "time": types.SimpleNamespace(monotonic=lambda: clock[0])}
    for name, with_ in made_up.items():
        setattr(contest, name, with_)
    try:
        def found(ours, theirs, network, busy, stolen=0.0, took=1.0):
            clocks.update({1: 0.0, 2: 0.0, 9: 0.0})
            machine[:] = 0.0, 0.0
            usage = contest.Usage()
            clocks.update({1: ours, 2: theirs, 9: network})
            clock[0] += took
            machine[:] = os.cpu_count() * took - busy, stolen
            return round(usage.others_s(ours), 3)
        check(found(1.0, 0.25, 0.0, 1.25), 0.25, "another program's clock")
        check(found(1.0, 0.0, 0.0, 1.0, stolen=0.125), 0.125, "what was stolen")
        check(found(1.0, 0.0, 0.0, 1.5), 0.5 - contest.UNSURE_S, "a processor that nobody who is there kept busy")
        check(found(1.0, 0.0, 0.25, 1.25), 0.0, "the network's threads")
        unsure = contest.UNSURE * 15.0
        check(found(15.0, 0.0, 0.0, 15.0 + unsure, took=15.0), 0.0, "what going idle takes grows with the time")
        check(found(15.0, 0.0, 0.0, 16.0 + unsure, took=15.0), 1.0, "what is more than that is another's")
    finally:
        for name, with_ in real.items():
            setattr(contest, name, with_)


class Pretended:
    """A contender whose slices are made up: `wall_ns` each, or what it returns."""

    calls, made = [], []

    def __init__(self, name, wall_ns=100, others=0.0):
        self.made.append(name)
        self.name, self.wall_ns, self.others, self.version, self.closed = name, wall_ns, others, "", False

    def slice(self, _s):
        check(self.closed, False, f"{self.name} is still there")
        self.calls.append(self.name)
        wall = self.wall_ns() if callable(self.wall_ns) else self.wall_ns
        return slice_(wall, self.others, [[1000, 990000], [5000, 10000]])

    def close(self):
        self.closed = True


def order():
    """A B B A with one other; with more, each has a slice of ours beside it, before it as often as behind."""
    ours, one = Pretended("a"), Pretended("b")
    check("".join(c.name for n in range(4) for c in contest.plan(ours, [one], n)), "abbaabba", "four rounds of two")
    for others in range(1, 8):
        names = [Pretended(str(i)) for i in range(others)]
        before = dict.fromkeys(names, 0)
        for number in range(6):
            plan = contest.plan(ours, names, number)
            check(len(plan) <= 1.5 * others + 1, True, "slices of a round")
            for at, contender in enumerate(plan):
                if contender is not ours:
                    beside = [plan[i] is ours for i in (at - 1, at + 1) if 0 <= i < len(plan)]
                    check(sum(beside), 1, "slices of ours beside one of another")
                    before[contender] += at > 0 and plan[at - 1] is ours
        check(set(before.values()), {3}, "ours first as often as second")
    Pretended.calls.clear()
    found = contest.pairs(ours, [Pretended("b", 50), Pretended("c", 25)], 0, 0.1)
    check({n: (a["wall_ns"], b["wall_ns"]) for n, (a, b) in found.items()}, {"b": (100000, 50000), "c": (100000, 25000)}, "pairs are ours, theirs")


class Kept:
    """A store in memory; slices go through JSON as they would on disk."""

    def __init__(self):
        self.here, self.files = {"verdicts": {}}, {}

    def save(self):
        pass

    def commit_of(self, _row):
        return self.commit

    def verdicts(self, _row):
        return self.here["verdicts"]

    cpu = "a processor"
    load_pairs = store.Store.load_pairs
    save_pairs = store.Store.save_pairs
    keep_slices = store.Store.keep_slices
    commit = "abc"


def with_contenders(make, work):
    """Calls work() with contenders that make(name) pretends; None: it is not here."""
    made = []

    @contextlib.contextmanager
    def assembled(_row, names, _slice_s, again=None):
        there = [c for c in map(make, names) if c]
        made.extend(there)
        yield there
        for contender in there:
            contender.close()
    real, field.assembled = field.assembled, assembled
    try:
        work()
    finally:
        field.assembled = real
    check(all(c.closed for c in made), True, "everybody is ended")


THREE = rows.Row("made-up", "echo", ours="us", bars=(rows.Bar("throughput", ("slow", "fast"), 0.97, True), rows.Bar("cpu", ("slow", "fast"), 1.05),
                                                    rows.Bar("cpu", "peer", 1.0), rows.Bar("cpu", "gone", 1.0)))
WALLS = {"us": 100, "self": 100, "slow": 150, "fast": 80, "peer": 200}


def bars_of(kept):
    return {bar: r["verdict"] for bar, r in kept.here["verdicts"]["made-up"]["bars"].items()}


def cases():
    """One row: the best control from one round set, everybody in one assembly, ours against itself once, pairs shared by metrics."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept()
        kept.pairs_file = lambda row: pathlib.Path(folder) / row.name
        case = verdict.Case(THREE, kept, lambda *_a, **_k: None)
        Pretended.calls.clear()
        Pretended.made.clear()
        with_contenders(lambda n: Pretended(n, WALLS[n]) if n in WALLS else None, lambda: case.look(16))
        check({n: Pretended.calls.count(n) for n in ("slow", "fast", "peer", "self")},
              {"slow": 5, "fast": 5 + 16, "peer": 16, "self": 16}, "slices")
        check(bars_of(kept), {"throughput >= 0.97 of best of slow fast": "not met", "cpu <= 1.05 of best of slow fast": "not met",
                              "cpu <= 1 of peer": "met", "cpu <= 1 of gone": "not measured"}, "bars")
        alone = rows.Row("alone", "echo", ours="us", bars=(rows.Bar("cpu", "gone", 1.0), rows.Bar("cpu", ("gone", "too"), 1.0)))
        nobody = verdict.Case(alone, kept, lambda *_a, **_k: None)
        with_contenders(lambda n: Pretended(n, 100) if n in ("us", "self") else None, lambda: nobody.look(16))
        check({r["why"] for r in nobody.kept["bars"].values()}, {verdict.ABSENT}, "a row without anybody else")
        check((nobody.wanted(48), nobody.undecided()), ([], []), "nobody is asked for again")
        check(Pretended.made.count("peer"), 16 // verdict.PER_START, "starts of one whose pairs are 16")
        # Settled bars are left alone, by another run, too.
        again = verdict.Case(THREE, kept, lambda *_a, **_k: None)
        check((again.wanted(48), len(again.pairs["fast"])), (["self", "gone"], 16), "what a second run still wants")
        shared = [a is b for (a, _), (b, _) in zip(again.pairs["fast"], again.pairs["peer"])]
        check(any(shared), True, "a slice of ours serves two pairs")


def interrupted():
    """What was made before an interruption counts; then others use the machine: what they spoilt is thrown away and made again."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept()
        kept.pairs_file = lambda row: pathlib.Path(folder) / row.name
        row = rows.Row("made-up", "jobs", ours="us", bars=(rows.Bar("wall", "peer", 1.0),))
        count = 0

        def stops():
            nonlocal count
            count += 1
            if count > 10:
                raise KeyboardInterrupt
            return 200
        case = verdict.Case(row, kept, lambda *_a, **_k: None)
        try:
            with_contenders(lambda n: Pretended(n, stops if n == "peer" else 100), lambda: case.look(16))
            check(True, False, "an interruption goes on up")
        except KeyboardInterrupt:
            pass
        case = verdict.Case(row, kept, lambda *_a, **_k: None)
        check({n: len(p) for n, p in case.pairs.items()}, {"self": 10, "peer": 10}, "pairs kept")
        try:
            with_contenders(lambda n: Pretended(n, 100, others=0.5), lambda: case.look(48))
            check(True, False, "a machine that is not ours is told")
        except contest.Broken as e:
            check(str(e), verdict.NOT_OURS, "why")
        check(bars_of(kept), {}, "no verdict from that")
        check(verdict.Case(row, kept, None).pairs, {"self": [], "peer": []}, "who comes later finds none of those pairs")
        with_contenders(lambda n: Pretended(n, 100 if n != "peer" else 200), lambda: case.look(48))
        check(bars_of(kept), {"wall <= 1 of peer": "met"}, "a verdict in the end")


def second_runs():
    """What is too wide after the last look begins anew with longer slices, once; what was settled stays so."""
    row = rows.Row("made-up", "jobs", ours="us", bars=(rows.Bar("wall", "wild", 1.0), rows.Bar("wall", "peer", 1.0)))
    lengths = []

    class Scatters(Pretended):
        """By 10 % to each side, in slices of the first length; `still`: in the longer ones, too."""
        still = False

        def slice(self, s):
            lengths.append(s)
            self.wall_ns = {"us": 90, "peer": 200}.get(self.name, 100)
            if self.name == "wild" and (self.still or s == verdict.SLICE_S):
                self.wall_ns = wild()
            return super().slice(s)
    for still, verdict_ in ((False, "met"), (True, "not measured")):
        wild, Scatters.still = itertools.cycle((80, 80, 80, 101, 101, 101)).__next__, still
        with tempfile.TemporaryDirectory() as folder:
            kept = Kept()
            kept.pairs_file = lambda row: pathlib.Path(folder) / row.name
            case = verdict.Case(row, kept, lambda *_a, **_k: None)
            with_contenders(lambda n: Scatters(n), lambda: case.look(16))
            check((bars_of(kept)["wall <= 1 of peer"], len(case.open_bars())), ("met", 1), "who scatters stays open")
            with_contenders(lambda n: Scatters(n), lambda: case.look(96))
            wide = case.kept["bars"]["wall <= 1 of wild"]
            check((wide["verdict"], wide["final"]), ("not measured", True), "too wide after the last look")
            check(set(lengths), {verdict.SLICE_S}, "slices of the first run")
            lengths.clear()
            again = verdict.Case(row, kept, lambda *_a, **_k: None)
            check((again.pairs, again.wanted(16)), ({}, ["self", "wild"]), "a second run begins with nothing")
            with_contenders(lambda n: Scatters(n), lambda: again.look(96))
            expected = verdict.SLICE_S * verdict.times_longer(wide, row.bars[0])
            check(set(lengths), {round(expected, 3)}, "slices of the second run")
            check((bars_of(kept)["wall <= 1 of wild"], again.open_bars()), (verdict_, []), "what the second run found, and no third")
            check("96 of" in bars.cells(row, row.bars[0], again.kept["bars"]["wall <= 1 of wild"] | {"commit": "abc"}), True, "length told")
            check("96 of" in bars.cells(row, row.bars[1], again.kept["bars"]["wall <= 1 of peer"] | {"commit": "abc"}), False, "where it differs")
            lengths.clear()
    few = {"why": verdict.FEW, "ratio": 1.0, "low": 0.9, "high": 1.1}
    for half, factor in ((0.03, 2), (0.055, 5), (0.3, verdict.LONGEST)):
        check(verdict.times_longer({"ratio": 1.0, "low": 1 - half, "high": 1 + half}, row.bars[0]), factor, f"how much longer for {half}")
    check(verdict.times_longer(few, row.bars[0]), 2, "for more samples")


def taken_up():
    """What is open goes into the tree with its pairs; another machine goes on with them, at the same commit only."""
    bars_ = (rows.Bar("cpu", "peer", 1.0), rows.Bar("p99", "peer", 1.0), rows.Bar("cpu", "worse", 1.0))
    row = rows.Row("made-up", "echo", ours="us", bars=bars_)

    class Wobbles(Pretended):
        def slice(self, s):
            made = super().slice(s)
            return dict(made, latency=[[500, 300000], [1000, 680000], [50 * made["wall_ns"] // 1000, 20000]])

    walls = {"us": itertools.cycle((90, 110)).__next__, "self": 100, "peer": 100, "worse": 300}
    with tempfile.TemporaryDirectory() as folder:
        here, there, later = (Kept() for _ in range(3))
        for n, kept in enumerate((here, there, later)):
            kept.pairs_file = lambda row, n=n: pathlib.Path(folder) / str(n) / row.name
        real, begun.FOLDER = begun.FOLDER, pathlib.Path(folder) / "tree"
        try:
            case = verdict.Case(row, here, lambda *_a, **_k: None)
            with_contenders(lambda n: Wobbles(n, walls[n]), lambda: case.look(16))
            check([verdict.key(b) for b in case.open_bars()], ["cpu <= 1 of peer", "p99 <= 1 of peer"], "what is open")
            begun.keep(here, [dataclasses.replace(row, bars=bars_[:1])])
            begun.take_up(later, [row])
            check(later.here["verdicts"], {}, "pairs without what a bar asks for that is new")
            begun.keep(here, [row])
            later.commit = "def"
            verdict.Case(row, there, None)  # one that was on a list and not looked at
            for kept in (there, later):
                begun.take_up(kept, [row])
            check(later.here["verdicts"], {}, "pairs of another commit")
            second = verdict.Case(row, there, lambda *_a, **_k: None)
            check({n: len(p) for n, p in second.pairs.items()}, {"peer": 16, "self": 16}, "pairs that are needed")
            for metric in ("cpu", "p99"):
                check(verdict.ratio(second.pairs["peer"], metric), verdict.ratio(case.pairs["peer"], metric), "what they say")
            check((second.wanted(16), second.wanted(48)), ([], ["self", "peer"]), "what a second look wants")
            with_contenders(lambda n: Wobbles(n, walls[n]) if n != "peer" else None, lambda: second.look(96))
            check({bar for bar, r in second.kept["bars"].items() if r["final"]}, {"cpu <= 1 of worse"}, "who is not here is not settled")
            second = verdict.Case(row, there, lambda *_a, **_k: None)
            with_contenders(lambda n: Wobbles(n, walls[n]), lambda: second.look(48))
            begun.keep(there, [row])
            begun.take_up(here, [row])
            check({n: len(p) for n, p in here.load_pairs(row).items()}, {"peer": 48, "self": 48}, "who has more")
            there.here["verdicts"]["made-up"]["bars"] = {verdict.key(b): {"final": True} for b in bars_}
            begun.keep(there, [row])
            check(list(begun.FOLDER.glob("*/*")), [], "nothing is open any more")
            of_second, of_first = {"peer": [[0, 1]]}, {"peer": [[0, 1]] * 96}
            check(begun.worth({"slice_s": 2.4}, of_second) > begun.worth({"slice_s": 0.6}, of_first), True, "a second run before a first")
        finally:
            begun.FOLDER = real


def campaigns():
    """All rows once before any twice, the most telling first, and no more than fits."""
    looked = []

    class Case(verdict.Case):
        def look(self, look):
            looked.append((self.row.name, look))
            self.kept["choice"] = {name: {"throughput": 1, "cpu": 1, "p99": 1} for name in self.undecided()}
            for bar in self.row.bars:
                self.kept["bars"][verdict.key(bar)] = {"final": look > 16 or self.row.name == "spawn"}
            self.pairs = {n: [None] * look for n in self.wanted(look)}
    real, verdict.Case = verdict.Case, Case
    kept = Kept()
    kept.pairs_file = lambda row: pathlib.Path("/nonexistent") / row.name
    try:
        three = [row for row in rows.all_rows() if row.name in ("future", "spawn", "echo-64-uring")]
        check(campaign.Campaign(three, kept, lambda *_a, **_k: None).run(), True, "a campaign that settles everything")
        check(looked, [("echo-64-uring", 16), ("spawn", 16), ("future", 16), ("echo-64-uring", 48), ("future", 48)], "looks")
        looked.clear()
        settled = {"spawn": {verdict.key(bar): {"verdict": "met"} for bar in rows.named("spawn")[0].bars}}
        real_judged, store.judged = store.judged, lambda: {kept.cpu: settled}
        try:
            later = Kept()
            later.pairs_file = kept.pairs_file
            campaign.Campaign(three, later, lambda *_a, **_k: None).run()
        finally:
            store.judged = real_judged
        check([name for name, look in looked if look == 16], ["echo-64-uring", "future", "spawn"], "what was never settled comes first")
        looked.clear()
        fresh = Kept()
        fresh.pairs_file = kept.pairs_file
        check(campaign.Campaign(rows.all_rows(), fresh, lambda *_a, **_k: None, minutes=1).run(), False, "a campaign that does not fit")
        fresh.here["verdicts"].clear()
        check(0 < len(looked) and all(Case(rows.named(name)[0], fresh, None).seconds(16) < 66 for name, _ in looked), True, "only what fits")
    finally:
        verdict.Case = real


def commits():
    """A change makes old what it is part of: the figures of rows that do not run it stay."""
    if not shutil.which("git"):
        return
    real = store.peers.ROOT
    with tempfile.TemporaryDirectory() as folder:
        root = store.peers.ROOT = pathlib.Path(folder)
        git = ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x", "-c", "commit.gpgsign=false"]

        def changed(name):
            """The kinds of rows whose figures are made old by a change of that file."""
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(f"{name} {len(list(root.rglob('*')))}")
            subprocess.run([*git, "add", "."], check=True)
            subprocess.run([*git, "commit", "-q", "-m", name], check=True)
            last = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
            return {kind for kind in (None, *store.NOT_RUN) if store.commit(kind) == last}

        try:
            subprocess.run(["git", "init", "-q", folder], check=True)
            everyone = {None, *store.NOT_RUN}
            check(changed("src/a.c"), everyone, "the library is run by all")
            for name, whose in (("programs/weft/serve.c", {None, "http"}), ("programs/weft/http_date.c", {None, "http"}),
                                ("programs/weft/echo.c", {None, "echo"}), ("programs/weft/daemon.c", {None, "echo", "http"}),
                                ("bench/load/a.c", everyone), ("bench/house/a.py", set()), ("docs/a.md", set())):
                check(changed(name), whose, name)
        finally:
            store.peers.ROOT = real


def told_together():
    """Verdicts of rows whose commits differ are in one page."""
    row = rows.named("spawn")[0]
    kept = Kept()
    kept.here = {"machine": {"cpu": "x", "processors": 2, "date": "", "versions": {}, "load_average": 0.0}, "shows": {}, "verdicts": {}}
    kept.verdicts = lambda of: {row.name: {"bars": {"made up": {"verdict": "met here"}}}} if of.name == row.name else {}
    real = store.OUT
    with tempfile.TemporaryDirectory() as folder:
        store.OUT = pathlib.Path(folder)
        try:
            check(report.write(kept).read_text().count("met here"), 1, "a verdict of another commit than the whole tree's")
        finally:
            store.OUT = real


def written_otherwise():
    """What a choice replaces must stand there exactly so often. (Whether it still does in the library is for who studies it, not for who works on that.)"""
    choice = choices.Choice("x", "a; b", ("spawn",), (("a.c", "one", "two", 2),))
    check(choices.edited(choice, "a.c", "one one three"), "two two three", "written otherwise")
    check(choices.edited(choice, "b.c", "one"), "one", "another file")
    try:
        choices.edited(choice, "a.c", "one")
        check(True, False, "a choice that is stale is told")
    except choices.Stale:
        pass
    names = [row.name for row in choices.all_rows() + rows.all_rows()]
    check(len(set(names)), len(names), "rows of different names")


def pages():
    """A section is put in its place, and the text around it stays."""
    page = "# A\n\ntext\n"
    once = bars.placed(page, "cpu 1", ["one"])
    twice = bars.placed(bars.placed(once, "cpu 2", ["other"]), "cpu 1", ["two"])
    check(("one" in twice, "two" in twice, "other" in twice, twice.startswith(page)), (False, True, True, True), "sections by CPU")
    met = {"verdict": "met", "ratio": 0.5, "low": 0.4, "high": 0.6, "pairs": 16, "left_out": 1, "with_all": {"ratio": 0.5}, "stray": 0.01,
           "against": "go", "date": "2026-01-01 00:00 UTC", "commit": "abc"}
    row = rows.named("spawn")[0]
    check("**met**" in bars.cells(row, row.bars[1], met) and "16, 1" in bars.cells(row, row.bars[1], met), True, "a line of the table")
    page = modes.PAGE.read_text()
    check(modes.placed(modes.placed(page, ["other"]), ["one"]), modes.placed(page, ["one"]), "modes are written over what was there")
    check(bars.standing(dict(met, verdict="unresolved")), "not measured", "what is not settled yet")
    check(bars.standing(dict(met, verdict="unresolved", final=True)), "unresolved", "what is")


for test in (judging, leaving_out, who_else, quantiles, callgrind, baselines, tables, order, cases, interrupted, second_runs, taken_up, campaigns, commits, told_together, written_otherwise, pages):
    test()
