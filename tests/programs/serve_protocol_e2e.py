"""weft serve, end to end: the protocol, right and wrong, slow and broken clients, limits."""
import random
import socket
import time

import e2e
from e2e import Client, limit, reset, wait_until
from serve_case import Case, HTML, big, setUpModule, tearDownModule  # noqa: F401


class Protocol(Case):
    arguments = ("--header-timeout", "30")

    def test_keep_alive(self):
        c = self.client()
        for _ in range(50):
            self.assertEqual(c.ask("/hello.txt").body, b"hello, world\n")

    def test_connection_close(self):
        c = self.client()
        r = c.ask("/hello.txt", "Connection: close")
        self.assertEqual((r.status, r["connection"]), (200, "close"))
        c.ended()

    def test_version_1_0(self):
        c = self.client()
        r = c.ask("/hello.txt", version="1.0")
        self.assertEqual((r.status, r["connection"]), (200, "close"))
        c.ended()
        c = self.client()
        c.send("GET /hello.txt HTTP/1.0\r\n\r\n")
        self.assertEqual(c.response().status, 200)
        c.ended()
        c = self.client()
        for _ in range(3):
            r = c.ask("/hello.txt", "Connection: keep-alive", version="1.0")
            self.assertEqual((r.status, r["connection"]), (200, "keep-alive"))

    def test_pipeline(self):
        targets = ["/hello.txt", "/nothing", "/edge.bin", "/healthz", "/medium.bin", "/"] * 20
        c = self.client()
        c.send("".join(f"GET {t} HTTP/1.1\r\nHost: x\r\n\r\n" for t in targets))
        bodies = {"/hello.txt": b"hello, world\n", "/edge.bin": big[:16384], "/medium.bin": big[:100000],
                  "/healthz": b"ok\n", "/": HTML.encode()}
        for target in targets:
            r = c.response()
            self.assertEqual(r.body, bodies.get(target, b"404 Not Found\n"), target)

    def test_pipeline_of_heads_and_bodies(self):
        c = self.client()
        c.send("HEAD /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n"
               "GET /hello.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"
               "GET /hello.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n"
               "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz"
               "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(c.response(head=True)["content-length"], "13")
        self.assertEqual(c.response().body, b"hello, world\n")
        self.assertEqual(c.response().body, b"hello, world\n")
        r = c.response()
        self.assertEqual((r.status, r["allow"]), (405, "GET, HEAD"))
        self.assertEqual(c.response().body, b"ok\n")

    def test_byte_by_byte(self):
        c = self.client()
        c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in (b"GET /hello.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=0-4\r\nContent-Length: 4\r\n\r\nbody"
                     b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
            c.send(bytes([byte]))
        self.assertEqual(c.response().body, b"hello")
        self.assertEqual(c.response().body, b"ok\n")

    def test_half_closed(self):
        c = self.client()
        c.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /medium.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        c.s.shutdown(socket.SHUT_WR)
        self.assertEqual(c.response().body, b"hello, world\n")
        self.assertEqual(c.response().body, big[:100000])
        c.ended()

    def test_half_closed_within_a_request(self):
        c = self.client()
        c.send("GET /hello.txt HTTP/1.1\r\nHo")
        c.s.shutdown(socket.SHUT_WR)
        c.ended()

    def test_reset_within_responses(self):
        for target in ("/big.bin", "/hello.txt", "/medium.bin"):
            for _ in range(20):
                c = self.client(receive_buffer=4096)
                c.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
                c.s.recv(100)
                reset(c.s)
        self.assertEqual(self.ask("/healthz").status, 200)

    def test_reset_within_requests(self):
        for n in (0, 1, 20, 35):
            c = self.client()
            c.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\nX: y"[:n])
            reset(c.s)
        self.assertEqual(self.ask("/healthz").status, 200)

    def test_methods(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"):
            r = self.ask("/hello.txt", method=method)
            self.assertEqual((r.status, r["allow"]), (405, "GET, HEAD"), method)
        for method in ("BREW", "GETS", "get", "X"):
            self.assertEqual(self.raw(f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n"), 501, method)

    def test_bad_requests(self):
        for data in ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET\r\n\r\n", "GET /\r\n\r\n",
                     "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
                     "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                     "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
                     "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n fold\r\n\r\n",
                     "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n",
                     "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
                     "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
                     "GET relative HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
                     "GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n"):
            status = self.raw(data)
            self.assertIn(status, (400, 505) if data == "GET /\r\n\r\n" else (400,), data)

    def test_versions(self):
        for version in ("2.0", "1.2", "0.9", "3.0"):
            self.assertEqual(self.raw(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n"), 505, version)
        self.assertEqual(self.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505)

    def test_smuggling(self):
        inner = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n"
        for fields in ("Content-Length: 4\r\nTransfer-Encoding: chunked",
                       "Transfer-Encoding: chunked\r\nContent-Length: 4",
                       "Content-Length: 4\r\nContent-Length: 4", "Content-Length: 4\r\nContent-Length: 5",
                       "Content-Length: +4", "Content-Length: -1", "Content-Length: 0x4", "Content-Length: 4 4",
                       "Content-Length: 99999999999999999999999", "Content-Length: ", "Content-Length : 4",
                       "Transfer-Encoding: identity", "Transfer-Encoding: chunked, identity",
                       "Transfer-Encoding: xchunked",
                       "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: \x0bchunked",
                       "Transfer-Encoding : chunked", "X: y\rTransfer-Encoding: chunked",
                       "X: y\nTransfer-Encoding: chunked"):
            self.assertEqual(self.raw(f"POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n0\r\n\r\n{inner}"), 400, fields)
        rest = "\r\n\r\n0\r\n\r\n" + inner
        self.assertEqual(self.raw("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked" + rest), 501)
        self.assertEqual(self.raw("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked" + rest), 400)

    def test_bad_chunks(self):
        for chunks in ("x\r\n", "3\nabc\n0\n\n", "3\r\nabcd\r\n0\r\n\r\n", "-1\r\n", "3 \r\nabc\r\n0\r\n\r\n",
                       "10000000000000000\r\n"):
            self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks), 400,
                             chunks)

    def test_large_heads(self):
        c = self.client()
        r = c.ask("/hello.txt", *(f"X-{i}: {'v' * 150}" for i in range(80)))
        self.assertEqual(r.body, b"hello, world\n")
        self.assertEqual(c.ask("/healthz").body, b"ok\n")
        fields = "".join(f"X-{i}: {'v' * 500}\r\n" for i in range(60))
        self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost: x\r\n" + fields), 431)
        self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost: x\r\nX: " + "v" * 40000), 431)
        self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 200 + "\r\n"), 431)
        self.assertEqual(self.raw("GET /" + "a" * 40000), 414)
        self.assertEqual(self.ask("/" + "a" * 9000).status, 414)

    def test_bodies(self):
        c = self.client()
        c.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + "b" * 60000)
        self.assertEqual(c.response().body, b"hello, world\n")
        self.assertEqual(c.ask("/healthz").body, b"ok\n")
        large = "Content-Length: 100000000\r\n\r\n" + "b" * 100000
        self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost: x\r\n" + large), 413)
        self.assertEqual(self.raw("POST / HTTP/1.1\r\nHost: x\r\n" + large), 405)
        chunk = "ff00\r\n" + "c" * 0xff00 + "\r\n"
        self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 4), 413)

    def test_expect(self):
        c = self.client()
        c.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        self.assertEqual(c.response().status, 100)
        c.send("abc")
        self.assertEqual(c.response().body, b"hello, world\n")
        self.assertEqual(c.ask("/healthz").body, b"ok\n")
        asking = "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        self.assertEqual(self.raw("POST / HTTP/1.1\r\nHost: x\r\n" + asking), 405)
        self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc"), 417)

    def test_blank_lines_between_requests(self):
        c = self.client()
        c.send("\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\nGET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(c.response().body, b"ok\n")
        self.assertEqual(c.response().body, b"hello, world\n")

    def test_random_input_gets_an_answer_or_an_end(self):
        pieces = [b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\r", b"\n", b"Host: x", b":", b"\x00", b"%", b"..",
                  b"Content-Length",
                  b"Transfer-Encoding: chunked", b"0", b"9999999", b"\xff", b"Range: bytes=", b"-", b","]
        dice = random.Random(7)
        for _ in range(300):
            c = self.client()
            c.send(b"".join(dice.choice(pieces) for _ in range(dice.randrange(1, 60))))
            c.s.shutdown(socket.SHUT_WR)
            try:
                while c.s.recv(65536):
                    pass
            except ConnectionResetError:
                pass
            c.s.close()
        self.assertEqual(self.ask("/healthz").status, 200)


class SlowRequests(Case):
    arguments = ("--header-timeout", "0.4")

    def test_slow_headers_and_bodies(self):
        started, clients = time.monotonic(), []
        for sent in ("G", "GET / HTTP/1.1\r\nHost: x\r\nX", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"):
            clients.append(self.client())
            clients[-1].send(sent)
        for c in clients:
            r = c.response()
            self.assertEqual((r.status, r["connection"]), (408, "close"))
            self.assertGreater(time.monotonic() - started, 0.3)

    def test_headers_that_trickle(self):
        c = self.client()
        c.s.setblocking(False)
        deadline = time.monotonic() + limit()
        answer, at, line = b"", 0, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10000
        while time.monotonic() < deadline and b"\r\n\r\n" not in answer:
            try:
                c.s.send(line[at:at + 1])
                at += 1
                answer += c.s.recv(1000)
            except BlockingIOError:
                time.sleep(0.005)
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)


class IdleClients(Case):
    arguments = ("--idle-timeout", "0.5")

    def test_idle_connections_end(self):
        def used_once():
            c = self.client()
            try:
                return c if c.ask("/healthz").status == 200 else None
            except (EOFError, ConnectionResetError, BrokenPipeError):
                return None  # this machine was too busy to let us ask in time
        started, silent = time.monotonic(), self.client()
        used = wait_until(used_once, "an answer")
        silent.ended()
        used.ended()
        self.assertGreater(time.monotonic() - started, 0.4)

    def test_a_client_that_does_not_read_is_dropped(self):
        before = self.server.descriptors()
        c = self.client(receive_buffer=4096)
        c.send("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 4)
        self.assertGreater(c.more(), 0)  # it is being served
        wait_until(lambda: self.server.descriptors() <= before, "the connection to be given up")


class Limits(Case):
    arguments = ("--max-connections", "20")

    def setUp(self):
        wait_until(lambda: self.server.connections() == 0, "earlier connections to end")

    def test_too_many_connections(self):
        held = []
        for _ in range(20):
            c = self.client()
            self.assertEqual(c.ask("/healthz").status, 200)
            held.append(c)
        for _ in range(10):
            c = self.client()
            r = c.ask("/healthz")
            self.assertEqual((r.status, r["connection"], r["retry-after"]), (503, "close", "1"))
            c.ended()
            c.s.close()
        for c in held:
            self.assertEqual(c.ask("/healthz").status, 200)
        held.pop().s.close()

        def room():
            with Client(self.server) as c:
                return c.ask("/healthz").status == 200
        wait_until(room, "a place to become free")

    def test_the_turned_away_who_never_speak(self):
        held = [self.client() for _ in range(20)]
        for c in held:
            c.ask("/healthz")
        silent = [self.client() for _ in range(40)]
        for c in silent:
            self.assertEqual(c.response().status, 503)
            c.ended()
            c.s.close()


if __name__ == "__main__":
    e2e.main(__doc__)
