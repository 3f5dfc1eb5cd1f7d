#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks spec/vectors/rollouts.json against spec/resolving.md, with code of its own.

Each case is an entry as GET /v1/snapshot has it, with questions and what the decision for each must say. The C test and the
SDKs' tests read the same file; this program shares no code with them.

usage: check_rollouts.py FOLDER              check the file
       check_rollouts.py FOLDER --self-test  spoil each answer in turn; every spoilt one must be caught
"""

import copy
import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# ---- hashes ------------------------------------------------------------------------------------


def murmur3(data, seed):
    """MurmurHash3 x86 32-bit, straight from its definition."""
    mask, value = 0xFFFFFFFF, seed
    whole = len(data) // 4 * 4

    def scramble(block):
        block = block * 0xCC9E2D51 & mask
        return ((block << 15 | block >> 17) & mask) * 0x1B873593 & mask

    for i in range(0, whole, 4):
        value ^= scramble(int.from_bytes(data[i : i + 4], "little"))
        value = (value << 13 | value >> 19) & mask
        value = (value * 5 + 0xE6546B64) & mask
    value ^= scramble(int.from_bytes(data[whole:], "little")) if whole < len(data) else 0
    value ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = (value ^ value >> shift) * factor & mask
    return value ^ value >> 16


def text_of(salt, key):
    return f"{salt}/{key}".encode()


def bucket_of(salt, key):
    return murmur3(text_of(salt, key), 0) * 100000 >> 32


def unit_of(salt, key):
    return "".join(f"{murmur3(text_of(salt, key), seed):08x}" for seed in (0, 1, 2))


# ---- audiences: as much of JsonLogic as the cases use ------------------------------------------


def attribute(context, path):
    value = context
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return None if isinstance(value, (dict, list)) else value


def number(value):
    if value is None or isinstance(value, bool):
        return float(value or 0)
    if isinstance(value, (int, float)):
        return float(value)
    try:
        return float(value) if value.strip() else 0.0
    except ValueError:
        return float("nan")


def loosely_equal(a, b):
    if type(a) is type(b) or (not isinstance(a, (str, bool, type(None))) and not isinstance(b, (str, bool, type(None)))):
        return a == b
    if a is None or b is None:
        return False
    return number(a) == number(b)


def evaluate(rule, context):
    if not isinstance(rule, dict):
        return rule
    ((name, arguments),) = rule.items()
    if not isinstance(arguments, list):
        arguments = [arguments]
    if name == "and":
        value = True
        for argument in arguments:
            value = evaluate(argument, context)
            if not value:
                return value
        return value
    if name == "or":
        value = False
        for argument in arguments:
            value = evaluate(argument, context)
            if value:
                return value
        return value
    values = [evaluate(argument, context) for argument in arguments]
    if name == "var":
        found = attribute(context, values[0])
        return values[1] if found is None and len(values) > 1 else found
    if name == "in":
        return values[0] in values[1]
    if name == "==":
        return loosely_equal(*values)
    if name == "!":
        return not values[0]
    if name == ">=":
        return number(values[0]) >= number(values[1])
    if name == "ends_with":
        return isinstance(values[0], str) and values[0].endswith(values[1])
    raise ValueError(f"the check does not know {name}")


def is_of(rule, context):
    """Whether a context belongs to the audience of a rollout or an era."""
    return "audience" not in rule or bool(evaluate(rule["audience"], context))


# ---- resolving ---------------------------------------------------------------------------------


def started_at(context):
    session = context.get("session")
    text = session.get("started_at") if isinstance(session, dict) else None
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", text):
        return None
    delta = datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH
    return (delta.days * 86400 + delta.seconds) * 1000000 + delta.microseconds


def on_candidate(rule, context):
    """rule: a rollout, or an era that had one."""
    key = context.get("targetingKey")
    return bool(key) and is_of(rule, context) and bucket_of(rule["salt"], key) < rule["share"]


def pinned(entry, context):
    """(version, arm) that the session holds, or None."""
    sessions, began = entry["sessions"], started_at(context)
    if began is None or sessions["policy"] != "pin":
        return None
    era = next((era for era in sessions["eras"] if era["from"] <= began), None)
    if era is None:
        return None
    candidate = "candidate" in era and on_candidate(era, context)
    version = era["candidate" if candidate else "version"]
    if version in era.get("released", []):
        return None
    return version, "candidate" if candidate else "stable"


def without_session(entry, context):
    """version, arm, and whether the open rollout counts the decision."""
    rollout, key = entry.get("rollout"), context.get("targetingKey")
    if not rollout or not key or not is_of(rollout, context):
        return entry["version"], "stable", False
    if on_candidate(rollout, context):
        return rollout["candidate"], "candidate", True
    return entry["version"], "stable", True


def override_for(overrides, context):
    """Who is named comes before any rule."""
    key = context.get("targetingKey")
    named = (o for o in overrides if key and key in o.get("keys", []))
    ruled = (o for o in overrides if "audience" in o and is_of(o, context))
    return next(named, None) or next(ruled, None)


def resolve(entry, context):
    key, rollout = context.get("targetingKey"), entry.get("rollout")
    salt = rollout["salt"] if rollout else f"{entry['agent']}/{entry['environment']}"
    answer = {"arm": "stable"}
    panic = entry.get("panic")
    named = override_for(entry["overrides"], context)
    counted = False
    if panic:
        answer |= {"version": panic.get("version", 0), "reason": "PANIC"}
        if panic.get("disabled"):
            answer["disabled"] = True
    elif named:
        answer |= {"version": named["version"], "reason": "OVERRIDE", "override": named["name"]}
        if rollout and named["version"] == rollout["candidate"]:
            answer["arm"] = "candidate"
    else:
        version, arm, counted = without_session(entry, context)
        answer |= {"version": version, "arm": arm, "reason": "ROLLOUT" if rollout else "DEPLOYED"}
        held = pinned(entry, context)
        if held:
            counted = counted and held == (version, arm)
            answer |= {"version": held[0], "arm": held[1], "reason": "SESSION"}
    if counted:
        answer |= {"rollout": rollout["id"], "bucket": bucket_of(salt, key)}
    if key:
        answer["unit"] = unit_of(salt, key)
    return answer


# ---- the file ----------------------------------------------------------------------------------


def faults_of(document):
    for case in document["cases"]:
        for ask in case["asks"]:
            got = resolve(case["entry"], ask["context"])
            if got != ask["decision"]:
                yield f"{case['name']}: {ask['context']}: {ask['decision']}, and the rules say {got}"


def spoil(decision, key):
    value = decision[key]
    decision[key] = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else value + "x"


def self_test(document):
    missed = total = 0
    for case in document["cases"]:
        for ask in case["asks"]:
            for key in ask["decision"]:
                spoilt = copy.deepcopy(ask)
                spoil(spoilt["decision"], key)
                total += 1
                missed += len(list(faults_of({"cases": [{**case, "asks": [spoilt]}]}))) != 1
    print(f"{total} spoilt answers, {missed} missed")
    return 1 if missed else 0


def main(arguments):
    document = json.loads(Path(arguments[0], "rollouts.json").read_text(encoding="utf-8"))
    if arguments[1:] == ["--self-test"]:
        return self_test(document)
    faults = list(faults_of(document))
    for fault in faults:
        print(fault)
    print(f"{sum(len(case['asks']) for case in document['cases'])} questions, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
