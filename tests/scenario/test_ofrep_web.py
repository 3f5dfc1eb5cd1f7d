# SPDX-License-Identifier: Apache-2.0
"""What browsers need of OpenFeature's remote evaluation: event streams that a token opens, and answers that pages of other origins may read."""
import http.client
import json
import socket
import time

import pytest
from harness.client import Events
from harness.server import Server, run_cli
from harness.world import World, unique

HERE = "staging"
ALL = "/ofrep/v1/evaluate/flags"
PAGE, OTHER = "https://shop.example.com", "http://localhost:3000"
FLAG = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}


@pytest.fixture(scope="module")
def client(server):
    return server.client("resolve", HERE)


def put(world, flag=None, environment=HERE):
    return world.admin.op("flag_put", environment=environment, flag=flag or unique("flag"), definition=FLAG, reason="try")["position"]


def address(client):
    """Where the client may hear of changes."""
    streams = client.send("POST", ALL, b"{}").json["eventStreams"]
    assert client.send("POST", ALL, b"{}").json["eventStreams"] == streams
    assert [(one["type"], list(one["endpoint"])) for one in streams] == [("sse", ["requestUri"])]
    return streams[0]["endpoint"]["requestUri"]


class Notices:
    """A reader as EventSource is one."""

    def __init__(self, server, target, **headers):
        host, port = server.address.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=20)
        self.connection.request("GET", target, headers={"Accept": "text/event-stream", **headers})
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.response.close()
        self.connection.close()

    def frame(self):
        lines = []
        while line := self.response.readline().decode().rstrip("\n"):
            lines.append(line)
        return lines

    def next(self):
        """The next notice: its id and data."""
        while (lines := self.frame())[0].startswith(":"):
            pass
        assert lines[1] == "event: message", lines
        return lines[0].removeprefix("id: "), json.loads(lines[2].removeprefix("data: "))


# ---- streams ----

def test_a_notice_of_each_change(server, world, client):
    with Notices(server, address(client)) as notices:
        assert notices.status == 200 and notices.response.headers["Content-Type"] == "text/event-stream"
        assert notices.frame() == [": ready"]
        put(world, environment="other")
        began, position = time.time(), put(world)
        told, data = notices.next()
        assert told == position and data["type"] == "refetchEvaluation" and data["etag"] == f'"{position}"'
        server.schemas.check("ofrep_notice", data)
        assert began - 2 <= data["lastModified"] <= time.time() + 1 and set(data) == {"type", "etag", "lastModified"}
        deployed = world.deploy(world.agent(1), 1)["position"]
        assert notices.next()[0] == deployed
    with Notices(server, address(client), **{"Last-Event-ID": position}) as again:
        assert again.next()[1]["etag"] == f'"{deployed}"'
    with Notices(server, address(client), **{"Last-Event-ID": "nonsense"}) as again:
        assert again.next()[1]["type"] == "refetchEvaluation"


def test_nothing_is_missed_between_list_and_stream(server, world, client):
    target = address(client)
    put(world, environment="other")
    with Notices(server, target) as notices:
        assert notices.frame() == [": ready"]
        position = put(world)
        assert notices.next()[0] == position, "what changed elsewhere is nothing to ask again for"
    with Notices(server, target) as notices:
        assert notices.next()[1]["etag"] == f'"{position}"', "it changed before the stream was opened"


def test_a_silent_stream_is_kept_alive(make_server):
    server = make_server("--stream-keepalive-s", "1")
    World(server).make_environments()
    with Notices(server, address(server.client("resolve", HERE))) as notices:
        assert notices.frame() == [": ready"] and notices.frame() == [": still here"]


def test_tokens(server, world, client):
    good = address(client)
    token = good.partition("token=")[2]
    secret = client.key.rsplit("_", 1)[1]
    assert client.id in token and secret not in token and secret[:16] not in token
    assert address(client) == good, "the same for a while, so that clients keep their stream"
    assert address(server.client("viewer", HERE)) != good
    key, environment, until, mac = token.split(".")
    assert 1700 < int(until) - time.time() <= 3600
    wrong = [None, "", "x", "...", mac, token[:-1], token + "0", token.upper(), f"{key}.{environment}.{until}.{'0' * 64}", f"{key}.other.{until}.{mac}",
             f"{key}.{environment}.{int(until) + 60}.{mac}", f"{'0' * 16}.{environment}.{until}.{mac}", "x" * 5000, f".{token}", client.key]
    for one in wrong:
        answer = client.send("GET", "/ofrep/v1/stream" + (f"?token={one}" if one is not None else ""))
        assert answer.status == 401 and client.problem_of(answer)["at"] == "token", (one, answer)
    answer = client.send("POST", good)
    assert answer.status == 405 and answer.headers["Allow"] == "GET"
    for target in ALL, "/v1/whoami", f"/v1/stream?environment={HERE}":
        assert client.send("POST" if target == ALL else "GET", target, key=token).status == 401


def test_a_token_of_a_revoked_key(server, world):
    made = world.admin.op("key_create", name=unique("key"), role="resolve", environment=[HERE])
    asked = world.admin.send("POST", ALL, b"{}", key=made["key"])
    target = asked.json["eventStreams"][0]["endpoint"]["requestUri"]
    with Notices(server, target) as notices:
        assert notices.status == 200 and notices.frame() == [": ready"]
        world.admin.op("key_revoke", key=made["id"], reason="gone")
        assert notices.frame() == [], "a stream does not outlive its key"
    assert world.admin.send("GET", target, key=None).status == 401


def test_a_token_ends_with_the_server(own_world):
    server = own_world.server
    client = server.client("resolve", HERE)
    answer = client.send("POST", ALL, b"{}")
    target, tag = answer.json["eventStreams"][0]["endpoint"]["requestUri"], answer.headers["ETag"]
    server.restart()
    assert client.send("GET", target, key=None).status == 401
    answer = client.send("POST", ALL, b"{}", {"If-None-Match": tag})
    assert answer.status == 200 and answer.json["eventStreams"][0]["endpoint"]["requestUri"] != target, "whoever has a void token is not told that there is nothing new"


def test_no_more_streams_than_the_limit(make_server):
    server = make_server("--streams", "1")
    World(server).make_environments()
    client = server.client("resolve", HERE)
    with Notices(server, address(client)):
        answer = client.send("GET", address(client), key=None)
        assert answer.status == 503 and answer.headers["Retry-After"] == "1" and client.problem_of(answer)["code"] == "too_many_streams"


def test_changes_tell_of_flags(server, world):
    with Events(world.admin, environment=HERE) as events:
        position = put(world)
        event = events.next()
        data = json.loads(event["data"])
        assert event["event"] == "change" and data["changes"] == [] and data["flags"] == {"seq": int(position.split(".")[1])}
        server.schemas.check("event", data)
        world.served(1)
        assert "flags" not in json.loads(events.next()["data"])


# ---- pages of other origins ----

def cors(answer):
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control") or name == "Vary"}


def preflight(client, origin, target=ALL, method="POST"):
    return client.send("OPTIONS", target, headers={"Origin": origin, "Access-Control-Request-Method": method,
                                                  "Access-Control-Request-Headers": "authorization,content-type,if-none-match"}, key=None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shop"), "--cors-origins", f"{PAGE}, {OTHER}").start()
    World(server).make_environments()
    yield server.client("resolve", HERE)
    server.end()


def test_a_page_that_may(shop):
    for origin in PAGE, OTHER:
        for target, method in (ALL, "POST"), (f"{ALL}/some", "POST"), ("/ofrep/v1/stream", "GET"):
            answer = preflight(shop, origin, target, method)
            assert answer.status == 204 and answer.body == b""
            said = cors(answer)
            assert said["Access-Control-Allow-Origin"] == origin and said["Vary"] == "Origin" and method in said["Access-Control-Allow-Methods"]
            allowed = {name.strip().lower() for name in said["Access-Control-Allow-Headers"].split(",")}
            assert allowed == {"authorization", "x-api-key", "content-type", "if-none-match", "last-event-id"}
            assert "Access-Control-Allow-Credentials" not in said
        answer = shop.send("POST", ALL, b"{}", {"Origin": origin})
        assert answer.status == 200 and cors(answer)["Access-Control-Allow-Origin"] == origin
        assert {"ETag", "Retry-After"} <= set(cors(answer)["Access-Control-Expose-Headers"].split(", "))
        again = shop.send("POST", ALL, b"{}", {"Origin": origin, "If-None-Match": answer.headers["ETag"]})
        assert again.status == 304 and cors(again)["Access-Control-Allow-Origin"] == origin
        for status, target, key in (401, ALL, "wrong"), (404, f"{ALL}/none", ...), (405, "/ofrep/v1/stream", ...):
            answer = shop.send("POST", target, b"{}", {"Origin": origin}, key=key)
            assert answer.status == status and cors(answer)["Access-Control-Allow-Origin"] == origin
    with Notices(shop.server, address(shop), Origin=PAGE) as notices:
        assert notices.response.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://shop.example.com.evil.com", "http://shop.example.com", "https://shop.example.com:8443", "https://SHOP.example.com", "null", "*", ""])
def test_a_page_that_may_not(shop, origin):
    for answer in preflight(shop, origin), shop.send("POST", ALL, b"{}", {"Origin": origin}):
        assert cors(answer) == {"Vary": "Origin"}


def test_without_the_setting_nobody_may(client):
    answer = preflight(client, PAGE)
    assert answer.status == 204 and cors(answer) == {} and answer.headers["Allow"] == "POST"
    assert cors(client.send("POST", ALL, b"{}", {"Origin": PAGE})) == {}


def test_only_evaluations_are_for_pages(shop):
    assert cors(shop.send("GET", "/v1/whoami", headers={"Origin": PAGE})) == {}


def test_everybodys_pages(make_server):
    client = make_server("--cors-origins", "*").admin
    assert cors(preflight(client, "null"))["Access-Control-Allow-Origin"] == "null"


@pytest.mark.parametrize("wrong", ["shop.example.com", "https://shop.example.com/", "https://shop.example.com/a", "https://Shop.example.com", "https://", "://x", "https://*.example.com",
                                   f"{PAGE};{OTHER}/", "https://a@b\"c"])
def test_no_origin(tmp_path, wrong):
    ran = run_cli("serve", "--listen", "127.0.0.1:0", "--store", f"sqlite:{tmp_path}/x.db", "--cors-origins", wrong, home=tmp_path)
    assert ran.code != 0 and "cors_origins" in ran.err and "no origin" in ran.err, ran


def test_answers_are_counted(own_world):
    client = own_world.server.client("resolve", HERE)
    tag = client.send("POST", ALL, b"{}").headers["ETag"]
    client.send("POST", ALL, b"{}", {"If-None-Match": tag})
    client.send("POST", f"{ALL}/none", b"{}")
    client.send("GET", "/ofrep/v1/stream?token=x")
    client.send("OPTIONS", ALL)
    lines = [line for line in client.send("GET", "/metrics", key=None).text.splitlines() if 'operation="ofrep_' in line]
    assert lines == [f'serin_answers_total{{operation="ofrep_{op}",status="{status}xx"}} 1' for op, status in
                     (("evaluate", 4), ("evaluate_all", 2), ("evaluate_all", 3), ("stream", 4))]
