# SPDX-License-Identifier: Apache-2.0
"""Everything at once, for an hour in the long form: every answer is right, and memory stays flat."""
import json
import statistics
import threading
import time
from collections import Counter

import pytest

from harness.client import Events
from harness.load import Crowd, Memory, Pump, raise_open_files, request_bytes
from harness.scale import LONG_RUN, SCALE, make_random
from harness.world import ENVIRONMENT, World, config

AGENTS = 50
GROWTH = 0.03  # of memory, from the second fifth of the run to the last: noise of the allocator


class Traffic:
    """Threads that each do one kind of thing until told to stop; what goes wrong in one is raised at the end."""

    def __init__(self, world, rng):
        self.world, self.server, self.rng = world, world.server, rng
        self.agents = [world.served(1) for _ in range(AGENTS)]
        self.done, self.failures, self.threads = Counter(), [], []

    def add(self, act, every):
        client, rng, stopped = self.server.another(), type(self.rng)(self.rng.random()), threading.Event()

        def run():
            while not stopped.wait(rng.expovariate(1 / every)):
                try:
                    act(client, rng)
                    self.done[act.__name__] += 1
                except Exception as failure:  # shown at the end, with what it did
                    self.failures.append((act.__name__, repr(failure)))
                    return
            client.close()

        self.threads.append((threading.Thread(target=run), stopped))
        self.threads[-1][0].start()

    def stop(self):
        """In the order in which they were added: who waits for changes ends before those who make them."""
        for thread, stopped in self.threads:
            stopped.set()
            thread.join()
        assert not self.failures, self.failures

    def push(self, client, rng):
        client.op("version_push", agent=rng.choice(self.agents), config=config(f"{rng.random()} " + "x" * rng.randrange(4000)))

    def deploy(self, client, rng):
        client.op("deploy", agent=rng.choice(self.agents), environment=ENVIRONMENT, version="latest", reason="newest")

    def roll_back(self, client, rng):
        answer = client.call("rollback", agent=rng.choice(self.agents), environment=ENVIRONMENT, reason="worse")
        assert answer.status in (201, 409), answer

    def ask_the_past(self, client, rng):
        agent = rng.choice(self.agents)
        moves = client.op("deployment_list", agent=agent, environment=ENVIRONMENT, limit=50)["deployments"]
        move = rng.choice(moves)
        assert client.op("resolve", agent=agent, environment=ENVIRONMENT, at=move["at"], context={"targetingKey": "ann"})["version"] == move["version"]

    def read_everything(self, client, rng):
        etag = client.call("snapshot", environment=ENVIRONMENT).headers["ETag"]
        assert client.call("snapshot", environment=ENVIRONMENT, headers={"If-None-Match": etag}).status in (200, 304)
        client.op("agent_list", limit=1000)
        client.op("audit_list", after=max(0, int(client.head()[0].split(".")[1]) - 100), limit=100)

    def follow(self, client, rng):
        with Events(client, environment=ENVIRONMENT) as events:
            events.take(rng.randrange(1, 5))

    def change_keys(self, client, rng):
        made = client.op("key_create", name="short-lived", role="resolve", environment=ENVIRONMENT)
        other = self.server.another(made["key"])
        assert other.call("whoami").status == 200
        client.op("key_revoke", key=made["id"])
        assert other.call("whoami").status == 401
        other.close()

    def send_nonsense(self, client, rng):
        wrong = [b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", bytes(rng.randrange(256) for _ in range(300)) + b"\r\n\r\n",
                 request_bytes("POST", "/v1/resolve", "wrong", b"{"), request_bytes("GET", "/v1/" + "a" * 7000, client.key)]
        crowd = Crowd(self.server, 4, [rng.choice(wrong)])
        time.sleep(0.2)
        crowd.end()


def assert_flat(samples):
    fifth = len(samples) // 5
    early, late = statistics.median(samples[fifth:2 * fifth]), statistics.median(samples[-fifth:])
    print(f"memory: {early / 1e6:.1f} MB in the second fifth, {late / 1e6:.1f} MB in the last, {max(samples) / 1e6:.1f} MB at most")
    # In the short form caches and rings are still filling; it only finds what leaks a lot.
    assert late <= early * (1 + GROWTH if LONG_RUN else 2), samples[::max(1, len(samples) // 50)]


@pytest.mark.timeout(SCALE.mixed_seconds + 180)
def test_everything_at_once(make_server):
    raise_open_files()
    server = make_server("--stream-ring", "256", "--requests-per-key", "0")
    world, seconds = World(server).make_environments(), SCALE.mixed_seconds
    traffic = Traffic(world, make_random())
    key = server.client("resolve", ENVIRONMENT).key
    question = json.dumps({"agent": traffic.agents[0], "context": {"targetingKey": "bob", "plan": "pro"}}).encode()
    pumps = [Pump(server, request_bytes("GET", f"/v1/resolve/{traffic.agents[1]}?key=ann", key), 16, seconds, 1000),
             Pump(server, request_bytes("POST", "/v1/resolve", key, question), 16, seconds, 500)]
    memory = Memory(server)
    for act, every in ((traffic.follow, 0.2), (traffic.push, 0.05), (traffic.deploy, 0.05), (traffic.roll_back, 0.1), (traffic.ask_the_past, 0.05), (traffic.read_everything, 0.5),
                       (traffic.change_keys, 2), (traffic.send_nonsense, 1)):
        traffic.add(act, every)
    results = [pump.result() for pump in pumps]
    samples = memory.stop()
    traffic.stop()
    print(f"{seconds} s: {dict(traffic.done)}")
    for result in results:
        print(f"resolve: p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms, max {result['max_ms']} ms, {result['statuses']}")
        assert set(result["statuses"]) == {"200"} and result["cut"] == 0, result
    assert_flat(samples)
