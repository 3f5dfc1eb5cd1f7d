# SPDX-License-Identifier: Apache-2.0
"""Who gets the candidate: over steps, pauses, restarts of the server and of the rollout; audiences, sessions, panics, and looking back."""
from datetime import datetime, timezone

import check_rollouts
import pytest

from harness.world import config

HERE = "staging"
STEPS = [{"share": 5, "min_time": "10m"}, {"share": 40, "min_time": "10m"}, {"share": 100, "min_time": "10m"}]
USERS = [f"user-{i}" for i in range(120)]


def now():
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def resolve(admin, agent, user="ann", **more):
    return admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": user, **more.pop("context", {})}, **more)


def start(admin, agent, version=2, **more):
    more = {"steps": STEPS, "reason": "try it", **more}
    return admin.op("rollout_start", agent=agent, environment=HERE, version=version, **more)["rollout"]


def move(admin, agent, rollout, what, **more):
    return admin.op(f"rollout_{what}", agent=agent, rollout=rollout["id"], reason=what, **more)["rollout"]


def with_two(world):
    agent = world.served(1)
    world.admin.op("version_push", agent=agent, config=config("better"))
    return agent


def canaries(admin, agent):
    return {user for user in USERS if resolve(admin, agent, user)["arm"] == "candidate"}


def expected(salt, share):
    return {user for user in USERS if check_rollouts.bucket_of(salt, user) < share * 1000}


def test_the_same_users_over_steps_and_starts(admin, world):
    agent = with_two(world)
    rollout = start(admin, agent)
    salt = rollout["salt"]
    five = canaries(admin, agent)
    assert five == expected(salt, 5)
    move(admin, agent, rollout, "advance")
    forty = canaries(admin, agent)
    assert five <= forty == expected(salt, 40)
    move(admin, agent, rollout, "pause")
    assert canaries(admin, agent) == forty
    move(admin, agent, rollout, "resume")
    assert canaries(admin, agent) == forty
    move(admin, agent, rollout, "abort")
    assert canaries(admin, agent) == set()
    assert resolve(admin, agent)["reason"] == "DEPLOYED"
    again = start(admin, agent)
    assert again["salt"] == salt and canaries(admin, agent) == five
    move(admin, agent, again, "promote")
    assert {resolve(admin, agent, user)["version"] for user in USERS[:10]} == {2}


def test_the_same_users_after_a_restart_of_the_server(own_world):
    admin = own_world.admin
    agent = with_two(own_world)
    rollout = start(admin, agent, steps=[{"share": 40, "min_time": "10m"}, {"share": 100, "min_time": "10m"}])
    before = canaries(admin, agent)
    snapshot = admin.call("snapshot", environment=HERE).body
    own_world.server.restart()
    assert canaries(admin, agent) == before == expected(rollout["salt"], 40)
    assert admin.call("snapshot", environment=HERE).body == snapshot


def test_the_decision_of_both_arms(admin, world):
    agent = with_two(world)
    rollout = start(admin, agent, steps=[{"share": 50, "min_time": "10m"}, {"share": 100, "min_time": "10m"}])
    arms = set()
    for user in USERS[:20]:
        decision = resolve(admin, agent, user)
        bucket = check_rollouts.bucket_of(rollout["salt"], user)
        arm = "candidate" if bucket < 50000 else "stable"
        assert (decision["arm"], decision["reason"], decision["rollout"], decision["bucket"]) == (arm, "ROLLOUT", rollout["id"], bucket)
        assert decision["version"] == (2 if arm == "candidate" else 1)
        assert decision["unit"] == check_rollouts.unit_of(rollout["salt"], user)
        assert decision == admin.op("resolve_get", agent=agent, environment=HERE, key=user)
        arms.add(arm)
    assert arms == {"candidate", "stable"}
    keyless = admin.op("resolve", agent=agent, environment=HERE)
    assert (keyless["version"], keyless["arm"]) == (1, "stable") and "rollout" not in keyless


AUDIENCE = {"and": [{"in": [{"var": "plan"}, ["pro", "team"]]}, {">=": [{"var": "company.size"}, 10]}]}


@pytest.mark.parametrize("context, matches", [
    ({"plan": "pro", "company": {"size": 10}}, True), ({"plan": "pro", "company": {"size": 9.5}}, False),
    ({"plan": "free", "company": {"size": 50}}, False), ({}, False), ({"plan": "pro"}, False),
    ({"plan": "pr\u006f", "company": {"size": "12"}, "note": "a \"quoted\" \u00e4"}, True)])
def test_an_audience_reads_attributes(admin, world, context, matches):
    agent = with_two(world)
    start(admin, agent, audience=AUDIENCE, steps=[{"share": 100, "min_time": "10m"}])
    decision = resolve(admin, agent, context=context)
    assert (decision["version"], "rollout" in decision) == ((2, True) if matches else (1, False))
    explained = resolve(admin, agent, context=context, explain=True)
    rule = next(rule for rule in explained["explain"]["rules"] if rule["rule"] == "rollout")
    assert (rule["in_audience"], rule["matched"], rule["audience"]) == (matches, matches, AUDIENCE)
    if "company" in context:
        query = {"attr.plan": context["plan"], "attr.company.size": context["company"]["size"]}
        assert admin.op("resolve_get", agent=agent, environment=HERE, key="ann", **query)["version"] == decision["version"]


# One with every kind of operation: segments by text and version, lists and objects of the context, a tenth of the users by a text of its own.
WHOLE = {"if": [
    {"some": [{"var": "teams"}, {"and": [{"==": [{"var": "name"}, "core"]}, {"in": ["admin", {"var": "roles"}]}]}]}, True,
    {"sem_ver": [{"var": "app.version"}, "<", "2.0.0"]}, False,
    {"missing": ["app.version"]}, {"fractional": [{"cat": ["beta/", {"var": "targetingKey"}]}, [True, 10], [False, 90]]},
    {">": [{"reduce": [{"var": "orders"}, {"+": [{"var": "accumulator"}, {"var": "current.total"}]}, 0]}, 100]}]}


def test_an_audience_takes_the_whole_language(admin, world):
    agent = with_two(world)
    start(admin, agent, audience=WHOLE, steps=[{"share": 100, "min_time": "10m"}])
    core, guest = [{"name": "core", "roles": ["reader", "admin"]}], [{"name": "core", "roles": []}, {"name": "other", "roles": ["admin"]}]
    new, old = {"version": "2.1.0"}, {"version": "v1.9"}
    for context, matches in (({"teams": core, "app": old}, True), ({"teams": guest, "app": old}, False),
                             ({"app": new, "orders": [{"total": 60}, {"total": 50.5}]}, True), ({"app": new, "orders": [{"total": 60}]}, False),
                             ({"app": new}, False), ({"app": new, "orders": [{"total": "\u0031\u0032\u0030"}]}, True)):
        decision = resolve(admin, agent, context=context)
        assert (decision["version"], "rollout" in decision) == ((2, True) if matches else (1, False)), context
    chosen = [user for user in USERS if resolve(admin, agent, user)["version"] == 2]
    assert chosen == [user for user in USERS if check_rollouts.murmur3(f"beta/{user}".encode(), 0) * 100 >> 32 < 10] and len(chosen) < len(USERS) / 2


def test_an_audience_that_comes_to_a_bound_is_nobody(admin, world):
    agent = with_two(world)
    start(admin, agent, audience={"!": {"map": [{"var": "list"}, {"cat": [{"var": ""}, "x"]}]}}, steps=[{"share": 100, "min_time": "10m"}])
    assert resolve(admin, agent, context={"list": []})["version"] == 2
    decision = resolve(admin, agent, context={"list": list(range(5000))})
    assert decision["version"] == 1 and "rollout" not in decision


def test_conversations_over_a_rollout(admin, world):
    agent = with_two(world)
    before = now()
    rollout = start(admin, agent, steps=[{"share": 100, "min_time": "10m"}])
    during = now()

    def at(began):
        decision = resolve(admin, agent, context={"session": {"id": "s", "started_at": began}})
        return decision["version"], decision["reason"], "rollout" in decision

    assert at(before) == (1, "SESSION", False)
    assert at(during) == (2, "SESSION", True)
    move(admin, agent, rollout, "promote")
    assert at(before) == (1, "SESSION", False) and at(during) == (2, "SESSION", False)
    admin.op("rollback", agent=agent, environment=HERE, reason="bad")
    assert at(during) == (1, "DEPLOYED", False) and at(before) == (1, "SESSION", False)


def test_a_panic_beats_everything(admin, world):
    agent = with_two(world)
    start(admin, agent, steps=[{"share": 100, "min_time": "10m"}])
    admin.op("override_put", agent=agent, override="staff", environment=HERE, version=2, keys=["bob"], reason="try")
    admin.op("panic_set", agent=agent, environment=HERE, version=1, reason="fire")
    for user in ("ann", "bob"):
        decision = resolve(admin, agent, user, explain=True)
        assert (decision["version"], decision["reason"]) == (1, "PANIC")
        assert [rule["rule"] for rule in decision["explain"]["rules"]] == ["panic"]
    admin.op("panic_release", agent=agent, environment=HERE, reason="out")
    assert resolve(admin, agent)["version"] == 2
    admin.op("panic_set", agent=agent, environment=HERE, disabled=True, reason="off")
    off = resolve(admin, agent)
    assert (off["version"], off["disabled"], off["reason"]) == (0, True, "PANIC") and "config" not in off and "config_hash" not in off
    admin.op("panic_release", agent=agent, environment=HERE, reason="on")


def test_answers_are_conditional_by_arm(admin, world):
    agent = with_two(world)
    query = {"agent": agent, "environment": HERE, "key": "ann"}
    plain = admin.call("resolve_get", **query).headers["ETag"]
    rollout = start(admin, agent, steps=[{"share": 0.001, "min_time": "10m"}, {"share": 100, "min_time": "10m"}])
    stable = admin.call("resolve_get", headers={"If-None-Match": plain}, **query)
    assert stable.status == 200 and stable.json["arm"] == "stable"
    etag = stable.headers["ETag"]
    move(admin, agent, rollout, "pause")
    assert admin.call("resolve_get", headers={"If-None-Match": etag}, **query).status == 304
    move(admin, agent, rollout, "resume")
    move(admin, agent, rollout, "advance")
    candidate = admin.call("resolve_get", headers={"If-None-Match": etag}, **query)
    assert candidate.status == 200 and candidate.json["arm"] == "candidate" and candidate.headers["ETag"] != etag


def test_looking_back(admin, world):
    agent = with_two(world)
    rollout = start(admin, agent)
    small = now()
    then = {user: resolve(admin, agent, user) for user in USERS[:30]}
    move(admin, agent, rollout, "advance")
    move(admin, agent, rollout, "abort")
    for user, decision in then.items():
        past = resolve(admin, agent, user, at=small)
        assert {**past, "position": ""} == {**decision, "position": ""}
        assert resolve(admin, agent, user)["version"] == 1


def test_the_snapshot_is_enough(admin, world):
    """Another program resolves from the published entry as the server does."""
    agent = with_two(world)
    began = now()
    start(admin, agent, audience=AUDIENCE, steps=[{"share": 30, "min_time": "10m"}, {"share": 100, "min_time": "10m"}])
    admin.op("override_put", agent=agent, override="staff", environment=HERE, version=2, keys=["user-3"], reason="try")
    entry = admin.op("snapshot", environment=HERE, agent=agent)["agents"][agent]
    for i, user in enumerate(USERS[:60]):
        context = {"plan": "pro" if i % 3 else "free", "company": {"size": 20}}
        if i % 2:
            context["session"] = {"id": "s", "started_at": began if i % 4 == 1 else now()}
        own = check_rollouts.resolve(entry, {"targetingKey": user, **context})
        decision = resolve(admin, agent, user, context=context)
        assert own == {key: decision[key] for key in own}, user
        assert set(own) >= {"rollout", "bucket"} & set(decision)
        config_of = entry if own["version"] == entry["version"] else entry["versions"][str(own["version"])]
        assert config_of["config"] == decision["config"]
