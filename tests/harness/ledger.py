# SPDX-License-Identifier: Apache-2.0
"""What clients sent, what they were told, and whether a store's history agrees.

Each request carries a text of its own as Idempotency-Key and as reason, so that the audit log says which request an entry belongs
to. The history is read behind a cursor: each check costs what is new.
"""
import threading
import time
from bisect import bisect_right
from collections import Counter

from harness.audit import ZERO, hash_of
from harness.server import FIRST_KEY
from harness.wire import Cut, Refused, Wire

ACKNOWLEDGED, UNCHANGED, REFUSED, UNKNOWN = "acknowledged", "unchanged", "refused", "unknown"
ENVIRONMENTS = ("production", "staging")


def place(text):
    return tuple(map(int, text.split(".")))


class Request:
    def __init__(self, key, op, params):
        self.key, self.op, self.params = key, op, params
        self.sent = self.answered = self.position = self.answer = None
        self.outcome = UNKNOWN

    def send(self, wire, trouble=()):
        """Sends it, once more when its outcome is unknown. Leaves the outcome as it is when the connection ends. `trouble`: codes of the
        store by which it may be refused, too."""
        self.sent = self.sent or time.monotonic_ns()
        reply = wire.call(self.op, headers=(("Idempotency-Key", self.key),), **self.params)
        self.answered = time.monotonic_ns()
        self.answer = reply.json
        if reply.status < 300:
            self.outcome = ACKNOWLEDGED if self.answer.get("changed", self.answer.get("created", True)) else UNCHANGED
            self.position = place(self.answer["position"])
        else:
            code = self.answer["code"]
            assert reply.status < 500 or code == "unknown_outcome" or code in trouble, f"{self.op} {self.params}: {reply}"
            assert self.answer["remedy"] and (reply.status != 503 or b"retry-after" in reply.fields), reply
            self.outcome = UNKNOWN if code == "unknown_outcome" else REFUSED
        return reply


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.requests = {}
        self.counts = Counter()

    def add(self, request):
        with self.lock:
            self.requests[request.key] = request

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def of(self, outcome):
        with self.lock:
            return [request for request in self.requests.values() if request.outcome == outcome]

    def retry(self, address):
        """Sends what is unknown again, in any order, until each has an answer; Cut when the server ends meanwhile."""
        unknown = [request for request in self.of(UNKNOWN) if request.sent]
        if not unknown:
            return
        wire = Wire(address, FIRST_KEY)
        try:
            for request in unknown:
                self.counts["retried"] += 1
                reply = request.send(wire)
                assert request.outcome != UNKNOWN, reply
                self.counts["had been applied"] += b"idempotency-replayed" in reply.fields
        finally:
            wire.close()


class Writer(threading.Thread):
    """A client that changes things until it is told to stop or the connection ends."""

    def __init__(self, ledger, name, rng, agents, address, stop, trouble=()):
        super().__init__(daemon=True)
        self.ledger, self.name_, self.rng, self.agents, self.address, self.stop_ = ledger, name, rng, agents, address, stop
        self.trouble, self.failure = trouble, None

    def run(self):
        try:
            wire = Wire(self.address, FIRST_KEY)
            for step in range(1_000_000):
                if self.stop_.is_set():
                    break
                request = self.make(f"{self.name_}-{step}")
                self.ledger.add(request)
                reply = request.send(wire, self.trouble)
                if reply.status >= 500:
                    self.ledger.count(request.answer["code"])
                    self.stop_.wait(0.05)
            wire.close()
        except Refused:
            pass
        except Cut:
            pass
        except Exception as why:
            self.failure = why

    def make(self, key):
        rng, agent = self.rng, self.rng.choice(self.agents)
        at = {"agent": agent, "environment": rng.choice(ENVIRONMENTS), "reason": key}
        version = rng.randrange(1, 4)
        op = rng.choice(["version_push", "deploy", "deploy", "rollback", "release_create", "hold_set", "hold_release", "key_create", "agent_put"])
        if op == "version_push":
            return Request(key, op, {"agent": agent, "config": {"system_prompt": key, "model": "gpt-4o"}, "change_description": key})
        if op == "deploy":
            return Request(key, op, {**at, "version": version})
        if op == "release_create":
            moves = [{"agent": name, "version": rng.randrange(1, 4)} for name in rng.sample(self.agents, 2)]
            return Request(key, op, {"environment": at["environment"], "moves": moves, "reason": key})
        if op == "key_create":
            return Request(key, op, {"name": key, "role": "viewer", "reason": key})
        if op == "agent_put":
            return Request(key, op, {"agent": agent, "description": key, "reason": key})
        return Request(key, op, at)


class History:
    """What the audit log says, followed entry by entry: the chain, who asked for each, and the state that it adds up to."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.hash, self.position, self.at = ZERO, (0, 0), ""
        self.position_of, self.entries = {}, 0
        self.refs, self.latest, self.holds, self.keys = {}, {}, set(), set()
        self.moves = []

    def follow(self, admin):
        """Reads on and checks each entry; then that nothing acknowledged is missing."""
        while True:
            page = admin.op("audit_list", after=self.position[1], limit=1000)
            for entry in page["entries"]:
                self.take(entry)
            if "next" not in page:
                return

    def take(self, entry):
        position, key = place(entry["position"]), entry["reason"]
        request = self.ledger.requests.get(key)
        assert entry["previous"] == self.hash and entry["hash"] == hash_of(entry), f"the chain breaks: {entry}"
        assert position[1] == self.position[1] + 1 and position[0] >= self.position[0], f"a gap before {entry}"
        assert entry["at"] > self.at, f"time went back: {self.at} then {entry}"
        assert key not in self.position_of, f"applied twice, at {self.position_of[key]} and {position}: {entry}"
        if request:
            self.position_of[key] = position
        self.hash, self.position, self.at = entry["hash"], position, entry["at"]
        self.entries += 1
        self.apply(entry)
        if request:
            assert request.op == entry["operation"], f"{request.op} was sent: {entry}"
            assert request.outcome in (ACKNOWLEDGED, UNKNOWN), f"{request.outcome} but applied: {entry}"

    def apply(self, entry):
        op, detail, ref = entry["operation"], entry["detail"], (entry["agent"], entry["environment"])
        if op == "version_push":
            self.latest[entry["agent"]] = self.latest.get(entry["agent"], 0) + 1
            assert detail["version"] == self.latest[entry["agent"]], f"a version is missing before {entry}"
        if op in ("deploy", "rollback"):
            self.move(ref, detail, entry)
        if op == "rollback" or op == "hold_set":
            self.holds.add(ref)
        if op == "hold_release":
            self.holds.discard(ref)
        if op == "release_create":
            for move in detail["moves"]:
                self.move((move["agent"], entry["environment"]), move, entry)
        if op == "key_create":
            self.keys.add(entry["reason"])

    def move(self, ref, detail, entry):
        assert self.refs.get(ref, 0) == detail.get("previous", 0), f"{ref} stood at {self.refs.get(ref)}: {detail}"
        self.refs[ref] = detail["version"]
        self.moves.append((ref, entry["at"], entry["position"], detail["version"]))

    def served_at(self, position):
        """What each ref served there."""
        return {ref: version for ref, _, at, version in self.moves if place(at) <= position}

    def check_acknowledged(self):
        """Each acknowledged change is there under its position, and later ones were sent after."""
        done = self.ledger.of(ACKNOWLEDGED)
        for request in done:
            found = self.position_of.get(request.key)
            assert found == request.position, f"{request.op} {request.key} was acknowledged at {request.position}, found at {found}"
        by_answer = sorted((request.answered, request.position) for request in done)
        times, newest = [at for at, _ in by_answer], []
        for _, position in by_answer:
            newest.append(max(position, newest[-1]) if newest else position)
        for request in done:
            before = bisect_right(times, request.sent - 1)
            assert not before or newest[before - 1] < request.position, f"{request.key} at {request.position} was sent after {newest[before - 1]} was told"

    def check_served(self, admin):
        """Resolving and the store's own answers are what the history adds up to."""
        for (agent, environment), version in self.refs.items():
            assert admin.op("resolve", agent=agent, environment=environment)["version"] == version, (agent, environment)
        for agent in self.latest:
            told = admin.op("agent_get", agent=agent)
            assert told["latest"] == self.latest[agent]
            assert {ref["environment"]: ref["version"] for ref in told["environments"]} == \
                {environment: version for (name, environment), version in self.refs.items() if name == agent}
        held = {(hold["agent"], hold["environment"]) for hold in admin.op("hold_list")["holds"]}
        assert held == self.holds

    def check_lists(self, admin):
        """Versions without gaps, each pushed by its request; every key that was made."""
        for agent, latest in self.latest.items():
            numbers, before = [], {}
            while True:
                page = admin.op("version_list", agent=agent, limit=1000, **before)
                numbers += [version["version"] for version in page["versions"]]
                if "next" not in page:
                    break
                before = {"before": page["next"]}
            assert numbers == list(range(latest, 0, -1)), agent
        made = [key["name"] for key in admin.op("key_list")["keys"] if key["name"] in self.ledger.requests]
        assert sorted(made) == sorted(key for key in self.keys if key in self.ledger.requests)
