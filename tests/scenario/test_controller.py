# SPDX-License-Identifier: Apache-2.0
"""Rollouts that nobody watches: outcomes come in over HTTP, the controller moves the rollout by itself, and says why."""
import time

import pytest

from harness.rollout import HERE, MOST_SECONDS, Traffic, fresh
from harness.scale import make_random
from harness.server import Server
from harness.world import World


@pytest.fixture
def rng():
    return make_random()


def served(world, agent):
    return world.admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": "ann"})["version"]


def test_a_bad_candidate_is_rolled_back_by_itself(world, rng):
    agent = fresh(world)
    seen = Traffic(world, agent, rng).until({"rolled_back"}, (0.02, 0.2))
    rollout = seen["rollout"]
    assert rollout["share"] == 0 and rollout["words"].startswith("rolled back at 20 %: error ratio ")
    assert (seen["moves"][0]["action"], seen["moves"][0]["by"]) == ("rollback", "controller")
    assert [move["action"] for move in seen["moves"]] == ["rollback", "start"], "exactly once"
    assert served(world, agent) == 1
    holds = [(hold["agent"], hold["environment"]) for hold in world.admin.op("hold_list")["holds"]]
    assert (agent, HERE) in holds, "nothing moves it again before a person said so"


def test_a_good_candidate_goes_through_all_steps(world, rng):
    agent = fresh(world)
    seen = Traffic(world, agent, rng, on_end="promote").until({"promoted", "rolled_back", "held"}, (0.0, 0.0))
    assert seen["rollout"]["state"] == "promoted", seen["rollout"]["words"]
    assert [move["action"] for move in seen["moves"]] == ["promote", "advance", "start"]
    assert served(world, agent) == 2
    newest = world.admin.op("deployment_list", agent=agent, environment=HERE)["deployments"][0]
    assert (newest["kind"], newest["previous"], newest["version"], newest["by"]) == ("promote", 1, 2, "controller")


def test_an_end_that_asks_waits_for_a_person(world, rng):
    agent = fresh(world)
    traffic = Traffic(world, agent, rng, on_end="ask", steps=[{"share": 50, "min_time": "1s"}])
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        traffic.send((0.0, 0.0))
        assert traffic.state()["rollout"]["state"] in ("running", "held")
        time.sleep(0.2)
    assert served(world, agent) in (1, 2) and len(world.admin.op("deployment_list", agent=agent, environment=HERE)["deployments"]) == 1
    world.admin.op("rollout_promote", agent=agent, rollout=HERE, reason="looks good")
    assert served(world, agent) == 2


def test_a_hold_keeps_it_from_going_on_and_not_from_going_back(world, rng):
    agent = fresh(world)
    traffic = Traffic(world, agent, rng, on_end="promote", steps=[{"share": 50, "min_time": "1s"}])
    world.admin.op("hold_set", agent=agent, environment=HERE, reason="wait for the audit")
    for _ in range(20):
        traffic.send((0.0, 0.0))
        time.sleep(0.1)
    assert traffic.state()["rollout"]["state"] == "running" and len(traffic.state()["moves"]) == 1
    traffic.until({"rolled_back"}, (0.0, 0.5))
    assert served(world, agent) == 1


def test_decisions_without_outcomes_hold_it(world, rng):
    agent = fresh(world)
    traffic = Traffic(world, agent, rng, no_data_after="2s")
    deadline = time.monotonic() + MOST_SECONDS
    while (seen := traffic.state())["rollout"]["state"] == "running":
        assert time.monotonic() < deadline, seen
        for user in range(40):
            world.admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": f"user-{user}"})
        time.sleep(0.2)
    assert seen["rollout"]["state"] == "held" and seen["rollout"]["share"] == 20, seen
    assert "outcome" in seen["rollout"]["words"], seen["rollout"]["words"]


def test_nobody_asks_and_nothing_happens(world, rng):
    agent = fresh(world)
    traffic = Traffic(world, agent, rng, no_data_after="1s")
    world.admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": "ann"})
    time.sleep(4)
    assert traffic.state()["rollout"]["state"] == "running"


def test_over_kills_it_decides_once_and_from_all_that_was_acknowledged(tmp_path, rng):
    server = Server(tmp_path).start()
    world = World(server).make_environments()
    agent = fresh(world)
    traffic = Traffic(world, agent, rng, analysis={"settle": "0s", "alpha": 0.0001, "metrics": [{"name": "error"}]})
    for _ in range(6):
        traffic.send((0.02, 0.06), count=200)
        server.kill()
        server.start()
        traffic.admin = world.admin = server.admin
    acknowledged = traffic.candidates
    seen = traffic.until({"rolled_back"}, (0.02, 0.2))
    assert [move["action"] for move in seen["moves"]] == ["rollback", "start"]
    assert acknowledged <= int(seen["rollout"]["words"].split(" after ")[1].split()[0]) <= traffic.candidates
    server.stop()
