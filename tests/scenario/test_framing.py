# SPDX-License-Identifier: Apache-2.0
"""Requests that two readers can understand in two ways, to the real server: refused, and what stands behind them is not done."""
import json

from framing_probe import Probe

from harness.world import ENVIRONMENT


def hidden_change(admin):
    body = json.dumps({"description": "smuggled"}).encode()
    return (f"PUT /v1/environments/smuggled HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def test_nothing_is_done_behind_an_unclear_request(server, world, admin):
    agent = world.served(1)
    before = admin.head()
    probe = Probe(server.address, hidden_change(admin), b"smuggled")
    probe.unclear()
    assert not probe.faults, "\n".join(probe.faults)
    assert probe.count > 700
    assert admin.head() == before
    assert admin.call("environment_get", environment="smuggled").status == 404
    assert world.version_of(agent, environment=ENVIRONMENT) == 1
