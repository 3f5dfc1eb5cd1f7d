# SPDX-License-Identifier: Apache-2.0
"""Conversations hold to what was in force when they began."""
from datetime import datetime, timedelta, timezone

import pytest

from harness.world import config

HERE = "staging"


def now(**shift):
    return (datetime.now(timezone.utc) + timedelta(**shift)).isoformat().replace("+00:00", "Z")


def resolve(admin, agent, began=None, **more):
    context = {"targetingKey": "ann", "session": {"id": "s-1", "started_at": began}} if began is not None else {"targetingKey": "ann"}
    return admin.op("resolve", agent=agent, environment=HERE, context=context, **more)


def test_a_conversation_keeps_its_version(admin, world):
    agent = world.served(1)
    began = now()
    world.deploy(agent, world.admin.op("version_push", agent=agent, config=config("new"))["version"]["version"])
    pinned = resolve(admin, agent, began)
    assert (pinned["version"], pinned["reason"], pinned["arm"]) == (1, "SESSION", "stable")
    assert pinned["config"] == admin.op("version_get", agent=agent, version=1)["config"]
    assert "rollout" not in pinned and "bucket" not in pinned
    assert resolve(admin, agent)["version"] == 2
    later = resolve(admin, agent, now())
    assert (later["version"], later["reason"]) == (2, "SESSION")
    assert pinned["unit"] == later["unit"]


def test_get_and_post_hold_alike(admin, world):
    agent = world.served(1)
    began = now()
    world.deploy(agent, world.admin.op("version_push", agent=agent, config=config("new"))["version"]["version"])
    for started in (began, now(hours=-23), now(days=-2), now(minutes=5), "yesterday", ""):
        posted = resolve(admin, agent, started)
        got = admin.op("resolve_get", agent=agent, environment=HERE, key="ann", **{"session.id": "s-1", "session.started_at": started})
        explained = resolve(admin, agent, started, explain=True)
        assert posted == got and explained["version"] == posted["version"], started
        assert posted["version"] == (1 if started == began else 2), started


def test_a_version_that_was_rolled_back_lets_go(admin, world):
    agent = world.served(1, 2)
    began = now()
    assert resolve(admin, agent, began)["version"] == 2
    admin.op("rollback", agent=agent, environment=HERE, reason="bad")
    decision = resolve(admin, agent, began)
    assert (decision["version"], decision["reason"]) == (1, "DEPLOYED")
    rules = resolve(admin, agent, began, explain=True)["explain"]["rules"]
    assert [rule["rule"] for rule in rules] == ["session", "ref"]
    assert rules[0]["era"]["released"] is True and rules[0]["matched"] is False


def test_an_override_beats_a_conversation(admin, world):
    agent = world.served(1, 2)
    began = now()
    admin.op("override_put", agent=agent, override="staff", environment=HERE, version=1, keys=["ann"], reason="try")
    assert resolve(admin, agent, began)["reason"] == "OVERRIDE"


@pytest.mark.parametrize("session", ["s", 5, None, [], {"id": "s"}, {"started_at": 5}, {"started_at": None}, {"started_at": {"x": 1}}])
def test_a_conversation_that_says_no_time_is_none(admin, world, session):
    agent = world.served(1)
    decision = admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": "ann", "session": session})
    assert (decision["version"], decision["reason"]) == (1, "DEPLOYED")


def test_answers_are_conditional_by_session(admin, world):
    agent = world.served(1)
    began = now()
    query = {"agent": agent, "environment": HERE, "key": "ann", "session.started_at": began}
    first = admin.call("resolve_get", **query)
    etag = first.headers["ETag"]
    assert "SESSION" in etag
    assert admin.call("resolve_get", headers={"If-None-Match": etag}, **query).status == 304
    world.deploy(agent, world.admin.op("version_push", agent=agent, config=config("new"))["version"]["version"])
    moved = admin.call("resolve_get", headers={"If-None-Match": etag}, **query)
    assert moved.status == 200 and moved.json["version"] == 1 and moved.headers["ETag"] != etag


def test_conversations_of_the_past(admin, world):
    """Where a conversation stood at a moment: what it held to then."""
    agent = world.served(1)
    began = now()
    world.deploy(agent, world.admin.op("version_push", agent=agent, config=config("new"))["version"]["version"])
    between = now()
    admin.op("rollback", agent=agent, environment=HERE, version=2, reason="the same again")
    assert resolve(admin, agent, began, at=between)["version"] == 1
    assert resolve(admin, agent, began, at=began)["version"] == 1
    still_to_come = resolve(admin, agent, between, at=began)
    assert (still_to_come["version"], still_to_come["reason"]) == (1, "DEPLOYED")


def test_the_snapshot_says_what_it_takes(admin, world):
    agent = world.served(1, 2)
    entry = admin.op("snapshot", environment=HERE, agent=agent)["agents"][agent]
    assert entry["sessions"]["policy"] == "pin"
    eras = entry["sessions"]["eras"]
    assert [era["version"] for era in eras] == [2, 1] and eras[0]["from"] > eras[1]["from"]
    assert set(entry["versions"]) == {"1"}
    admin.op("rollback", agent=agent, environment=HERE, reason="bad")
    eras = admin.op("snapshot", environment=HERE, agent=agent)["agents"][agent]["sessions"]["eras"]
    assert [(era["version"], era.get("released")) for era in eras] == [(1, None), (2, [2]), (1, None)]
