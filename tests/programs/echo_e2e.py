"""weft echo, end to end: bytes come back, whoever the client is and however it goes."""
import fcntl
import os
import random
import select
import signal
import socket
import struct
import tempfile
import termios
import time
import unittest

import e2e
from e2e import Server, at_once, limit, reset, run, wait_until


def exchange(s, data):
    """Sends data and reads it back at the same time, so that neither side's buffers have to hold it all."""
    s.setblocking(False)
    sent, got, deadline = 0, bytearray(), time.monotonic() + limit(30)
    while len(got) < len(data):
        assert time.monotonic() < deadline, f"{sent} sent, {len(got)} of {len(data)} came back"
        readable, writable, _ = select.select([s], [s] if sent < len(data) else [], [], 1)
        if writable:
            sent += s.send(data[sent:sent + 262144])
        if readable:
            piece = s.recv(262144)
            assert piece, f"ended after {len(got)} of {len(data)}"
            got += piece
    s.setblocking(True)
    s.settimeout(limit())
    return bytes(got)


PIECE = b"p" * 1024  # far from what an echo server's small buffer holds


def asked(s, what):
    """What an ioctl that fills an integer says of a socket."""
    return struct.unpack("i", fcntl.ioctl(s, what, bytes(4)))[0]


def pieces_that_fit():
    """How many pieces a Unix socket takes that nobody reads from: the kernel counts alike for everybody."""
    mine, others = socket.socketpair()
    with mine, others:
        mine.setblocking(False)
        for n in range(100000):
            try:
                mine.send(PIECE)
            except BlockingIOError:
                return n
    raise AssertionError("a Unix socket takes everything")


class Unread(unittest.TestCase):
    """Clients that send, piece by piece, and do not read: what they are sent back has no room at last. Over a Unix socket,
    where it is known how much that takes, and whether the other side has read what it was sent."""

    IDLE = 1.5  # seconds, multiplied for slow builds

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "echo")
        self.idle = limit(self.IDLE)
        self.server = Server("echo", "--idle-timeout", f"{self.idle:.3f}", listen="unix:" + self.path)
        self.addCleanup(self.server.stop)
        self.fit = pieces_that_fit()

    def stuck(self):
        """A client with a reply that waits, and the moment before it sent what that one answers. Its pieces are read one at
        a time, so the server's small buffer does."""
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(limit())
        s.connect(self.path)
        for _ in range(self.fit + 1):
            sent = time.monotonic()
            s.sendall(PIECE)
            wait_until(lambda: asked(s, termios.TIOCOUTQ) == 0, "the server to read a piece")
        return s, sent

    def end_of(self, s):
        """The moment at which the server is seen to have closed."""
        poll = select.poll()
        poll.register(s, 0)  # a hang-up is told whatever is asked for
        self.assertTrue(poll.poll(limit(self.IDLE + 30) * 1000), "it is not closed")
        return time.monotonic()

    def test_who_does_not_read_is_closed(self):
        s, sent = self.stuck()
        self.assertGreaterEqual(self.end_of(s) - sent, self.idle)
        self.assertEqual(asked(s, termios.FIONREAD), self.fit * len(PIECE))  # the last reply had no room

    def test_the_wait_of_a_reply_counts_as_silence(self):
        s, sent = self.stuck()
        time.sleep(self.idle / 2)  # the client is slow to read; nobody is waited for
        self.assertEqual(asked(s, termios.FIONREAD), self.fit * len(PIECE))  # it waits indeed
        read = time.monotonic()
        for _ in range(self.fit + 1):
            self.assertEqual(s.recv(len(PIECE), socket.MSG_WAITALL), PIECE)
        end = self.end_of(s)
        self.assertGreaterEqual(end - sent, self.idle)
        self.assertLess(end - read, self.idle)  # not a whole time-out from its end on
        self.assertEqual(s.recv(1), b"")


class Echo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("echo")
        with cls.server.connect() as s:
            assert exchange(s, b"x") == b"x"
        wait_until(lambda: cls.server.connections() == 0, "the first connection to end")
        cls.before = cls.server.descriptors()

    @classmethod
    def tearDownClass(cls):
        try:
            cls.server.settled_descriptors(cls.before, "echo")
        finally:
            cls.server.stop()

    def connect(self, **how):
        s = self.server.connect(**how)
        self.addCleanup(s.close)
        return s

    def test_sizes(self):
        s, dice = self.connect(), random.Random(1)
        for n in (1, 2, 64, 2047, 2048, 2049, 4096, 65535, 65536, 65537, 100000, 3 << 20, 1):
            data = dice.randbytes(n)
            self.assertEqual(exchange(s, data), data, n)

    def test_a_large_buffer_goes_back_and_comes_again(self):
        s, dice = self.connect(), random.Random(2)
        for small in (40, 1, 0):  # so many small ones after a large one
            for n in [200000] + small * [64]:
                data = dice.randbytes(n)
                self.assertEqual(exchange(s, data), data, n)
            # Silent, for long enough that the buffer has gone back; whether or not, the echo is the same.
            time.sleep(0.1)

    def test_ping_pong(self):
        s = self.connect()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(2000):
            s.sendall(b"%08d" % i)
            self.assertEqual(s.recv(8, socket.MSG_WAITALL), b"%08d" % i)

    def test_half_close(self):
        s = self.connect()
        s.sendall(b"last words")
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100, socket.MSG_WAITALL), b"last words")
        self.assertEqual(s.recv(1), b"")

    def test_slow_reader_is_not_buffered_without_bound(self):
        s = self.connect(receive_buffer=4096)
        s.setblocking(False)
        sent, still = 0, time.monotonic() + 0.3
        while time.monotonic() < still:  # until the server has stopped taking for a while
            try:
                sent += s.send(b"z" * 65536)
                still = time.monotonic() + 0.3
            except BlockingIOError:
                select.select([], [s], [], 0.05)
            self.assertLess(sent, 256 << 20)
        s.setblocking(True)
        s.settimeout(limit())
        s.shutdown(socket.SHUT_WR)
        got = 0
        while piece := s.recv(1 << 20):
            self.assertEqual(piece.count(b"z"), len(piece))
            got += len(piece)
        self.assertEqual(got, sent)

    def test_resets(self):
        for n in (0, 1, 100, 100000):
            for _ in range(25):
                s = self.server.connect()
                s.setblocking(False)
                if n:
                    s.send(b"r" * n)
                reset(s)
        with self.server.connect() as s:
            self.assertEqual(exchange(s, b"alive"), b"alive")

    def test_many_connections(self):
        held = [self.connect() for _ in range(500)]
        for round_number in range(3):
            for i, s in enumerate(held):
                s.sendall(b"%d:%d" % (round_number, i))
            for i, s in enumerate(held):
                expected = b"%d:%d" % (round_number, i)
                self.assertEqual(s.recv(len(expected), socket.MSG_WAITALL), expected)

    def test_short_connections(self):
        for _ in range(1000):
            with self.server.connect() as s:
                s.sendall(b"hello")
                self.assertEqual(s.recv(5, socket.MSG_WAITALL), b"hello")

    def test_random_clients(self):
        def work(seed):
            dice = random.Random(seed)
            for _ in range(10):
                s = self.server.connect()
                for _ in range(dice.randrange(6)):
                    data = dice.randbytes(dice.randrange(1, 200000))
                    assert exchange(s, data) == data
                if dice.randrange(2):
                    reset(s)
                s.close()

        self.assertEqual(at_once(work, 16), [])


class Life(unittest.TestCase):
    def test_ends_with_connections_open(self):
        e2e.needs_signals_at_once()
        for number in (signal.SIGTERM, signal.SIGINT):
            server = Server("echo", "--drain-timeout", "60")
            held = [server.connect() for _ in range(20)]
            for s in held[:10]:
                self.assertEqual(exchange(s, b"x"), b"x")
            server.signal(number)
            code, out, err = server.wait()
            self.assertEqual((code, err), (0, ""))
            for s in held:
                s.close()

    def test_idle_connections_end(self):
        server = Server("echo", "--idle-timeout", "0.3")
        with server.connect() as s:
            self.assertEqual(exchange(s, b"x"), b"x")
            self.assertEqual(s.recv(1), b"")
        server.stop()

    def test_limit(self):
        server = Server("echo", "--max-connections", "3")
        held = [server.connect() for _ in range(3)]
        for s in held:
            self.assertEqual(exchange(s, b"x"), b"x")
        with server.connect() as s:
            try:
                self.assertEqual(s.recv(1), b"")
            except ConnectionResetError:
                pass
        for s in held:
            self.assertEqual(exchange(s, b"y"), b"y")
            s.close()
        server.stop()

    def test_command_line(self):
        for arguments, code in ((["--bogus"], 2), (["--log", "x"], 2), (["--listen", "nonsense"], 1)):
            r = run("echo", *arguments)
            self.assertEqual((r.returncode, r.stdout, r.stderr.count("\n")), (code, "", 1), r)


if __name__ == "__main__":
    e2e.main(__doc__)
