"""Connections' lanes are killed from outside, in the middle of whatever they do: the client sees its connection end, the
others go on, and everything that the connection had is there again. How: programs/weft/hooks.h."""
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
import unittest

import e2e
from e2e import Client, Server, limit, wait_until

BIG = 4 << 20


def setUpModule():
    e2e.needs_signals_at_once()


class Killable(Server):
    def __init__(self, *arguments, **how):
        os.environ["WEFT_TEST_HOOKS"] = "1"
        workers = e2e.options.workers or 2
        super().__init__(*arguments, *(() if e2e.options.workers else ("--workers", workers)), **how)
        acceptors = workers if e2e.options.mode == "per-core" else 1

        def all_accept():  # the server says where it listens before the last acceptor has begun
            self.before = self.figures()
            return self.before["lanes"] == 1 + acceptors and self.before["ops"] == acceptors

        wait_until(all_accept, "all acceptors to be there")
        self.descriptors_before = self.descriptors()

    def asked(self, number):
        self.signal(number)
        return self._first_line()

    def figures(self):
        words = self.asked(signal.SIGUSR2).split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def kill_all(self):
        word, n = self.asked(signal.SIGUSR1).split()
        assert word == "killed", word
        return int(n)

    def kill_listener(self):
        word, n = self.asked(signal.SIGALRM).split()
        assert (word, n) == ("killed", "1"), (word, n)

    def has_its_memory_to_itself(self):
        """Sanitizers, which map tebibytes, and emulators keep books of their own."""
        with open(f"/proc/{self.pid}/statm") as f:
            return not e2e.options.wrapper and int(f.read().split()[0]) * os.sysconf("SC_PAGESIZE") < 1 << 40

    def is_as_before(self):
        """Slots, buffers, lanes, fibers, stacks, operations and descriptors are what they were with no connection."""
        last = {}

        def same():
            last.update(self.figures(), descriptors=self.descriptors())
            return last == {**self.before, "descriptors": self.descriptors_before}

        try:
            wait_until(same, "everything to be given back")
        except AssertionError as e:
            raise AssertionError(f"{e}: {last}, it was {self.before}: {self.links()}") from None


def has_ended(s):
    """True once the server has closed; what was under way before that may still come."""
    try:
        while s.recv(262144):
            pass
    except ConnectionResetError:
        pass
    return True


class Kills:
    """What both servers have in common. A subclass says how to talk: begin, assert_serves, visit."""
    arguments = ()

    def setUp(self):
        self.server = Killable(*self.command, *self.arguments)
        self.sockets = []

    def tearDown(self):
        for s in self.sockets:
            s.close()
        self.server.stop()

    def connect(self, **how):
        s = self.server.connect(**how)
        self.sockets.append(s)
        return s

    def kill_these(self, n):
        """All connections there are; they end, and nothing of them is left."""
        wait_until(lambda: self.server.figures()["slots"] == n, f"{n} connections to be there")
        self.assertEqual(self.server.kill_all(), n)
        for s in self.sockets:
            self.assertTrue(has_ended(s))
        self.server.is_as_before()
        self.assert_serves()
        self.server.is_as_before()  # that visitor, too, has left

    def test_idle(self):
        for _ in range(10):
            self.connect()
        self.kill_these(10)

    def test_again_and_again(self):
        resident = 0
        for i in range(20):
            self.sockets = [self.server.connect() for _ in range(10)]
            for s in self.sockets:
                s.sendall(self.begin)
            self.kill_these(10)
            for s in self.sockets:
                s.close()
            if i == 9:
                resident = self.server.resident()
        if self.server.has_its_memory_to_itself():
            self.assertLess(self.server.resident(), resident + (4 << 20))

    def test_the_listener(self):
        """Its connections go with it, and it comes back at the same address."""
        for _ in range(3):
            self.sockets = [self.server.connect() for _ in range(5)]
            wait_until(lambda: self.server.figures()["slots"] == 5, "the connections to be there")
            self.server.kill_listener()
            for s in self.sockets:
                self.assertTrue(has_ended(s))
                s.close()
            wait_until(self.is_there, "the server to listen again")
            self.server.is_as_before()

    def is_there(self):
        try:
            self.assert_serves()
            return True
        except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
            return False

    def test_under_load(self):
        """Killed wherever they happen to be; who is thrown out comes again."""
        over = threading.Event()
        failed = []

        def work(seed):
            dice = random.Random(seed)
            while not over.is_set():
                try:
                    with self.server.connect() as s:
                        self.visit(s, dice)
                except (ConnectionResetError, BrokenPipeError, EOFError):
                    pass
                except Exception as e:  # told to the main thread
                    failed.append(e)
                    return

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        killed = kills = 0
        while killed < 60 and not failed and kills < 5000:
            killed += self.server.kill_all()
            kills += 1
        over.set()
        for t in threads:
            t.join(limit(60))
        self.assertFalse(failed)
        self.assertGreaterEqual(killed, 60)
        self.server.is_as_before()
        self.assert_serves()


class Echo(Kills, unittest.TestCase):
    command = ("echo",)
    begin = b"x"

    def assert_serves(self):
        with self.server.connect() as s:
            s.sendall(b"hello")
            self.assertEqual(s.recv(5, socket.MSG_WAITALL), b"hello")

    def visit(self, s, dice):
        for _ in range(dice.randrange(8)):
            data = dice.randbytes(dice.choice((1, 100, 5000)))
            s.sendall(data)
            got = s.recv(len(data), socket.MSG_WAITALL)
            if got == b"" or len(got) < len(data):
                raise EOFError
            assert got == data

    def test_in_the_middle_of_a_write(self):
        """The client does not read: each lane holds a pooled buffer that the kernel is still to send from."""
        for _ in range(5):
            s = self.connect(receive_buffer=4096)
            s.setblocking(False)
        data = b"z" * 65536

        def stuck():
            for s in self.sockets:
                try:
                    while s.send(data):
                        pass
                except BlockingIOError:
                    pass
            return self.server.figures()["buffers"] == 5

        wait_until(stuck, "all to wait for their clients with a buffer")
        for s in self.sockets:
            s.settimeout(limit())
        self.kill_these(5)


class Serve(Kills, unittest.TestCase):
    command = ("serve",)
    begin = b"GET / HTTP/1.1\r\nHost: x"

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="weft-kill-")
        cls.arguments = (cls.root, "--max-connections", "20")
        os.mkdir(os.path.join(cls.root, "listed"))
        for i in range(50):
            with open(os.path.join(cls.root, "listed", f"{i}.txt"), "wb") as f:
                f.write(b"text")
        with open(os.path.join(cls.root, "big.bin"), "wb") as f:
            f.write(random.Random(5).randbytes(BIG))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def assert_serves(self):
        with Client(self.server) as c:
            self.assertEqual(c.ask("/listed/7.txt").body, b"text")

    def visit(self, s, dice):
        target = dice.choice(("/listed/", "/big.bin", "/listed/1.txt", "/none"))
        for _ in range(dice.randrange(4)):
            s.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            if not s.recv(dice.choice((10, 4096, 262144))):
                raise EOFError

    def test_with_a_long_head(self):
        """More of it than a connection at rest has room for: it is in a pooled buffer."""
        for _ in range(5):
            self.connect().sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 4000)
        wait_until(lambda: self.server.figures()["buffers"] == 5, "the heads to be in buffers")
        self.kill_these(5)

    def test_in_a_body(self):
        for _ in range(5):
            self.connect().sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        self.kill_these(5)

    def test_in_the_middle_of_a_file(self):
        """The client does not read; the file is open and its bytes are on their way."""
        before = self.server.descriptors()
        for _ in range(5):
            self.connect(receive_buffer=4096).sendall(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: self.server.links().get(os.path.join(self.root, "big.bin"), 0) == 5 or
                   self.server.descriptors() >= before + 10, "the files to be open")
        self.kill_these(5)

    def test_slots_are_free_again(self):
        for _ in range(3):
            self.sockets = [self.server.connect() for _ in range(20)]
            wait_until(lambda: self.server.figures()["slots"] == 20, "all slots to be taken")
            self.assertEqual(self.server.kill_all(), 20)
            for s in self.sockets:
                self.assertTrue(has_ended(s))
                s.close()
        self.assert_serves()

    def test_a_drain_after_kills(self):
        for _ in range(5):
            self.connect()
        self.kill_these(5)
        self.connect().sendall(self.begin)  # stop() in tearDown demands a clean end


class Off(unittest.TestCase):
    def test_without_hooks_the_signals_are_the_systems(self):
        os.environ.pop("WEFT_TEST_HOOKS", None)
        server = Server("echo")
        server.signal(signal.SIGUSR1)
        code, _, _ = server.wait()
        self.assertEqual(code, -signal.SIGUSR1)


if __name__ == "__main__":
    e2e.main(__doc__)
