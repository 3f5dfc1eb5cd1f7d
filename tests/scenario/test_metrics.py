# SPDX-License-Identifier: Apache-2.0
"""/metrics: who sees what, the format, and whether the numbers are those of what happened."""
import math
import threading
import time

import pytest

from harness import table
from harness.metrics import LABELS_OF_AGENTS, Scrape, families_of_table
from harness.rollout import HERE, Traffic, fresh
from harness.scale import make_random
from harness.world import ELSEWHERE, config, unique

NAMED = {name for name, (_, _, named) in families_of_table().items() if named}
RESOLUTIONS = "serin_resolutions_total"
OUTCOMES = "serin_arm_outcomes_total"
WORKER_LINES = 5000  # metrics.c: longer answers come from a control thread


@pytest.fixture
def rng():
    return make_random()


def eventually(what, seconds=30):
    """What it answers once that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return answer


def resolve(world, agent, user, environment=HERE, **more):
    return world.admin.op("resolve", agent=agent, environment=environment, context={"targetingKey": user}, **more)


# ---- who sees what ----


def test_without_a_key_nobody_is_named(server, world):
    resolve(world, world.served(1, environment=HERE), "ann")
    scrape = Scrape(server.admin, key=None)
    assert set(scrape.families) == set(families_of_table()) - NAMED
    assert not [key for key in scrape.samples if LABELS_OF_AGENTS & {name for name, _ in key[1]}]


def test_a_wrong_key_is_refused(server):
    for options in ({"key": "sk_wrong_key"}, {"key": None, "headers": {"X-API-Key": "sk_wrong_key"}}, {"key": None, "headers": {"Authorization": "Basic eA=="}}):
        answer = server.admin.send("GET", "/metrics", **options)
        assert answer.status == 401 and answer.json["code"] == "unauthenticated", answer
    assert server.admin.send("HEAD", "/metrics", key="sk_wrong_key").status == 401
    assert server.admin.send("POST", "/metrics").status == 404


@pytest.mark.parametrize("role", table.ROLES)
def test_a_key_sees_agents_from_viewer_on(server, role):
    client = server.client(role)
    if table.role_reaches(role, "viewer"):
        assert set(Scrape(client).families) == set(families_of_table())
        assert NAMED <= set(Scrape(client, key=None, headers={"X-API-Key": client.key}).families)
        return
    answer = client.get("/metrics")
    assert answer.status == 403 and answer.json["code"] == "forbidden" and "viewer" in answer.json["remedy"], answer


def test_a_key_sees_its_environments_only(server, world, rng):
    here, there = fresh(world), world.served(1, environment=ELSEWHERE)
    Traffic(world, here, rng).send((0, 0), count=10)
    resolve(world, here, "ann")
    resolve(world, there, "ann", ELSEWHERE)
    eventually(lambda: Scrape(server.admin).of("serin_rollout_state", agent=here))
    every, some = Scrape(server.admin), Scrape(server.client("viewer", ELSEWHERE))
    for name in (RESOLUTIONS, OUTCOMES, "serin_rollout_state"):
        assert every.of(name, agent=here) and not some.of(name, agent=here)
    assert every.of(RESOLUTIONS, agent=there) == some.of(RESOLUTIONS, agent=there) != {}
    assert here not in some.text


# ---- decisions ----


def test_decisions_by_version_and_arm(server, world, rng):
    agent, arms = fresh(world), {"stable": 0, "candidate": 0}
    for number in range(7):
        resolve(world, agent, f"user-{number}")
    world.admin.op("resolve_get", agent=agent, environment=HERE, key="ann")
    assert Scrape(server.admin).of(RESOLUTIONS, agent=agent, environment=HERE) == {("stable", "1"): 8}
    Traffic(world, agent, rng)
    for number in range(60):
        arms[resolve(world, agent, f"user-{number}")["arm"]] += 1
        resolve(world, agent, f"user-{number}", explain=True)
    assert arms["candidate"] > 0
    expected = {("stable", "1"): 8 + arms["stable"], ("candidate", "2"): arms["candidate"]}
    assert Scrape(server.admin).of(RESOLUTIONS, agent=agent, environment=HERE) == expected
    world.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="enough")
    world.admin.op("panic_set", agent=agent, environment=HERE, disabled=True, reason="stop")
    resolve(world, agent, "ann")
    expected[("stable", "0")] = 1
    assert Scrape(server.admin).of(RESOLUTIONS, agent=agent, environment=HERE) == expected


def test_answers_of_304_are_decisions_too(server, world):
    agent = world.served(1, environment=HERE)
    target = f"/v1/resolve/{agent}?environment={HERE}&key=ann"
    tag = server.admin.get(target).headers["ETag"]
    assert server.admin.send("GET", target, headers={"If-None-Match": tag}).status == 304
    assert Scrape(server.admin).of(RESOLUTIONS, agent=agent) == {("stable", HERE, "1"): 2}


def test_counts_never_go_back_while_rollouts_begin_and_end(server, world, rng):
    agent, stop, asked = fresh(world), threading.Event(), [0]

    def ask():
        with_own = server.another(server.admin.key)
        while not stop.is_set():
            with_own.op("resolve", agent=agent, environment=HERE, context={"targetingKey": f"user-{asked[0] % 50}"})
            asked[0] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    before = {}
    try:
        for _ in range(8):
            Traffic(world, agent, rng)
            for _ in range(5):
                now = Scrape(server.admin).of(RESOLUTIONS, agent=agent)
                assert all(now[series] >= value for series, value in before.items()), (before, now)
                before = now
            world.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="again")
    finally:
        stop.set()
        thread.join()
    assert sum(Scrape(server.admin).of(RESOLUTIONS, agent=agent).values()) == asked[0]


# ---- outcomes ----


def test_outcomes_by_arm(server, world, rng):
    agent = fresh(world)
    plain = [world.outcome(agent, version=1, environment=HERE, ok=number > 0, latency_ms=latency, cost_usd=0.25, input_tokens=10, output_tokens=3)
             for number, latency in enumerate((90, 100, 2600, 400_000))]
    for item in plain:
        item.pop("rollout", None)
    world.admin.op("outcomes", instance=unique("sender"), batch=1, items=plain)
    scrape, labels = Scrape(server.admin), {"agent": agent, "environment": HERE, "version": "1", "arm": "stable"}
    assert scrape.of(OUTCOMES, **labels) == {("ok",): 3, ("failed",): 1}
    buckets = {float(end): count for (end,), count in scrape.of("serin_arm_latency_seconds_bucket", **labels).items()}
    assert (buckets[0.1], buckets[2.5], buckets[5], buckets[300], buckets[math.inf]) == (2, 2, 3, 3, 4)
    assert scrape.value("serin_arm_latency_seconds_sum", **labels) == pytest.approx(402.79)
    assert scrape.value("serin_arm_cost_usd_total", **labels) == 1
    assert scrape.of("serin_arm_tokens_total", **labels) == {("input",): 40, ("output",): 12}
    traffic = Traffic(world, agent, rng)
    traffic.send((0, 0), count=200)
    seen = Scrape(server.admin).of(OUTCOMES, agent=agent, environment=HERE, result="ok")
    assert seen == {("stable", "1"): 3 + 200 - traffic.candidates, ("candidate", "2"): traffic.candidates}


def test_many_series_do_not_keep_a_worker(server, world):
    agent, versions = world.agent(), WORKER_LINES // 20 + 5
    for number in range(2, versions + 1):
        world.admin.op("version_push", agent=agent, config=config(f"{agent} says {number}"))
    items = [{**world.outcome(agent, version=number, environment=HERE)} for number in range(1, versions + 1)]
    for batch, part in enumerate((items[:200], items[200:]), 1):
        world.admin.op("outcomes", instance=f"many-{agent}", batch=batch, items=part)
    scrape = Scrape(server.admin)
    assert len(scrape.of(OUTCOMES, agent=agent, environment=HERE, result="ok")) == versions
    assert scrape.value("serin_control_running") == 1
    assert Scrape(server.admin, key=None).value("serin_control_running") == 0


# ---- rollouts ----


def test_an_open_rollout_and_its_evidence(server, world, rng):
    agent = fresh(world)
    traffic = Traffic(world, agent, rng, analysis={"settle": "0s", "alpha": 0.01, "beta": 0.05, "metrics": ["error", "latency"]},
                      steps=[{"share": 20, "min_units": 100_000}, {"share": 50}])
    labels = {"agent": agent, "environment": HERE, "rollout": traffic.rollout["id"]}

    def judged():
        traffic.send((0.01, 0.01))
        scrape = Scrape(server.admin)
        return scrape if scrape.value("serin_rollout_units", **labels, scope="rollout") else None

    scrape = eventually(judged)
    assert scrape.of("serin_rollout_state", **labels) == {("running",): 1, ("paused",): 0, ("held",): 0}
    assert scrape.of("serin_rollout_info", **labels) == {("2", "1"): 1}
    for name, value in (("share", 0.2), ("step", 1), ("steps", 2)):
        assert scrape.value(f"serin_rollout_{name}", **labels) == value
    assert scrape.of("serin_rollout_evidence_threshold_log", **labels) == pytest.approx(
        {("harm",): math.log(100), ("go_on",): math.log(20), ("split",): scrape.value("serin_rollout_evidence_threshold_log", **labels, direction="split")})
    evidence = scrape.of("serin_rollout_evidence_log", **labels)
    assert set(evidence) == {("harm", "all"), ("split", "all"), ("harm", "error"), ("go_on", "error"), ("harm", "latency"), ("go_on", "latency")}
    world.admin.op("rollout_pause", agent=agent, rollout=HERE, reason="lunch")
    eventually(lambda: Scrape(server.admin).value("serin_rollout_state", **labels, state="paused") == 1)
    world.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="enough")
    eventually(lambda: not Scrape(server.admin).of("serin_rollout_state", **labels))


def test_evidence_rises_and_the_move_that_follows_is_counted(server, world, rng):
    agent, rolled_back = fresh(world), {"name": "serin_rollout_moves_total", "action": "rollback"}
    before = value_of(server, **rolled_back)
    traffic = Traffic(world, agent, rng, analysis={"settle": "0s", "alpha": 0.000001, "metrics": ["error"]})

    def harm():
        """Few users between two looks, so that it is seen before it is enough."""
        traffic.send((0.02, 0.15), count=80)
        looks = value_of(server, "serin_controller_looks_total")
        eventually(lambda: value_of(server, "serin_controller_looks_total") >= looks + 2)
        return any(value > 0 for value in Scrape(server.admin).of("serin_rollout_evidence_log", agent=agent, metric="all", direction="harm").values())

    eventually(harm)
    traffic.until({"rolled_back"}, (0.02, 0.2))
    eventually(lambda: value_of(server, **rolled_back) == before + 1)


def value_of(server, name, **labels):
    return Scrape(server.admin).value(name, **labels)


def test_the_controller_looks(server, world):
    before = Scrape(server.admin, key=None)
    eventually(lambda: Scrape(server.admin, key=None).value("serin_controller_looks_total") >= before.value("serin_controller_looks_total") + 2)
    assert 0 < before.value("serin_controller_look_seconds") < 10
    assert before.value("serin_controller_failed_total") == 0 and before.value("serin_snapshot_stale") == 0
