# SPDX-License-Identifier: Apache-2.0
"""The stream of changes: in order, each once, without gaps, resumed by position, whoever is cut, slow or killed.

The truth is the audit log: the positions of all changes to an environment. What a reader got between two places where it began anew
(its first connection, or being told to fetch again) must be exactly the positions between them.
"""
import json
import random
import re
import threading
import time
from bisect import bisect_right

import pytest

from harness.ledger import place
from harness.scale import SCALE, make_random
from harness.server import FIRST_KEY, Server
from harness.wire import Cut, Wire
from harness.world import World

ENVIRONMENTS = ("production", "staging")
WRITERS = 8
RING = 256
KILLS = 5
STEADY, CUTTING, SLOW, STALLED = "steady", "cutting", "slow", "stalled"
HABITS = [STEADY, CUTTING, CUTTING, SLOW, STALLED]
AGENT = re.compile(rb'\{"agent":"([^"]+)","entry"')


class Stage:
    """The server that may be killed, and what is over."""

    def __init__(self, server):
        self.server, self.address = server, server.address
        self.up, self.written = threading.Event(), threading.Event()
        self.up.set()
        self.changes = self.kills = 0

    def kill(self):
        self.up.clear()
        self.server.kill()
        self.server.start()
        self.address = self.server.address
        self.kills += 1
        self.up.set()

    def connect(self):
        assert self.up.wait(60), "the server does not come back"
        return Wire(self.address, FIRST_KEY)


class Reader(threading.Thread):
    def __init__(self, stage, environment, habit, rng):
        super().__init__(daemon=True)
        self.stage, self.environment, self.habit, self.rng = stage, environment, habit, rng
        self.segments, self.last, self.newest = [], None, {}
        self.end, self.failure = None, None
        self.events = self.cuts = self.resumed = self.refetched_at_start = self.overflowed = 0

    def run(self):
        try:
            while not self.done():
                try:
                    self.follow()
                except Cut:
                    self.cuts += 1
        except Exception as why:
            self.failure = why

    def done(self):
        return self.end is not None and self.last is not None and self.last >= self.end

    def follow(self):
        wire = self.stage.connect()
        try:
            headers = (("Last-Event-ID", "%d.%d" % self.last),) if self.last else ()
            wire.socket.settimeout(1)
            wire.write("GET", f"/v1/stream?environment={self.environment}", headers=headers)
            status, _ = wire.head()
            assert status == 200, status
            self.read(wire)
        finally:
            wire.close()

    def read(self, wire):
        text, count = b"", 0
        while not self.done():
            text += self.chunk(wire)
            *frames, text = text.split(b"\n\n")
            for frame in frames:
                self.take(frame, count)
                count += 1
                self.behave(count)

    @staticmethod
    def chunk(wire):
        """The content of the next chunk of the body."""
        while (end := wire.buffer.find(b"\r\n")) < 0:
            wire.fill()
        length = int(wire.buffer[:end], 16)
        if not length:
            raise Cut("the stream ended")
        while len(wire.buffer) < end + 4 + length:
            wire.fill()
        content, wire.buffer = wire.buffer[end + 2:end + 2 + length], wire.buffer[end + 4 + length:]
        return content

    def behave(self, count):
        if self.habit == CUTTING and self.rng.random() < 0.005:
            raise Cut("by choice")
        if self.habit == SLOW and self.rng.random() < 0.002:
            time.sleep(self.rng.random())
        if self.habit == STALLED and count == 100 and self.stage.kills == KILLS:
            self.stage.written.wait(600)

    def take(self, frame, count):
        if frame.startswith(b":"):
            return
        lines = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
        position, name = place(lines[b"id"].decode()), lines[b"event"]
        if name == b"ready":
            assert count == 0 and (self.last is None or position == self.last), f"{position} for {self.last}"
            self.resumed += self.last is not None
            if self.last is None:
                self.segments.append((position, []))
        elif name == b"refetch":
            self.refetched_at_start += count == 1
            self.overflowed += count > 1
            self.segments.append((position, []))
            self.newest.clear()
        else:
            assert name == b"change", frame
            self.segments[-1][1].append(position)
            self.events += 1
            for agent in AGENT.findall(lines[b"data"]):
                self.newest[agent.decode()] = lines[b"data"]
        self.last = position

    def check(self, truth):
        """`truth`: all positions of the environment's changes, in order."""
        for number, (start, got) in enumerate(self.segments):
            assert number == 0 or start >= (self.segments[number - 1][1] or [self.segments[number - 1][0]])[-1], "told to fetch the past"
            wanted = truth[bisect_right(truth, start):bisect_right(truth, got[-1] if got else start)]
            if got != wanted:
                at = next((i for i, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]), min(len(got), len(wanted)))
                raise AssertionError(f"{self.habit} reader, segment {number} from {start}, event {at}: got {got[at:at + 5]}, wanted {wanted[at:at + 5]}")


class Writer(threading.Thread):
    """Changes its agent until all have made enough changes."""

    def __init__(self, stage, agent, rng, wanted):
        super().__init__(daemon=True)
        self.stage, self.agent, self.rng, self.wanted = stage, agent, rng, wanted
        self.failure, self.step = None, 0

    def run(self):
        try:
            while self.stage.changes < self.wanted:
                try:
                    self.write()
                except Cut:
                    pass
        except Exception as why:
            self.failure = why

    def write(self):
        wire = self.stage.connect()
        while self.stage.changes < self.wanted:
            self.step += 1
            at = {"agent": self.agent, "environment": self.rng.choice(ENVIRONMENTS), "reason": "next"}
            version, chance = 1 + self.step % 3, self.rng.random()
            if chance < 0.7:
                reply = wire.call("deploy", **at, version=version)
            elif chance < 0.8:
                reply = wire.call("override_put", **at, override="staff", version=version, keys=[str(self.step)])
            else:
                reply = wire.call("hold_set" if chance < 0.9 else "hold_release", **at)
            assert reply.status in (200, 201), reply
            self.stage.changes += reply.json["changed"]


def read_truth(stage):
    """Environment -> positions of its changes, from the audit log."""
    wire, after, truth = stage.connect(), 0, {environment: [] for environment in ENVIRONMENTS}
    while True:
        page = wire.call("audit_list", after=after, limit=1000).json
        for entry in page["entries"]:
            if entry["environment"] in truth:
                truth[entry["environment"]].append(place(entry["position"]))
        if "next" not in page:
            wire.close()
            return truth
        after = page["next"]


def check_newest(reader, admin):
    """The newest event of an agent tells what is served."""
    for agent, data in reader.newest.items():
        change = next(change for change in json.loads(data)["changes"] if change["agent"] == agent)
        served = admin.op("resolve", agent=agent, environment=reader.environment)
        assert change["entry"]["version"] == served["version"], (agent, change, served)


@pytest.mark.timeout(3600)
def test_every_reader_gets_every_change_once_in_order(tmp_path):
    rng = make_random()
    # The reader that stalls must be told that it missed too much, not be cut for reading nothing, however long the writers take.
    server = Server(tmp_path, "--stream-ring", str(RING), "--request-timeout-s", "3600").start()
    world, stage = World(server).make_environments(), Stage(server)
    agents = [world.agent(3) for _ in range(WRITERS)]
    for agent in agents:
        for environment in ENVIRONMENTS:
            world.deploy(agent, 1, environment)
    readers = [Reader(stage, environment, habit, random.Random(rng.random())) for environment in ENVIRONMENTS for habit in HABITS]
    writers = [Writer(stage, agent, random.Random(rng.random()), SCALE.operations) for agent in agents]
    began = time.monotonic()
    for thread in readers + writers:
        thread.start()
    # In the second half a reader that stalls misses more than the ring and the sockets between hold.
    for kill in range(KILLS):
        while stage.changes < SCALE.operations * (kill + 1) // (2 * KILLS) and any(writer.is_alive() for writer in writers):
            time.sleep(0.01)
        stage.kill()
    for writer in writers:
        writer.join(1800)
    seconds = time.monotonic() - began
    truth = read_truth(stage)
    for reader in readers:
        reader.end = truth[reader.environment][-1]
    stage.written.set()
    for reader in readers:
        reader.join(120)
    for thread in writers + readers:
        if thread.failure:
            raise thread.failure
        assert not thread.is_alive(), "a reader or writer hangs"
    for reader in readers:
        reader.check(truth[reader.environment])
        check_newest(reader, server.admin)
    total = {name: sum(getattr(reader, name) for reader in readers) for name in ("events", "cuts", "resumed", "refetched_at_start", "overflowed")}
    print(f"{sum(map(len, truth.values()))} changes in {seconds:.1f} s to {len(readers)} readers, {KILLS} kills: {total}; 0 out of order, 0 twice, 0 missing")
    assert total["overflowed"] and total["refetched_at_start"] and total["resumed"] > total["refetched_at_start"]
    server.stop()
