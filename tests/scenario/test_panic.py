# SPDX-License-Identifier: Apache-2.0
"""Panic: one word that beats everything, for an agent or for a whole environment."""
import pytest

from harness.world import config, unique

HERE = "staging"


def decide(admin, agent, user="ann", environment=HERE, **more):
    return admin.op("resolve", agent=agent, environment=environment, context={"targetingKey": user}, **more)


def panic(admin, environment=HERE, **more):
    return admin.op("panic_set", environment=environment, reason="fire", **more)


@pytest.fixture
def elsewhere(admin):
    """An environment of its own: a panic there is nobody else's."""
    name = unique("env")
    admin.op("environment_put", environment=name, protected=False)
    return name


def test_panic_beats_rollouts_and_overrides(admin, world):
    agent, _ = world.rollout(steps=[{"share": 100}])
    admin.op("override_put", agent=agent, override="staff", environment=HERE, version=2, keys=["bob"], reason="try")
    assert [decide(admin, agent, user)["version"] for user in ("ann", "bob")] == [2, 2]
    done = panic(admin, agent=agent)
    assert done["panic"]["version"] == 1 and done["in_force"] and done["changed"]
    for user in ("ann", "bob"):
        decision = decide(admin, agent, user)
        assert (decision["version"], decision["reason"]) == (1, "PANIC")
    admin.op("panic_release", agent=agent, environment=HERE, reason="over")
    assert decide(admin, agent)["version"] == 2


def test_panic_stays_on_its_number_while_the_ref_moves(admin, world):
    agent = world.served(1, 2)
    panic(admin, agent=agent)
    admin.op("version_push", agent=agent, config=config(f"{agent} third"))
    world.deploy(agent, 3)
    assert decide(admin, agent)["version"] == 2
    assert panic(admin, agent=agent, version=1)["panic"]["version"] == 1
    assert decide(admin, agent)["version"] == 1
    admin.op("panic_release", agent=agent, environment=HERE)
    assert decide(admin, agent)["version"] == 3


def test_disabled(admin, world):
    agent = world.served(1)
    assert panic(admin, agent=agent, disabled=True)["panic"]["disabled"]
    decision = decide(admin, agent)
    assert (decision["reason"], decision["version"]) == ("PANIC", 0) and not decision.get("config")
    admin.op("panic_release", agent=agent, environment=HERE)
    assert decide(admin, agent)["version"] == 1


def test_panic_of_a_whole_environment(admin, world, elsewhere):
    agents = [world.rollout(environment=elsewhere, steps=[{"share": 100}])[0] for _ in range(3)]
    assert [decide(admin, a, environment=elsewhere)["version"] for a in agents] == [2, 2, 2]
    done = panic(admin, environment=elsewhere)
    assert "agent" not in done["panic"] and "version" not in done["panic"]
    assert [decide(admin, a, environment=elsewhere)["version"] for a in agents] == [1, 1, 1]
    late = world.served(1, environment=elsewhere)
    assert decide(admin, late, environment=elsewhere)["reason"] == "PANIC"
    panic(admin, environment=elsewhere, agent=agents[0], version=2)
    assert [decide(admin, a, environment=elsewhere)["version"] for a in agents] == [2, 1, 1], "its own panic before the environment's"
    assert len(admin.op("panic_list", environment=elsewhere)["panics"]) == 2
    admin.op("panic_release", environment=elsewhere)
    assert [decide(admin, a, environment=elsewhere)["version"] for a in agents] == [2, 2, 2]
    assert decide(admin, agents[0], environment=elsewhere)["reason"] == "PANIC"


def test_a_whole_environment_off(admin, world, elsewhere):
    agents = [world.served(1, environment=elsewhere) for _ in range(2)]
    panic(admin, environment=elsewhere, disabled=True)
    assert {decide(admin, a, environment=elsewhere)["version"] for a in agents} == {0}


def test_panic_is_told_and_kept(admin, world):
    agent, head = world.served(1), None
    head = int(admin.head()[0].split(".")[1])
    panic(admin, agent=agent)
    admin.op("panic_release", agent=agent, environment=HERE, reason="over")
    entries = admin.op("audit_list", after=head)["entries"]
    assert [(e["operation"], e["agent"], e["environment"], e["reason"]) for e in entries] == [
        ("panic_set", agent, HERE, "fire"), ("panic_release", agent, HERE, "over")]
    listed = [p for p in admin.op("panic_list")["panics"] if p.get("agent") == agent]
    assert listed == []


def test_again_changes_nothing(admin, world):
    agent = world.served(1)
    panic(admin, agent=agent)
    head = admin.head()
    again = admin.call("panic_set", agent=agent, environment=HERE, reason="again")
    assert again.status == 200 and not again.json["changed"] and admin.head() == head
    admin.op("panic_release", agent=agent, environment=HERE)
    head = admin.head()
    none = admin.call("panic_release", agent=agent, environment=HERE)
    assert none.status == 200 and not none.json["changed"] and not none.json["in_force"] and admin.head() == head


def test_panics_that_make_no_sense(admin, world):
    agent, head = world.served(1), None
    head = admin.head()
    assert admin.refused("bad_request", "panic_set", environment=HERE, version=1, reason="x")["at"] == "/version"
    assert admin.refused("bad_request", "panic_set", agent=agent, environment=HERE, version=1, disabled=True, reason="x")["at"] == "/disabled"
    admin.refused("version_not_found", "panic_set", agent=agent, environment=HERE, version=7, reason="x")
    admin.refused("agent_not_found", "panic_set", agent=unique(), environment=HERE, reason="x")
    admin.refused("environment_not_found", "panic_set", environment="nowhere", reason="x")
    admin.refused("not_deployed", "panic_set", agent=agent, environment="production", reason="x")
    assert admin.head() == head


def test_lists_leave_out_what_the_key_may_not_see(server, admin, world):
    agent = world.served(1)
    panic(admin, agent=agent)
    hidden = server.client("admin", "other")
    assert not [p for p in hidden.op("panic_list")["panics"] if p["environment"] != "other"]
    admin.op("panic_release", agent=agent, environment=HERE)
    agent, rollout = world.rollout()
    assert hidden.op("rollout_list", agent=agent)["rollouts"] == []
    hidden.refused("not_found", "rollout_get", agent=agent, rollout=rollout)
