# SPDX-License-Identifier: Apache-2.0
"""Flags over HTTP: set, switched, imported; and what decisions make of them, now and then."""
import pytest

from harness.world import config, unique

HERE = "staging"


def boolean(default, targeting=None, state="ENABLED"):
    return {"state": state, "variants": {"on": True, "off": False}, "defaultVariant": default, **({"targeting": targeting} if targeting else {})}


@pytest.fixture
def agent(world):
    """With two tools, a guardrail and a temperature, in two versions."""
    name = unique("flagged")
    for prompt in "one", "two":
        world.admin.op("version_push", agent=name, config={**config(prompt), "model": "big", "tools": ["search", "refund"],
                                                           "guardrails": {"pii": {"words": 3}}, "parameters": {"temperature": 0.5}})
    world.admin.op("deploy", agent=name, environment=HERE, version=1, reason="first")
    return name


def put(world, flag, definition, agent=None, **what):
    bindings = {"bindings": [{"agent": agent, kind: name} for kind, name in what.items()]} if agent else {}
    return world.admin.op("flag_put", environment=HERE, flag=flag, definition=definition, reason="try", **bindings)


def decide(world, agent, key="u1", **context):
    return world.admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": key, **context})


def test_a_tool_for_some_users(world, agent):
    flag = unique("refunds")
    put(world, flag, boolean("off", {"if": [{"and": [{"==": [{"var": "role"}, "staff"]}, {"var": "verified"}]}, "on", None]}), agent, tool="refund")
    assert decide(world, agent)["config"]["tools"] == ["search"]
    staff = decide(world, agent, role="staff", verified=True)
    assert staff["config"]["tools"] == ["search", "refund"] and staff["flags"] == {flag: True}
    assert decide(world, agent, role="staff", verified=False)["flags"] == {flag: False}
    quick = world.admin.send("GET", f"/v1/resolve/{agent}?environment={HERE}&key=u1&attr.role=staff&attr.verified=yes").json
    assert quick["config"]["tools"] == ["search", "refund"]


def test_parameters_guardrails_and_every_agent(world, agent):
    put(world, unique("model"), {"state": "ENABLED", "variants": {"small": "small", "big": "big"}, "defaultVariant": "big",
                                 "targeting": {"if": [{"==": [{"var": "plan"}, "free"]}, "small"]}}, agent, parameter="model")
    put(world, unique("warm"), {"state": "ENABLED", "variants": {"w": 1.0}, "defaultVariant": "w"}, agent, parameter="temperature")
    every = unique("pii")
    put(world, every, boolean("off"), "*", guardrail="pii")
    free, paid = decide(world, agent, plan="free"), decide(world, agent, plan="pro")
    assert (free["config"]["model"], paid["config"]["model"]) == ("small", "big")
    assert paid["config"]["parameters"] == {"temperature": 1.0} and paid["config"]["guardrails"] == {}
    world.admin.op("flag_delete", environment=HERE, flag=every)


def test_a_percentage_is_always_the_same_users(world, agent):
    flag = unique("search")
    put(world, flag, boolean("off", {"fractional": [["on", 20], ["off", 80]]}), agent, tool="search")
    some = [decide(world, agent, f"user-{i}")["flags"][flag] for i in range(500)]
    assert 60 < sum(some) < 140
    put(world, flag, boolean("off", {"fractional": [["on", 40], ["off", 60]]}))
    more = [decide(world, agent, f"user-{i}")["flags"][flag] for i in range(500)]
    assert all(now or not before for before, now in zip(some, more)) and sum(more) > sum(some)


def test_the_switch(world, agent):
    flag = unique("search")
    put(world, flag, boolean("on"), agent, tool="search")
    before = world.admin.send("GET", f"/v1/resolve/{agent}?environment={HERE}&key=u1")
    assert decide(world, agent)["config"]["tools"] == ["search", "refund"]
    world.admin.op("flag_disable", environment=HERE, flag=flag, reason="fire")
    after = world.admin.send("GET", f"/v1/resolve/{agent}?environment={HERE}&key=u1", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status == 200 and after.json["config"]["tools"] == ["refund"] and after.json["flags"] == {}
    again = world.admin.send("GET", f"/v1/resolve/{agent}?environment={HERE}&key=u1", headers={"If-None-Match": after.headers["ETag"]})
    assert again.status == 304
    world.admin.op("flag_enable", environment=HERE, flag=flag)
    assert decide(world, agent)["config"]["tools"] == ["search", "refund"]


def test_bad_definitions_are_told_whole_and_change_nothing(world, agent):
    flag = unique("search")
    put(world, flag, boolean("off"), agent, tool="search")
    head = world.admin.head()
    answer = world.admin.call("flag_put", environment=HERE, flag=flag, reason="try", bindings=[{"agent": "UP", "tool": "x"}],
                              definition={"state": "on", "variants": {"a": 1, "b": "x"}, "targeting": {"nope": [1]}, "more": 1})
    assert answer.status == 422
    places = {fault["at"] for fault in answer.json["errors"]}
    assert {"/definition/state", "/definition/variants/b", "/definition/more", "/bindings/0/agent"} <= places, places
    assert any(place.startswith("/definition/targeting") for place in places)
    assert world.admin.head() == head and decide(world, agent)["config"]["tools"] == ["refund"]


def test_what_was_served_then(world, agent):
    flag = unique("search")
    put(world, flag, boolean("off"), agent, tool="search")
    then = world.admin.op("whoami")["position"]
    put(world, flag, boolean("on"))
    world.admin.op("flag_delete", environment=HERE, flag=flag, reason="done")
    assert decide(world, agent)["flags"] == {}
    past = world.admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": "u1"}, at=then, explain=True)
    assert past["config"]["tools"] == ["refund"] and past["flags"] == {flag: False}
    told = past["explain"]["flags"][0]
    assert (told["key"], told["reason"], told["variant"], told["does"]) == (flag, "STATIC", "off", [{"tool": "search", "on": False}])
    history = world.admin.op("flag_history", environment=HERE, flag=flag)["entries"]
    assert [entry["removed"] for entry in history] == [True, False, False]


def test_a_document_with_shared_rules(world, agent):
    flag, rule = unique("search"), unique("staff")
    document = {"flags": {flag: boolean("off", {"if": [{"$ref": rule}, "on", None]})}, "$evaluators": {rule: {"ends_with": [{"var": "email"}, "@a.example"]}}}
    done = world.admin.op("flag_document_put", environment=HERE, document=document, bindings={flag: [{"agent": agent, "tool": "search"}]}, reason="import")
    assert done["set"] == [flag]
    assert decide(world, agent, email="x@a.example")["flags"] == {flag: True}
    world.admin.op("flag_document_put", environment=HERE, reason="move", document={"flags": {}, "$evaluators": {rule: {"ends_with": [{"var": "email"}, "@b.example"]}}})
    assert decide(world, agent, email="x@a.example")["flags"] == {flag: False}
    assert decide(world, agent, email="x@b.example")["flags"] == {flag: True}
    out = world.admin.op("flag_document_get", environment=HERE)
    assert out["document"]["flags"][flag] == document["flags"][flag] and rule in out["document"]["$evaluators"]
    assert out["bindings"][flag] == [{"agent": agent, "tool": "search"}]


def test_a_panic_is_without_flags(world, agent):
    put(world, unique("search"), boolean("off"), agent, tool="search")
    world.admin.op("panic_set", agent=agent, environment=HERE, reason="fire")
    frozen = decide(world, agent)
    assert frozen["reason"] == "PANIC" and frozen["flags"] == {} and frozen["config"]["tools"] == ["search", "refund"]
    world.admin.op("panic_release", agent=agent, environment=HERE)
    assert decide(world, agent)["config"]["tools"] == ["refund"]


def test_flags_survive_a_restart_and_a_lost_store(make_server):
    from harness.world import World
    server = make_server()
    world = World(server).make_environments()
    name = unique("flagged")
    world.admin.op("version_push", agent=name, config={**config("one"), "tools": ["search", "refund"]})
    world.admin.op("deploy", agent=name, environment=HERE, version=1, reason="first")
    put(world, "search", boolean("off", {"if": [{"var": "staff"}, "on"]}), name, tool="search")
    server.restart()
    world = World(server)
    assert decide(world, name)["config"]["tools"] == ["refund"]
    assert decide(world, name, staff=True)["config"]["tools"] == ["search", "refund"]
    snapshot = world.admin.op("snapshot", environment=HERE)
    assert snapshot["flags"]["flags"]["search"]["bindings"] == [{"agent": name, "tool": "search"}]
