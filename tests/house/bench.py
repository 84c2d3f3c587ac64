#!/usr/bin/env python3
"""How the benchmark house judges: bench.py SOURCE_DIR. On made-up slices, so nothing is timed."""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(sys.argv[1]) / "bench" / "house"))

import contest  # noqa: E402
import counts  # noqa: E402
import rows  # noqa: E402
import stats  # noqa: E402
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


def callgrind():
    """Self cost of one program's functions, of a file with calls into and out of another object."""
    with tempfile.NamedTemporaryFile("w+", suffix=".out") as f:
        f.write("events: Ir\n\nob=/x/prog\nfn=a\n10 5\n11 7\ncfn=b\ncob=/lib/libc\ncalls=1 3\n11 1000\n+1 2\n\n"
                "ob=/lib/libc\nfn=b\n3 1000\n\nob=/x/prog\nfn=c\n* 4\n")
        f.flush()
        check(counts.own_instructions(f.name, "prog"), 18, "a program's own instructions")


def baselines():
    base = {"instructions, x": 100, "calls, x": 33, "allocations, x": 0, "bytes, x": 100}
    for name, value, expected in (("instructions, x", 103, False), ("instructions, x", 103.1, True), ("calls, x", 33, False), ("calls, x", 34, True),
                                  ("allocations, x", 0, False), ("allocations, x", 0.001, True), ("bytes, x", 116, False),
                                  ("bytes, x", 117, True), ("calls, y", 1000, False)):
        check(counts.worse(name, value, base), expected, f"{value} for {name}")


def tables():
    every = rows.all_rows()
    check(len({row.name for row in every}), len(every), "rows of different names")
    shown = list(rows.tables(every))
    check(len({row.name for row in shown}), len(shown), "tables of different names")
    both = next(row for row in shown if row.name == "echo-64")
    check({"weft-uring", "weft-epoll"} <= {both.ours, *both.peers}, True, "both ports in one table")
    check([row.name for row in rows.named("spawn")], ["spawn"], "a row by its name")


def order():
    """A B B A, whichever pair one goes on from."""
    calls = []

    class One:
        def __init__(self, name):
            self.name = name

        def slice(self, _s):
            calls.append(self.name)
            return self.name

    list(contest.pairs(One("a"), One("b"), 4, 0.1))
    check("".join(calls), "abbaabba", "four pairs")
    calls.clear()
    check(list(contest.pairs(One("a"), One("b"), 1, 0.1, first=3)), [("a", "b")], "a pair is ours, theirs")
    check("".join(calls), "ba", "an odd pair")


for test in (judging, leaving_out, quantiles, callgrind, baselines, tables, order):
    test()
