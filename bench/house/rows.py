"""What is measured and what it is held against: one row for each figure of docs/benchmarks.md that the house can judge.

A job in-process has a name that weft's program and the peers' know, a number of workers, and sometimes a size (else the size follows from the time
of a slice). A job over sockets has options of the load generator. Each bar names one metric and one comparator; `best` names a group of which
the one with the lowest median is taken, found in a separate earlier run."""

import dataclasses
import fnmatch

import peers

# The bars in ns hold on CPU model 167, where a switch, as a call that ends in a jump, takes this long.
# Elsewhere their ratio to the bare switch of the same run decides.
SWITCH_NS = 1.8


@dataclasses.dataclass(frozen=True)
class Bar:
    metric: str          # wall, cpu: ns an operation; throughput; p50, p99, p999; switches: of context, an operation
    against: object      # a name, or a tuple of names: the best of them
    limit: float         # of ours / theirs
    at_least: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    kind: str            # jobs, cold, echo, http, server
    job: str = ""
    workers: int = 1
    size: object = None
    # Options of the load generator; rate "half": half of what the edge-triggered control reaches in a closed loop.
    load: tuple = ()
    ours: str = "weft"
    peers: tuple = ()
    bars: tuple = ()
    quick: bool = False
    slice_s: float = 0.0 # of a verdict, where 0.6 s would be too short


def ahead(*names, metric="wall", limit=1.0):
    return tuple(Bar(metric, name, limit) for name in names)


def bare(ns):
    return (Bar("wall", "bare", ns / SWITCH_NS),)


def jobs():
    go_tokio = ("go", "tokio")
    yield Row("yield-2", "jobs", "yield-2", peers=("bare", "go", "tokio", "boost"), quick=True,
              bars=bare(12) + ahead("go", "boost", limit=1 / 5))
    for n in ("1000", "100000"):
        yield Row(f"yield-{n}", "jobs", f"yield-{n}", peers=("go", "tokio", "boost"), bars=ahead("go", "boost", limit=1 / 3))
    yield Row("spawn", "jobs", "spawn", peers=("bare", "go", "tokio", "boost"), quick=True,
              bars=bare(70) + ahead("go", "tokio", "boost"))
    yield Row("spawn-many", "jobs", "spawn-many", size=1000000, peers=("bare", "go", "tokio", "boost"),
              bars=bare(120) + ahead("go", "tokio", "boost"))
    yield Row("future", "jobs", "future", peers=go_tokio, bars=ahead(*go_tokio))
    yield Row("ping-1", "jobs", "ping-1", peers=("bare",) + go_tokio + ("boost",), quick=True, bars=bare(40) + ahead(*go_tokio))
    yield Row("ping-1-two", "jobs", "ping-1-across", workers=2, peers=go_tokio, bars=ahead(*go_tokio))
    yield Row("ping-1-placed-two", "jobs", "ping-1", workers=2, peers=go_tokio)
    yield Row("ping-100", "jobs", "ping-100", peers=go_tokio, bars=ahead(*go_tokio))
    yield Row("ping-100-two", "jobs", "ping-100", workers=2, peers=go_tokio, bars=ahead(*go_tokio))
    yield Row("ping-100-across-two", "jobs", "ping-100-across", workers=2, peers=go_tokio)
    for job in ("fan-in", "fan-out"):
        yield Row(job, "jobs", job, size=100000, peers=("bare",) + go_tokio, quick=job == "fan-in", bars=bare(32) + ahead(*go_tokio))
        yield Row(f"{job}-two", "jobs", job, workers=2, size=100000, peers=go_tokio, bars=ahead(*go_tokio))
    yield Row("select-8", "jobs", "select-8", peers=go_tokio, quick=True, bars=ahead(*go_tokio))
    yield Row("mutex-8", "jobs", "mutex-8", peers=go_tokio, quick=True, bars=ahead(*go_tokio))
    yield Row("mutex-8-two", "jobs", "mutex-8", workers=2, peers=go_tokio, bars=ahead(*go_tokio))
    for job, size in (("skynet", 1000000), ("tree", 1 << 17)):
        yield Row(f"{job}-two", "jobs", job, workers=2, size=size, peers=go_tokio,
                  bars=ahead(*go_tokio) + ahead(*go_tokio, metric="cpu"))
    yield Row("sleep-10k", "jobs", "sleep", size=10000, peers=go_tokio, bars=ahead(*go_tokio))
    yield Row("sleep-10k-cold", "cold", "sleep", size=10000, peers=go_tokio, bars=ahead("go"))
    yield Row("sleep-1M", "jobs", "sleep", size=1000000, peers=go_tokio, bars=ahead(*go_tokio))
    yield Row("sleep-1M-cold", "cold", "sleep", size=1000000, peers=go_tokio, bars=ahead("go"))
    yield Row("timer", "jobs", "timer", peers=("libuv",) + go_tokio, bars=ahead("libuv", *go_tokio))
    yield Row("timers", "jobs", "timers", size=1000000, peers=("libuv",) + go_tokio, bars=ahead("libuv", *go_tokio))
    yield Row("read-4k-uring", "jobs", "read-4k", peers=("uring-reads", "libuv"),
              bars=(Bar("throughput", "uring-reads", 0.95, True), Bar("throughput", "libuv", 2.0, True)))
    yield Row("read-4k-epoll", "jobs", "read-4k", ours="weft-epoll", peers=("uring-reads", "libuv"), bars=(Bar("throughput", "libuv", 1.9, True),))
    for job in ("lane-spawn", "lane-message", "lane-kill"):
        yield Row(job, "jobs", job, peers=("erlang",), bars=ahead("erlang"))


ONE_THREAD = ("libuv", "libevent", "libev", "threads", "go", "tokio", "monoio")
EPOLL_CONTROLS = ("epoll-edge", "epoll-level")


def echo_bars(port, throughput, tolerance):
    controls = tuple(peers.CONTROLS) if port == "uring" else EPOLL_CONTROLS
    cpu = 1.05 if port == "uring" else 1.10
    best = (Bar("throughput", controls, throughput - tolerance, True), Bar("cpu", controls, cpu), Bar("p99", EPOLL_CONTROLS, 1.2))
    return best + ahead(*ONE_THREAD, metric="cpu")


def echo():
    """Over sockets, each port of ours a row of its own. The epoll port is held to the same bars within 5 %."""
    for port in ("uring", "epoll"):
        tolerance = 0.0 if port == "uring" else 0.05
        ours = f"weft-{port}"
        everybody = tuple(peers.CONTROLS) + ONE_THREAD
        controls = tuple(peers.CONTROLS) if port == "uring" else EPOLL_CONTROLS

        def row(name, load, limit, who=everybody, bars=None, quick=False):
            best = (Bar("throughput", controls, limit - tolerance, True),)
            return Row(f"{name}-{port}", "echo", load=tuple(load.items()), ours=ours, peers=who, quick=quick, bars=bars or best)

        for n in (1, 64, 512, 1024, 10000):
            yield row(f"echo-{n}", {"connections": n}, 0.97, bars=echo_bars(port, 0.97, tolerance), quick=n == 64)
        yield row("echo-pipelined", {"connections": 64, "depth": 16}, 0.95)
        for size in (4096, 65536):
            yield row(f"echo-{size // 1024}k", {"connections": 64, "size": size}, 0.97)
        for each in (1, 10):
            yield row(f"churn-{each}", {"connections": 64, "churn": each}, 0.97, who=tuple(peers.CONTROLS) + ("go", "tokio"))
        # Its quantile needs ten million samples.
        yield Row(f"open-{port}", "echo", load=(("connections", 64), ("rate", "half")), ours=ours, peers=EPOLL_CONTROLS + ("go", "tokio"),
                  bars=(Bar("p999", "epoll-edge", 1.2),), slice_s=3.0)
        for mode in ("", "-per-core"):
            for n in (64, 512):
                yield Row(f"echo-{n}-two{mode}-{port}", "echo", load=(("connections", n),), workers=2, ours=ours + mode, peers=("go", "tokio"),
                          bars=tuple(b for who in ("go", "tokio") for b in
                                     (Bar("throughput", who, 1.0, True), Bar("cpu", who, 1.0), Bar("p99", who, 1.0))))


GROWTH = 1.3  # what is called flat


def growth():
    """Ours beside itself at another size."""
    for port in ("uring", "epoll"):
        yield Row(f"growth-echo-{port}", "echo", load=(("connections", 10000),), ours=f"weft-{port}", peers=(f"weft-{port}@512",),
                  bars=(Bar("cpu", f"weft-{port}@512", GROWTH),))
    for job in ("spawn-many", "timers", "ids"):
        yield Row(f"growth-{job}", "jobs", job, size=1000000, peers=("weft@1000",), bars=(Bar("wall", "weft@1000", GROWTH),))


def bulk():
    """One way: what is sent is swallowed, and each MiB acknowledged by a byte, so that what is counted has been read."""
    for port in ("uring", "epoll"):
        controls = tuple(peers.SINKS) if port == "uring" else EPOLL_CONTROLS
        for n in (1, 8):
            yield Row(f"bulk-{n}-{port}", "server", "sink", load=(("connections", n), ("size", 1 << 20), ("depth", 4), ("acknowledged", 1)),
                      ours=f"weft-{port}", peers=tuple(peers.SINKS), bars=(Bar("throughput", controls, 0.97 if port == "uring" else 0.92, True),))


def low_rate():
    """So few requests that the server sleeps before each: the control's context switches are one a request."""
    for port in ("uring", "epoll"):
        yield Row(f"low-rate-{port}", "echo", load=(("connections", 64), ("rate", 1000)), ours=f"weft-{port}", peers=("epoll-edge",),
                  bars=(Bar("switches", "epoll-edge", 1.1),))


MODES = ("weft-uring", "weft-uring-single-io", "weft-uring-per-core")


def modes():
    """Which mode when: shown, not judged."""
    for job in ("plain", "mixed", "skewed"):
        yield Row(f"modes-{job}", "server", job, workers=2, load=(("connections", 64),), ours=MODES[0], peers=MODES[1:])


def http():
    """Everybody serves the same files. The control answers the very bytes of `weft serve`; nginx sends headers of its own, about as many."""
    for port in ("uring", "epoll"):
        ours, limit = f"weft-{port}", 0.95 if port == "uring" else 0.90
        for name, path, n in (("http-plain-64", "hello.txt", 64), ("http-plain-512", "hello.txt", 512), ("http-4k", "4k.bin", 64),
                              ("http-1m", "1m.bin", 16)):
            yield Row(f"{name}-{port}", "http", job=path, load=(("connections", n), ("http", f"/{path}")), ours=ours, peers=("epoll-http", "nginx"),
                      quick=name == "http-plain-64",
                      bars=(Bar("throughput", "epoll-http", limit, True),
                            Bar("cpu", "nginx", 1 / 1.2 if path == "hello.txt" else 1.0)))
        yield Row(f"http-churn-{port}", "http", job="hello.txt", load=(("connections", 64), ("http", "/hello.txt"), ("churn", 1)), ours=ours,
                  peers=("epoll-http", "nginx"), bars=(Bar("throughput", "epoll-http", 0.97, True), Bar("throughput", "nginx", 1.0, True)))


def all_rows():
    return [row for group in (jobs, echo, bulk, http, low_rate, growth, modes) for row in group()]


# The order of a campaign: what tells most first. Names, or how they begin (with *);
# what none of these names comes last.
IMPORTANCE = (
    "echo-64-uring", "yield-2", "spawn", "ping-1", "echo-512-uring", "low-rate-uring", "http-plain-64-uring", "fan-in", "fan-out", "echo-1-uring", "lane-*", "timer",
    "skynet-two", "tree-two", "echo-64-epoll", "spawn-many", "ping-1-two", "ping-100-two", "sleep-10k", "sleep-10k-cold", "echo-64-two-uring",
    "churn-1-uring", "echo-pipelined-uring", "echo-4k-uring", "bulk-*-uring", "read-*-uring", "http-4k-uring", "growth-echo-*", "growth-spawn-many", "growth-ids", "echo-10000-uring",
    "echo-64-two-per-core-uring", "fan-in-two", "fan-out-two", "yield-1000", "yield-100000", "select-8", "mutex-8*", "future", "echo-512-epoll",
    "http-plain-64-epoll", "http-plain-512-uring", "http-1m-uring", "http-churn-uring", "churn-10-uring", "echo-64k-uring", "echo-1024-uring",
    "sleep-1M*", "echo-1-epoll", "open-uring", "timers")


def by_importance(rows):
    def rank(row):
        for at, name in enumerate(IMPORTANCE):
            if row.name == name:
                return at
        return next((at for at, name in enumerate(IMPORTANCE) if fnmatch.fnmatchcase(row.name, name)), len(IMPORTANCE))
    return sorted((row for row in rows if row.bars), key=rank)


def tables(rows):
    """For showing: rows that differ only in which port is ours become one, in which everybody stands side by side."""
    found = {}
    for row in rows:
        found.setdefault((row.kind, row.job, row.workers, row.size, row.load), []).append(row)
    for same in found.values():
        ours = list(dict.fromkeys(row.ours for row in same))
        others = [name for row in same for name in row.peers]
        name = same[0].name if len(same) == 1 else same[0].name.removesuffix("-uring").removesuffix("-per-core")
        yield dataclasses.replace(same[0], name=name, peers=tuple(dict.fromkeys(ours[1:] + others)))


def named(pattern):
    """The row of that name, or those whose job or beginning of the name it is."""
    rows = all_rows()
    return [r for r in rows if r.name == pattern] or [r for r in rows if pattern in (r.job, r.kind) or r.name.startswith(pattern)]
