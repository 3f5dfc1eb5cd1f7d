# SPDX-License-Identifier: Apache-2.0
"""kill -9 while webhooks are told: nothing that happened is lost, nothing comes out of turn, and what comes twice has the same id."""
import sqlite3
import time
from contextlib import closing

import pytest

from harness import server as servers
from harness.receiver import Receiver
from harness.scale import SCALE, make_random
from harness.server import ROOT, Server
from harness.table import rows
from harness.world import World

ASAN = ROOT / "build/asan/serin"
POINTS = [row[0] for _, row in rows("src/base/failpoint.def", "FAILPOINT_ROW") if row[0].startswith("webhook_")]
KILLS = SCALE.kills // 5
HERE = "staging"


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def own_server(tmp_path, receiver):
    return Server(tmp_path, env={"SERIN_OUTGOING_ALLOW": receiver.origin})


def begin(server, receiver, *paths):
    """A served agent, whose rollouts are told to each path."""
    world = World(server.start()).make_environments()
    agent = world.served(1, 2)
    for path in paths:
        server.admin.op("webhook_put", webhook=path, url=f"{receiver.origin}/{path}", agent=agent)
    return agent


def start_and_abort(server, agent):
    server.admin.op("rollout_start", agent=agent, environment=HERE, version=1, reason="try", steps=[{"share": 10}])
    server.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="enough")


def ids_in_the_store(server):
    with closing(sqlite3.connect(server.store)) as db:
        return [f"msg_{rollout}_1_{seq}" for rollout, seq in db.execute("SELECT rollout, seq FROM rollout_moves ORDER BY seq")]


def first_times(messages):
    return list(dict.fromkeys(message.id for message in messages))


def wait_for_all(server, receiver, path):
    """Every move came; those that came again did so before any that is behind them came for the first time."""
    wanted = ids_in_the_store(server)
    deadline = time.monotonic() + 60
    while first_times(receiver.at(f"/{path}")) != wanted:
        assert time.monotonic() < deadline, f"{receiver.at(f'/{path}')} is not {wanted}"
        time.sleep(0.05)
    seen = [wanted.index(message.id) for message in receiver.at(f"/{path}")]
    assert all(later - earlier in (0, 1) for earlier, later in zip(seen, seen[1:])), seen
    return seen


@pytest.mark.timeout(3600)
def test_killed_at_random_moments(own_server, receiver):
    rng, server = make_random(), own_server
    agent = begin(server, receiver, "first", "second")
    def slow(_):
        time.sleep(rng.uniform(0, 0.01))
        return 200

    receiver.plan["/second"] = [slow] * 10 * KILLS
    for _ in range(KILLS):
        start_and_abort(server, agent)
        time.sleep(rng.uniform(0, 0.02))
        server.kill()
        server.start()
    for path in ("first", "second"):
        seen = wait_for_all(server, receiver, path)
        print(f"{path}: {len(seen)} messages for {seen[-1] + 1} moves in {KILLS} kills")
    server.stop()


@pytest.mark.parametrize("point", POINTS)
def test_killed_around_the_note(own_server, receiver, monkeypatch, point):
    """Before the note the message comes again, behind it it does not."""
    assert ASAN.exists(), f"{ASAN} is missing: tools/run-tests --only asan makes it"
    monkeypatch.setattr(servers, "BINARY", ASAN)
    server, agent = own_server, begin(own_server, receiver, "chat")
    server.stop()
    server.env["SERIN_FAILPOINT"] = f"{point}:1"
    server.start()
    try:
        start_and_abort(server, agent)
    except OSError:
        pass  # killed before it has answered us
    server.process.wait_end()
    server.close_clients()
    del server.env["SERIN_FAILPOINT"]
    server.start()
    server.admin.call("rollout_abort", agent=agent, rollout=HERE, reason="what the kill left open, or nothing")
    start_and_abort(server, agent)  # behind what may come again
    seen = wait_for_all(server, receiver, "chat")
    assert seen.count(0) == (2 if point == "webhook_answered" else 1)
    server.stop()
