# SPDX-License-Identifier: Apache-2.0
"""Load on a server and what it does to it: the pump, rude clients, resident memory."""
import json
import os
import resource
import selectors
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from harness.table import ROOT

PUMP = Path(os.environ.get("SERIN_PUMP", ROOT / "build/tests/load/pump")).absolute()


def raise_open_files():
    """As many sockets as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def request_bytes(method, target, key, body=b"", **headers):
    fields = {"Host": "serin", "Authorization": f"Bearer {key}", **headers}
    if body:
        fields.update({"Content-Type": "application/json", "Content-Length": str(len(body))})
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


class Pump:
    """The load generator, running in the background; see tests/load/pump.c."""

    def __init__(self, server, request, connections, seconds, rate=0):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(request)
        self.file.flush()
        command = [PUMP, server.address, str(connections), str(rate), str(seconds), self.file.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.seconds = seconds

    def result(self):
        out, err = self.process.communicate(timeout=self.seconds + 60)
        self.file.close()
        assert self.process.returncode == 0, err
        return json.loads(out)


def resident(server):
    """Bytes of memory that the server holds now."""
    for line in Path(f"/proc/{server.process.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Memory(threading.Thread):
    """The server's memory, looked at again and again until stopped."""

    def __init__(self, server, every=0.25):
        super().__init__(daemon=True)
        self.server, self.every, self.samples, self.stopped = server, every, [], threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(self.every) and self.server.running:
            self.samples.append(resident(self.server))

    def stop(self):
        self.stopped.set()
        self.join()
        return self.samples


def metric(server, name, /, **labels):
    """The value of a metric; the sum over all that have these labels."""
    total, found = 0.0, False
    for line in server.admin.get("/metrics").text.splitlines():
        if line.startswith("#") or not line.startswith(name):
            continue
        left, value = line.rsplit(" ", 1)
        bare, _, given = left.partition("{")
        if bare == name and all(f'{label}="{text}"' in given for label, text in labels.items()):
            total, found = total + float(value), True
    assert found, f"no metric {name} {labels}"
    return total


def wait_until(true, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.05)


def address_of(server):
    host, port = server.address.rsplit(":", 1)
    return host, int(port)


def deaf_clients(server, count, request):
    """Connections that ask and never read."""
    made = []
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(address_of(server))
        one.sendall(request)
        made.append(one)
    return made


class Crowd:
    """Many connections on one thread. Each sends its pieces, one every `pause` seconds; of what comes back the beginning is kept until the
    server closes. `answers` counts the first lines of what closed connections got ("" = nothing)."""

    def __init__(self, server, count, pieces, pause=0.0):
        self.pieces, self.pause = pieces, pause
        self.selector = selectors.DefaultSelector()
        self.open, self.answers = {}, {}
        self.received = 0
        self.stopped = threading.Event()
        for _ in range(count):
            one = socket.create_connection(address_of(server))
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ)
            self.open[one] = {"sent": 0, "due": time.monotonic(), "got": b""}
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            now = time.monotonic()
            for one, state in list(self.open.items()):
                if state["sent"] < len(self.pieces) and now >= state["due"]:
                    self.send(one, state, now)
            for key, _ in self.selector.select(0.05):
                self.take(key.fileobj)

    def send(self, one, state, now):
        try:
            one.send(self.pieces[state["sent"]])
            state["sent"] += 1
        except BlockingIOError:
            pass
        except OSError:
            self.take(one)
            return
        state["due"] = now + self.pause

    def take(self, one):
        try:
            got = one.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        state = self.open[one]
        self.received += len(got)
        if len(state["got"]) < 4096:
            state["got"] += got
        if not got:
            self.close(one)

    def close(self, one):
        line = self.open.pop(one)["got"].split(b"\r\n", 1)[0].decode(errors="replace")
        self.answers[line] = self.answers.get(line, 0) + 1
        self.selector.unregister(one)
        one.close()

    def end(self):
        """Closes what is still open and answers how many that were."""
        self.stopped.set()
        self.thread.join()
        left = list(self.open)
        for one in left:
            self.close(one)
        self.selector.close()
        return len(left)
