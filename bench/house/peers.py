"""Who takes part: how each program is found or built, and how it is started. What is missing is said once and left out."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import children

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
OUT = ROOT / "build" / "bench-peers"
PROGRAMS = BUILD / "bench"
LOAD = str(PROGRAMS / "bench-load")
LOCKSTEP = str(PROGRAMS / "bench-lockstep")
WEFT = str(BUILD / "programs" / "weft" / "weft")

MAKE_LIMIT_S = 900
_missing = {}


def missing(name, why):
    if name not in _missing:
        _missing[name] = why
        print(f"  without {name}: {why}", flush=True)


def all_missing():
    return dict(_missing)


def run(command, **options):
    """Output if it went well, None with its last line said otherwise."""
    try:
        done = children.run(command, timeout=MAKE_LIMIT_S, **options)
    except (OSError, subprocess.TimeoutExpired) as e:
        return None, str(e)
    return (done.stdout, "") if done.returncode == 0 else (None, ((done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"])[-1])


# ---- building what meson does not ----

def make_go():
    if not shutil.which("go"):
        return missing("go", "no go here")
    for part in ("jobs", "echo"):
        out, why = run(["go", "build", "-o", str(OUT / f"go-{part}"), f"./{part}"], cwd=ROOT / "bench" / "go")
        if out is None:
            return missing("go", why)


def make_rust(name, parts):
    if not shutil.which("cargo"):
        return missing(name, "no cargo here")
    # The sources are copied, because cargo keeps its lock file beside them, and that names where packages came from.
    where = OUT / name
    for part in parts:
        (where / part).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / "bench" / name / part).read_text()
        if not (where / part).exists() or (where / part).read_text() != text:
            (where / part).write_text(text)
    out, why = run(["cargo", "build", "--release", "--quiet"], cwd=where, env=dict(os.environ, RUSTFLAGS="-C target-cpu=native"))
    if out is None:
        return missing(name, why)


def make_tokio():
    make_rust("tokio", ("Cargo.toml", "build.rs", "src/lib.rs", "src/bin/jobs.rs", "src/bin/echo.rs"))


def make_monoio():
    make_rust("monoio", ("Cargo.toml", "src/main.rs"))


def make_erlang():
    if not shutil.which("erlc"):
        return missing("erlang", "no erlc here (Debian: erlang-base)")
    out, why = run(["erlc", "-o", str(OUT), str(ROOT / "bench" / "erlang" / "jobs.erl")])
    if out is None:
        missing("erlang", why)


def make_c():
    """Those that meson builds, again if a library has come since it last looked."""
    packages = {"libuv-echo": "/usr/include/uv.h", "libevent-echo": "/usr/include/event2/event.h", "libev-echo": "/usr/include/ev.h",
                "boost-jobs": "/usr/include/boost/fiber/all.hpp"}
    if any(os.path.exists(header) and not (PROGRAMS / name).exists() for name, header in packages.items()):
        for command in (["meson", "setup", "--reconfigure", str(BUILD)], ["ninja", "-C", str(BUILD)]):
            out, why = run(command, cwd=ROOT)
            if out is None:
                return missing("peers in C", why)


def prepare():
    """Builds every peer that can be built. Quick when nothing has changed."""
    OUT.mkdir(parents=True, exist_ok=True)
    make_files()
    make_c()
    for make in (make_go, make_tokio, make_monoio, make_erlang):
        make()


# ---- starting them ----

def program(*candidates):
    """A builder of commands for a program that may be missing."""
    def build(*arguments):
        path = pathlib.Path(candidates[0])
        return [str(path), *candidates[1:], *map(str, arguments)] if path.exists() else None
    return build


def erlang_jobs(workers):
    return ["erl", "-noshell", "+S", f"{workers}:{workers}", "+sbwt", "none", "-pa", str(OUT), "-eval", "jobs:main()"] \
        if shutil.which("erl") and (OUT / "jobs.beam").exists() else None


# In-process jobs: WORKERS -> command, or None.
JOBS = {
    "weft": program(PROGRAMS / "weft-jobs"),
    "go": program(OUT / "go-jobs"),
    "tokio": program(OUT / "tokio/target/release/jobs"),
    "boost": program(PROGRAMS / "boost-jobs"),
    "libuv": program(PROGRAMS / "libuv-jobs"),
    "erlang": erlang_jobs,
    "bare": program(PROGRAMS / "bare-switch"),
    "weft-epoll": lambda workers: ["env", "WEFT_PORT=epoll", PROGRAMS / "weft-jobs", workers],
    "uring-reads": program(PROGRAMS / "uring-reads"),
}


# Its idle time-out is on, and longer than others may take with their slices.
IDLE = ["--idle-timeout", "3600"]


def weft_echo(port, mode="shared", weft=WEFT):
    return lambda workers: [weft, "echo", "--listen", "127.0.0.1:0", "--workers", str(workers), "--port", port, "--mode", mode, *IDLE]


def fixed(name, *arguments):
    """A server of one thread: it has nothing to say about workers."""
    return lambda workers: program(PROGRAMS / name, *arguments)() if workers == 1 else None


# Echo servers: WORKERS -> command, or None.
ECHO = {
    "weft-uring": weft_echo("uring"),
    "weft-epoll": weft_echo("epoll"),
    "weft-uring-per-core": weft_echo("uring", "per-core"),
    "weft-epoll-per-core": weft_echo("epoll", "per-core"),
    "stream-uring": fixed("stream-echo", "uring"),
    "stream-epoll": fixed("stream-echo", "epoll"),
    "epoll-edge": fixed("epoll-echo", "edge"),
    "epoll-level": fixed("epoll-echo", "level"),
    "uring-plain": fixed("uring-plain"),
    "uring-tuned": fixed("uring-plain", "tuned"),
    "uring-multishot": fixed("uring-multishot"),
    # Fewer pages and lines to go through, where messages are small.
    "uring-multishot-2k": fixed("uring-multishot", 2048, 1024),
    "libuv": fixed("libuv-echo"),
    "libevent": fixed("libevent-echo"),
    "libev": fixed("libev-echo"),
    "threads": program(PROGRAMS / "thread-each"),
    "go": program(OUT / "go-echo"),
    "tokio": program(OUT / "tokio/target/release/echo"),
    "monoio": lambda workers: program(OUT / "monoio/target/release/weftbench-monoio")() if workers == 1 else None,
}
CONTROLS = ["epoll-edge", "epoll-level", "uring-plain", "uring-tuned", "uring-multishot", "uring-multishot-2k"]


# ---- servers that do something else than echo: (WORKERS, what) -> command, or None ----

def weft_server(port, mode="shared"):
    return lambda workers, what: program(PROGRAMS / "weft-servers", what, workers, port, mode)()


def sink(name, how):
    return lambda workers, what: fixed(name, how)(workers) if what == "sink" else None


SERVERS = {
    "weft-uring": weft_server("uring"),
    "weft-epoll": weft_server("epoll"),
    **{f"weft-{port}-{mode}": weft_server(port, mode) for port in ("uring", "epoll") for mode in ("single-io", "per-core")},
    "epoll-edge": sink("epoll-sink", "edge"),
    "epoll-level": sink("epoll-sink", "level"),
    "uring-tuned": sink("uring-sink", "single"),
    "uring-multishot": sink("uring-sink", "multishot"),
}
SINKS = ["epoll-edge", "epoll-level", "uring-tuned", "uring-multishot"]


# ---- HTTP: everybody serves this folder, or what was read from it ----

WWW = OUT / "www"
FILES = {"hello.txt": 13, "4k.bin": 4096, "1m.bin": 1 << 20}


# What random reads are made of: each block begins with its number.
BLOCKS = 16384
BLOCKS_FILE = OUT / "blocks"


def make_files():
    WWW.mkdir(parents=True, exist_ok=True)
    for name, size in FILES.items():
        content = b"Hello, World!" if size == 13 else bytes(i * 31 & 255 for i in range(size))
        if not (WWW / name).exists():
            (WWW / name).write_bytes(content)
    if not BLOCKS_FILE.exists():
        BLOCKS_FILE.write_bytes(b"".join(i.to_bytes(8, sys.byteorder) + bytes(4088) for i in range(BLOCKS)))
    os.environ["BENCH_FILE"] = str(BLOCKS_FILE)


def response(path):
    """A file with exactly the bytes that `weft serve` answers: what the control then answers."""
    kept = OUT / f"response-{path}"
    server = children.start(weft_serve("epoll")(1), stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stdout if "listening on" in line)
        with socket.create_connection(("127.0.0.1", int(line.strip().rstrip("/").rsplit(":", 1)[1])), 10) as s:
            s.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            got = b""
            while b"\r\n\r\n" not in got or len(got) < got.index(b"\r\n\r\n") + 4 + FILES[path]:
                got += s.recv(1 << 16)
    finally:
        server.kill()
        server.wait()
    kept.write_bytes(got)
    return kept


def weft_serve(port):
    return lambda workers: [WEFT, "serve", "--listen", "127.0.0.1:0", "--workers", str(workers), "--port", port, *IDLE, str(WWW)]


def nginx(workers):
    return [str(ROOT / "bench" / "nginx" / "serve.py"), str(WWW)] if workers == 1 and shutil.which("nginx") else None


# HTTP servers: (WORKERS, path) -> command, or None.
HTTP = {
    "weft-uring": lambda workers, path: weft_serve("uring")(workers),
    "weft-epoll": lambda workers, path: weft_serve("epoll")(workers),
    "epoll-http": lambda workers, path: fixed("epoll-http", response(path))(workers),
    "nginx": lambda workers, path: nginx(workers),
}


def versions():
    """Of what takes part, for the record."""
    found = {"kernel": os.uname().release}
    for name, command, pattern in (("gcc", ["gcc", "--version"], r"(\d+\.\d+\.\d+)"), ("go", ["go", "version"], r"go(\d[\d.]*)"),
                                   ("rustc", ["rustc", "--version"], r"rustc ([\d.]+)"), ("nginx", ["nginx", "-v"], r"nginx/([\d.]+)"),
                                   ("wrk", ["wrk", "-v"], r"wrk (\S+)")):
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            match = re.search(pattern, done.stdout + done.stderr)
            found[name] = match.group(1) if match else "?"
    for crate in ("tokio", "monoio"):
        lock = OUT / crate / "Cargo.lock"
        if lock.exists():
            match = re.search(rf'name = "{crate}"\nversion = "([^"]+)"', lock.read_text())
            found[crate] = match.group(1) if match else "?"
    for package in ("libuv1-dev", "libevent-dev", "libev-dev", "libboost-fiber-dev", "erlang-base"):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Status}|${Version}", package], capture_output=True, text=True)
        if done.stdout.startswith("install ok installed|"):
            found[package] = done.stdout.split("|")[1]
    return found
