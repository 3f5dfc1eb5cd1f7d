# SPDX-License-Identifier: Apache-2.0
"""The audit chain by the written rule (spec/audit.md), independent of Serin's code."""
import hashlib

from check_vectors import canonical
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ZERO = "sha256:" + "0" * 64


def hash_of(entry):
    covered = {name: value for name, value in entry.items() if name != "hash"}
    return "sha256:" + hashlib.sha256(canonical(covered).encode()).hexdigest()


def faults_of(entries):
    previous, last = ZERO, (0, 0)
    for number, entry in enumerate(entries):
        epoch, seq = map(int, entry["position"].split("."))
        if entry["hash"] != hash_of(entry):
            yield number, "hash"
        if entry["previous"] != previous:
            yield number, "previous"
        if epoch < last[0] or seq <= last[1]:
            yield number, "position"
        previous, last = entry["hash"], (epoch, seq)


def all_entries(admin):
    entries, after = [], 0
    while True:
        page = admin.op("audit_list", after=after, limit=1000)
        entries += page["entries"]
        if "next" not in page:
            return entries
        after = page["next"]


def verify(checkpoint, public_key):
    lines = ["serin audit checkpoint", checkpoint["position"], checkpoint["hash"], checkpoint["at"], ""]
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
        bytes.fromhex(checkpoint["signature"]), "\n".join(lines).encode())
