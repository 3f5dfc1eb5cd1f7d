# SPDX-License-Identifier: Apache-2.0
"""The audit chain, checked by an independent program from the written rule (spec/audit.md)."""
import copy

import pytest
from cryptography.exceptions import InvalidSignature

from harness import table
from harness.audit import ZERO, all_entries, faults_of, hash_of, verify
from harness.world import operations

@pytest.fixture(scope="module")
def entries(world):
    for name in operations("CHANGE"):
        world.admin.op(name, **world.recipe(name))
    return all_entries(world.admin)


def test_the_example_of_the_specification():
    entry = {"actor": "system", "actor_name": "system", "agent": "", "at": "2026-11-23T14:05:00.000000Z",
             "detail": {"name": "production"}, "environment": "production", "operation": "environment_put",
             "position": "1.1", "previous": ZERO, "reason": "first start"}
    assert hash_of(entry) == "sha256:87959907ed20247591312504ab3b6b939794b6ed57c314aacad9205a2480cc0a"


def test_the_chain_holds(entries):
    assert not list(faults_of(entries))
    assert {entry["operation"] for entry in entries} >= set(operations("CHANGE"))
    assert len(entries) > 40


def test_every_entry_says_what_was_changed(entries):
    known = set(table.operations())
    for entry in entries:
        if entry["actor"] != "system":
            assert entry["operation"] in known and entry["detail"], entry


@pytest.mark.parametrize("harm", ["alter", "remove", "swap", "insert", "cut"])
def test_harm_is_found(admin, entries, harm):
    """The check itself: each kind of harm shows."""
    harmed = copy.deepcopy(entries)
    checkpoint = admin.op("audit_checkpoint")
    if harm == "alter":
        harmed[7]["reason"] += "."
    elif harm == "remove":
        del harmed[7]
    elif harm == "swap":
        harmed[7], harmed[8] = harmed[8], harmed[7]
    elif harm == "insert":
        harmed.insert(7, copy.deepcopy(harmed[7]))
    else:
        del harmed[-1]
    found = list(faults_of(harmed)) or harmed[-1]["hash"] != checkpoint["hash"]
    assert found


def test_the_checkpoint_signs_the_newest_entry(admin, world):
    world.deploy(world.agent(1), 1)
    checkpoint, newest = admin.op("audit_checkpoint"), all_entries(admin)[-1]
    assert (checkpoint["position"], checkpoint["hash"]) == (newest["position"], newest["hash"])
    verify(checkpoint, checkpoint["public_key"])
    for member, value in [("position", "1.1"), ("hash", ZERO), ("at", "2020-01-01T00:00:00.000000Z")]:
        with pytest.raises(InvalidSignature):
            verify({**checkpoint, member: value}, checkpoint["public_key"])


def test_the_signing_key_stays(make_server):
    server = make_server()
    first = server.admin.op("audit_checkpoint")
    server.admin.op("environment_put", environment="staging")
    server.restart()
    second = server.admin.op("audit_checkpoint")
    assert first["public_key"] == second["public_key"]
    verify(second, first["public_key"])
    assert first["hash"] in [entry["hash"] for entry in all_entries(server.admin)]


def test_order_is_kept(entries):
    times = [entry["at"] for entry in entries]
    assert times == sorted(times) and len(set(times)) == len(times)
