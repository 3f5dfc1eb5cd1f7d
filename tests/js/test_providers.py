# SPDX-License-Identifier: Apache-2.0
"""OpenFeature's own providers, written by others, against a real server: the same answers from all of them."""
import time

import pytest
from harness.scale import make_random
from harness.server import Server
from harness.world import World, unique
from js.providers import Node, Python, Web, free_port, page

HERE = "staging"
PROVIDERS = {"node": Node, "python": Python, "web": Web}
AWAY = ("GENERAL", "FLAG_NOT_FOUND")  # the web provider has nothing at hand then, and says so


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One that lets the browser's page in."""
    server = Server(tmp_path_factory.mktemp("serin"), "--cors-origins", page()).start()
    World(server).make_environments()
    yield server
    server.end()


@pytest.fixture(scope="module")
def key(server):
    return server.client("resolve", HERE).key


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request, server, key):
    made = PROVIDERS[request.param](f"http://{server.address}", key)
    yield made
    made.close()


def put(world, variants, default, targeting=None, **more):
    definition = {"state": "ENABLED", "variants": variants, "defaultVariant": default, **({"targeting": targeting} if targeting else {}), **more}
    name = unique("flag")
    world.admin.op("flag_put", environment=HERE, flag=name, definition=definition, reason="try")
    return name


PRO = {"if": [{"==": [{"var": "plan"}, "pro"]}, "a", "b"]}


@pytest.mark.parametrize("kind, a, b, default", [
    ("boolean", True, False, False), ("boolean", False, True, True), ("string", "one", "", "none"), ("number", 1, 0, 7), ("number", 1.0, 2.5, 7.5),
    ("object", {"list": [1, {"x": None}], "text": "é"}, {}, {"none": True}),
])
def test_each_kind(world, provider, kind, a, b, default):
    flag = put(world, {"a": a, "b": b}, "b", PRO, metadata={"owner": "care"})
    for plan, variant, value in ("pro", "a", a), ("free", "b", b):
        said = provider.ask(kind, flag, default, targetingKey="u1", plan=plan)
        assert (said["value"], said["variant"], said["reason"]) == (value, variant, "TARGETING_MATCH") and not said.get("errorCode")
        assert type(said["value"]) is type(value) or not isinstance(provider, Python)
        assert said["flagMetadata"]["owner"] == "care" and said["flagMetadata"]["flagSetId"] == HERE and said["flagMetadata"]["contextId"]
        assert said["flagMetadata"]["version"].isdigit()


def test_a_missing_flag(world, provider):
    said = provider.ask("boolean", unique("nobody"), True, targetingKey="u1")
    assert said["value"] is True and said["errorCode"] == "FLAG_NOT_FOUND"


def test_a_disabled_flag(world, provider):
    said = provider.ask("string", put(world, {"a": "x"}, "a", state="DISABLED"), "mine", targetingKey="u1")
    assert said["value"] == "mine"
    if not isinstance(provider, Node):  # its provider takes no answer without a value
        assert said["reason"] == "DISABLED" and not said.get("errorCode")


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("kind, value, default", [("boolean", True, False), ("string", "", "mine"), ("number", 2.5, 0.5), ("object", {"a": [1]}, {})])
def test_a_disabled_flag_for_a_client_that_needs_values(server, world, name, kind, value, default):
    flag = put(world, {"on": value}, "on", state="DISABLED")
    made = world.admin.op("key_create", name=unique("key"), role="resolve", environment=[HERE], materialise_defaults=True)
    provider = PROVIDERS[name](f"http://{server.address}", made["key"])
    said = provider.ask(kind, flag, default, targetingKey="u1")
    provider.close()
    assert (said["value"], said["variant"], said["reason"]) == (value, "on", "DISABLED") and not said.get("errorCode")


def test_without_a_default(world, provider):
    flag = put(world, {"a": "x"}, None, {"if": [{"==": [{"var": "plan"}, "pro"]}, "a"]})
    assert provider.ask("string", flag, "mine", targetingKey="u1", plan="pro")["value"] == "x"
    assert provider.ask("string", flag, "mine", targetingKey="u1")["value"] == "mine"


def test_the_wrong_type(world, provider):
    said = provider.ask("string", put(world, {"a": True}, "a"), "mine", targetingKey="u1")
    assert said["value"] == "mine" and said["errorCode"] == "TYPE_MISMATCH"


def test_a_missing_targeting_key(world, provider):
    said = provider.ask("boolean", put(world, {"a": True}, None, {"fractional": [["a", 1]]}), False)
    assert said["value"] is False and said["errorCode"] == "TARGETING_KEY_MISSING" and "targetingKey" in said["errorMessage"]


def test_a_rule_with_a_strange_result(world, provider):
    said = provider.ask("boolean", put(world, {"a": True}, "a", {"cat": ["no", "body"]}), False, targetingKey="u1")
    assert said["value"] is False and said["errorCode"] == "GENERAL" and "nobody" in said["errorMessage"]


def test_an_agent_in_a_canary(world, provider):
    agent, rollout = world.rollout(steps=[{"share": 50}])
    seen = set()
    for i in range(20):
        said = provider.ask("object", f"agent.{agent}", {}, targetingKey=f"u{i}")
        decision = world.admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": f"u{i}"})
        assert (said["value"], said["variant"]) == (decision["config"], decision["arm"])
        assert said["flagMetadata"]["rollout"] == rollout and said["flagMetadata"]["unit"] == decision["unit"]
        seen.add(said["variant"])
    assert seen == {"stable", "candidate"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_server_is_away(name, key):
    provider = PROVIDERS[name](f"http://127.0.0.1:{free_port()}", key)
    said = provider.ask("boolean", "any", True, targetingKey="u1")
    provider.close()
    assert said["value"] is True and said["errorCode"] in AWAY and getattr(provider, "fault", "no")


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_wrong_key(server, name):
    provider = PROVIDERS[name](f"http://{server.address}", "wrong")
    said = provider.ask("boolean", "any", True, targetingKey="u1")
    provider.close()
    assert said["value"] is True and said["errorCode"] in AWAY and getattr(provider, "fault", "no")


def test_the_same_users_everywhere(server, world, key):
    flag = put(world, {"a": "a", "b": "b", "c": "c"}, "a", {"fractional": [["a", 20], ["b", 30], ["c", 50]]})
    dice = make_random()
    users = ["".join(chr(dice.choice((dice.randint(33, 126), dice.randint(0xA1, 0x2FFF)))) for _ in range(dice.randint(1, 20))) for _ in range(300)]
    made = [Maker(f"http://{server.address}", key) for Maker in PROVIDERS.values()]
    answers = [[provider.ask("string", flag, "none", targetingKey=user)["value"] for user in users] for provider in made]
    for provider in made:
        provider.close()
    assert all(given == answers[0] for given in answers) and set(answers[0]) == {"a", "b", "c"}


# ---- the web provider, which has all flags at hand ----

@pytest.fixture
def web(server, world, key):
    flag = put(world, {"a": True, "b": False}, "b", PRO)
    made = Web(f"http://{server.address}", key, targetingKey="u1", plan="pro")
    made.flag = flag
    yield made
    made.close()


def test_the_first_load(web):
    said = web.at_hand("boolean", web.flag, False)
    assert web.fault == "" and (said["value"], said["variant"], said["reason"]) == (True, "a", "TARGETING_MATCH")


def test_a_missing_flag_is_traced_by_the_list(web):
    said = web.at_hand("boolean", unique("nobody"), False)
    assert said["errorCode"] == "FLAG_NOT_FOUND" and said["flagMetadata"]["flagSetId"] == HERE and said["flagMetadata"]["contextId"] and said["flagMetadata"]["version"].isdigit()


def test_another_context(web):
    assert web.ask("boolean", web.flag, True, targetingKey="u1", plan="free")["value"] is False
    assert web.ask("boolean", web.flag, False, targetingKey="u1", plan="pro")["value"] is True
    assert web.ask("boolean", web.flag, True, targetingKey="u2", plan="free")["value"] is False


def test_a_change_comes_within_a_second(world, web):
    assert web.at_hand("boolean", web.flag, False)["value"] is True
    for state, value in ("disable", None), ("enable", True), ("disable", None):
        began = time.time()
        world.admin.op(f"flag_{state}", environment=HERE, flag=web.flag, reason="try")
        said = web.wait("boolean", web.flag, False, value is None)
        assert said["at"] / 1000 - began < 1 and said["value"] is (value or False)
        assert web.flag in said["changes"][-1]["flags"]


def test_a_deployed_version_comes_over_the_stream(world, web):
    agent = world.served(1, 2)
    assert web.ask("object", f"agent.{agent}", {}, targetingKey="u1")["flagMetadata"]["version"] == "2"
    world.deploy(agent, 1)
    deadline = time.monotonic() + 5
    while web.at_hand("object", f"agent.{agent}", {})["flagMetadata"]["version"] != "1":
        assert time.monotonic() < deadline
