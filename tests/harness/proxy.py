# SPDX-License-Identifier: Apache-2.0
"""A proxy that lies now and then, to see that a check notices."""
import socket
import threading

from harness.wire import Cut, Refused, Wire, fields_of


class Proxy:
    """Listens on `address` and passes requests on. `fault(method, target, pass_on)` answers the bytes to give back; `pass_on(target)`
    carries the request out, under another target if need be."""

    def __init__(self, upstream, fault):
        self.upstream, self.fault = upstream, fault
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            upstream = Wire(self.upstream, "")
        except Refused:
            client.close()
            return
        requests = Wire.__new__(Wire)
        requests.socket, requests.buffer = client, b""
        try:
            while True:
                client.sendall(self.answer(requests, upstream))
        except (Cut, OSError):
            client.close()
            upstream.close()

    def answer(self, requests, upstream):
        while (end := requests.buffer.find(b"\r\n\r\n")) < 0:
            requests.fill()
        first, *lines = requests.buffer[:end].split(b"\r\n")
        length = int(fields_of(lines).get(b"content-length", 0))
        while len(requests.buffer) < end + 4 + length:
            requests.fill()
        rest, requests.buffer = requests.buffer[len(first):end + 4 + length], requests.buffer[end + 4 + length:]
        method, target, version = first.decode().split()

        def pass_on(target):
            upstream.socket.sendall(f"{method} {target} {version}".encode() + rest)
            reply = upstream.read()
            fields = b"".join(name + b": " + value + b"\r\n" for name, value in reply.fields.items())
            return b"HTTP/1.1 %d Proxied\r\n" % reply.status + fields + b"\r\n" + reply.body

        return self.fault(method, target, pass_on)
