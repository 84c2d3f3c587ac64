"""What the tests of weft serve share: a directory full of temptations, and a server for each class of tests."""
import os
import random
import shutil
import tempfile
import unittest

from e2e import Client, Server, wait_until

HTML = "<!doctype html><title>index</title>"
BIG = 8 << 20

big = random.Random(3).randbytes(BIG)
root = None


def setUpModule():
    global root
    root = tempfile.mkdtemp(prefix="weft-serve-")
    site = os.path.join(root, "site")
    os.makedirs(os.path.join(site, "docs", "empty"))
    os.makedirs(os.path.join(site, "listed"))
    os.makedirs(os.path.join(root, "site-secret"))
    write = {
        "index.html": HTML.encode(), "hello.txt": b"hello, world\n", "empty.bin": b"", "big.bin": big,
        "medium.bin": big[:100000], "edge.bin": big[:16384], "edge1.bin": big[:16385],
        "a b & <c>.txt": b"odd name", "caf\u00e9.txt": b"utf-8 name", "percent%41.txt": b"percent",
        "docs/index.html": b"docs", "style.css": b"a{}", "app.js": b"1", "pic.svg": b"<svg/>", "data.json": b"{}",
        "listed/z.txt": b"z", "listed/a.txt": b"aaa", "listed/<b>&.txt": b"b", "listed/.hidden": b"no",
        "nine.txt": b"0123456789",
    }
    for name, data in write.items():
        with open(os.path.join(site, name), "wb") as f:
            f.write(data)
    with open(os.path.join(root, "site-secret", "key"), "w") as f:
        f.write("SECRET")
    with open(os.path.join(root, "key"), "w") as f:
        f.write("SECRET")
    os.symlink("../key", os.path.join(site, "escape"))
    os.symlink("/etc/passwd", os.path.join(site, "absolute"))
    os.symlink("../site-secret", os.path.join(site, "escape-dir"))
    os.symlink("hello.txt", os.path.join(site, "inside"))
    os.symlink("loop", os.path.join(site, "loop"))
    os.symlink("nowhere", os.path.join(site, "dangling"))
    os.mkdir(os.path.join(site, "listed", "sub"))
    os.mkfifo(os.path.join(site, "pipe"))
    with open(os.path.join(site, "private.txt"), "w") as f:
        f.write("private")
    os.chmod(os.path.join(site, "private.txt"), 0)


def tearDownModule():
    shutil.rmtree(root)


def path(*names):
    return os.path.join(root, *names)


def site():
    return os.path.join(root, "site")


class Case(unittest.TestCase):
    """One server for all tests of a class; at the end it must leave no descriptor behind and end with 0."""
    arguments = ()
    directory = True

    @classmethod
    def setUpClass(cls):
        cls.server = Server("serve", *([site()] if cls.directory else []), *cls.arguments)

        def answers():
            try:
                with Client(cls.server) as c:
                    return c.ask("/healthz")
            except (EOFError, ConnectionResetError, BrokenPipeError):
                return None  # it has a short time-out, and this machine was busy
        wait_until(answers, "a first answer")
        wait_until(lambda: cls.server.connections() == 0, "the first connection to end")
        cls.before = cls.server.descriptors()

    @classmethod
    def tearDownClass(cls):
        try:
            cls.server.settled_descriptors(cls.before, cls.__name__)
        finally:
            cls.server.stop()

    def client(self, **how):
        c = Client(self.server, **how)
        self.addCleanup(c.s.close)
        return c

    def ask(self, *arguments, **how):
        with Client(self.server) as c:
            return c.ask(*arguments, **how)

    def raw(self, data):
        """Sends bytes, returns the status of the answer, and checks that the connection then ends."""
        c = self.client()
        c.send(data)
        r = c.response()
        self.assertEqual(r["connection"], "close", data)
        c.ended()
        return r.status
