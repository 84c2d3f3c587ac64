"""weft echo, end to end: bytes come back, whoever the client is and however it goes."""
import random
import select
import signal
import socket
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
            time.sleep(0.1)  # silent, for long enough that the buffer has gone back; whether or not, the echo is the same

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
