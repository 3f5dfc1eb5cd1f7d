# SPDX-License-Identifier: Apache-2.0
"""Deploys, rollbacks and reads of many clients, through kills and cut connections, as if one came after the other.

What each client asked and was told is recorded; each ref is then a register of its own (harness/linear.py). Reads come both from memory
(resolve) and from the store (agent_get), and must agree on one order.
"""
import random
import threading
import time

import pytest

from harness.linear import FOREVER, Operation, check
from harness.proxy import Proxy
from harness.scale import SCALE, make_random
from harness.server import FIRST_KEY, Server
from harness.wire import Cut, Wire
from harness.world import World

CLIENTS = 10
AGENTS = 4
ENVIRONMENTS = ("production", "staging")
VERSIONS = 12
KILLS = 10 + SCALE.operations // 10_000


class Recorder:
    """A store, the address under which clients find its server, and all that they were told."""

    def __init__(self, folder, rng):
        self.rng = rng
        self.server = Server(folder).start()
        world = World(self.server).make_environments()
        self.agents = [world.agent(VERSIONS) for _ in range(AGENTS)]
        self.refs = {(agent, environment): [] for agent in self.agents for environment in ENVIRONMENTS}
        for agent, environment in self.refs:
            world.deploy(agent, 1, environment)
        self.address, self.life = self.server.address, 0
        self.up, self.lock = threading.Event(), threading.Lock()
        self.positions, self.count, self.cuts = [], 0, 0
        self.up.set()

    def kill(self):
        """Whatever was under way in the old server happened before the new one answers, or never."""
        self.up.clear()
        self.server.kill()
        self.server.start()
        self.address, self.life = self.server.address, self.life + 1
        self.up.set()

    def run(self, operations, kills=0, **habits):
        clients = [Client(self, number, random.Random(self.rng.random()), operations // CLIENTS, **habits) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for turn in range(kills):
            while self.count < operations * (turn + 1) // (kills + 1) and any(client.is_alive() for client in clients):
                time.sleep(0.005)
            self.kill()
        for client in clients:
            client.join(600)
            assert not client.is_alive(), "a client hangs"
            if client.failure:
                raise client.failure

    def check(self):
        """The first violation of any ref, or None."""
        for ref, history in self.refs.items():
            violation = check(history, 1)
            if violation:
                return f"{ref}: {violation}"
        return None

    def check_positions(self):
        """Whoever asks after an answer was there is answered from its position or a later one, on any connection."""
        newest, answers = (0, 0), sorted((end, position) for _, end, position in self.positions)
        at = 0
        for call, end, position in sorted(self.positions):
            while at < len(answers) and answers[at][0] < call:
                newest = max(newest, answers[at][1])
                at += 1
            if position < newest:
                return f"called at {call}, answered at {end} from {position} after {newest} had been told"
        return None

    def figures(self):
        operations = [operation for history in self.refs.values() for operation in history]
        unknown = sum(not operation.known for operation in operations)
        return f"{len(operations)} operations on {len(self.refs)} refs, {unknown} of unknown outcome, {self.life} kills, {self.cuts} cut connections"


class Client(threading.Thread):
    def __init__(self, recorder, number, rng, steps, cuts=0.004, address=None):
        super().__init__(daemon=True)
        self.recorder, self.number, self.rng, self.steps, self.cuts, self.address = recorder, number, rng, steps, cuts, address
        self.wire, self.failure, self.asked = None, None, 0
        self.known = {ref: 1 for ref in recorder.refs}

    def run(self):
        try:
            for _ in range(self.steps):
                self.step()
                self.recorder.count += 1
        except Exception as why:
            self.failure = why
        finally:
            if self.wire:
                self.wire.close()

    def step(self):
        agent, environment = ref = self.rng.choice(list(self.recorder.refs))
        chance = self.rng.random()
        if chance < 0.35:
            self.read("resolve_get", ref, agent=agent, environment=environment)
        elif chance < 0.55:
            self.read("agent_get", ref, agent=agent)
        else:
            at = {"agent": agent, "environment": environment, "reason": "next"}
            version = self.rng.randrange(1, VERSIONS + 1)
            if chance < 0.75:
                self.change("deploy", ref, version, **at, version=version, expected=self.known[ref])
            elif chance < 0.9:
                self.change("deploy", ref, version, **at, version=version)
            elif chance < 0.95:
                self.change("rollback", ref, version, **at, version=version)
            else:
                self.change("rollback", ref, None, **at)

    def call(self, op, params, headers=()):
        """The reply; None when the connection ended before it came."""
        try:
            if not self.wire:
                assert self.recorder.up.wait(60), "the server does not come back"
                self.wire = Wire(self.address or self.recorder.address, FIRST_KEY)
            if self.rng.random() < self.cuts:
                self.recorder.cuts += 1
                threading.Timer(self.rng.random() * 0.003, self.wire.cut).start()
            return self.wire.call(op, headers=headers, **params)
        except Cut:
            if self.wire:
                self.wire.close()
            self.wire = None
            return None

    def note(self, ref, operation):
        self.recorder.refs[ref].append(operation)

    def note_position(self, call, end, reply):
        position = reply.position
        assert position or reply.status >= 400, reply
        if position:
            self.recorder.positions.append((call, end, position))

    def read(self, op, ref, **params):
        call = time.monotonic_ns()
        reply = self.call(op, params)
        end = time.monotonic_ns()
        if not reply:
            return
        assert reply.status == 200, reply
        self.note_position(call, end, reply)
        if op == "resolve_get":
            seen = {ref[1]: reply.json["version"]}
        else:
            seen = {served["environment"]: served["version"] for served in reply.json["environments"]}
        for environment, version in seen.items():
            self.known[ref[0], environment] = version
            self.note((ref[0], environment), Operation(call, end, version, None, True, f"client {self.number} {op}"))

    def change(self, op, ref, to, **params):
        """Asked again under the same Idempotency-Key when its outcome is unknown, most times; else it may have happened."""
        self.asked += 1
        key = (("Idempotency-Key", f"{self.number}-{self.asked}"),)
        call, reply, again = time.monotonic_ns(), None, True
        while not reply and again:
            life, again = self.recorder.life, to is None or self.rng.random() < 0.8
            reply = self.call(op, params, key)
        end = time.monotonic_ns()
        if not reply:
            # A server that is gone does nothing more.
            self.recorder.up.wait(60)
            over = time.monotonic_ns() if self.recorder.life > life else FOREVER
            self.note(ref, Operation(call, over, params.get("expected"), to, False, f"client {self.number} {op}"))
            return
        assert reply.status < 500, reply
        self.note_position(call, end, reply)
        told = reply.json
        what = f"client {self.number} {op} {to} expected {params.get('expected')}"
        if reply.status >= 400:
            if told["code"] == "stale":
                self.known[ref] = told["current"]
                self.note(ref, Operation(call, end, told["current"], None, True, what + ": stale"))
            return
        move = told["deployment"]
        self.known[ref] = move["version"]
        pre, post = (move["previous"], move["version"]) if told["changed"] else (move["version"], None)
        self.note(ref, Operation(call, end, pre, post, True, what))


@pytest.mark.timeout(3600)
def test_refs_are_linearizable_through_kills_and_cuts(tmp_path):
    recorder, began = Recorder(tmp_path, make_random()), time.monotonic()
    recorder.run(SCALE.operations, kills=KILLS)
    asked = time.monotonic() - began
    violation = recorder.check() or recorder.check_positions()
    print(f"{recorder.figures()}; asked in {asked:.1f} s, checked in {time.monotonic() - began - asked:.1f} s")
    assert not violation, violation
    recorder.server.stop()


def run_through(tmp_path, fault):
    """A history taken through a proxy that lies."""
    recorder = Recorder(tmp_path, make_random())
    proxy = Proxy(recorder.server.address, fault)
    recorder.run(2_000, cuts=0, address=proxy.address)
    proxy.close()
    recorder.server.stop()
    return recorder


def test_a_planted_stale_read_is_found(tmp_path):
    """Now and then a read gets the answer that somebody got before."""
    rng, kept = random.Random(1), {}

    def fault(method, target, pass_on):
        if method == "GET" and target in kept and rng.random() < 0.02:
            return kept.pop(target)
        answer = pass_on(target)
        if method == "GET" and rng.random() < 0.2:
            kept[target] = answer
        return answer

    recorder = run_through(tmp_path, fault)
    assert "no order explains" in str(recorder.check())


def test_a_planted_lost_update_is_found(tmp_path):
    """Now and then a deploy is answered as if it had been done."""
    rng = random.Random(2)

    def fault(method, target, pass_on):
        return pass_on(target + "?dry_run=true" if target.endswith("/deployments") and method == "POST" and rng.random() < 0.05 else target)

    recorder = run_through(tmp_path, fault)
    assert "no order explains" in str(recorder.check())
