# SPDX-License-Identifier: Apache-2.0
"""The decision, now and at any moment of the past."""
import threading

import pytest
from check_vectors import canonical, murmur3

from harness.client import Client
from harness.world import config, unique

HERE = "staging"


def resolve(admin, agent, user=None, **more):
    context = {"context": {"targetingKey": user}} if user is not None else {}
    return admin.op("resolve", agent=agent, environment=HERE, **context, **more)


def unit_of(agent, user, environment=HERE):
    text = f"{agent}/{environment}/{user}".encode()
    return "".join(f"{murmur3(text, seed):08x}" for seed in (0, 1, 2))


def test_the_decision(admin, world):
    agent = world.served(1, 2)
    decision = resolve(admin, agent, "ann")
    version = admin.op("version_get", agent=agent, version=2)
    assert decision["config"] == version["config"] and decision["config_hash"] == version["config_hash"]
    assert (decision["agent"], decision["environment"], decision["version"]) == (agent, HERE, 2)
    assert (decision["arm"], decision["reason"], decision["flags"]) == ("stable", "DEPLOYED", {})
    assert decision["unit"] == unit_of(agent, "ann")
    assert "unit" not in resolve(admin, agent) and "explain" not in decision


def test_the_configuration_is_the_stored_bytes(admin):
    agent = unique()
    admin.op("version_push", agent=agent, config=config("x", ext={"tests": {"n": [0.1, 1e-7, 1e21, 5e-324], "s": "\u2028€😀"}}))
    admin.op("deploy", agent=agent, environment=HERE, version=1, reason="x")
    answer = admin.call("resolve", agent=agent, environment=HERE)
    assert canonical(answer.json["config"]).encode() in answer.body


@pytest.mark.parametrize("user", ["ann", "", "ä€😀", "a b&c=d/e?f#g%h", "x" * 512, "line\nbreak", "\u202e"])
def test_get_and_post_answer_the_same(admin, world, user):
    agent = world.served(1)
    posted = resolve(admin, agent, user)
    got = admin.op("resolve_get", agent=agent, environment=HERE, key=user)
    assert posted == got
    if user:
        assert posted["unit"] == unit_of(agent, user)


def test_attributes_are_taken(admin, world):
    agent = world.served(1)
    context = {"targetingKey": "ann", "plan": "pro", "n": 1.5, "deep": {"a": [None, True, {"b": "c"}]}}
    assert admin.op("resolve", agent=agent, environment=HERE, context=context)["version"] == 1
    assert admin.op("resolve_get", agent=agent, environment=HERE, **{"attr.plan": "pro", "attr.a.b": ""})["version"] == 1


def test_explain_says_why(admin, world):
    agent = world.served(1, 2)
    plain = resolve(admin, agent, "ann")
    admin.op("override_put", agent=agent, override="staff", environment=HERE, version=1, keys=["ann"], reason="try")
    for user, version in (("ann", 1), ("bob", 2)):
        decision = resolve(admin, agent, user, explain=True)
        assert decision["version"] == version
        text = str(decision["explain"])
        newest = admin.op("deployment_list", agent=agent, environment=HERE)["deployments"][0]
        assert "staff" in text and newest["id"] in text and newest["reason"] in text, text
    without = resolve(admin, agent, "bob", explain=True)
    del without["explain"]
    assert {**without, "position": "", "unit": ""} == {**plain, "position": "", "unit": ""}


def test_nothing_deployed(admin, world):
    agent = world.agent(1)
    problem = admin.refused("not_deployed", "resolve", agent=agent, environment=HERE)
    assert agent in problem["detail"] and HERE in problem["detail"]
    admin.refused("agent_not_found", "resolve", agent=unique(), environment=HERE)
    admin.refused("environment_not_found", "resolve", agent=agent, environment="nowhere")


@pytest.mark.parametrize("key", [5, None, [], {}, True])
def test_a_targeting_key_is_text(admin, world, key):
    problem = admin.refused(("invalid", "bad_request"), "resolve", agent=world.served(1), environment=HERE, context={"targetingKey": key})
    assert problem["at"] == "/context/targetingKey"


def test_a_new_version_is_not_served_before_it_is_deployed(admin, world):
    agent = world.served(1)
    admin.op("version_push", agent=agent, config=config(f"{agent} second"))
    assert world.version_of(agent) == 1


def test_readers_see_one_state_or_the_other(server, world):
    """While refs move, each answer is one whole version, and a reader never goes back to an older position."""
    agent = world.agent(2)
    world.deploy(agent, 1)
    configs = {v: world.admin.op("version_get", agent=agent, version=v)["config"] for v in (1, 2)}
    stop, faults = threading.Event(), []

    def read():
        client, last = Client(server, server.admin.key), (0, 0)
        while not stop.is_set():
            decision = resolve(client, agent, "ann")
            position = tuple(map(int, decision["position"].split(".")))
            if decision["config"] != configs[decision["version"]] or position < last:
                faults.append(decision)
            last = position
        client.close()

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for turn in range(60):
        world.deploy(agent, 2 - turn % 2)
    stop.set()
    for reader in readers:
        reader.join()
    assert not faults


# ---- the past -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def story(world):
    """(position, time, what everybody gets, what ann gets) after each change of one agent."""
    admin, agent, told = world.admin, world.agent(3), []

    def tell(what, everybody, ann):
        entry = admin.op("audit_list", after=int(what["position"].split(".")[1]) - 1, limit=1)["entries"][0]
        told.append((what["position"], entry["at"], everybody, ann))

    tell(world.deploy(agent, 1), 1, 1)
    tell(world.deploy(agent, 2), 2, 2)
    tell(admin.op("override_put", agent=agent, override="staff", environment=HERE, version=1, keys=["ann"], reason="x"), 2, 1)
    tell(world.deploy(agent, 3), 3, 1)
    tell(admin.op("override_delete", agent=agent, override="staff", environment=HERE), 3, 3)
    tell(admin.op("rollback", agent=agent, environment=HERE, reason="x"), 2, 2)
    return agent, told


def test_the_past_by_position_and_by_time(admin, story):
    agent, told = story
    for position, at, everybody, ann in told:
        for moment in (position, at):
            assert resolve(admin, agent, "bob", at=moment)["version"] == everybody, moment
            decision = resolve(admin, agent, "ann", at=moment)
            assert decision["version"] == ann, moment
            assert admin.op("resolve_get", agent=agent, environment=HERE, key="ann", at=moment) == decision


def test_the_past_is_told_with_the_position_that_was_asked(admin, story):
    agent, told = story
    for position, *_ in told:
        assert resolve(admin, agent, at=position)["position"] == position


def test_just_before_a_change(admin, story):
    agent, told = story
    for before, after in zip(told, told[1:]):
        second, micros = after[1].rstrip("Z").split(".")
        if int(micros) > 0:
            moment = f"{second}.{int(micros) - 1:06d}Z"
            assert resolve(admin, agent, "bob", at=moment)["version"] == before[2]


@pytest.mark.parametrize("form", ["2126-01-01T00:00:00Z", "2126-01-01T00:00:00.5Z", "2126-01-01T01:00:00+01:00", "2126-01-01t00:00:00z"])
def test_the_forms_of_a_time(admin, world, form):
    """A later time than now asks for now."""
    agent = world.served(1)
    answer = admin.call("resolve", agent=agent, environment=HERE, at=form)
    assert answer.status == 200 and answer.json["version"] == 1


def test_the_past_says_why(admin, story):
    agent, told = story
    position, _, _, _ = told[2]
    text = str(resolve(admin, agent, "ann", at=position, explain=True)["explain"])
    assert "staff" in text and "OVERRIDE" in text or "override" in text


def test_before_the_first_version(admin, world):
    agent = world.served(1)
    admin.refused("before_history", "resolve", agent=agent, environment=HERE, at="2001-01-01T00:00:00Z")
    admin.refused(("before_history", "position_unknown"), "resolve", agent=agent, environment=HERE, at="1.1")
    admin.refused("before_history", "resolve_get", agent=agent, environment=HERE, at="2001-01-01T00:00:00Z")


def test_a_position_that_never_was(admin, world):
    agent = world.served(1)
    for moment in ("9.1", "1.999999999"):
        admin.refused(("position_unknown", "unavailable"), "resolve", agent=agent, environment=HERE, at=moment)


def test_an_environment_that_was_not_there_yet(admin, world):
    agent = world.served(1)
    then = admin.op("whoami")["position"]
    late = unique("late")
    admin.op("environment_put", environment=late)
    world.deploy(agent, 1, late)
    problem = admin.refused("before_history", "resolve", agent=agent, environment=late, at=then)
    assert problem["detail"]
