# SPDX-License-Identifier: Apache-2.0
"""A rollout with users whose outcomes come in, without anybody who watches it."""
import datetime
import time

from harness.world import config, unique

HERE = "staging"
MOST_SECONDS = 30


def now():
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")


class Traffic:
    """Users of a rollout, whose outcomes are sent in batches. A unit's first eight digits are the bucket's hash: the arm is known without asking."""

    def __init__(self, world, agent, rng, **plan):
        self.world, self.admin, self.agent, self.rng = world, world.admin, agent, rng
        self.instance, self.batch, self.candidates = unique("sender"), 0, 0
        steps = plan.pop("steps", [{"share": 20, "min_time": "1s"}, {"share": 50, "min_time": "1s"}])
        analysis = plan.pop("analysis", {"settle": "0s", "metrics": [{"name": "error"}]})
        self.rollout = self.admin.op("rollout_start", agent=agent, environment=HERE, version=2, reason="try", steps=steps, analysis=analysis,
                                     **plan)["rollout"]

    def state(self):
        return self.admin.op("rollout_get", agent=self.agent, rollout=self.rollout["id"])

    def moment(self):
        """A time in which one share was in force, and that share: what a decision has of itself."""
        while True:
            share, at = self.state()["rollout"]["share"], now()
            if self.state()["rollout"]["share"] == share:
                return share, at

    def send(self, rates, count=500):
        """Outcomes of `count` users, with these rates of failure of stable and candidate."""
        items = []
        share, at = self.moment()
        for _ in range(count):
            unit = f"{self.rng.getrandbits(96):024x}"
            candidate = (int(unit[:8], 16) * 100_000 >> 32) < share * 1000
            items.append({"agent": self.agent, "environment": HERE, "version": 2 if candidate else 1, "rollout": self.rollout["id"], "unit": unit,
                          "at": at, "ok": self.rng.random() >= rates[candidate]})
        self.batch += 1
        self.candidates += sum(item["version"] == 2 for item in items)
        return self.admin.op("outcomes", instance=self.instance, batch=self.batch, items=items)

    def until(self, states, rates, pause=0.1):
        """Goes on until the rollout is in one of the states; answers what it then is."""
        deadline = time.monotonic() + MOST_SECONDS
        while (seen := self.state())["rollout"]["state"] not in states:
            assert time.monotonic() < deadline, seen
            self.send(rates)
            time.sleep(pause)
        return seen


def fresh(world):
    name = world.served(1, environment=HERE)
    world.admin.op("version_push", agent=name, config=config(f"{name} two"))
    return name
