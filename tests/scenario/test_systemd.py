# SPDX-License-Identifier: Apache-2.0
"""Under systemd: notices, a socket that was opened before, the unit's sandbox. None of it needs a systemd that runs."""
import ctypes
import re
import signal
import socket
import struct
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from harness.client import Client, Events
from harness.load import wait_until
from harness.receiver import Receiver
from harness.schemas import Schemas
from harness.server import BINARY, FIRST_KEY, NOBODY, Process, handed
from harness.world import World, operations

UNITS = BINARY.parent / "packaging/systemd"
PATIENCE = 20


class Manager:
    """What systemd hears."""

    def __init__(self, name):
        self.name = str(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(self.name.replace("@", "\0", 1) if self.name.startswith("@") else self.name)

    def next(self):
        """One notice as a dict."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))


@pytest.mark.parametrize("place", ["path", "abstract"])
def test_notices(make_server, tmp_path, place):
    manager = Manager(tmp_path / "notify" if place == "path" else f"@serin-{tmp_path}"[:100])
    server = make_server("--drain-timeout-s", "7", env={"NOTIFY_SOCKET": manager.name})
    assert manager.next() == {"READY": "1", "STATUS": f"Answers at {server.address}"}
    for _ in range(2):
        server.process.process.send_signal(signal.SIGHUP)
        reloading = manager.next()
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.next() == {"READY": "1"}
    server.stop()
    stopping = manager.next()
    assert stopping["STOPPING"] == "1" and int(stopping["EXTEND_TIMEOUT_USEC"]) >= 8_000_000
    manager.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        manager.next()


def test_ready_is_told_when_it_answers(tmp_path):
    manager = Manager(tmp_path / "notify")
    process = Process(tmp_path, "--listen", "127.0.0.1:0", env={"NOTIFY_SOCKET": manager.name, "SERIN_BOOTSTRAP_KEY": FIRST_KEY})
    host, port = manager.next()["STATUS"].split()[-1].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    process.process.terminate()
    assert process.wait_end() == 0


def test_nothing_is_told_when_it_cannot_start(tmp_path):
    manager = Manager(tmp_path / "notify")
    manager.socket.settimeout(0.1)
    process = Process(tmp_path, "--store", "sqlite:/nowhere/serin.db", env={"NOTIFY_SOCKET": manager.name})
    assert process.wait_end() == 1
    with pytest.raises(TimeoutError):
        manager.next()


# ---- socket activation --------------------------------------------------------------------------


def listening(host="127.0.0.1", family=socket.AF_INET, kind=socket.SOCK_STREAM):
    opened = socket.socket(family, kind)
    opened.bind((host, 0))
    if kind == socket.SOCK_STREAM:
        opened.listen(100)
    return opened


def serve_on(opened, folder, *arguments, count=1, env=None):
    return Process(folder, *arguments, env=env, **handed(opened, count))


def test_the_socket_is_used_and_outlives_the_server(tmp_path):
    with listening() as opened:
        wanted = f"127.0.0.1:{opened.getsockname()[1]}"
        with socket.create_connection(opened.getsockname(), timeout=PATIENCE) as early:
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for _ in range(2):  # the second start finds the same socket, as after a restart by systemd
                process = serve_on(opened, tmp_path, "--listen", "127.0.0.1:1", env={"SERIN_BOOTSTRAP_KEY": FIRST_KEY})
                assert process.wait_event("listening", address=wanted), process.log()
                assert early.recv(4096).startswith(b"HTTP/1.1 200 ")
                early.close()
                early = socket.create_connection(opened.getsockname(), timeout=PATIENCE)
                early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert early.recv(4096).startswith(b"HTTP/1.1 200 ")
                early.close()
                process.process.terminate()
                assert process.wait_end() == 0
                early = socket.create_connection(opened.getsockname(), timeout=PATIENCE)  # waits in the queue
                early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def test_the_loopback_rule_looks_at_the_socket(tmp_path):
    """A store without keys is not served beyond loopback, whatever the setting says."""
    with listening("0.0.0.0") as opened:
        process = serve_on(opened, tmp_path, "--listen", "127.0.0.1:0")
        assert process.wait_end() == 1
        assert "beyond loopback" in process.log() and f"0.0.0.0:{opened.getsockname()[1]}" in process.log()
    with listening() as opened:
        process = serve_on(opened, tmp_path, "--listen", "0.0.0.0:0")
        assert process.wait_event("listening"), process.log()
        process.process.terminate()
        assert process.wait_end() == 0


def test_sockets_that_do_not_do(tmp_path):
    for opened, count, said in ((listening(), 2, "2 sockets were handed over"),
                                (listening(kind=socket.SOCK_DGRAM), 1, "no TCP socket that listens")):
        with opened:
            process = serve_on(opened, tmp_path, count=count)
            assert process.wait_end() == 1
            assert said in process.log()


# ---- the unit -----------------------------------------------------------------------------------


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout + done.stderr


def test_the_unit_is_well_confined():
    report = analyze("security", "--offline=true", UNITS / "serin.service")
    score = re.search(r"Overall exposure level for serin\.service: ([\d.]+)", report)
    assert score, report
    assert float(score[1]) <= 2.0, report


def test_the_units_are_sound(tmp_path):
    text = (UNITS / "serin.service").read_text()
    assert "@" not in re.sub(r"(?m)^(#|SystemCallFilter=).*$", "", text), "everything was filled in"
    started = re.search(r"(?m)^ExecStart=(\S+) serve ", text)
    (tmp_path / "serin.service").write_text(text.replace(started[1], str(BINARY)))
    (tmp_path / "serin.socket").write_text((Path(__file__).parents[2] / "packaging/systemd/serin.socket").read_text())
    for unit in ("serin.service", "serin.socket"):
        assert analyze("verify", "--man=no", "--recursive-errors=no", tmp_path / unit) == ""


def allowed_calls():
    """What the unit's SystemCallFilter= lines leave."""
    allowed = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", (UNITS / "serin.service").read_text()):
        named = set().union(*(expand(name) for name in line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def expand(name):
    if not name.startswith("@"):
        return {name}
    listed = re.findall(r"(?m)^    (@?\w[\w-]*)$", analyze("syscall-filter", name))
    return set().union(*map(expand, listed))


def filter_of(names):
    """A seccomp filter (classic BPF) that ends the process at any other call. Only fchown fails as it does under the unit: SQLite
    calls it when it runs as root, as tests may, and goes on."""
    header = next(path for path in Path("/usr/include").glob("**/asm/unistd_64.h"))
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    load, equal, back = 0x20, 0x15, 0x06
    kill, allow, not_permitted = 0x80000000, 0x7FFF0000, 0x00050001
    steps = [(load, 0, 0, 0), (equal, 0, 1, numbers["fchown"]), (back, 0, 0, not_permitted)]
    for name in sorted(names & numbers.keys()):
        steps += [(equal, 0, 1, numbers[name]), (back, 0, 0, allow)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps + [(back, 0, 0, kill)])


def confine(program):
    """For the child, before it becomes the server: no new privileges, then the filter."""
    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(text))
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2

    def apply():
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, head, 0, 0):
            raise OSError(ctypes.get_errno(), "no seccomp here")
        assert text

    return apply


NOBODY_BY_NAME = "http://localhost:9"


def start_confined(server, names, **env):
    server.process = Process(server.folder, "--store", f"sqlite:{server.store}", "--listen", "127.0.0.1:0",
                             env={"SERIN_BOOTSTRAP_KEY": FIRST_KEY, "ASAN_OPTIONS": "detect_leaks=0", "SERIN_OUTGOING_ALLOW": f"{NOBODY} {NOBODY_BY_NAME}",
                                  **env},
                             preexec=confine(filter_of(names)))
    return server.process.wait_event("listening")


def test_the_filter_lets_everything_through_that_serin_does(make_server, tmp_path):
    """Every operation, streams, webhooks, a reload and the end, with a filter that kills at the first call that the unit forbids."""
    manager = Manager(tmp_path / "notify")
    server, receiver = make_server(start=False), Receiver()
    origin = receiver.origin.replace("127.0.0.1", "localhost")  # a name that is to be looked up
    event = start_confined(server, allowed_calls(), NOTIFY_SOCKET=manager.name, SERIN_OUTGOING_ALLOW=f"{NOBODY} {NOBODY_BY_NAME} {origin}")
    assert event, server.process.log()
    assert manager.next()["READY"] == "1"
    server.address = event["address"]
    server.schemas = Schemas(server.admin.send("GET", "/openapi.json", key=None).json)
    world = World(server).make_environments()
    for name in operations():
        assert server.admin.call(name, **world.recipe(name)).status < 300, name
    with Events(server.admin, environment="staging") as events:
        world.recipe("deploy")
        assert events.first
    agent, rollout = world.rollout(steps=[{"share": 10}],
                                   guards=[{"name": "g", "url": NOBODY_BY_NAME, "query": "up", "condition": "< 1"}])
    wait_until(lambda: "cannot reach" in server.admin.op("rollout_status", agent=agent, rollout=rollout)["guards"][0].get("why", ""), "a guard was asked")
    server.admin.op("webhook_put", webhook="chat", url=f"{origin}/chat")
    world.rollout()
    receiver.wait("/chat", 1)
    receiver.close()
    with closing(Client(server, None)) as client:
        assert "serin_resident_bytes 0\n" not in client.get("/metrics").text
    server.process.process.send_signal(signal.SIGHUP)
    assert server.process.wait_event("settings_reloaded")
    writable_code = re.compile(r"(?m)^\S+ .wx. .*$").findall(Path(f"/proc/{server.process.process.pid}/maps").read_text())
    assert not writable_code, "MemoryDenyWriteExecute= would forbid this"
    server.stop()


def test_the_filter_is_one(make_server):
    """The harness of the test above finds a call that is missing: without those that bring a commit to the disk nothing starts."""
    server = make_server(start=False)
    assert start_confined(server, allowed_calls() - {"fdatasync", "fsync"}) is None
    assert server.process.wait_end() == -signal.SIGSYS
