#!/usr/bin/env python3
"""The chat example, used as people do with nc: lines are typed, lines are read.

    chat_client.py PROGRAM
"""

import os
import signal
import socket
import subprocess
import sys

SECONDS = 20


class Person:
    """One at a terminal. Everything that is read is expected."""

    def __init__(self, address, name, room):
        self.socket = socket.create_connection(address, timeout=SECONDS)
        self.lines = self.socket.makefile("rb")
        self.reads("* welcome: /name NAME, /join ROOM")
        self.types(f"/name {name}")
        self.reads(f"* you are {name}")
        self.types(f"/join {room}")
        self.reads(f"* you are in room {room}", f"* {name} is here")

    def types(self, *lines, end="\n"):
        self.socket.sendall("".join(line + end for line in lines).encode())

    def reads(self, *expected):
        for line in expected:
            got = self.lines.readline().decode().rstrip("\n")
            assert got == line, f"read {got!r}, expected {line!r}"

    def reads_the_end(self):
        got = self.lines.read()
        assert got == b"", f"there was more: {got!r}"
        self.leaves()

    def leaves(self):
        self.lines.close()
        self.socket.close()


def talk(address):
    ann, bob = Person(address, "ann", "tea"), Person(address, "bob", "tea")
    ann.reads("* bob is here")
    ann.types("hello")
    for person in (ann, bob):
        person.reads("<ann> hello")
    bob.types("hi", "how are you?", end="\r\n")
    for person in (ann, bob):
        person.reads("<bob> hi", "<bob> how are you?")
    ann.types("/who")
    ann.reads("* ann", "* bob")

    eve = Person(address, "eve", "spies")
    eve.types("psst")
    eve.reads("<eve> psst")
    ann.types("still here")  # and eve's line would have come before it
    for person in (ann, bob):
        person.reads("<ann> still here")

    eve.types("/join tea")
    eve.reads("* you are in room tea", "* eve is here")
    for person in (ann, bob):
        person.reads("* eve is here")
    eve.types("/quit")
    eve.reads_the_end()
    for person in (ann, bob):
        person.reads("* eve has left")
    bob.leaves()  # hangs up
    ann.reads("* bob has left")
    return ann


def names(address, ann):
    with socket.create_connection(address, timeout=SECONDS) as client:
        lines = client.makefile("rb")
        lines.readline()
        for line, answer in (("/name ann", b"* that name is taken\n"), ("/name a b", b"* /name NAME"),
                             ("/join tea", b"* /name NAME"), ("/what", b"* /name NAME"), ("hello?", b"* /name NAME"),
                             ("/name cat", b"* you are cat\n")):
            client.sendall(line.encode() + b"\n")
            got = lines.readline()
            assert got.startswith(answer), f"{line!r}: {got!r}"
        client.sendall(b"x" * 512)  # no line is that long
        got = b"".join(lines)
        assert got == b"", got
    ann.types("and I?")
    ann.reads("<ann> and I?")


def main():
    command = [*os.environ.get("MESON_EXE_WRAPPER", "").split(), sys.argv[1], "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        assert line.startswith("listening on "), f"unexpected: {line!r}"
        host, port = line.split()[-1].rsplit(":", 1)
        ann = talk((host, int(port)))
        names((host, int(port)), ann)
        server.send_signal(signal.SIGTERM)
        ann.reads_the_end()
        assert server.wait(timeout=SECONDS) == 0, server.returncode
    finally:
        server.kill()


main()
