"""What the end-to-end tests share: starting a weft program, raw connections, reading responses.

Nothing here sleeps to synchronise: a server is ready when it has said where it listens, a condition is polled with a
deadline, and every socket has a time-out. Everything is on the loopback interface, on ports that the system picks.
"""
import argparse
import atexit
import ctypes
import os
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

LIMIT = 15.0  # seconds that any single step may take; multiplied for slow builds
options = None


def limit(seconds=LIMIT):
    return seconds * options.slow


def wait_until(condition, what, seconds=LIMIT):
    """Polls a condition that another process brings about."""
    deadline = time.monotonic() + limit(seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited too long for " + what)
        time.sleep(0.01)


def at_once(work, count, seconds=60):
    """Calls work(seed) for so many seeds, each in a thread of its own; returns what went wrong."""
    wrong = []

    def run_one(seed):
        try:
            work(seed)
        except Exception as e:  # noqa: BLE001 - reported by who called
            wrong.append(f"seed {seed}: {type(e).__name__} {e}")

    threads = [threading.Thread(target=run_one, args=(seed,)) for seed in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(limit(seconds))
    return wrong + ["a thread does not end" for t in threads if t.is_alive()]


class Server:
    """A running weft program."""

    def __init__(self, command, *arguments, cwd=None, listen="127.0.0.1:0", stdout_lines=False, nofile=None):
        argv = [*options.wrapper, options.weft, command, "--listen", listen]
        if options.mode:
            argv += ["--mode", options.mode]
        if options.port:
            argv += ["--port", options.port]
        if options.workers:
            argv += ["--workers", str(options.workers)]
        argv += [str(a) for a in arguments]

        def prepare():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it does not outlive a test that is killed
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                                        preexec_fn=prepare)
        self.pid = self.process.pid
        atexit.register(self.process.kill)  # a test that failed half-way leaves nothing running
        line = self._first_line()
        match = re.fullmatch(r"listening on (?:http://)?([^\n]*:(\d+)|unix:[^\n]*)\n", line)
        if not match:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"{argv}: said {line!r} {out!r} {err!r}")
        self.line = line
        self.port = int(match.group(2)) if match.group(2) else None

    def _first_line(self):
        line, deadline = b"", time.monotonic() + limit()
        fd = self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                break
            byte = os.read(fd, 1)
            if not byte:
                break
            line += byte
        return line.decode()

    def connect(self, timeout=LIMIT, receive_buffer=None):
        s = socket.socket()
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.settimeout(limit(timeout))
        s.connect(("127.0.0.1", self.port))
        return s

    def descriptors(self):
        """Without timers, which a worker makes when it turns out that one pays."""
        return sum(n for name, n in self.links().items() if name != "anon_inode:[timerfd]")

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def resident(self):
        with open(f"/proc/{self.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def connections(self):
        """How many connections the kernel holds at the server's end, closed ones that only wait excepted."""
        with open("/proc/net/tcp") as f:
            rows = [line.split()[1:4] for line in f.readlines()[1:]]
        listening, waiting = "0A", "06"
        return sum(int(local.split(":")[1], 16) == self.port and state not in (listening, waiting)
                   for local, _, state in rows)

    def settled_descriptors(self, expected, what):
        wait_until(lambda: self.descriptors() <= expected, f"{what}: descriptors to fall to {expected}, "
                   f"there are {self.descriptors()}: {self.links()}")

    def links(self):
        names = {}
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                name = re.sub(r"\d+", "N", os.readlink(f"/proc/{self.pid}/fd/{fd}"))
            except OSError:
                continue
            names[name] = names.get(name, 0) + 1
        return names

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def where(self):
        """What a hung server's threads are doing, where gdb is there to tell."""
        if shutil.which("gdb") is None:
            return "(no gdb to look with)"
        command = ["gdb", "-p", str(self.pid), "-batch", "-ex", "thread apply all bt 16"]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout[-8000:]
        except subprocess.TimeoutExpired:
            return "(gdb could not look)"

    def wait(self, seconds=LIMIT):
        try:
            out, err = self.process.communicate(timeout=limit(seconds))
        except subprocess.TimeoutExpired:
            threads = self.where()
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"did not end; said {out!r} {err!r}\n{threads}") from None
        return self.process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def shake(self):
        """Another signal brings out one that ThreadSanitizer keeps back in a thread that sleeps: of one number it keeps one."""
        if options.late_signals:
            try:
                self.process.wait(limit(5))
            except subprocess.TimeoutExpired:
                self.signal()

    def stop(self, expect=0):
        """Ends the server as an operator would, and demands that it ends well and silently."""
        if self.process.poll() is None:
            self.signal()
            self.shake()
        code, out, err = self.wait()
        if code != expect or "runtime error" in err or "Sanitizer" in err:
            raise AssertionError(f"ended with {code}, said {err!r}")
        return out, err


def run(*arguments, timeout=LIMIT):
    argv = [*options.wrapper, options.weft, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=limit(timeout))


def reset(s):
    """Closes a connection so that the peer gets a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class Response:
    def __init__(self, status, version, headers, raw_head):
        self.status, self.version, self.headers, self.raw_head = status, version, headers, raw_head
        self.body = b""

    def __getitem__(self, name):
        return self.headers.get(name.lower())

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:80]!r}>"


class Client:
    """A connection that reads responses strictly: anything malformed is an AssertionError."""

    def __init__(self, server, **how):
        self.s = server.connect(**how)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.s.close()

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def more(self):
        data = self.s.recv(262144)
        self.buffer += data
        return len(data)

    def response(self, head=False, interim=False):
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                raise EOFError(f"connection ended; there was {self.buffer!r}")
        raw, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = raw.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"(HTTP/1\.1) (\d{3}) ([^\r\n]+)", lines[0])
        assert match, lines[0]
        headers = {}
        for line in lines[1:]:
            name, value = re.fullmatch(r"([A-Za-z-]+): ([^\r\n]*)", line).groups()
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        r = Response(int(match.group(2)), match.group(1), headers, raw)
        if r.status >= 200:
            assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", r["date"]), r["date"]
        if head or r.status in (304, 204) or r.status < 200:
            return r
        length = int(r["content-length"])
        while len(self.buffer) < length:
            if not self.more():
                raise EOFError(f"body ended at {len(self.buffer)} of {length}")
        r.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return r

    def ended(self):
        """True once the server has closed, with nothing more said."""
        try:
            while True:
                if not self.more():
                    break
        except ConnectionResetError:
            pass
        assert self.buffer == b"", self.buffer
        return True

    def ask(self, target="/", *fields, method="GET", version="1.1", head=None):
        lines = [f"{method} {target} HTTP/{version}", "Host: test", *fields]
        self.send("\r\n".join(lines) + "\r\n\r\n")
        return self.response(head=method == "HEAD" if head is None else head)


def needs_signals_at_once():
    """ThreadSanitizer keeps a signal that meets a thread between its own functions until the thread calls one of them, and
    a worker may go to sleep before it does."""
    if options.late_signals:
        raise unittest.SkipTest("ThreadSanitizer may keep signals back for ever")


def main(description):
    global options
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--weft", required=True)
    parser.add_argument("--port", default="")
    parser.add_argument("--mode", default="")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--slow", type=float, default=float(os.environ.get("WEFT_TEST_SLOW", "1")),
                        help="multiplies every time-out")
    parser.add_argument("--late-signals", action="store_true", help="a sanitizer keeps signals back")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    options.weft = os.path.abspath(options.weft)
    options.wrapper = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))  # an emulator, in cross builds
    program = unittest.main(module="__main__", argv=[sys.argv[0], "-v", *options.tests], exit=False)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.skipped and len(result.skipped) >= result.testsRun else 0)
