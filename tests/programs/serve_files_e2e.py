"""weft serve, end to end: files, ranges, conditions, listings, the built-in page."""
import email.utils
import hashlib
import json
import os
import re
import time
import unittest

import e2e
from serve_case import BIG, Case, HTML, big, path, site, setUpModule, tearDownModule  # noqa: F401


class Files(Case):
    def test_file(self):
        r = self.ask("/hello.txt")
        self.assertEqual((r.status, r.body), (200, b"hello, world\n"))
        self.assertEqual(r["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(r["accept-ranges"], "bytes")
        self.assertEqual(r["server"], "weft")
        self.assertIsNone(r["connection"])
        self.assertRegex(r["etag"], r'^"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"$')
        mtime = int(os.stat(path("site", "hello.txt")).st_mtime)
        self.assertEqual(email.utils.parsedate_to_datetime(r["last-modified"]).timestamp(), mtime)

    def test_date_is_now(self):
        stamp = email.utils.parsedate_to_datetime(self.ask("/hello.txt")["date"]).timestamp()
        self.assertLess(abs(stamp - time.time()), 5)

    def test_every_size_arrives_whole(self):
        for name, size in (("empty.bin", 0), ("edge.bin", 16384), ("edge1.bin", 16385), ("medium.bin", 100000)):
            r = self.ask("/" + name)
            self.assertEqual((r.status, r.body), (200, big[:size]), name)

    def test_big_file(self):
        r = self.ask("/big.bin")
        self.assertEqual(hashlib.sha256(r.body).digest(), hashlib.sha256(big).digest())

    def test_big_file_to_a_slow_reader(self):
        c = self.client(receive_buffer=4096)
        r = c.ask("/big.bin")
        self.assertEqual(hashlib.sha256(r.body).digest(), hashlib.sha256(big).digest())

    def test_head(self):
        c = self.client()
        for target in ("/hello.txt", "/big.bin", "/empty.bin", "/nothing"):
            get = self.ask(target)
            head = c.ask(target, method="HEAD")
            self.assertEqual((head.status, head["content-length"], head["etag"], head["content-type"]),
                             (get.status, get["content-length"], get["etag"], get["content-type"]), target)
        self.assertEqual(c.buffer, b"")

    def test_content_types(self):
        for name, kind in (("style.css", "text/css; charset=utf-8"), ("app.js", "text/javascript; charset=utf-8"),
                           ("pic.svg", "image/svg+xml"), ("data.json", "application/json"),
                           ("index.html", "text/html; charset=utf-8"), ("big.bin", "application/octet-stream")):
            self.assertEqual(self.ask("/" + name, method="HEAD")["content-type"], kind)

    def test_odd_names_by_percent_encoding(self):
        self.assertEqual(self.ask("/a%20b%20%26%20%3Cc%3E.txt").body, b"odd name")
        self.assertEqual(self.ask("/caf%C3%A9.txt").body, b"utf-8 name")
        self.assertEqual(self.ask("/percent%2541.txt").body, b"percent")
        self.assertEqual(self.ask("/%68ello.txt?x=%zz&y").body, b"hello, world\n")
        self.assertEqual(self.ask("http://other/hello.txt").body, b"hello, world\n")

    def test_index_and_redirect(self):
        self.assertEqual(self.ask("/").body, HTML.encode())
        self.assertEqual(self.ask("/docs/").body, b"docs")
        r = self.ask("/docs?q=1")
        self.assertEqual((r.status, r["location"]), (301, "/docs/?q=1"))
        r = self.ask("//docs")
        self.assertEqual((r.status, r["location"]), (301, "/docs/"))

    def test_listing(self):
        r = self.ask("/listed/")
        self.assertEqual((r.status, r["content-type"]), (200, "text/html; charset=utf-8"))
        text = r.body.decode()
        names = re.findall(r'<a href="\./([^"]*)">', text)
        self.assertEqual(names, ["sub/", "%3Cb%3E%26.txt", "a.txt", "z.txt"])
        self.assertIn("&lt;b&gt;&amp;.txt", text)
        self.assertNotIn("<b>", text)
        self.assertNotIn("hidden", text)
        self.assertIn("3 B", text)
        self.assertEqual(self.ask("/listed/%3Cb%3E%26.txt").body, b"b")
        self.assertIn("empty", self.ask("/docs/empty/").body.decode())

    def test_missing(self):
        for target in ("/nothing", "/hello.txt/", "/hello.txt/more", "/docs/nothing/x", "/dangling", "/" + "x" * 300,
                       "/stats.json"):
            self.assertEqual(self.ask(target).status, 404, target)

    def test_healthz(self):
        r = self.ask("/healthz")
        self.assertEqual((r.status, r.body), (200, b"ok\n"))

    def test_traversal(self):
        for target in ("/../key", "/..", "/docs/../../key", "/%2e%2e/key", "/%2E./key", "/.%2e/%2e%2e/etc/passwd",
                       "/docs/%2e%2e/%2e%2e/key", "/..%2fkey", "/%2e%2e%2fkey", "/..;/key", "/....//key",
                       "/../site-secret/key", "//../key", "/docs/..%5c..%5ckey"):
            r = self.ask(target)
            self.assertIn(r.status, (400, 403, 404), target)
            self.assertNotIn(b"SECRET", r.body)
        self.assertEqual(self.ask("/docs/../hello.txt").body, b"hello, world\n")
        self.assertEqual(self.ask("/./docs/./../hello.txt").body, b"hello, world\n")

    def test_symbolic_links(self):
        self.assertEqual(self.ask("/inside").body, b"hello, world\n")
        for target in ("/escape", "/absolute", "/escape-dir/key", "/escape-dir/", "/escape-dir", "/loop"):
            r = self.ask(target)
            self.assertEqual(r.status, 403, target)
            self.assertNotIn(b"SECRET", r.body)

    def test_pipe_is_refused_at_once(self):
        self.assertEqual(self.ask("/pipe").status, 403)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_unreadable(self):
        self.assertEqual(self.ask("/private.txt").status, 403)

    def test_bad_escapes(self):
        for target in ("/%", "/%4", "/%zz", "/a%00b", "/%0a", "/%2f"):
            self.assertEqual(self.ask(target).status, 400, target)


class Ranges(Case):
    def ranged(self, value, *fields, name="/nine.txt"):
        return self.ask(name, "Range: " + value, *fields)

    def test_single(self):
        for value, body, sent in (("bytes=0-3", b"0123", "0-3"), ("bytes=4-", b"456789", "4-9"),
                                  ("bytes=-3", b"789", "7-9"), ("bytes=9-9", b"9", "9-9"),
                                  ("bytes=0-999", b"0123456789", "0-9"), ("bytes=-999", b"0123456789", "0-9"),
                                  ("bytes=0-18446744073709551616", b"0123456789", "0-9"),
                                  ("BYTES=1-2", b"12", "1-2")):
            r = self.ranged(value)
            self.assertEqual((r.status, r.body, r["content-range"]), (206, body, f"bytes {sent}/10"), value)

    def test_not_satisfiable(self):
        for value in ("bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"):
            r = self.ranged(value)
            self.assertEqual((r.status, r["content-range"]), (416, "bytes */10"), value)
        self.assertEqual(self.ranged("bytes=0-0", name="/empty.bin").status, 416)

    def test_ignored(self):
        for value in ("bytes=", "bytes=a-b", "bytes=5-2", "lines=0-1", "bytes 0-1", "bytes=0-1-2", "bytes=0-1;2-3",
                      "bytes=--1", "bytes=" + ",".join("0-" for _ in range(5)),
                      "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 10)) * 5):
            r = self.ranged(value)
            self.assertEqual((r.status, r.body), (200, b"0123456789"), value)

    def parts(self, r):
        boundary = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", r["content-type"]).group(1).encode()
        pieces = r.body.split(b"\r\n--" + boundary)
        self.assertEqual((pieces[0], pieces[-1]), (b"", b"--\r\n"))
        found = []
        for piece in pieces[1:-1]:
            head, body = piece[2:].split(b"\r\n\r\n", 1)
            self.assertIn(b"Content-Type: ", head)
            found.append((re.search(rb"Content-Range: bytes (\S+)", head).group(1).decode(), body))
        return found

    def test_multiple(self):
        r = self.ranged("bytes=0-1, 4-5,-1")
        self.assertEqual(r.status, 206)
        self.assertEqual(self.parts(r), [("0-1/10", b"01"), ("4-5/10", b"45"), ("9-9/10", b"9")])
        r = self.ranged("bytes=20-30,1-2,40-")
        self.assertEqual((r.status, r.body), (206, b"12"))

    def test_of_a_big_file(self):
        r = self.ranged("bytes=1000000-3000000", name="/big.bin")
        self.assertEqual(r.body, big[1000000:3000001])
        r = self.ranged("bytes=0-99999,200000-4200000,-5", name="/big.bin")
        self.assertEqual(self.parts(r), [(f"0-99999/{BIG}", big[:100000]),
                                         (f"200000-4200000/{BIG}", big[200000:4200001]),
                                         (f"{BIG - 5}-{BIG - 1}/{BIG}", big[-5:])])

    def test_head_ignores_ranges(self):
        r = self.ask("/nine.txt", "Range: bytes=0-1", method="HEAD")
        self.assertEqual((r.status, r["content-length"]), (200, "10"))

    def test_if_range(self):
        whole = self.ask("/nine.txt")
        for value, status in ((whole["etag"], 206), (whole["last-modified"], 206), ('"other"', 200),
                              ("W/" + whole["etag"], 200), ("Sun, 06 Nov 1994 08:49:37 GMT", 200), ("junk", 200)):
            self.assertEqual(self.ranged("bytes=0-1", "If-Range: " + value).status, status, value)


class Conditions(Case):
    def status(self, *fields, method="GET"):
        r = self.ask("/hello.txt", *fields, method=method)
        if r.status == 304:
            self.assertIsNone(r["content-length"])
            self.assertIsNotNone(r["etag"])
        return r.status

    def test_none_match(self):
        etag = self.ask("/hello.txt")["etag"]
        for value, status in ((etag, 304), ("W/" + etag, 304), ("*", 304), ('"a", ' + etag, 304), ('"a"', 200),
                              ("junk", 200), (etag[:-1], 200)):
            self.assertEqual(self.status("If-None-Match: " + value), status, value)
        self.assertEqual(self.status("If-None-Match: " + etag, method="HEAD"), 304)

    def test_modified_since(self):
        stamp = self.ask("/hello.txt")["last-modified"]
        seconds = email.utils.parsedate_to_datetime(stamp).timestamp()
        for value, status in ((stamp, 304), (email.utils.formatdate(seconds + 60, usegmt=True), 304),
                              (email.utils.formatdate(seconds - 60, usegmt=True), 200), ("junk", 200),
                              (time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(seconds)), 304),
                              (time.asctime(time.gmtime(seconds)), 304)):
            self.assertEqual(self.status("If-Modified-Since: " + value), status, value)
        self.assertEqual(self.status("If-Modified-Since: " + stamp, 'If-None-Match: "x"'), 200)

    def test_match_and_unmodified_since(self):
        r = self.ask("/hello.txt")
        for fields, status in ((["If-Match: " + r["etag"]], 200), (["If-Match: *"], 200), (['If-Match: "x"'], 412),
                               (["If-Match: W/" + r["etag"]], 412),
                               (["If-Unmodified-Since: " + r["last-modified"]], 200),
                               (["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], 412)):
            self.assertEqual(self.status(*fields), status, fields)


class BuiltIn(Case):
    directory = False

    def test_page(self):
        r = self.ask("/")
        self.assertEqual((r.status, r["content-type"]), (200, "text/html; charset=utf-8"))
        text = r.body.decode()
        self.assertIn("<title>weft</title>", text)
        self.assertIsNone(re.search(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(""", text), "external resources")

    def test_figures(self):
        before = json.loads(self.ask("/stats.json").body)
        for _ in range(10):
            self.ask("/healthz")
        r = self.ask("/stats.json")
        self.assertEqual((r["content-type"], r["cache-control"]), ("application/json", "no-store"))
        after = json.loads(r.body)
        self.assertEqual(after["requests"] - before["requests"], 11)
        self.assertEqual(after["connections"] - before["connections"], 11)
        self.assertGreaterEqual(after["connections_open"], 1)
        self.assertGreater(after["resident_bytes"], 100000)
        self.assertGreaterEqual(after["workers"], 1)
        self.assertGreaterEqual(after["uptime_ms"], before["uptime_ms"])
        if e2e.options.mode:
            self.assertEqual(after["mode"], e2e.options.mode)
        if e2e.options.port not in ("", "auto"):
            self.assertEqual(after["port"], e2e.options.port)

    def test_head_and_others(self):
        self.assertEqual(self.ask("/", method="HEAD")["content-length"], str(len(self.ask("/").body)))
        self.assertEqual(self.ask("/stats.json", method="HEAD").status, 200)
        self.assertEqual(self.ask("/etc/passwd").status, 404)
        self.assertEqual(self.ask("/healthz").body, b"ok\n")


if __name__ == "__main__":
    e2e.main(__doc__)
