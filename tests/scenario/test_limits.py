# SPDX-License-Identifier: Apache-2.0
"""Every limit, reached on a server that was started with a small one: the right answer, others unharmed, the counter counts,
and all is well again afterwards."""
import os
import re
import select
import signal
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from harness.client import Events
from harness.world import World

HERE = "staging"
LIMIT = re.compile(r'(serin_limit|serin_limit_refused_total)\{name="(\w+)"\} (\d+)')
PATIENCE = 20


def limits(server):
    """What /metrics says of each limit: {name: (limit, refused)}."""
    found = {"serin_limit": {}, "serin_limit_refused_total": {}}
    with closing(server.another(None)) as client:
        for metric, name, value in LIMIT.findall(client.get("/metrics").text):
            found[metric][name] = int(value)
    assert found["serin_limit"].keys() == found["serin_limit_refused_total"].keys()
    return {name: (limit, found["serin_limit_refused_total"][name]) for name, limit in found["serin_limit"].items()}


def refused(server, name):
    return limits(server)[name][1]


def only(server, name, count):
    """This limit has refused so often, and no other one at all."""
    assert {other: n for other, (_, n) in limits(server).items() if n} == {name: count}


def dial(server, source="127.0.0.1"):
    host, port = server.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE, source_address=(source, 0))


def ask(connection):
    """The status of one small request on this connection; None when it was closed."""
    try:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = connection.recv(65536)
    except (ConnectionResetError, BrokenPipeError):
        return None
    return int(answer.split()[1]) if answer else None


def let_in(server, stack):
    """A connection that the server has taken in; one that ended just before may still be counted."""
    found = []

    def try_once():
        connection = stack.enter_context(dial(server))
        if ask(connection) == 200:
            found.append(connection)
        else:
            connection.close()
        return found

    until(try_once)
    return found[0]


def is_closed(connection):
    """Waits for the end of it."""
    ready, _, _ = select.select([connection], [], [], PATIENCE)
    try:
        return bool(ready) and connection.recv(65536) == b""
    except ConnectionResetError:
        return True


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)


def test_every_limit_is_told(server):
    told = limits(server)
    assert set(told) == {"header_limit", "body_limit", "connections", "connections_per_address", "streams", "requests_per_key",
                         "control_queue", "request_timeout_s", "idle_timeout_s"}
    assert told["header_limit"][0] == 8192 and told["requests_per_key"][0] == 20000 and told["streams"][0] == 10000
    assert told["connections"][0] > 100 and told["connections_per_address"][0] == 15000


def test_headers(make_server):
    server = make_server("--header-limit", "4096")
    assert limits(server)["header_limit"][0] == 4096
    with closing(server.another()) as client:
        answer = client.send("GET", "/v1/whoami", headers={"X-Long": "x" * 3500})
    assert answer.status == 431 and answer.json["code"] == "headers_too_large"
    with closing(dial(server)) as connection:  # so long that no request is made of it
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 8000 + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")
    only(server, "header_limit", 2)
    assert server.admin.op("whoami")


def test_bodies(make_server):
    server = make_server("--body-limit", "2000")
    with closing(server.another()) as client:
        answer = client.send("POST", "/v1/resolve", b"{" + b" " * 2000)
    assert answer.status == 413 and answer.json["code"] == "too_large"
    only(server, "body_limit", 1)
    assert server.admin.op("whoami")


def test_connections(make_server):
    server = make_server("--connections", "5")
    server.admin.close()
    with ExitStack() as stack:
        open_ones = [let_in(server, stack) for _ in range(5)]
        for _ in range(3):
            with closing(dial(server)) as over:
                assert ask(over) is None
        assert all(ask(connection) == 200 for connection in open_ones)
    until(lambda: connects(server))
    assert limits(server)["connections"][0] == 5
    assert refused(server, "connections") >= 3


def cpu_seconds(server):
    times = Path(f"/proc/{server.process.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def test_fewer_files_than_connections(make_server):
    """The limit is raised as far as it goes; connections end where files would, and a full server has nothing to do."""
    server = make_server(launcher=["prlimit", "--nofile=200:300"])
    event = server.process.wait_event("files_short")
    taken = limits(server)["connections"][0]
    assert int(event["connections"]) == 20000 and int(event["taken"]) == taken and int(event["open_files"]) == 300
    server.admin.close()
    with ExitStack() as stack:
        open_ones = [let_in(server, stack) for _ in range(taken)]
        over = [stack.enter_context(dial(server)) for _ in range(100)]
        assert all(ask(connection) is None for connection in over)
        assert all(ask(connection) == 200 for connection in open_ones)
        before = cpu_seconds(server)
        time.sleep(1)
        assert cpu_seconds(server) - before < 0.3
    until(lambda: connects(server))
    assert server.admin.op("agent_list")


def test_the_limit_of_files_is_raised(make_server):
    server = make_server("--connections", "500", launcher=["prlimit", "--nofile=64:2000"])
    assert limits(server)["connections"][0] == 500
    assert not [event for event in server.process.events if event["event"] == "files_short"]
    server = make_server("--connections", "1", launcher=["prlimit", "--nofile=20:50"], folder="few", start=False)
    with pytest.raises(AssertionError, match="may open 50 files"):
        server.start()


def connects(server):
    with closing(dial(server)) as connection:
        return ask(connection) == 200


def test_connections_of_one_address(make_server):
    server = make_server("--connections-per-address", "3")
    server.admin.close()
    with ExitStack() as stack:
        open_ones = [let_in(server, stack) for _ in range(3)]
        for _ in range(2):
            with closing(dial(server)) as over:
                assert ask(over) is None
        others = [stack.enter_context(dial(server, "127.0.0.2")) for _ in range(3)]
        assert all(ask(connection) == 200 for connection in open_ones + others)
    until(lambda: connects(server))
    assert refused(server, "connections_per_address") >= 2
    assert refused(server, "connections") == 0


def test_streams(make_server):
    server = make_server("--streams", "3")
    world = World(server).make_environments()
    agent = world.agent(2)
    with ExitStack() as stack:
        streams = [stack.enter_context(Events(server.admin, environment=HERE)) for _ in range(3)]
        with closing(server.another()) as client:
            for _ in range(2):
                answer = client.call("stream", environment=HERE)
                assert answer.status == 503 and answer.json["code"] == "too_many_streams"
                assert int(answer.headers["Retry-After"]) >= 1
        world.deploy(agent, 1)
        assert all(stream.next()["event"] == "change" for stream in streams)
        only(server, "streams", 2)
        streams[0].close()
        until(lambda: "serin_streams_open 2\n" in server.admin.get("/metrics").text)
        with Events(server.admin, environment=HERE) as again:
            assert again.status == 200


def limit_keys(server, settings, limit):
    """Puts requests_per_key in force while the server runs."""
    settings.write_text(f"requests_per_key = {limit}\n")
    server.process.process.send_signal(signal.SIGHUP)
    until(lambda: limits(server)["requests_per_key"][0] == limit)


@pytest.fixture
def limited(make_server, tmp_path):
    """A server of which a key may ask three times a second, a client with such a key, and an agent."""
    settings = tmp_path / "serin.toml"
    settings.write_text("")
    server = make_server("--settings", settings)
    world = World(server).make_environments()
    agent, client, other = world.served(1), server.client("viewer", HERE), server.client("editor", HERE)
    assert client.op("whoami") and other.op("whoami")
    limit_keys(server, settings, 3)
    yield server, client, other, agent
    limit_keys(server, settings, 0)


QUESTIONS = {
    "the hot path": lambda client, agent: client.call("resolve_get", agent=agent, environment=HERE, key="ann"),
    "the hot path with a body": lambda client, agent: client.call("resolve", agent=agent, environment=HERE, context={"targetingKey": "ann"}),
    "what fails": lambda client, agent: client.call("resolve_get", agent="nobody", environment=HERE, key="ann"),
    "memory": lambda client, agent: client.call("whoami"),
    "the store": lambda client, agent: client.call("agent_list"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_requests_of_one_key(limited, question):
    server, client, other, agent = limited
    before, statuses, began = refused(server, "requests_per_key"), [], time.monotonic()
    while statuses.count(429) < 5:
        answer = QUESTIONS[question](client, agent)
        statuses.append(answer.status)
        if answer.status == 429:
            assert answer.json["code"] == "too_many_requests" and answer.headers["Retry-After"] == "1"
    passed, took = len(statuses) - 5, time.monotonic() - began
    assert 3 <= passed <= 4 + 3 * took, (statuses, took)
    assert other.op("whoami") and server.another(None).get("/healthz").status == 200
    assert refused(server, "requests_per_key") == before + 5
    until(lambda: QUESTIONS[question](client, agent).status != 429)


def test_without_a_key_nobody_uses_up_what_a_key_may(limited):
    server, client, _, _ = limited
    stranger = server.another(client.key[:-1] + ("0" if client.key[-1] != "0" else "1"))
    for _ in range(20):
        assert stranger.call("whoami").status == 401
    assert client.call("whoami").status == 200


def test_operations_that_wait(make_server):
    server = make_server("--control-threads", "1", "--control-queue", "1")
    batch = World(server).make_environments().recipe_outcomes()
    epoch, seq = server.admin.head()[0].split(".")
    late = {"Serin-After": f"{epoch}.{int(seq) + 1000}"}  # keeps the only control thread for two seconds

    with ExitStack() as stack:
        waiting = [stack.enter_context(closing(dial(server))) for _ in range(2)]
        for connection in waiting:
            send_read(connection, server, late)
            # The thread takes the first before the second comes; else the queue would be full one request sooner.
            state = "running" if connection is waiting[0] else "waiting"
            until(lambda: f"serin_control_{state} 1\n" in server.another(None).get("/metrics").text)
        for answer in (server.admin.call("agent_list"), server.admin.call("outcomes", **batch)):
            assert answer.status == 503 and answer.json["code"] == "unavailable" and int(answer.headers["Retry-After"]) >= 1
        assert server.admin.op("whoami")  # memory answers on
        only(server, "control_queue", 2)
        for connection in waiting:
            assert connection.recv(65536).startswith(b"HTTP/1.1 503")
    assert server.admin.op("agent_list")
    taken = server.admin.op("outcomes", **batch)
    assert taken["accepted"] == 1 and not taken["duplicate"]  # nothing of it had been taken


def send_read(connection, server, headers):
    fields = {"Host": "x", "Authorization": f"Bearer {server.admin.key}", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    connection.sendall(f"GET /v1/agents HTTP/1.1\r\n{head}\r\n".encode())


def test_time_of_a_request(make_server):
    server = make_server("--request-timeout-s", "1")
    with closing(dial(server)) as header, closing(dial(server)) as body:
        header.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Sl")
        body.sendall(b"POST /v1/resolve HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert is_closed(header) and is_closed(body)
    only(server, "request_timeout_s", 2)
    assert server.admin.op("whoami")


def test_time_between_requests(make_server):
    server = make_server("--idle-timeout-s", "1")
    with closing(dial(server)) as fresh, closing(dial(server)) as used:
        assert ask(used) == 200
        assert is_closed(fresh) and is_closed(used)
    assert refused(server, "idle_timeout_s") >= 2
    assert server.admin.op("whoami")
