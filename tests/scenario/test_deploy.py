# SPDX-License-Identifier: Apache-2.0
"""Moving refs: deploy, roll back, several as one, holds, overrides."""
import pytest

from harness.world import config, unique

HERE = "staging"


def move(admin, name, agent, **more):
    return admin.op(name, agent=agent, environment=HERE, reason="because", **more)


def history(admin, agent):
    return [(d["kind"], d.get("previous"), d["version"]) for d in
            admin.op("deployment_list", agent=agent, environment=HERE)["deployments"]]


def held(admin, agent):
    return any(h["agent"] == agent for h in admin.op("hold_list", environment=HERE)["holds"])


def test_a_deploy_is_seen_at_once_and_remembered(admin, world):
    agent = world.agent(2)
    for version in (1, 2):
        done = move(admin, "deploy", agent, version=version)
        assert done["changed"] and done["deployment"]["version"] == version
        assert world.version_of(agent) == version
    assert history(admin, agent) == [("deploy", 1, 2), ("deploy", None, 1)]
    newest = admin.op("deployment_list", agent=agent)["deployments"][0]
    assert newest["by"] == admin.op("whoami")["id"] and newest["reason"] == "because" and newest["at"]


def test_deploying_what_is_served_changes_nothing(admin, world):
    agent = world.served(1)
    head = admin.head()
    again = admin.call("deploy", agent=agent, environment=HERE, version=1, reason="again")
    assert again.status == 200 and again.json["changed"] is False
    assert admin.head() == head


@pytest.mark.parametrize("expected,current", [(1, 2), (7, 2), (0, 2)])
def test_a_stale_deploy_is_refused_and_tells_the_current_ref(admin, world, expected, current):
    agent = world.served(1, 2)
    admin.op("version_push", agent=agent, config=config(f"{agent} third"))
    head = admin.head()
    problem = admin.refused("stale", "deploy", agent=agent, environment=HERE, version=3, reason="x", expected=expected)
    assert problem["current"] == current
    assert admin.head() == head and world.version_of(agent) == 2
    move(admin, "deploy", agent, version=3, expected=2)


def test_expected_nothing(admin, world):
    agent = world.agent(2)
    assert admin.refused("stale", "deploy", agent=agent, environment=HERE, version=1, reason="x", expected=1)["current"] == 0
    move(admin, "deploy", agent, version=1, expected=0)


@pytest.mark.parametrize("named", ["latest", "production", "hash"])
def test_a_version_is_named_in_every_way(admin, world, named):
    agent = world.agent(3)
    world.deploy(agent, 2, "production")
    hashed = admin.op("version_get", agent=agent, version=1)["content_hash"][: len("sha256:") + 12]
    wanted = {"latest": ("latest", 3), "production": ("production", 2), "hash": (hashed, 1)}[named]
    assert move(admin, "deploy", agent, version=wanted[0])["deployment"]["version"] == wanted[1]


def test_what_is_not_there(admin, world):
    agent, head = world.agent(1), None
    head = admin.head()
    admin.refused("version_not_found", "deploy", agent=agent, environment=HERE, version=2, reason="x")
    admin.refused("environment_not_found", "deploy", agent=agent, environment="nowhere", version=1, reason="x")
    admin.refused("agent_not_found", "deploy", agent=unique(), environment=HERE, version=1, reason="x")
    assert admin.head() == head


def test_rollback_goes_back_one_and_then_one_further(admin, world):
    agent = world.served(1, 2, 3)
    first = move(admin, "rollback", agent)
    assert first["deployment"]["version"] == 2 and first["deployment"]["kind"] == "rollback" and first["held"]
    assert world.version_of(agent) == 2
    assert move(admin, "rollback", agent)["deployment"]["version"] == 1
    head = admin.head()
    admin.refused("nothing_before", "rollback", agent=agent, environment=HERE, reason="x")
    assert admin.head() == head and world.version_of(agent) == 1
    assert history(admin, agent)[:2] == [("rollback", 2, 1), ("rollback", 3, 2)]


def test_rollback_after_going_forward_again(admin, world):
    """Deploy 1, 2, 3, back to 2, deploy 4: what was served before 4 is 2, and before that 1, not 3."""
    agent = world.served(1, 2, 3)
    move(admin, "rollback", agent)
    admin.op("version_push", agent=agent, config=config(f"{agent} fourth"))
    move(admin, "deploy", agent, version=4)
    assert move(admin, "rollback", agent)["deployment"]["version"] == 2
    assert move(admin, "rollback", agent)["deployment"]["version"] == 1


def test_rollback_to_a_named_version(admin, world):
    agent = world.served(1, 2, 3)
    assert move(admin, "rollback", agent, version=1)["deployment"]["version"] == 1
    never_served = world.agent(3)
    for version in (1, 3):
        world.deploy(never_served, version)
    head = admin.head()
    problem = admin.refused(("nothing_before", "version_not_found", "invalid", "conflict"), "rollback", agent=never_served,
                            environment=HERE, version=2, reason="x")
    assert "2" in problem["detail"] and admin.head() == head


@pytest.mark.parametrize("versions", [(), (1,)])
def test_rollback_with_nothing_before(admin, world, versions):
    agent = world.agent(1)
    for version in versions:
        world.deploy(agent, version)
    head = admin.head()
    admin.refused(("nothing_before", "not_deployed"), "rollback", agent=agent, environment=HERE, reason="x")
    assert admin.head() == head and not held(admin, agent)


def test_a_stale_rollback(admin, world):
    agent = world.served(1, 2)
    assert admin.refused("stale", "rollback", agent=agent, environment=HERE, reason="x", expected=1)["current"] == 2
    assert not held(admin, agent)


def test_rollback_sets_a_hold_that_people_may_pass(admin, world):
    agent = world.served(1, 2)
    move(admin, "rollback", agent)
    assert held(admin, agent)
    assert admin.op("agent_get", agent=agent)["environments"][0]["held"]
    done = move(admin, "deploy", agent, version=2)
    assert done["changed"] and done["held"], "a person's deploy goes through and leaves the hold"


def test_environments_do_not_touch_each_other(admin, world):
    agent = world.served(1, 2)
    world.deploy(agent, 1, "production")
    move(admin, "rollback", agent)
    world.deploy(agent, 2, "production")
    assert (world.version_of(agent), world.version_of(agent, environment="production")) == (1, 2)


def test_holds(admin, world):
    agent = world.served(1)
    assert move(admin, "hold_set", agent)["held"]
    again = admin.call("hold_set", agent=agent, environment=HERE, reason="because")
    assert again.status == 200 and not again.json["changed"]
    hold = next(h for h in admin.op("hold_list")["holds"] if h["agent"] == agent)
    assert hold["reason"] == "because" and hold["by"] == admin.op("whoami")["id"]
    assert not admin.op("hold_release", agent=agent, environment=HERE)["held"]
    assert not held(admin, agent)
    head = admin.head()
    answer = admin.call("hold_release", agent=agent, environment=HERE)
    assert answer.status == 404 or not answer.json["changed"]
    assert admin.head() == head


# ---- releases -----------------------------------------------------------------------------------


def test_a_release_moves_all_or_none(admin, world):
    agents = [world.served(1) for _ in range(3)]
    for agent in agents:
        admin.op("version_push", agent=agent, config=config(f"{agent} second"))
    head = admin.head()
    bad = [[{"agent": a, "version": 2} for a in agents[:2]] + [{"agent": agents[2], "version": 9}],
           [{"agent": a, "version": 2} for a in agents[:2]] + [{"agent": agents[2], "version": 2, "expected": 7}],
           [{"agent": a, "version": 2} for a in agents[:2]] + [{"agent": unique(), "version": 1}],
           [{"agent": a, "version": 2} for a in agents] + [{"agent": agents[0], "version": 1}]]
    codes = ["version_not_found", "stale", "agent_not_found", "bad_request"]
    for moves, code in zip(bad, codes):
        problem = admin.refused(code, "release_create", environment=HERE, moves=moves, reason="x")
        assert "/moves" in problem["at"] or any("/moves" in f["at"] for f in problem.get("errors", [])), problem
    assert admin.head() == head and [world.version_of(a) for a in agents] == [1, 1, 1]
    done = admin.op("release_create", environment=HERE, reason="x", moves=[{"agent": a, "version": 2, "expected": 1} for a in agents])
    assert [world.version_of(a) for a in agents] == [2, 2, 2]
    assert [m["agent"] for m in done["release"]["moves"]] == sorted(agents)
    assert len({m["seq"] for m in done["release"]["moves"]}) == 1


def test_a_release_is_kept_and_rolled_back_as_one(admin, world):
    release, agents = world.release()
    shown = admin.op("release_get", release=release)
    assert {m["agent"]: (m["previous"], m["version"]) for m in shown["moves"]} == {a: (1, 2) for a in agents}
    undone = admin.op("release_rollback", release=release, reason="bad")["release"]
    assert undone["rolls_back"] == release
    assert [world.version_of(a) for a in agents] == [1, 1]
    assert admin.op("release_get", release=release)["rolled_back_by"] == undone["id"]
    assert all(held(admin, a) for a in agents)
    head = admin.head()
    assert undone["id"] in admin.refused("conflict", "release_rollback", release=release, reason="again")["detail"]
    assert admin.head() == head


def test_a_release_that_was_moved_on_is_not_rolled_back(admin, world):
    release, agents = world.release()
    admin.op("version_push", agent=agents[0], config=config(f"{agents[0]} third"))
    world.deploy(agents[0], 3)
    head = admin.head()
    problem = admin.refused(("stale", "conflict"), "release_rollback", release=release, reason="x")
    assert agents[0] in problem["detail"]
    assert admin.head() == head and [world.version_of(a) for a in agents] == [3, 2]


def test_a_release_that_was_the_first_deployment(admin, world):
    """There is nothing to go back to, so the whole release stays."""
    agents = [world.served(1), world.agent(1)]
    admin.op("version_push", agent=agents[0], config=config(f"{agents[0]} second"))
    release = admin.op("release_create", environment=HERE, reason="x",
                       moves=[{"agent": agents[0], "version": 2}, {"agent": agents[1], "version": 1}])["release"]["id"]
    head = admin.head()
    admin.refused(("nothing_before", "conflict"), "release_rollback", release=release, reason="x")
    assert admin.head() == head and world.version_of(agents[0]) == 2


def test_a_release_of_what_is_served(admin, world):
    agent, head = world.served(1), None
    head = admin.head()
    answer = admin.call("release_create", environment=HERE, moves=[{"agent": agent, "version": 1}], reason="x")
    assert answer.status == 200 and not answer.json["changed"]
    assert admin.head() == head


def test_unknown_release(admin):
    missing = "0191f3a0-0000-7000-8000-000000000000"
    admin.refused("not_found", "release_get", release=missing)
    admin.refused("not_found", "release_rollback", release=missing, reason="x")


def test_a_release_of_many(admin, world):
    moves = [{"agent": world.agent(1), "version": "latest"} for _ in range(200)]
    assert len(admin.op("release_create", environment=HERE, moves=moves, reason="x")["release"]["moves"]) == 200
    problem = admin.refused(("invalid", "bad_request"), "release_create", environment=HERE,
                            moves=moves + [{"agent": unique(), "version": 1}], reason="x")
    assert "/moves" in problem["at"] and "200" in problem["detail"]


# ---- overrides ----------------------------------------------------------------------------------


def override(admin, agent, name, version, *keys, **more):
    return admin.op("override_put", agent=agent, override=name, environment=HERE, version=version, keys=list(keys),
                    reason="try", **more)


def test_overrides_give_named_users_their_version(admin, world):
    agent = world.served(1, 2)
    override(admin, agent, "staff", 1, "ann", "bob")
    override(admin, agent, "testers", 2, "ann", "cid")
    decision = admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": "ann"})
    assert (decision["version"], decision["reason"], decision["override"]) == (1, "OVERRIDE", "staff")
    assert [world.version_of(agent, user) for user in ("bob", "cid", "dan", None)] == [1, 2, 2, 2]
    assert [world.version_of(agent, user) for user in ("Ann", "ann ", "an", "anna")] == [2] * 4, "keys are exact"
    admin.op("override_delete", agent=agent, override="staff", environment=HERE)
    assert [world.version_of(agent, user) for user in ("ann", "bob")] == [2, 2]
    assert [o["name"] for o in admin.op("override_list", agent=agent, environment=HERE)["overrides"]] == ["testers"]


def test_an_override_is_replaced_whole(admin, world):
    agent = world.served(1, 2)
    override(admin, agent, "staff", 1, "ann", "ann", "bob")
    assert admin.op("override_list", agent=agent, environment=HERE)["overrides"][0]["keys"] == ["ann", "bob"]
    again = admin.call("override_put", agent=agent, override="staff", environment=HERE, version=1, keys=["bob", "ann"], reason="try")
    assert again.status == 200 and not again.json["changed"]
    override(admin, agent, "staff", 1, "bob")
    assert [world.version_of(agent, user) for user in ("ann", "bob")] == [2, 1]


def test_overrides_stay_when_the_ref_moves(admin, world):
    agent = world.served(1, 2)
    override(admin, agent, "staff", 1, "ann")
    admin.op("version_push", agent=agent, config=config(f"{agent} third"))
    world.deploy(agent, 3)
    assert [world.version_of(agent, user) for user in ("ann", "bob")] == [1, 3]


def test_overrides_choose_by_a_rule_now_and_then(admin, world):
    agent = world.served(1, 2)

    def decide(**context):
        return admin.op("resolve", agent=agent, environment=HERE, context=context, explain=True)

    rule = {"and": [{"==": [{"var": "company.name"}, "us"]}, {"!": {"var": "guest"}}]}
    admin.op("override_put", agent=agent, override="all-of-us", environment=HERE, version=1, audience=rule, reason="try")
    then = admin.op("whoami")["position"]
    override(admin, agent, "named", 2, "ann")
    us = {"company": {"name": "us"}}
    assert [decide(**context)["version"] for context in (us, {**us, "guest": True}, {}, {"targetingKey": "bob", **us}, {"targetingKey": "ann", **us})] == [1, 2, 2, 1, 2]
    rules = decide(targetingKey="bob", **us)["explain"]["rules"]
    assert [(told["name"], told["matched"]) for told in rules] == [("named", False), ("all-of-us", True)] and rules[1]["audience"] == rule
    query = admin.send("GET", f"/v1/resolve/{agent}?environment={HERE}&attr.company.name=us").json
    assert (query["version"], query["override"]) == (1, "all-of-us")
    entry = admin.op("snapshot", environment=HERE)["agents"][agent]
    assert entry["overrides"] == [{"name": "all-of-us", "version": 1, "audience": rule}, {"name": "named", "version": 2, "keys": ["ann"]}]
    admin.op("override_delete", agent=agent, override="all-of-us", environment=HERE)
    assert decide(**us)["version"] == 2
    assert admin.op("resolve", agent=agent, environment=HERE, context=us, at=then)["version"] == 1


def test_an_override_says_whom_it_is_for(admin, world):
    agent, head = world.served(1, 2), None
    head = admin.head()
    for more in ({}, {"keys": ["ann"], "audience": {"var": "staff"}}, {"audience": {"nope": 1}}, {"audience": [1]}, {"audience": {"var": "x", "!": 1}}):
        answer = admin.call("override_put", agent=agent, override="staff", environment=HERE, version=1, reason="try", **more)
        assert answer.status in (400, 422) and any(at in answer.body.decode() for at in ("/keys", "/audience")), answer.body
    assert admin.head() == head


def test_an_override_needs_a_deployment(admin, world):
    agent, head = world.agent(1), None
    head = admin.head()
    admin.refused("not_deployed", "override_put", agent=agent, override="staff", environment=HERE, version=1, keys=["ann"], reason="x")
    assert admin.head() == head
    admin.refused("not_found", "override_delete", agent=world.served(1), override="none", environment=HERE)
