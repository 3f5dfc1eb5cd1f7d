# SPDX-License-Identifier: Apache-2.0
"""Decisions computed again from the journal: the same from what the controller wrote, and different from what somebody changed."""
import sqlite3

import pytest

from harness.rollout import HERE, Traffic, fresh
from harness.scale import make_random
from harness.server import Server, run_cli
from harness.world import World


@pytest.fixture
def judged(tmp_path):
    """A rollout of its own server that went a step on by evidence, was paused and resumed by a person, and was rolled back."""
    server = Server(tmp_path).start()
    world = World(server).make_environments()
    agent = fresh(world)
    traffic = Traffic(world, agent, make_random())
    while traffic.state()["rollout"]["step"] == 1:
        traffic.send((0.0, 0.0))
    for op in ("rollout_pause", "rollout_resume"):
        world.admin.op(op, agent=agent, rollout=HERE, reason="a look")
    traffic.until({"rolled_back"}, (0.02, 0.3))
    yield server, agent, traffic.rollout["id"]
    server.stop()


def test_every_decision_comes_out_again(judged):
    server, agent, rollout = judged
    ran = server.cli("rollout", "replay", agent, "-e", HERE).ok()
    assert "2 decisions computed again from the evidence: the same to the last bit." in ran.out and "DIFFERENT" not in ran.out, ran
    again = server.cli("rollout", "replay", rollout, "--json").ok().json
    assert (again["rollout"], again["agent"], again["decisions"], again["different"]) == (rollout, agent, 2, 0)
    told = [(m["action"], m["replay"]) for m in again["moves"]]
    assert told == [("start", "none"), ("advance", "same"), ("pause", "none"), ("resume", "none"), ("rollback", "same")]
    harm = again["moves"][-1]
    assert harm["again"] == {"action": "rollback", "reason": "harm", "words": harm["words"]} and harm["words"].startswith("rolled back at 50 %: error ratio")


def test_pages_make_one_journal(judged):
    server, agent, rollout = judged
    world = World(server)
    traffic_agent = fresh(world)
    world.admin.op("rollout_start", agent=traffic_agent, environment=HERE, version=2, reason="x", steps=[{"share": 5}])
    for _ in range(40):
        for op in ("rollout_pause", "rollout_resume"):
            world.admin.op(op, agent=traffic_agent, rollout=HERE, reason="again")
    again = server.cli("rollout", "replay", traffic_agent, "-e", HERE, "--json").ok().json
    assert len(again["moves"]) == 81 and [m["seq"] for m in again["moves"]] == sorted({m["seq"] for m in again["moves"]})


@pytest.mark.parametrize("change", ["UPDATE rollout_moves SET words = replace(words, 'ratio', 'rate') WHERE action = 'rollback'",
                                    "UPDATE rollout_moves SET evidence = substr(evidence, 1, length(evidence) - 12) WHERE action = 'rollback'",
                                    "UPDATE rollout_moves SET evidence = (SELECT evidence FROM rollout_moves WHERE action = 'advance') WHERE action = 'rollback'",
                                    "UPDATE rollout_moves SET action = 'hold' WHERE action = 'rollback'"])
def test_a_changed_journal_is_seen(judged, change):
    server, agent, _ = judged
    server.stop()
    store = sqlite3.connect(server.folder / "serin.db")
    assert store.execute(change).rowcount == 1
    store.commit()
    store.close()
    server.start()
    ran = server.cli("rollout", "replay", agent, "-e", HERE).fails(1)
    assert "1 of 2 decisions DIFFERENT" in ran.err and "the journal says" in ran.out and "same to the last bit" not in ran.out, ran
    assert server.cli("rollout", "replay", agent, "-e", HERE, "--json").fails(1).json["different"] == 1


def test_what_is_not_there(server, tmp_path):
    ran = server.cli("rollout", "replay", "0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10").fails()
    assert "there is no rollout 0191f3a0" in ran.err and not ran.out
    ran = run_cli("rollout", "replay", "support", home=tmp_path, env={"SERIN_URL": "http://127.0.0.1:1"}).fails(2)
    assert "-e ENV" in ran.err and "127.0.0.1:1" not in ran.err
