# SPDX-License-Identifier: Apache-2.0
"""Outcome counts are exact: batches resent, reordered and cut, the server killed at any moment; the sums equal the senders' ledger."""
import http.client
import random
import sqlite3
import threading
import time

import pytest

from harness import server as servers
from harness.client import Client
from harness.scale import SCALE, make_random
from harness.server import ROOT, Server
from harness.table import rows
from harness.world import World, unique

ASAN = ROOT / "build/asan/serin"
POINTS = [row[0] for _, row in rows("src/base/failpoint.def", "FAILPOINT_ROW") if row[0].startswith("outcomes_")]
SENDERS = 4
KILLS = max(5, SCALE.kills // 20)


@pytest.fixture
def asan(monkeypatch):
    assert ASAN.exists(), f"{ASAN} is missing: tools/run-tests --only asan makes it"
    monkeypatch.setattr(servers, "BINARY", ASAN)


class Sender:
    """Sends its batches until each was answered, some again, some before their turn, some cut; and keeps what it sent."""

    def __init__(self, server, agent, rng):
        self.server, self.agent, self.rng = server, agent, random.Random(rng.random())
        self.name, self.next, self.unsure = unique("sender"), 1, []
        self.outcomes = self.errors = self.latency = self.accepted = 0
        self.faults = []

    def make(self):
        world, count = World(self.server), self.rng.randrange(1, 60)
        items = [world.outcome(self.agent, ok=self.rng.random() < 0.9, latency_ms=self.rng.randrange(1000)) for _ in range(count)]
        self.next += 1
        self.outcomes += count
        self.errors += sum(not item["ok"] for item in items)
        self.latency += sum(item["latency_ms"] * 1000 for item in items)
        return {"instance": self.name, "batch": self.next - 1, "items": items}

    def send(self, client, batch):
        """Whether it was answered."""
        answer = client.call("outcomes", **batch)
        if answer.status == 503:
            return False
        if answer.status != 200:
            self.faults.append(answer)
        self.accepted += answer.json.get("accepted", 0)
        return True

    def cut(self, batch):
        """A request whose body does not come to its end: nothing of it may count."""
        host, port = self.server.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        connection.putrequest("POST", "/v1/outcomes")
        connection.putheader("Authorization", f"Bearer {self.server.admin.key}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "100000")
        connection.endheaders()
        connection.send(str(batch).encode()[:500])
        connection.close()

    def run(self, stop):
        client = Client(self.server, self.server.admin.key)
        while not stop.is_set() or self.unsure:
            while len(self.unsure) < 3 and not stop.is_set():
                self.unsure.append(self.make())
            batch = self.rng.choice(self.unsure)  # out of order
            try:
                if self.rng.random() < 0.05:
                    self.cut(batch)
                if not self.send(client, batch):
                    continue
                if self.rng.random() < 0.3:
                    self.send(client, batch)  # again, though it was answered
                self.unsure.remove(batch)
            except (OSError, http.client.HTTPException):
                client.close()
                if not self.server.running:
                    return
        client.close()


class Story:
    def __init__(self, folder):
        self.rng = make_random()
        self.server = Server(folder).start()
        self.agent = World(self.server).make_environments().served(1)
        self.senders = [Sender(self.server, self.agent, self.rng) for _ in range(SENDERS)]

    def write(self, end, seconds):
        stop = threading.Event()
        threads = [threading.Thread(target=sender.run, args=(stop,)) for sender in self.senders]
        for thread in threads:
            thread.start()
        end(seconds)
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    def kill_after(self, seconds):
        time.sleep(seconds)
        self.server.process.process.kill()

    def check(self):
        """All that was unsure is sent to its end; then the sums are the ledger's."""
        self.write(lambda _: None, 0)
        self.server.stop()
        sent = tuple(sum(getattr(sender, name) for sender in self.senders) for name in ("outcomes", "errors", "latency"))
        with sqlite3.connect(self.server.store) as store:
            sums = store.execute("SELECT sum(outcomes), sum(errors), sum(latency) FROM outcome_minutes").fetchone()
            assert store.execute("SELECT count(*) FROM outcome_log").fetchone() == (0,)
        print(f"{sent[0]} outcomes, difference {sums[0] - sent[0]}")
        assert sums == sent
        assert not [fault for sender in self.senders for fault in sender.faults]
        assert sum(sender.accepted for sender in self.senders) <= sent[0]


@pytest.mark.timeout(1800)
def test_killed_at_random_moments(tmp_path):
    story = Story(tmp_path)
    for _ in range(KILLS):
        story.write(story.kill_after, story.rng.uniform(0.02, 0.4))
        story.server.process.wait_end()
        story.server.close_clients()
        story.server.start()
    story.check()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_failpoint(tmp_path, asan, point):
    """In the intake and in checkpoints, which are made to come often."""
    story = Story(tmp_path)
    for passage in (1, 2, 7):
        story.server.stop()
        story.server.env = {"SERIN_FAILPOINT": f"{point}:{passage}", "SERIN_OUTCOMES_CHECKPOINT_BYTES": "20000"}
        story.server.start()
        story.write(lambda _: story.server.process.process.wait(60), 0)
        story.server.process.wait_end()
        story.server.close_clients()
        story.server.env = {"SERIN_OUTCOMES_CHECKPOINT_BYTES": "20000"}
        story.server.start()
    story.check()
