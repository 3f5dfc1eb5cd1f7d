# SPDX-License-Identifier: Apache-2.0
"""A fast client for the proofs: one kept connection, one request at a time, and the truth about what became of it."""
import json
import socket

from harness import table
from harness.client import request_of


class Cut(Exception):
    """The connection ended before the answer did: what became of the request is not known."""


class Refused(Cut):
    """Nobody listens: the request was not sent."""


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def position(self):
        """(epoch, seq) of the state that was answered from, or None."""
        text = self.fields.get(b"serin-position")
        return tuple(map(int, text.split(b"."))) if text else None

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:2000]!r}"


def fields_of(lines):
    pairs = (line.partition(b":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


class Wire:
    def __init__(self, address, key, timeout=30):
        host, port = address.rsplit(":", 1)
        self.fixed = f"Host: {host}\r\nAuthorization: Bearer {key}\r\n"
        self.buffer, self.heard = b"", False
        try:
            self.socket = socket.create_connection((host, int(port)), timeout)
        except OSError as why:
            raise Refused(str(why)) from why
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def cut(self):
        """Ends the connection under whoever reads or writes; from any thread."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already

    def fill(self):
        try:
            piece = self.socket.recv(65536)
        except OSError as why:
            raise Cut(str(why)) from why
        if not piece:
            raise Cut("the connection was closed")
        self.buffer, self.heard = self.buffer + piece, True

    def write(self, method, target, body=None, headers=()):
        more = "".join(f"{name}: {value}\r\n" for name, value in headers)
        if body is not None:
            more += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        try:
            self.socket.sendall(f"{method} {target} HTTP/1.1\r\n{self.fixed}{more}\r\n".encode() + (body or b""))
        except OSError as why:
            raise Cut(str(why)) from why

    def head(self):
        """Status and fields of the answer that comes; its body is still to be read."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self.fill()
        first, *lines = self.buffer[:end].split(b"\r\n")
        self.buffer = self.buffer[end + 4:]
        return int(first.split()[1]), fields_of(lines)

    def read(self):
        status, fields = self.head()
        length = int(fields.get(b"content-length", 0))
        while len(self.buffer) < length:
            self.fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Reply(status, fields, body)

    def send(self, method, target, body=None, headers=()):
        self.write(method, target, body, headers)
        return self.read()

    def call(self, name, /, headers=(), **params):
        return self.send(*request_of(table.operations()[name], params), headers)
