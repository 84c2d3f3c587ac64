"""weft serve, end to end: load, the usual tools, ending, the command line, the log."""
import random
import shutil
import signal
import socket
import subprocess
import time
import unittest

import e2e
from e2e import Client, Server, at_once, limit, reset, run, wait_until
from serve_case import BIG, Case, big, path, setUpModule, site, tearDownModule  # noqa: F401


class Load(Case):
    def test_many_at_once(self):
        """Clients of several threads that do everything, resets included, checking each byte."""

        def work(seed):
            dice = random.Random(seed)
            for _ in range(15):
                with Client(self.server) as c:
                    for _ in range(dice.randrange(1, 12)):
                        kind = dice.randrange(6)
                        if kind == 0:
                            assert c.ask("/hello.txt").body == b"hello, world\n"
                        elif kind == 1:
                            a = dice.randrange(BIG - 300000)
                            n = dice.randrange(1, 300000)
                            r = c.ask("/big.bin", f"Range: bytes={a}-{a + n - 1}")
                            assert r.body == big[a:a + n]
                        elif kind == 2:
                            assert c.ask("/medium.bin").body == big[:100000]
                        elif kind == 3:
                            c.send("GET /edge.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
                            for _ in range(5):
                                assert c.response().body == big[:16384]
                        elif kind == 4:
                            assert c.ask("/listed/").status == 200
                        else:
                            c.send("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
                            c.s.recv(dice.randrange(1, 5000))
                            reset(c.s)
                            break

        self.assertEqual(at_once(work, 24), [])

    def test_short_connections(self):
        for _ in range(500):
            self.assertEqual(self.ask("/healthz", "Connection: close").status, 200)

    def test_many_idle(self):
        held = [self.client() for _ in range(400)]
        for c in held:
            self.assertEqual(c.ask("/healthz").status, 200)
        for c in held:
            self.assertEqual(c.ask("/hello.txt").status, 200)

    def tool(self, *command):
        if shutil.which(command[0]) is None:
            self.skipTest(command[0] + " is not installed")
        r = subprocess.run(command, capture_output=True, text=True, timeout=limit(60), cwd=path())
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def url(self, target):
        return f"http://127.0.0.1:{self.server.port}{target}"

    def test_curl(self):
        out = self.tool("curl", "-sS", "-D", "-", self.url("/hello.txt"), self.url("/docs/"))
        self.assertEqual(out.count("HTTP/1.1 200 OK"), 2)
        self.tool("curl", "-sS", "-f", "-o", "copy.bin", "-r", "0-999999", self.url("/big.bin"))
        self.tool("curl", "-sS", "-f", "-o", "copy.bin", "-C", "-", self.url("/big.bin"))
        with open(path("copy.bin"), "rb") as f:
            self.assertEqual(f.read(), big)
        self.assertEqual(self.tool("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "x" * 5000,
                                   self.url("/hello.txt")), "405")
        self.assertEqual(self.tool("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--path-as-is",
                                   self.url("/../key")), "403")

    def test_ab(self):
        for flags in (["-n", "2000", "-c", "20"], ["-k", "-n", "5000", "-c", "20"]):
            out = self.tool("ab", "-q", *flags, self.url("/hello.txt"))
            self.assertRegex(out, r"Failed requests: +0\b")
            self.assertNotIn("Non-2xx", out)

    def test_wrk(self):
        out = self.tool("wrk", "-t1", "-c50", "-d1s", self.url("/hello.txt"))
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)
        self.assertRegex(out, r"Requests/sec: +[1-9]")

    def test_nc(self):
        if shutil.which("nc") is None:
            self.skipTest("nc is not installed")
        nc = subprocess.Popen(["nc", "127.0.0.1", str(self.server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(nc.stdout.close)
        self.addCleanup(nc.wait)
        self.addCleanup(nc.stdin.close)
        self.addCleanup(nc.kill)
        nc.stdin.write(b"GET /hello.txt HTTP/1.0\r\n\r\n")
        nc.stdin.flush()
        said = b""
        while not said.endswith(b"hello, world\n"):
            line = nc.stdout.readline()
            self.assertTrue(line, said)
            said += line
        self.assertTrue(said.startswith(b"HTTP/1.1 200 OK\r\n"), said)


class Descriptors(unittest.TestCase):
    def test_running_out_is_survived(self):
        server = Server("serve", site(), nofile=64)
        try:
            held = []
            for _ in range(90):  # more than it has descriptors for: the rest wait in the backlog
                held.append(server.connect())
            for s in held[:40]:
                s.close()
            for s in held[40:]:
                s.close()

            def well():
                with Client(server) as c:
                    return c.ask("/hello.txt").status == 200
            wait_until(well, "service to resume")
        finally:
            server.stop()


class Ending(unittest.TestCase):
    """Signals: gentle, bounded, immediate."""

    def setUp(self):
        e2e.needs_signals_at_once()

    def test_idle_server_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = Server("serve", site(), "--drain-timeout", "30")
            server.signal(number)
            code, _, err = server.wait()
            self.assertEqual((code, err), (0, ""))

    def test_idle_connections_do_not_hold_it_up(self):
        server = Server("serve", site(), "--drain-timeout", "60")
        clients = [Client(server) for _ in range(30)]
        for c in clients[:20]:
            self.assertEqual(c.ask("/healthz").status, 200)
        started = time.monotonic()
        server.signal()
        for c in clients:
            c.ended()
            c.s.close()
        self.assertEqual(server.wait()[0], 0)
        self.assertLess(time.monotonic() - started, limit(10))

    def test_requests_in_flight_finish(self):
        server = Server("serve", site(), "--drain-timeout", "60")
        sending, reading = Client(server), Client(server, receive_buffer=4096)
        # When the first answer is here, the beginning of the second request has been read as well.
        sending.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hello.txt HTTP/1.1\r\nHo")
        self.assertEqual(sending.response().body, b"ok\n")
        reading.send("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        reading.more()
        idle = Client(server)
        self.assertEqual(idle.ask("/healthz").status, 200)
        server.signal()
        idle.ended()  # now the server is ending

        def refused():
            try:
                server.connect().close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:
                pass  # it was just being closed
            return False
        wait_until(refused, "the listener to close")
        sending.send("st: x\r\n\r\n")
        r = sending.response()
        self.assertEqual((r.status, r.body, r["connection"]), (200, b"hello, world\n", "close"))
        sending.ended()
        self.assertEqual(reading.response().body, big)
        reading.ended()
        self.assertEqual(server.wait()[0], 0)

    def test_drain_is_bounded(self):
        server = Server("serve", site(), "--drain-timeout", "0.5", "--idle-timeout", "600")
        stuck = Client(server, receive_buffer=4096)
        stuck.send("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck.more()
        started = time.monotonic()
        server.signal()
        self.assertEqual(server.wait()[0], 0)
        self.assertGreater(time.monotonic() - started, 0.3)
        self.assertLess(time.monotonic() - started, limit(10))
        stuck.s.close()

    def test_second_signal_ends_at_once(self):
        server = Server("serve", site(), "--drain-timeout", "600", "--idle-timeout", "600", "--header-timeout", "600")
        stuck, idle = Client(server), Client(server)
        stuck.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        self.assertEqual(stuck.response().body, b"ok\n")
        self.assertEqual(idle.ask("/healthz").status, 200)
        server.signal()
        idle.ended()
        self.assertIsNone(server.process.poll())
        server.signal()
        code, _, _ = server.wait()
        self.assertNotEqual(code, 0)
        stuck.s.close()

    def test_restart_on_the_same_port(self):
        server = Server("serve", site())
        with Client(server) as c:
            c.ask("/hello.txt")
            port = server.port
            server.stop()
        again = Server("serve", site(), listen=f"127.0.0.1:{port}")
        with Client(again) as c:
            self.assertEqual(c.ask("/hello.txt").status, 200)
        again.stop()


class CommandLine(unittest.TestCase):
    def complaint(self, code, *arguments):
        r = run(*arguments)
        self.assertEqual(r.returncode, code, r)
        self.assertEqual((r.stdout, r.stderr.count("\n")), ("", 1), r)
        self.assertTrue(r.stderr.startswith("weft"), r.stderr)
        return r.stderr

    def test_wrong_options(self):
        for arguments in (["--bogus"], ["--mode", "fast"], ["--port", "kqueue"], ["--workers", "0"], ["--workers", "x"],
                          ["--max-connections", "-1"], ["--idle-timeout", "0"], ["--header-timeout", "soon"], ["--log"],
                          ["a", "b"], ["-x"], ["--listen", ""], [""]):
            self.complaint(2, "serve", *arguments)
        self.assertIn("--bogus", self.complaint(2, "serve", "--bogus"))
        self.complaint(2)
        self.complaint(2, "frobnicate")
        self.complaint(2, "echo", "dir")

    def test_what_cannot_be_done(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            self.assertIn("in use", self.complaint(1, "serve", "--listen", where))
        self.assertIn("nowhere", self.complaint(1, "serve", "/nowhere", "--listen", "127.0.0.1:0"))
        self.assertIn("log", self.complaint(1, "serve", "--log", "/nowhere/log", "--listen", "127.0.0.1:0"))
        self.complaint(1, "serve", "--listen", "not-an-address")

    def test_help_and_version(self):
        for arguments in (["--help"], ["serve", "--help"], ["echo", "--help"], ["info", "--help"]):
            r = run(*arguments)
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            self.assertIn("usage: weft", r.stdout)
        self.assertRegex(run("--version").stdout, r"^weft \d+\.\d+\.\d+\n$")

    def test_options_with_equals(self):
        server = Server("serve", site(), "--max-connections=5", "--log=none", "--idle-timeout=5")
        server.stop()


class Log(unittest.TestCase):
    def test_file(self):
        where = path("access.log")
        server = Server("serve", site(), "--log", where)
        with Client(server) as c:
            c.ask("/hello.txt", "User-Agent: test \"agent\"", "Referer: http://here/")
            c.ask("/nothing", method="HEAD")
            c.send("junk\r\n\r\n")
            c.ended_status = c.response().status
        server.stop()
        with open(where) as f:
            lines = f.read().splitlines()
        when = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]"
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[0], rf'^127\.0\.0\.1 - - {when} "GET /hello\.txt HTTP/1\.1" 200 13 "http://here/" '
                                   r'"test \\x22agent\\x22"$')
        self.assertRegex(lines[1], rf'^127\.0\.0\.1 - - {when} "HEAD /nothing HTTP/1\.1" 404 0 "-" "-"$')
        self.assertRegex(lines[2], rf'^127\.0\.0\.1 - - {when} "-" (400|501) \d+ "-" "-"$')

    def test_standard_output(self):
        server = Server("serve", site(), "--log", "-")
        with Client(server) as c:
            for _ in range(100):
                c.ask("/healthz")
        out, _ = server.stop()
        self.assertEqual(out.count('"GET /healthz HTTP/1.1" 200 3'), 100)


if __name__ == "__main__":
    e2e.main(__doc__)
