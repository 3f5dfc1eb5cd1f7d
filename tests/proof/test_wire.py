# SPDX-License-Identifier: Apache-2.0
"""Sound requests with bytes changed, cut, doubled and mixed, on many connections at once: the server lives, its memory stays, others are
served meanwhile."""
import itertools
import json
import random
import re
import socket
import threading
import time

import pytest

from harness.scale import LONG_RUN, make_random
from harness.world import ENVIRONMENT, config, unique

REQUESTS = 100_000 if LONG_RUN else 6_000
CONNECTIONS = 8
WARM_UP = 0.4  # of all, before memory is looked at
MEMORY_MAX = 24 << 20  # more than after warming up: the versions that some mutants push are kept
OTHERS_SECONDS = 2.0
RESIDENT = re.compile(r"^serin_resident_bytes (\d+)", re.M)
ODD = [b"\0", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b",", b"%", b"%00", b"?", b"&", b"/", b"..", b"\xff", b"\xc3", b"{", b"[", b'"', b"\\", b"0",
       b"-1", b"99999999999999999999", b"chunked", b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n",
       b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"]


def request(admin, method, target, body=None, *lines):
    data = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {admin.key}", *lines]
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def chunked(admin, target, body):
    data = json.dumps(body).encode()
    pieces = [data[i:i + 50] for i in range(0, len(data), 50)] + [b""]
    head = request(admin, "POST", target, None, "Content-Type: application/json", "Transfer-Encoding: chunked")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def sound_requests(world):
    admin, agent = world.admin, world.served(1, 2)
    deployment = {"environment": ENVIRONMENT, "version": 1, "reason": "go"}
    return [
        request(admin, "GET", f"/v1/resolve/{agent}?environment={ENVIRONMENT}&key=ann&attr.plan=pro"),
        request(admin, "POST", "/v1/resolve", {"agent": agent, "environment": ENVIRONMENT, "context": {"targetingKey": "ann", "n": 1.5}}),
        request(admin, "POST", f"/v1/agents/{agent}/versions?dry_run=true", {"config": config(unique()), "change_description": "x"}),
        request(admin, "POST", f"/v1/agents/{agent}/versions", {"config": config(unique())}, "Idempotency-Key: a"),
        request(admin, "POST", f"/v1/agents/{agent}/deployments", deployment, "Serin-After: 1.1"),
        request(admin, "GET", "/v1/snapshot?environment=" + ENVIRONMENT, None, 'If-None-Match: "1.1"'),
        request(admin, "GET", "/v1/audit?after=1&limit=3"),
        request(admin, "PUT", f"/v1/agents/{agent}", {"description": "words"}, "Expect: 100-continue"),
        request(admin, "GET", "/v1/stream?environment=" + ENVIRONMENT, None, "Last-Event-ID: 1.1"),
        request(admin, "DELETE", f"/v1/hold?agent={agent}&environment={ENVIRONMENT}"),
        request(admin, "GET", "/metrics"), request(admin, "HEAD", "/openapi.json"), request(admin, "GET", "/"),
        chunked(admin, "/v1/resolve", {"agent": agent, "environment": ENVIRONMENT, "context": {"targetingKey": "x" * 120}}),
    ]


def mutate(rng, sound):
    data = bytearray(rng.choice(sound))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3, 8])):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            data[place:place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[place:place + rng.randrange(1, 20)]
        elif kind == 2:
            data[place:place] = rng.choice(ODD)
        elif kind == 3:
            data[place:place + 2] = rng.choice(ODD)
        elif kind == 4:
            data[place:place] = data[max(0, place - rng.randrange(1, 60)):place]
        elif kind == 5:
            data[place:] = rng.choice(sound)[place:]
        else:
            data[place:place] = rng.choice(ODD) * rng.randrange(1, 3000)
    return bytes(data)


class Hostile(threading.Thread):
    """Sends its share: some in one piece, some in several, some never read, some with the next one behind."""

    def __init__(self, address, rng, sound, count):
        super().__init__()
        host, port = address.rsplit(":", 1)
        self.address, self.rng, self.sound, self.count = (host, int(port)), rng, sound, count
        self.sent, self.statuses, self.fault = 0, set(), None

    def run(self):
        try:
            while self.sent < self.count:
                self.talk()
        except OSError as fault:
            self.fault = fault

    def talk(self):
        data = b"".join(mutate(self.rng, self.sound) for _ in range(self.rng.choice([1, 1, 1, 2, 5])))
        self.sent += 1
        with socket.create_connection(self.address, timeout=10) as peer:
            try:
                cuts = sorted(self.rng.randrange(len(data) + 1) for _ in range(self.rng.choice([0, 0, 1, 4])))
                for begin, end in itertools.pairwise([0, *cuts, len(data)]):
                    peer.sendall(data[begin:end])
                if self.rng.random() < 0.8:
                    peer.shutdown(socket.SHUT_WR)
                    self.read(peer)
            except OSError:
                pass  # it may hang up on such a client

    def read(self, peer):
        peer.settimeout(0.5)
        first = peer.recv(65536)
        self.statuses |= {int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", first, re.M)}
        if b"text/event-stream" not in first:
            while peer.recv(65536):
                pass


def resident(server):
    return int(RESIDENT.search(server.admin.send("GET", "/metrics").text)[1])


@pytest.mark.timeout(3600 if LONG_RUN else 120)
def test_mutated_requests_harm_nobody(own_world):
    world, server, rng = own_world, own_world.server, make_random()
    sound, agent = sound_requests(world), world.served(1)
    warm, slowest = None, 0.0
    for share in (WARM_UP, 1 - WARM_UP):
        peers = [Hostile(server.address, random.Random(rng.random()), sound, int(REQUESTS * share / CONNECTIONS)) for _ in range(CONNECTIONS)]
        for peer in peers:
            peer.start()
        while any(peer.is_alive() for peer in peers):
            started = time.monotonic()
            assert world.version_of(agent) == 1
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.01)
        assert server.running, server.process.log()
        assert not [peer.fault for peer in peers if peer.fault]
        seen = set().union(*(peer.statuses for peer in peers))
        warm = warm or resident(server)
    grown = resident(server) - warm
    print(f"{REQUESTS} connections; statuses {sorted(seen)}; memory {warm >> 10} KiB, then {grown >> 10:+} KiB; slowest answer to others {slowest:.3f} s")
    assert {200, 400, 404} <= seen and not [status for status in seen if status >= 500 and status not in (501, 503, 505)], seen
    assert grown < MEMORY_MAX and slowest < OTHERS_SECONDS
    world.deploy(world.agent(1), 1)
