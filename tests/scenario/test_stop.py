# SPDX-License-Identifier: Apache-2.0
"""The end: what is open is finished, nothing new is begun, and it takes no longer than was promised."""
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, closing

import pytest

from harness.client import Client, Events
from harness.world import World, unique

HERE = "staging"
PATIENCE = 20


def dial(server):
    host, port = server.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def read_all(connection):
    got = b""
    try:
        while piece := connection.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


class Ending:
    """SIGTERM was sent and the server has begun to drain."""

    def __init__(self, server, signum=signal.SIGTERM):
        self.server, self.began = server, time.monotonic()
        server.process.process.send_signal(signum)
        assert server.process.wait_event("draining")

    def again(self, signum):
        self.server.process.process.send_signal(signum)

    def finish(self, at_least, at_most, code=0):
        assert self.server.process.wait_end() == code, self.server.process.log()
        took = time.monotonic() - self.began
        assert at_least <= took <= at_most, f"{took:.2f} s"
        self.server.process.check_log()
        names = {event["event"] for event in self.server.process.events}
        return "stopped" in names, "cut" in names


STOPPED, CUT = (True, False), (False, True)


def begin_request(server, path="/healthz"):
    """A request whose last bytes are still missing. The only worker has seen it when it has answered one that came later."""
    connection = dial(server)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode())
    assert server.admin.get("/healthz").status == 200
    return connection


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_open_requests_are_finished(make_server, signum):
    server = make_server("--workers", "1")
    with begin_request(server) as slow, begin_request(server, "/readyz") as ready, dial(server) as idle:
        ending = Ending(server, signum)
        assert read_all(idle) == b""
        slow.sendall(b"a\r\n\r\n")
        answer = read_all(slow)
        assert answer.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in answer
        ready.sendall(b"a\r\n\r\n")
        answer = read_all(ready)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"draining" in answer
        assert ending.finish(0, 5) == STOPPED


def refuses(server):
    try:
        dial(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


def test_nobody_new_is_let_in(make_server):
    server = make_server("--workers", "1")
    with begin_request(server) as slow:
        ending = Ending(server)
        deadline = time.monotonic() + PATIENCE
        while not refuses(server):
            assert time.monotonic() < deadline
        assert all(refuses(server) for _ in range(20))
        slow.sendall(b"a\r\n\r\n")
        assert read_all(slow).startswith(b"HTTP/1.1 200 ")
        assert ending.finish(0, 5) == STOPPED


def test_idle_connections_do_not_keep_it(make_server):
    server = make_server()
    with ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(closing(Client(server, None)))
            assert client.get("/healthz").status == 200
        assert Ending(server).finish(0, 5) == STOPPED


def test_a_request_without_end_is_cut(make_server):
    server = make_server("--workers", "1", "--drain-timeout-s", "1")
    with begin_request(server) as slow:
        ending = Ending(server)
        assert read_all(slow) == b""
        assert ending.finish(1, 2) == STOPPED


def test_a_second_signal_ends_it_at_once(make_server):
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)):
        server = make_server("--workers", "1", "--drain-timeout-s", "60", folder=unique())
        with begin_request(server):
            ending = Ending(server, first)
            ending.again(signal.SIGHUP)  # is none
            ending.again(second)
            assert ending.finish(0, 5, 128 + second) == CUT


def test_streams_end(make_server):
    server = make_server()
    World(server).make_environments()
    with ExitStack() as stack:
        streams = [stack.enter_context(Events(server.admin, environment=HERE)) for _ in range(1000)]
        ending = Ending(server)
        assert all(stream.next() is None for stream in streams), "each comes to its end in order"
        assert ending.finish(0, 8) == STOPPED


def wait_long(server):
    """A connection whose operation keeps a control thread for two seconds: it waits for a position that never comes."""
    epoch, seq = server.admin.head()[0].split(".")
    connection = dial(server)
    connection.sendall(f"GET /v1/agents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin.key}\r\n"
                       f"Serin-After: {epoch}.{int(seq) + 1000}\r\n\r\n".encode())
    with closing(server.another(None)) as client:
        while "\nserin_control_running 1\n" not in client.get("/metrics").text:
            time.sleep(0.01)
    return connection


def test_an_operation_under_way_is_finished(make_server):
    server = make_server()
    with wait_long(server) as waiting:
        ending = Ending(server)
        assert read_all(waiting).startswith(b"HTTP/1.1 503 ")
        assert ending.finish(1, 5) == STOPPED


def test_an_operation_that_outlives_the_deadline_is_left(make_server):
    # Threads that are left cannot be joined: ThreadSanitizer is not to say so, nor to sleep a second before the end.
    env = {"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0:atexit_sleep_ms=0"}
    server = make_server("--drain-timeout-s", "0", env=env)
    with wait_long(server) as waiting:
        ending = Ending(server)
        assert read_all(waiting) == b""
        assert ending.finish(0.9, 1.6) == CUT


def test_what_was_acknowledged_is_kept(make_server):
    server = make_server()
    acknowledged, begun = [], threading.Barrier(9)

    def write():
        with closing(server.another()) as client:
            begun.wait()
            for _ in range(10_000):
                agent = unique()
                try:
                    if client.call("agent_put", agent=agent).status >= 300:
                        return
                except OSError:
                    return
                acknowledged.append(agent)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait()
    while len(acknowledged) < 50:
        time.sleep(0.01)
    assert Ending(server).finish(0, 11) == STOPPED
    for thread in threads:
        thread.join()
    server.close_clients()
    server.start()
    assert all(server.admin.call("agent_get", agent=agent).status == 200 for agent in acknowledged)
