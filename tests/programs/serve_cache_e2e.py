"""weft serve, end to end: files that are kept in memory, and are changed, replaced and removed under the server."""
import os
import time
import unittest

import e2e
from e2e import Client, wait_until
from serve_case import BIG, Case, big, path, setUpModule, tearDownModule  # noqa: F401

VALID = 0.05


def write(name, data):
    """As a program saves: another file takes the name."""
    with open(path("new"), "wb") as f:
        f.write(data)
    os.rename(path("new"), path("site", name))


def overwrite(name, data):
    with open(path("site", name), "r+b") as f:
        f.write(data)
        f.truncate()


class Held(Case):
    """One worker that looks again after an hour: what comes from memory is what was there at first."""
    arguments = ("--cache", "2", "--cache-valid", "3600", "--workers", "1")

    def test_the_answer_comes_from_memory(self):
        write("kept.txt", b"before")
        first = self.ask("/kept.txt")
        overwrite("kept.txt", b"afterwards")
        for again in (self.ask("/kept.txt"), self.ask("/kept.txt?query"), self.ask("/./%6bept.txt")):
            self.assertEqual((again.status, again.body), (200, b"before"))
            for name in ("etag", "last-modified", "content-type", "content-length", "accept-ranges", "server"):
                self.assertEqual(again[name], first[name], name)
        head = self.ask("/kept.txt", method="HEAD")
        self.assertEqual((head.status, head["content-length"], head["etag"]), (200, "6", first["etag"]))
        self.assertEqual(self.ask("/kept.txt", "Connection: close")["connection"], "close")
        self.assertEqual(self.ask("/kept.txt", "Connection: keep-alive", version="1.0")["connection"], "keep-alive")
        c = self.client()
        self.assertEqual(c.ask("/kept.txt", version="1.0").body, b"before")
        c.ended()

    def test_conditions(self):
        write("conditions.txt", b"before")
        etag = self.ask("/conditions.txt")["etag"]
        overwrite("conditions.txt", b"afterwards")
        for fields, status in ((["If-None-Match: " + etag], 304), (['If-None-Match: "x"'], 200),
                               (["If-Match: " + etag], 200), (['If-Match: "x"'], 412)):
            r = self.ask("/conditions.txt", *fields)
            self.assertEqual((r.status, r["etag"]), (status, etag), fields)
            self.assertEqual(r.body, b"before" if status == 200 else b"")

    def test_ranges_come_from_the_file(self):
        write("ranges.txt", b"before")
        old = self.ask("/ranges.txt")["etag"]
        overwrite("ranges.txt", b"afterwards")
        r = self.ask("/ranges.txt", "Range: bytes=2-6")
        self.assertEqual((r.status, r.body, r["content-range"]), (206, b"terwa", "bytes 2-6/10"))
        self.assertNotEqual(r["etag"], old)
        r = self.ask("/ranges.txt", "Range: bytes=2-6", "If-Range: " + old)
        self.assertEqual((r.status, r.body), (200, b"afterwards"))
        self.assertEqual(self.ask("/ranges.txt", "Range: bytes=99-").status, 416)
        self.assertEqual(self.ask("/ranges.txt").body, b"afterwards")  # that whole answer took the place of the old one

    def test_what_is_kept(self):
        for size, kept in ((0, True), (16384, True), (16385, False)):
            write("sized.bin", big[:size])
            name = f"/sized-{size}.bin"
            os.rename(path("site", "sized.bin"), path("site" + name))
            self.assertEqual(self.ask(name).body, big[:size])
            os.unlink(path("site" + name))
            self.assertEqual(self.ask(name).status, 200 if kept else 404, size)

    def test_what_is_not_there_is_not_kept(self):
        self.assertEqual(self.ask("/later.txt").status, 404)
        write("later.txt", b"now")
        self.assertEqual(self.ask("/later.txt").body, b"now")
        os.mkdir(path("site", "later"))
        self.assertIn(b"<html", self.ask("/later/").body)
        write("later/index.html", b"index")
        self.assertEqual(self.ask("/later/").body, b"index")
        self.assertEqual(self.ask("/later").status, 301)
        self.assertEqual(self.ask("/later/index.html").body, b"index")
        self.assertEqual(self.ask("/later/index.html/").status, 404)

    def test_a_head_request_keeps_nothing(self):
        write("head.txt", b"before")
        self.assertEqual(self.ask("/head.txt", method="HEAD")["content-length"], "6")
        overwrite("head.txt", b"afterwards")
        self.assertEqual(self.ask("/head.txt").body, b"afterwards")

    def test_pipelines(self):
        sizes = [0, 1, 13, 4096, 15000, 16383, 16384] * 20
        for size in set(sizes):
            write(f"pipe-{size}", big[:size])
            self.ask(f"/pipe-{size}")
            os.unlink(path("site", f"pipe-{size}"))
        c = self.client()
        c.send("".join(f"GET /pipe-{size} HTTP/1.1\r\nHost: x\r\n\r\n" for size in sizes))
        for size in sizes:
            r = c.response()
            self.assertEqual((r.status, r.body), (200, big[:size]), size)

    def test_more_files_than_fit(self):
        """Of 2.5 MiB, 2 fit."""
        for i in range(160):
            write(f"many-{i}", big[i:i + 16384])
        with Client(self.server) as c:
            for _ in range(2):
                for i in range(160):
                    self.assertEqual(c.ask(f"/many-{i}").body, big[i:i + 16384])
        os.unlink(path("site", "many-0"))
        os.unlink(path("site", "many-159"))
        self.assertEqual([self.ask(f"/many-{i}").status for i in (0, 159)], [404, 200])


class Brief(Case):
    """A twentieth of a second: whoever asks later than that after a change is answered with what is there. Each worker
    looks for itself, so of two connections one may still be told what the other is not told any more."""
    arguments = ("--cache-valid", str(VALID))

    def changes(self, target, change, status, body=None, before=None):
        """The old answer or the new one, whole; the old one never to a request that comes too late."""
        with Client(self.server) as c:
            for _ in range(3):
                old = c.ask(target)
            if before is not None:
                self.assertEqual(old.body, before)
            change()
            changed = time.monotonic()
            while True:
                begun = time.monotonic()
                r = c.ask(target)
                if r.status == status and (r.body == body if body is not None else r.body != old.body):
                    break
                self.assertEqual((r.status, r["etag"]), (old.status, old["etag"]))
                if r["etag"]:  # a page that is made up has none, and is new each time
                    self.assertEqual(r.body, old.body)
                self.assertLess(begun, changed + VALID, "an answer older than it may be")

    def test_written_again(self):
        write("again.txt", b"0")
        for i in range(1, 12):  # at once after it was read, of the same size
            self.changes("/again.txt", lambda: overwrite("again.txt", b"%d" % (i % 10)), 200, b"%d" % (i % 10))

    def test_a_request_that_had_to_wait_behind_another(self):
        """It came with one whose answer the client was slow to read: what counts is when it is answered."""
        write("behind.txt", b"before")
        c = self.client()
        self.assertEqual(c.ask("/behind.txt").body, b"before")
        c.send("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\nGET /behind.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertGreater(c.more(), 0)  # the first answer is on its way, and far too long to get away
        overwrite("behind.txt", b"after")
        changed = time.monotonic()
        wait_until(lambda: time.monotonic() > changed + VALID, "what was kept to be too old")
        while b"\r\n\r\n" not in c.buffer:
            self.assertGreater(c.more(), 0)
        left = BIG - len(c.buffer.split(b"\r\n\r\n", 1)[1])
        while left > 0:
            got = len(c.s.recv(min(left, 1 << 20)))
            self.assertGreater(got, 0)
            left -= got
        c.buffer = b""
        self.assertEqual(c.response().body, b"after")

    def test_longer_and_shorter(self):
        write("size.bin", big[:100])
        for size in (16384, 16385, 40000, 0, 20, 16384, 1):
            self.changes("/size.bin", lambda: write("size.bin", big[:size]), 200, big[:size])

    def test_removed_and_back(self):
        write("gone.txt", b"here")
        self.changes("/gone.txt", lambda: os.unlink(path("site", "gone.txt")), 404, before=b"here")
        self.changes("/gone.txt", lambda: write("gone.txt", b"back"), 200, b"back")

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_forbidden(self):
        write("shut.txt", b"open")
        self.changes("/shut.txt", lambda: os.chmod(path("site", "shut.txt"), 0), 403)

    def test_the_same_file_reached_through_a_link_that_leaves(self):
        """Identity, size and times are the same: only opening it beneath the root tells."""
        os.mkdir(path("site", "moved"))
        write("moved/a.txt", b"inside")

        def move():
            os.rename(path("site", "moved"), path("moved-out"))
            os.symlink("../moved-out", path("site", "moved"))

        self.changes("/moved/a.txt", move, 403, before=b"inside")

    def test_a_directory_takes_its_place(self):
        write("place", b"file")

        def replace():
            os.unlink(path("site", "place"))
            os.mkdir(path("site", "place"))

        self.changes("/place", replace, 301, before=b"file")

    def test_an_index_comes_and_goes(self):
        os.mkdir(path("site", "index"))
        write("index/index.html", b"index")
        self.changes("/index/", lambda: os.unlink(path("site", "index", "index.html")), 200, before=b"index")
        self.changes("/index/", lambda: write("index/index.html", b"again"), 200, b"again")


class Off(Case):
    arguments = ("--cache", "0")

    def test_each_gets_what_it_asked_for(self):
        """Each waits for its file, and its worker takes up others meanwhile."""
        names = [f"mine{i:02}.txt" for i in range(16)]
        for name in names:
            write(name, name.encode())
        clients = [(self.client(), name) for name in names]
        for _ in range(5):
            for c, name in clients:
                c.send(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\nGET /no{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            for c, name in clients:
                self.assertEqual(c.response().body, name.encode())
                self.assertEqual(c.response().status, 404)

    def test_changes_show_at_once(self):
        write("changing.txt", b"none")
        seen = set()
        for text in ("one", "two", "six"):
            overwrite("changing.txt", text.encode())
            os.utime(path("site", "changing.txt"), ns=(0, 10**18 + len(seen)))
            for _ in range(3):
                r = self.ask("/changing.txt")
                self.assertEqual(r.body.decode(), text)
            seen.add(r["etag"])
        self.assertEqual(len(seen), 3)
        os.unlink(path("site", "changing.txt"))
        self.assertEqual(self.ask("/changing.txt").status, 404)


if __name__ == "__main__":
    e2e.main(__doc__)
