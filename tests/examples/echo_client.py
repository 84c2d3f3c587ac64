#!/usr/bin/env python3
"""The echo example answers clients that know nothing of weft.

    echo_client.py PROGRAM
"""

import os
import signal
import socket
import subprocess
import sys

SECONDS = 20


def command(program):
    """How to run it: directly, or under the emulator of a cross build."""
    return [*os.environ.get("MESON_EXE_WRAPPER", "").split(), program, "127.0.0.1:0"]


def exchange(address, n):
    with socket.create_connection(address, timeout=SECONDS) as client:
        message = bytes(i % 251 for i in range(n))
        client.sendall(message[: n // 2])
        client.sendall(message[n // 2:])
        got = b""
        while len(got) < n:
            piece = client.recv(65536)
            assert piece, f"the connection ended after {len(got)} of {n} bytes"
            got += piece
        assert got == message, "other bytes came back"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b"", "more came back than was sent"


def main():
    server = subprocess.Popen(command(sys.argv[1]), stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        assert line.startswith("listening on "), f"unexpected: {line!r}"
        host, _, port = line.split()[-1].rpartition(":")
        for n in (1, 100, 4096, 100_000):
            exchange((host, int(port)), n)
        clients = [socket.create_connection((host, int(port)), timeout=SECONDS) for _ in range(50)]
        for i, client in enumerate(clients):
            client.sendall(b"%d" % i)
        for i, client in enumerate(clients):
            assert client.recv(16) == b"%d" % i
        for client in clients:
            client.close()
        exchange((host, int(port)), 10)
        assert server.poll() is None, "the server has ended"
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
