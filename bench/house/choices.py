"""`python3 bench/house choices [NAME]`: the library's design choices, each beside what was not chosen: the same tree with one thing written otherwise, built
apart (build/choices/NAME), judged by pairs like any other row. The bar is that what is shipped is not behind; the figures are for docs/design/choices.md.
Nothing in the library knows of this: a pattern that is no longer there once ends the study of that choice with a sentence."""

import dataclasses
import pathlib
import shutil

import peers
from rows import Bar, Row

WHERE = peers.ROOT / "build" / "choices"
COPIED = ("src", "include", "programs", "bench", "cross", "tests/meson.build", "scripts", "docs", "meson.build", "meson_options.txt")
OPTIONS = ["--buildtype=release", "-Ddebug=true", "-Dtests=false", "-Dbench=true"]


class Stale(Exception):
    """What a choice would write otherwise does not stand there."""


@dataclasses.dataclass(frozen=True)
class Choice:
    name: str
    about: str            # what is shipped, and what it is held against
    rows: tuple           # of rows.py, by the shape of the load: see rows_of
    edits: tuple = ()     # file, what stands there, what is written instead, how often
    options: tuple = ()   # of the build


CAS_SUB = """#define weft__cas_sub(p, v, name) \\
    __extension__({ __typeof__(*(p)) seen_ = weft__load_seq(p, name); \\
        while (!weft__cas_seq(p, &seen_, seen_ - (v), name)) \\
            ; \\
        seen_; })
"""

CHOICES = (
    Choice("cas", "the last searcher is decided by `fetch_sub`; against a loop of compare-and-swap", ("ping-100-two", "skynet-two"),
           (("src/sched/idle.c", "weft__sub_seq(&rt->searching,", "weft__cas_sub(&rt->searching,", 3),
            ("src/sched/idle.c", "weft__sub_seq(&w->rt->searching,", "weft__cas_sub(&w->rt->searching,", 1),
            ("src/base/atomic.h", "#define weft__sub_seq(", CAS_SUB + "#define weft__sub_seq(", 1))),
    Choice("fifo", "newborns start newest first, with a turn for the oldest; against oldest first", ("spawn-many", "tree-one"),
           (("src/fiber/fiber.c", "oldest ? fs->newborns.prev : fs->newborns.next", "((void)oldest, fs->newborns.prev)", 1),)),
    Choice("victim", "the last victim is stolen from first; against a sweep each time", ("skynet-two", "tree-two"),
           (("src/sched/idle.c", "if (v && v != w && steal_from(w, v))\n        return 1;", "", 1),)),
    Choice("direct", "env and port are reached through tables; against binding them directly", ("echo-64", "spawn"), options=("-Dbind=direct",)),
    Choice("coop", "DEFER_TASKRUN; against COOP_TASKRUN", ("echo-1", "echo-64", "echo-512"),
           (("src/port/uring_setup.c", "const int defers = !(config->disable & WEFT_URING_NO_DEFER) && !u->valgrind;", "const int defers = 0;", 1),)),
    Choice("sqpoll", "DEFER_TASKRUN; against SQPOLL", ("echo-1", "echo-64", "echo-512"),
           (("src/port/uring_setup.c", "config->disable & WEFT_URING_SQPOLL)", "1)", 1),
            ("src/port/uring_setup.c", "!(config->disable & (WEFT_URING_NO_REGRING | WEFT_URING_SQPOLL))", "0", 1))),
)


def rows_of(choice):
    """Echo is judged by CPU and throughput (a polling thread is the server's, too), jobs by time."""
    jobs = {"ping-100-two": ("ping-100", 2, None), "skynet-two": ("skynet", 2, 1000000), "tree-two": ("tree", 2, 1 << 17),
            "tree-one": ("tree", 1, 1 << 14), "spawn-many": ("spawn-many", 1, 1000000), "spawn": ("spawn", 1, None)}
    for shape in choice.rows:
        name = f"choice-{choice.name}-{shape}"
        if shape in jobs:
            job, workers, size = jobs[shape]
            other = f"weft~{choice.name}"
            yield Row(name, "jobs", job, workers=workers, size=size, peers=(other,), bars=(Bar("wall", other, 1.0),))
        else:
            other = f"weft-uring~{choice.name}"
            yield Row(name, "echo", load=(("connections", int(shape.removeprefix("echo-"))),), ours="weft-uring", peers=(other,),
                      bars=(Bar("cpu", other, 1.0), Bar("throughput", other, 1.0, True)))


def all_rows():
    return [row for choice in CHOICES for row in rows_of(choice)]


def edited(choice, file, text):
    for name, old, new, times in choice.edits:
        if name == file:
            if text.count(old) != times:
                raise Stale(f"{choice.name}: {file} has {text.count(old)} times, not {times}: {old}")
            text = text.replace(old, new)
    return text


def copy(choice, to):
    """Only what differs is written, so that a second build is quick."""
    for top in COPIED:
        at = peers.ROOT / top
        for path in sorted(at.rglob("*")) if at.is_dir() else [at]:
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            file = str(path.relative_to(peers.ROOT))
            content = path.read_bytes()
            if any(name == file for name, *_ in choice.edits):
                content = edited(choice, file, content.decode()).encode()
            target = to / file
            if not target.exists() or target.read_bytes() != content:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                shutil.copymode(path, target)


def build(choice, say):
    """Its programs take part under their own names from here on."""
    tree, out = WHERE / choice.name / "tree", WHERE / choice.name / "build"
    say(f"building {choice.name}")
    try:
        copy(choice, tree)
    except Stale as e:
        return peers.missing(choice.name, str(e))
    commands = [["meson", "setup", out, tree, *OPTIONS, *choice.options]] if not (out / "build.ninja").exists() else []
    for command in commands + [["ninja", "-C", out, "bench/weft-jobs", "programs/weft/weft"]]:
        said, why = peers.run(command)
        if said is None:
            return peers.missing(choice.name, why)
    peers.JOBS[f"weft~{choice.name}"] = peers.program(out / "bench" / "weft-jobs")
    peers.ECHO[f"weft-uring~{choice.name}"] = peers.weft_echo("uring", weft=str(pathlib.Path(out) / "programs" / "weft" / "weft"))


def prepare(names, say):
    """The rows of the choices of these names, or of all."""
    wanted = [choice for choice in CHOICES if not names or choice.name in names]
    for choice in wanted:
        build(choice, say)
    return [row for choice in wanted for row in rows_of(choice)]
