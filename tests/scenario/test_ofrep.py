# SPDX-License-Identifier: Apache-2.0
"""OpenFeature's remote evaluation: one flag, all flags, agents as flags, and whatever a client can get wrong."""
import json
import socket
from datetime import datetime, timedelta, timezone

import pytest

from harness.client import Client
from harness.world import config, unique

HERE = "staging"
ALL = "/ofrep/v1/evaluate/flags"


def flag(variants, default, targeting=None, state="ENABLED", **metadata):
    return {"state": state, "variants": variants, "defaultVariant": default, "metadata": metadata, **({"targeting": targeting} if targeting else {})}


@pytest.fixture
def own(own_world):
    """A server of the test's own, for what is about all flags of an environment."""
    return own_world


@pytest.fixture(scope="module")
def client(server, world):
    return server.client("resolve", HERE)


def put(world, definition, key=None, **more):
    key = key or unique("flag")
    return key, world.admin.op("flag_put", environment=HERE, flag=key, definition=definition, reason="try", **more)


def held_to_document(client, answer, schema):
    """Every answer has the form that the OpenAPI document says."""
    if answer.status in (200, 400, 404):
        client.server.schemas.check(schema if answer.status == 200 else "ofrep_failure", answer.json)
    return answer


def ask(client, name, context=None):
    body = {} if context is None else {"context": context}
    return held_to_document(client, client.send("POST", f"{ALL}/{name}", json.dumps(body).encode()), "ofrep_evaluation")


def say(client, key, **context):
    answer = ask(client, key, context)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json


def everything(client, headers=None, target=ALL, **context):
    return held_to_document(client, client.send("POST", target, json.dumps({"context": context}).encode(), headers), "ofrep_list")


# ---- one flag ----

def test_one_flag_in_full(world, client):
    key, made = put(world, flag({"on": True, "off": False}, "off", {"if": [{"==": [{"var": "plan"}, "pro"]}, "on"]}, owner="care", level=3))
    said = say(client, key, targetingKey="u1", plan="pro")
    metadata = said.pop("metadata")
    assert said == {"key": key, "reason": "TARGETING_MATCH", "value": True, "variant": "on"}
    assert metadata.pop("contextId") not in ("", "u1") and metadata == {
        "owner": "care", "level": 3, "version": made["position"].split(".")[1], "flagSetId": HERE}
    assert say(client, key, targetingKey="u1")["reason"] == "DEFAULT"


@pytest.mark.parametrize("value, written", [(1.0, "1.0"), (1, "1"), (0.1, "0.1"), (0, "0"), ("", '""'), ("Grüße \"x\"", None), ({}, "{}"), ({"a": [1.0, None]}, '{"a":[1.0,null]}'), (False, "false")])
def test_values_as_they_were_written(world, client, value, written):
    key, _ = put(world, flag({"only": value}, "only"))
    answer = ask(client, key)
    assert answer.json["value"] == value and answer.json["reason"] == "STATIC" and answer.json["variant"] == "only"
    assert written is None or f'"value":{written},' in answer.text


def test_names_of_variants_are_escaped(world, client):
    key, _ = put(world, flag({'a "b"\n\\': 1}, 'a "b"\n\\'))
    assert say(client, key)["variant"] == 'a "b"\n\\'


def test_without_a_value(world, client):
    off, _ = put(world, flag({"on": True}, "on", state="DISABLED", owner="care"))
    none, _ = put(world, flag({"on": True}, None))
    said = say(client, off, targetingKey="u1")
    assert (said["reason"], said["variant"], said["metadata"]["owner"]) == ("DISABLED", "", "care") and "value" not in said
    said = say(client, none)
    assert (said["reason"], said["variant"]) == ("DEFAULT", "") and "value" not in said


def test_a_key_whose_clients_need_values(own):
    made = own.admin.op("key_create", name=unique("key"), role="resolve", environment=[HERE], materialise_defaults=True)
    assert made["materialise_defaults"] is True
    strict, client = Client(own.server, made["key"]), own.server.client("resolve", HERE)
    off, _ = put(own, flag({"on": 1.0, "off": 0}, "on", {"if": [True, "off"]}, state="DISABLED", owner="care"))
    bare, _ = put(own, flag({"on": True}, None, state="DISABLED"))
    none, _ = put(own, flag({"on": True}, None))
    agent = own.served(1)
    own.admin.op("panic_set", agent=agent, environment=HERE, disabled=True, reason="fire")
    for _ in range(2):
        answer = ask(strict, off, {"targetingKey": "u1"})
        assert '"value":1.0,' in answer.text and (answer.json["reason"], answer.json["variant"]) == ("DISABLED", "on")
        assert answer.json["metadata"]["owner"] == "care" and "errorCode" not in answer.json
        for key, reason in (bare, "DISABLED"), (none, "DEFAULT"), (f"agent.{agent}", "DISABLED"):
            said = say(strict, key)
            assert (said["reason"], said["variant"]) == (reason, "") and "value" not in said
        listed, plain = (everything(one, targetingKey="u1") for one in (strict, client))
        assert [one["value"] for one in listed.json["flags"] if "value" in one] == [1.0]
        assert [one for one in plain.json["flags"] if "value" in one] == [] and listed.headers["ETag"] != plain.headers["ETag"]
        assert "value" not in say(client, off)
        own.server.restart()


def test_faults_of_a_flag(world, client):
    strange, _ = put(world, flag({"on": True}, "on", {"cat": ["no", "body"]}))
    needy, _ = put(world, flag({"on": True}, None, {"fractional": [["on", 1]]}))
    answer = ask(client, strange, {"targetingKey": "u1"})
    assert answer.status == 400 and answer.json["errorCode"] == "GENERAL" and "nobody" in answer.json["errorDetails"]
    answer = ask(client, needy, {})
    assert answer.status == 400 and answer.json["errorCode"] == "TARGETING_KEY_MISSING" and answer.json["key"] == needy
    assert answer.json["metadata"]["flagSetId"] == HERE
    assert say(client, needy, targetingKey="u1")["value"] is True


def test_a_rule_without_end_is_a_parse_error(world, client):
    key, _ = put(world, flag({"on": True}, "on", {"some": [{"var": "list"}, {"==": [{"var": ""}, 2]}]}))
    answer = ask(client, key, {"targetingKey": "u1", "list": [1] * 200_000})
    assert answer.status == 400 and answer.json["errorCode"] == "PARSE_ERROR" and answer.json["errorDetails"]


def test_metadata_of_ours_wins_once(world, client):
    key, made = put(world, flag({"on": True}, "on", version="theirs", flagSetId="theirs", contextId="theirs", kept=True))
    answer = ask(client, key, {"targetingKey": "u1"})
    assert answer.text.count('"version"') == answer.text.count('"flagSetId"') == answer.text.count('"contextId"') == 1
    assert answer.json["metadata"]["version"] == made["position"].split(".")[1] and answer.json["metadata"]["kept"] is True


def test_the_context_id_stands_for_the_key(world, client, server):
    key, _ = put(world, flag({"on": True}, "on"))
    one, again, other = (say(client, key, targetingKey=user)["metadata"]["contextId"] for user in ("ann@example.org", "ann@example.org", "bob"))
    assert one == again != other and len(one) == 24 and "ann" not in one
    assert say(client, key)["metadata"]["contextId"] == ""


def test_bodies_that_are_plain_enough(world, client):
    key, _ = put(world, flag({"on": True, "off": False}, "off", {"if": [{"==": [{"var": "a.b"}, "x\n"]}, "on"]}))
    for body in (b"", b"{}", b'{"context":{}}', b'{"context":{"targetingKey":null}}', b' {"context" : { } } ', b'{"more":1}', b'{"context":{"a":7}}'):
        answer = client.send("POST", f"{ALL}/{key}", body)
        assert answer.status == 200 and answer.json["value"] is False, (body, answer)
    assert client.send("POST", f"{ALL}/{key}", b'{"context":{"a":{"b":"x\\n"}}}').json["value"] is True  # with an escape: parsed as a whole


# ---- what a client can get wrong ----

@pytest.mark.parametrize("body, code", [
    (b"{", "PARSE_ERROR"), (b"nothing", "PARSE_ERROR"), (b'{"context":{"a":1,"a":2}}', "PARSE_ERROR"), (b'{"context":{"a":"\xff"}}', "PARSE_ERROR"),
    (b'{"context":' + b'{"a":' * 60 + b"1" + b"}" * 61, "PARSE_ERROR"), (b"[" * 100000, "PARSE_ERROR"), (b'{"context":{"a":1e999}}', "PARSE_ERROR"),
    (b"[]", "INVALID_CONTEXT"), (b"7", None), (b'{"context":[]}', "INVALID_CONTEXT"), (b'{"context":"u1"}', "INVALID_CONTEXT"), (b'{"context":null}', "INVALID_CONTEXT"),
    (b'{"context":{"targetingKey":7}}', "INVALID_CONTEXT"), (b'{"context":{"targetingKey":["u1"]}}', "INVALID_CONTEXT"),
    (json.dumps({"context": {"targetingKey": "x" * 5000}}).encode(), "INVALID_CONTEXT"),
], ids=range(15))
@pytest.mark.parametrize("one", [True, False])
def test_hostile_bodies(client, body, code, one):
    answer = client.send("POST", f"{ALL}/some" if one else ALL, body)
    assert answer.status == 400, answer
    said = held_to_document(client, answer, "").json
    assert said["errorCode"] in ((code,) if code else ("PARSE_ERROR", "INVALID_CONTEXT")) and said["errorDetails"]
    assert ("key" in said) == one and answer.headers["Content-Type"] == "application/json"


def test_too_much(client):
    for size in (1 << 20) + 1, 2_000_000, 3_000_000:
        answer = client.send("POST", ALL, b'{"context":{"a":"' + b"x" * (size - 20) + b'"}}')
        assert answer.status == 413 and client.problem_of(answer)["code"] == "too_large"
        assert size > 1 << 21 or "attributes" in client.problem_of(answer)["remedy"], "no setting raises this limit"
    assert client.send("POST", ALL, b'{"context":{"a":"' + b"x" * ((1 << 20) - 20) + b'"}}').status == 200


def test_flags_that_are_not_there(client):
    for key in "nobody", "x" * 3000, "a%2Fb", "a/b", "%C3%A4", "agent.", "agent.nobody", "agent.%22%0A", "":
        answer = ask(client, key)
        assert answer.status == 404 and answer.json["errorCode"] == "FLAG_NOT_FOUND" and answer.json["errorDetails"].endswith('"'), answer
    assert ask(client, "a%2Fb").json["key"] == "a/b"


def test_methods_and_addresses(client):
    for method in "GET", "PUT", "DELETE", "PATCH":
        for target in ALL, f"{ALL}/some":
            answer = client.send(method, target)
            assert answer.status == 405 and answer.headers["Allow"] == "POST" and client.problem_of(answer)["code"] == "method_not_allowed"
    for target in "/ofrep/", "/ofrep/v1", "/ofrep/v2/evaluate/flags", f"{ALL}more":
        assert client.problem_of(client.send("POST", target, b"{}"))["code"] == "no_route"


def test_media(client):
    answer = client.send("POST", ALL, b"context=1", {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 415
    assert client.send("POST", ALL, b"{}", {"Content-Type": "application/json; charset=utf-8"}).status == 200


def test_keys(world, server, client):
    key, _ = put(world, flag({"on": True}, "on"))
    for wrong in None, "wrong", "serin_" + "0" * 16:
        answer = client.send("POST", f"{ALL}/{key}", b"{}", key=wrong)
        assert answer.status == 401 and client.problem_of(answer)["code"] == "unauthenticated"
    assert client.send("POST", f"{ALL}/{key}", b"{}", {"X-API-Key": client.key}, key=None).status == 200
    viewer = server.client("viewer", HERE)
    assert ask(viewer, key).status == 200


def test_which_environment(world, server, client):
    key, _ = put(world, flag({"on": True}, "on"))
    several = server.client("resolve", HERE, "other")
    for asker in several, world.admin:
        answer = ask(asker, key)
        assert answer.status == 400 and answer.json["errorCode"] == "INVALID_CONTEXT" and "?environment=" in answer.json["errorDetails"]
        assert ask(asker, f"{key}?environment={HERE}").json["value"] is True
        assert ask(asker, f"{key}?environment=other").status == 404
    answer = ask(world.admin, f"{key}?environment=nowhere")
    assert answer.status == 400 and "nowhere" in answer.json["errorDetails"]
    answer = ask(client, f"{key}?environment=other")
    problem = client.problem_of(answer)
    assert answer.status == 403 and (problem["code"], problem["at"]) == ("forbidden", "environment") and "?environment=" in problem["remedy"]


def test_one_key_may_ask_so_often(make_server):
    server = make_server("--requests-per-key", "5")
    answers = [server.admin.send("POST", f"{ALL}?environment=x", b"{}") for _ in range(40)]
    limited = [answer for answer in answers if answer.status == 429]
    assert limited and all(answer.headers["Retry-After"] == "1" for answer in limited)


# ---- all flags ----

def test_all_in_order_of_key(own):
    client = own.server.client("resolve", HERE)
    assert everything(client).json["flags"] == []
    agent = own.served(1)
    for key in "zoo", "agent-x", "agents", "Zoo", "agent":
        put(own, flag({"on": True, "off": False}, "on", {"fractional": [["on", 1], ["off", 1]]}), key)
    put(own, flag({"on": True}, "on", state="DISABLED"), "dead")
    put(own, flag({"on": True}, None, {"fractional": [["on", 1]]}), "needy")
    put(own, flag({"on": True}, "on", {"cat": ["no", "body"]}), "strange")
    said = everything(client, targetingKey="u1").json
    keys = [one["key"] for one in said["flags"]]
    assert keys == sorted(keys) == ["Zoo", "agent", "agent-x", f"agent.{agent}", "agents", "dead", "needy", "strange", "zoo"]
    by_key = {one["key"]: one for one in said["flags"]}
    assert "value" not in by_key["dead"] and by_key["dead"]["reason"] == "DISABLED" and by_key["strange"]["errorCode"] == "GENERAL"
    for one in said["flags"]:
        alone = ask(client, one["key"], {"targetingKey": "u1"}).json
        assert alone == one
    assert {one["key"]: one.get("errorCode") for one in everything(client).json["flags"]}["needy"] == "TARGETING_KEY_MISSING"


def test_metadata_of_all(own):
    client = own.server.client("resolve", HERE)
    assert everything(client).json["metadata"] == {"version": "0", "flagSetId": HERE, "contextId": ""}
    own.admin.op("flag_document_put", environment=HERE, document={"flags": {"a": flag({"on": 1.0}, "on")}, "metadata": {"team": "care", "version": 7, "contextId": "x"}}, replace=True, reason="import")
    answer = everything(client, targetingKey="u1")
    own_members = say(client, "a", targetingKey="u1")["metadata"]
    assert answer.json["metadata"] == own_members == {"team": "care", "version": own_members["version"], "flagSetId": HERE, "contextId": own_members["contextId"]}
    assert own_members["version"].isdigit() and answer.text.count('"contextId"') == 2 and '"value":1.0' in answer.text and answer.json["flags"][0]["metadata"]["team"] == "care"


def test_the_tag(own):
    client, other = own.server.client("resolve", HERE), own.server.client("viewer", HERE)
    agent = own.served(1)
    key, _ = put(own, flag({"on": True}, "on"))
    answer = everything(client, targetingKey="u1", plan="pro", more={"a": 1, "b": [1, 2]})
    tag = answer.headers["ETag"]
    held = {"If-None-Match": tag}
    body = b'{"context":{"more":{"b":[1,2],"a":1},"plan":"pro","targetingKey":"u1"}}'  # another order
    same = client.send("POST", ALL, body, held)
    assert same.status == 304 and same.body == b"" and same.headers["ETag"] == tag
    assert client.send("POST", ALL, body, {"If-None-Match": f'"x", W/{tag}'}).status == 304
    for changed in (b'{"context":{"more":{"b":[2,1],"a":1},"plan":"pro","targetingKey":"u1"}}', b'{"context":{"more":{"b":[1,2],"a":"1"},"plan":"pro","targetingKey":"u1"}}',
                    b'{"context":{"more":{"b":[1,2],"a":1},"plan":"u1","targetingKey":"pro"}}', b'{"context":{"b":[1,2],"more":{"a":1},"plan":"pro","targetingKey":"u1"}}',
                    b'{"context":{"more":{"b":[1,2],"a":1},"planp":"ro","targetingKey":"u1"}}', b"{}"):
        assert client.send("POST", ALL, changed, held).status == 200
    assert other.send("POST", ALL, body, held).status == 200
    assert own.admin.send("POST", f"{ALL}?environment=other", body, held).status == 200

    own.deploy(own.agent(1), 1, "other")  # elsewhere
    assert client.send("POST", ALL, body, held).status == 304
    own.admin.op("version_push", agent=agent, config=config("new"))
    own.deploy(agent, 2)
    answer = client.send("POST", ALL, body, held)
    assert answer.status == 200 and answer.headers["ETag"] != tag
    held = {"If-None-Match": answer.headers["ETag"]}
    own.admin.op("flag_disable", environment=HERE, flag=key)
    answer = client.send("POST", ALL, body, held)
    assert answer.status == 200 and answer.headers["ETag"] != held["If-None-Match"]


def test_the_tag_where_a_rule_reads_the_time(own):
    client = own.server.client("resolve", HERE)
    put(own, flag({"late": True, "early": False}, "early", {"if": [{">": [{"var": "$flagd.timestamp"}, 4102444800]}, "late", "early"]}))
    tags = set()
    while len(tags) < 2:
        answer = everything(client, targetingKey="u1")
        assert answer.json["flags"][0]["value"] is False
        tags.add(answer.headers["ETag"])


def test_the_tag_before_a_session_begins(own):
    """A client whose clock is ahead: the agent's version is another one as soon as the session has begun, and the tag with it."""
    client = own.server.client("resolve", HERE)
    agent = own.served(1, 2)
    began = datetime.now(timezone.utc) + timedelta(seconds=2)
    context = {"targetingKey": "u1", "session": {"id": "s", "started_at": began.isoformat()}}
    held = {"If-None-Match": everything(client, **context).headers["ETag"]}
    while (answer := everything(client, held, **context)).status == 304:
        assert datetime.now(timezone.utc) < began + timedelta(seconds=20)
    assert answer.status == 200 and answer.json["flags"][0]["key"] == f"agent.{agent}"


# ---- agents ----

def test_an_agent_as_a_flag(world, server, client):
    agent = world.served(1)
    said = say(client, f"agent.{agent}", targetingKey="u1")
    decision = client.op("resolve", agent=agent, context={"targetingKey": "u1"})
    metadata = said["metadata"]
    assert (said["value"], said["variant"], said["reason"]) == (decision["config"], "stable", "STATIC")
    assert metadata == {"version": "1", "config_hash": decision["config_hash"], "position": decision["position"], "unit": decision["unit"],
                        "flagSetId": HERE, "contextId": metadata["contextId"]}
    assert "unit" not in say(client, f"agent.{agent}")["metadata"]


def test_an_agent_in_a_canary(world, client):
    agent, rollout = world.rollout(steps=[{"share": 50}])
    key = f"agent.{agent}"
    seen = set()
    for i in range(60):
        said, decision = say(client, key, targetingKey=f"u{i}"), client.op("resolve", agent=agent, context={"targetingKey": f"u{i}"})
        assert (said["variant"], said["value"], said["metadata"]["version"]) == (decision["arm"], decision["config"], str(decision["version"]))
        assert said["reason"] == "SPLIT" and said["metadata"]["rollout"] == rollout and said["metadata"]["unit"] == decision["unit"]
        seen.add(said["variant"])
    assert seen == {"stable", "candidate"}


def test_an_agent_with_bound_flags_and_switched_off(world, client):
    agent = world.served(1)
    put(world, flag({"on": True, "off": False}, "on", {"if": [{"==": [{"var": "plan"}, "free"]}, "off"]}), bindings=[{"agent": agent, "tool": "search"}])
    free, paid = (say(client, f"agent.{agent}", targetingKey="u1", plan=plan) for plan in ("free", "pro"))
    assert (free["value"]["tools"], paid["value"]["tools"]) == ([], ["search"])
    assert (free["reason"], paid["reason"]) == ("TARGETING_MATCH", "STATIC")
    world.admin.op("override_put", agent=agent, environment=HERE, override="staff", version=1, keys=["ann"], reason="try")
    assert say(client, f"agent.{agent}", targetingKey="ann")["reason"] == "TARGETING_MATCH"
    world.admin.op("panic_set", agent=agent, environment=HERE, disabled=True, reason="fire")
    said = say(client, f"agent.{agent}", targetingKey="u1")
    assert (said["reason"], said["variant"], said["metadata"]["version"]) == ("DISABLED", "", "0") and "value" not in said


def test_agents_are_counted_when_asked_for(own):
    client = own.server.client("resolve", HERE)
    agent = own.served(1)

    def counted():
        text = own.admin.get("/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("serin_resolutions_total") and f'agent="{agent}"' in line)

    everything(client, targetingKey="u1")
    assert counted() == 0
    say(client, f"agent.{agent}", targetingKey="u1")
    assert counted() == 1


def test_many_agents_are_not_listed(own):
    client = own.server.client("resolve", HERE)
    for _ in range(100):
        own.served(1)
    assert len(everything(client).json["flags"]) == 100
    own.served(1)
    assert everything(client).json["flags"] == []


def test_large_agents_are_not_listed(own):
    client = own.server.client("resolve", HERE)
    put(own, flag({"on": True}, "on"), "zoo")
    for _ in range(6):
        agent = unique()
        own.admin.op("version_push", agent=agent, config=config("x" * 200_000))
        own.deploy(agent, 1)
    assert [one["key"] for one in everything(client).json["flags"]] == ["zoo"]


def test_a_socket_that_says_half(server):
    host, port = server.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as line:
        line.sendall(f"POST {ALL} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode())
    assert server.admin.send("POST", f"{ALL}?environment={HERE}", b"{}").status == 200


def test_the_document_has_it(server):
    paths = server.schemas.document["paths"]
    assert {path: list(item) for path, item in paths.items() if path.startswith("/ofrep/")} == {f"{ALL}/{{key}}": ["post"], ALL: ["post"], "/ofrep/v1/stream": ["get"]}
    assert set(paths[ALL]["post"]["responses"]) == {"200", "304", "400", "default"} and paths["/ofrep/v1/stream"]["get"]["security"] == []


def test_lists_have_an_end(own):
    client = own.server.client("resolve", HERE)
    large = flag({"only": "x" * 60_000}, "only")
    for part in range(10):
        document = {"flags": {f"large-{part}-{i}": large for i in range(30)}}
        own.admin.op("flag_document_put", environment=HERE, document=document, reason="import")
    answer = everything(client)
    assert answer.status == 400 and answer.json["errorCode"] == "GENERAL" and "one by one" in answer.json["errorDetails"], answer
    assert say(client, "large-9-29")["variant"] == "only"


def test_lists_take_so_many_steps(own):
    """Each of the rules is within its bounds."""
    client = own.server.client("resolve", HERE)
    searching = flag({"on": True, "off": False}, "off", {"if": [{"some": [{"var": "groups"}, {"==": [{"var": ""}, "admin"]}]}, "on", "off"]})
    own.admin.op("flag_document_put", environment=HERE, document={"flags": {f"searching-{i}": searching for i in range(100)}}, reason="import")
    assert everything(client, groups=["staff"] * 1000).status == 200
    answer = everything(client, groups=["staff"] * 24_000)
    assert answer.status == 400 and answer.json["errorCode"] == "GENERAL" and "steps" in answer.json["errorDetails"], answer
    assert say(client, "searching-99", groups=["staff"] * 24_000)["variant"] == "off"
