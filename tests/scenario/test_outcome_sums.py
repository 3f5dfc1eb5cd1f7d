# SPDX-License-Identifier: Apache-2.0
"""What outcomes add up to, and the failing ones of a rollout, as people ask for them."""
import datetime
import time

import pytest

from harness.rollout import HERE, Traffic, fresh
from harness.scale import make_random
from harness.world import unique

NOON = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0) - datetime.timedelta(days=2)


def at(**later):
    return (NOON + datetime.timedelta(**later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def report(admin, agent, items):
    return admin.op("outcomes", instance=unique("sender"), batch=1,
                    items=[{"agent": agent, "environment": HERE, "unit": f"{i:024x}", "version": 1, "ok": True, **item} for i, item in enumerate(items)])


def soon(ask, enough):
    """What is shown may be a few seconds late."""
    deadline = time.monotonic() + 15
    while not enough(seen := ask()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.3)
    return seen


def sums(admin, agent, **more):
    return admin.op("outcome_sums", agent=agent, environment=HERE, **more)["sums"]


@pytest.fixture
def agent(world):
    """Outcomes of versions 1 and 2 in six minutes of three hours."""
    agent = world.served(1, 2, environment=HERE)
    for version in (1, 2):
        report(world.admin, agent, [{"at": at(minutes=minute), "version": version, "ok": n > 0, "latency_ms": 100 * version, "cost_usd": 0.25,
                                     "input_tokens": 10, "output_tokens": 3, "tool_errors": 1, "feedback": "down" if n else "up"}
                                    for minute in (0, 1, 59, 60, 119, 120) for n in range(4)])
    soon(lambda: sums(world.admin, agent), lambda seen: len(seen) == 12)
    return agent


def test_by_minute_newest_first(admin, agent):
    seen = sums(admin, agent)
    assert [(s["at"], s["version"]) for s in seen[:3]] == [(at(minutes=120).replace("Z", ".000000Z"), 1), (at(minutes=120).replace("Z", ".000000Z"), 2),
                                                           (at(minutes=119).replace("Z", ".000000Z"), 1)]
    assert {k: v for k, v in seen[1].items() if k not in ("at", "version")} == {
        "outcomes": 4, "errors": 1, "error_rate": 0.25, "latency_ms": 200, "input_tokens": 40, "output_tokens": 12, "cost_usd": 1, "up": 1, "down": 3,
        "tool_errors": 4}


def test_by_hour_and_day(admin, agent):
    assert [s["outcomes"] for s in sums(admin, agent, per="hour")] == [4, 4, 8, 8, 12, 12]
    assert [(s["outcomes"], s["errors"]) for s in sums(admin, agent, per="day")] == [(24, 6), (24, 6)]


def test_a_part_of_time(admin, agent):
    part = {"from": at(minutes=1), "to": at(minutes=60)}
    assert [s["outcomes"] for s in sums(admin, agent, **part, per="hour")] == [8, 8]
    assert sums(admin, agent, to=at(minutes=0)) == []


def test_pages(admin, agent):
    whole, listed, after = sums(admin, agent), [], {}
    while True:
        page = admin.op("outcome_sums", agent=agent, environment=HERE, limit=5, **after)
        listed += page["sums"]
        if "next" not in page:
            break
        after = {"after": page["next"]}
    assert listed == whole


@pytest.mark.parametrize("place,wrong", [("per", "week"), ("from", "1.5"), ("to", "3.1"), ("after", "x"), ("after", "1/2/3"),
                                         ("after", "2026-11-23T14:05:00Z/x/"), ("after", "2026-11-23T14:05:00Z/0/")])
def test_what_is_refused_names_its_place(admin, agent, place, wrong):
    problem = admin.refused("bad_request", "outcome_sums", agent=agent, environment=HERE, **{place: wrong})
    assert problem["at"] == place


def test_the_command(server, agent):
    shown = server.cli("outcomes", agent, "-e", HERE, "--per", "day").ok().out
    assert "ERROR RATE" in shown and "0.25" in shown and len(shown.splitlines()) == 3
    page = server.cli("outcomes", agent, "-e", HERE, "-n", "4").ok()
    assert "--after" in page.err


def test_failures_of_a_rollout(server, world):
    agent = fresh(world)
    traffic = Traffic(world, agent, make_random(), steps=[{"share": 50}])
    assert server.cli("rollout", "failures", agent, "-e", HERE).ok().out == "No outcome of it failed\n"
    share, moment = traffic.moment()
    items = [{"agent": agent, "environment": HERE, "version": 2, "rollout": traffic.rollout["id"], "unit": f"{n:024x}", "at": moment, "ok": n % 2 == 0,
              "error_type": f"kind-{n}", "session": f"talk-{n}", "latency_ms": 12.5} for n in range(40)]
    world.admin.op("outcomes", instance=unique("sender"), batch=1, items=items)
    ask = {"agent": agent, "rollout": traffic.rollout["id"]}
    seen = soon(lambda: world.admin.op("rollout_failures", **ask)["failures"], lambda seen: len(seen) == 20)
    assert [f["number"] for f in seen] == list(range(20, 0, -1))
    assert (seen[0]["error_type"], seen[0]["session"], seen[0]["arm"], seen[0]["version"], seen[0]["latency_ms"]) == ("kind-39", "talk-39", "candidate", 2, 12.5)
    assert seen[0]["unit"] == f"{39:024x}"
    page = world.admin.op("rollout_failures", limit=15, **ask)
    assert len(page["failures"]) == 15 and page["next"] == 6
    assert [f["number"] for f in world.admin.op("rollout_failures", limit=15, before=6, **ask)["failures"]] == [5, 4, 3, 2, 1]
    shown = server.cli("rollout", "failures", agent, "-e", HERE, "-n", "3").ok()
    assert "kind-39" in shown.out and "kind-31" not in shown.out and "--before" in shown.err
    soon(traffic.state, lambda seen: seen["rollout"]["state"] == "rolled_back")
    assert len(world.admin.op("rollout_failures", **ask)["failures"]) == 20, "they stay when it has ended"


def test_readers_do_not_make_the_server_write(server, world):
    """Each read may save what waits, but all together only once in a while."""
    agent = world.served(1, environment=HERE)

    def checkpoints():
        text = server.admin.send("GET", "/metrics").body.decode()
        return next(int(line.split()[-1]) for line in text.splitlines() if line.startswith("serin_outcome_checkpoints_total "))

    before, begun = checkpoints(), time.monotonic()
    for _ in range(200):
        sums(world.admin, agent)
    assert checkpoints() - before <= 2 + (time.monotonic() - begun) / 3
