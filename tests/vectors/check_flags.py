#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks spec/vectors/flags.json against the rules of the targeting language, with code of its own.

`hashes` are texts with their MurmurHash3; `rules` have a context and what evaluating gives, with the flag's key and the time where $flagd is; `refused` have the places of their faults; `flags` are evaluated whole. The C
test and the SDKs' tests read the same file; this program shares no code with them. It knows as much of JsonLogic as the cases use, and all of flagd's operators.

usage: check_flags.py FOLDER              check the file
       check_flags.py FOLDER --self-test  spoil each answer in turn; every spoilt one must be caught
"""

import copy
import json
import re
import sys
from pathlib import Path

WEIGHT_MAX = 2**31 - 1
MASK = 2**32 - 1


def murmur3(data, value=0):
    """MurmurHash3 x86 32-bit, straight from its definition."""

    def scramble(block):
        block = block * 0xCC9E2D51 & MASK
        return ((block << 15 | block >> 17) & MASK) * 0x1B873593 & MASK

    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        value ^= scramble(int.from_bytes(data[i : i + 4], "little"))
        value = ((value << 13 | value >> 19) & MASK) * 5 + 0xE6546B64 & MASK
    value ^= scramble(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = (value ^ value >> shift) * factor & MASK
    return value ^ value >> 16


# ---- values ------------------------------------------------------------------------------------


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value):
    if value is None or isinstance(value, bool):
        return float(value or 0)
    if is_number(value):
        return float(value)
    try:
        return float(value) if value.strip() else 0.0
    except (AttributeError, ValueError):
        return float("nan")


def text(value):
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(int(value)) if value == int(value) else repr(float(value))


def same(a, b):
    return a == b and (isinstance(a, bool) == isinstance(b, bool)) and not isinstance(a, (list, dict))


def equal(a, b):
    if type(a) is type(b) or (is_number(a) and is_number(b)):
        return same(a, b)
    if a is None or b is None:
        return False
    return number(a) == number(b)


def less(a, b):
    return a < b if isinstance(a, str) and isinstance(b, str) else number(a) < number(b)


# ---- versions ----------------------------------------------------------------------------------

NUMBER = r"(0|[1-9][0-9]*)"
WORDS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
VERSION = re.compile(rf"[vV]?{NUMBER}(?:\.{NUMBER}(?:\.{NUMBER}(?:-({WORDS}))?(?:\+{WORDS})?)?)?")


def version(value):
    """(the three numbers, the words before the release) or None."""
    if not isinstance(value, str) and not is_number(value):
        return None
    match = VERSION.fullmatch(text(value))
    if not match:
        return None
    words = match[4].split(".") if match[4] else None
    if words and any(re.fullmatch("0[0-9]+", word) for word in words):
        return None
    return [int(part or 0) for part in match.groups()[:3]], words


def version_key(parsed):
    numbers, words = parsed
    if words is None:
        return numbers, 1, []
    return numbers, 0, [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in words]


COMPARE = {
    "=": lambda a, b: version_key(a) == version_key(b),
    "!=": lambda a, b: version_key(a) != version_key(b),
    "<": lambda a, b: version_key(a) < version_key(b),
    "<=": lambda a, b: version_key(a) <= version_key(b),
    ">": lambda a, b: version_key(a) > version_key(b),
    ">=": lambda a, b: version_key(a) >= version_key(b),
    "^": lambda a, b: a[0][0] == b[0][0],
    "~": lambda a, b: a[0][:2] == b[0][:2],
}

# ---- evaluating --------------------------------------------------------------------------------

MISSING = object()


def look(data, path):
    if path is None or path == "":
        return data
    for name in text(path).split("."):
        if isinstance(data, dict):
            data = data.get(name, MISSING)
        elif isinstance(data, list) and re.fullmatch("0|[1-9][0-9]*", name) and int(name) < len(data):
            data = data[int(name)]
        else:
            return MISSING
        if data is MISSING:
            return MISSING
    return data


def truth(value):
    return bool(value) if not isinstance(value, dict) else True


class Evaluation:
    def __init__(self, evaluators):
        self.evaluators = evaluators
        self.key_missing = False

    def of(self, rule, data):
        if isinstance(rule, list):
            return [self.of(item, data) for item in rule]
        if not isinstance(rule, dict):
            return rule
        ((name, arguments),) = rule.items()
        arguments = arguments if isinstance(arguments, list) else [arguments]
        lazy = getattr(self, "lazy_" + LAZY.get(name, ""), None)
        if lazy:
            return lazy(name, arguments, data)
        return PLAIN[name]([self.of(argument, data) for argument in arguments], data)

    def lazy_ref(self, name, arguments, data):
        return self.of(self.evaluators[arguments[0]], data)

    def lazy_if(self, name, arguments, data):
        for i in range(0, len(arguments) - 1, 2):
            if truth(self.of(arguments[i], data)):
                return self.of(arguments[i + 1], data)
        return self.of(arguments[-1], data) if len(arguments) % 2 else None

    def lazy_junction(self, name, arguments, data):
        for argument in arguments:
            value = self.of(argument, data)
            if truth(value) == (name == "or"):
                return value
        return value

    def lazy_loop(self, name, arguments, data):
        items = self.of(arguments[0], data)
        items = items if isinstance(items, list) else []
        if name == "map":
            return [self.of(arguments[1], item) for item in items]
        held = [truth(self.of(arguments[1], item)) for item in items]
        if name == "filter":
            return [item for item, is_held in zip(items, held) if is_held]
        return {"all": bool(items) and all(held), "none": not any(held), "some": any(held)}[name]

    def lazy_fractional(self, name, arguments, data):
        by = None
        if not isinstance(arguments[0], list):
            by = self.of(arguments[0], data)
            arguments = arguments[1:]
        if by is None:
            flag, key = look(data, "$flagd.flagKey"), look(data, "targetingKey")
            if not isinstance(key, str) or not key:
                self.key_missing = True
                return None
            by = (flag if isinstance(flag, str) else "") + key
        if not isinstance(by, str):
            return None
        weights = [self.of(entry[1], data) if len(entry) > 1 else 1 for entry in arguments]
        if any(not is_number(weight) or weight != int(weight) or weight > WEIGHT_MAX for weight in weights):
            return None
        weights = [max(0, int(weight)) for weight in weights]
        if not 0 < sum(weights) <= WEIGHT_MAX:
            return None
        bucket = murmur3(by.encode()) * sum(weights) >> 32
        for entry, weight in zip(arguments, weights):
            if bucket < weight:
                return self.of(entry[0], data)
            bucket -= weight
        raise AssertionError("past the last entry")


LAZY = {"if": "if", "and": "junction", "or": "junction", "$ref": "ref", "fractional": "fractional"} | dict.fromkeys(("map", "filter", "all", "none", "some"), "loop")


def plain_var(values, data):
    found = look(data, values[0] if values else None)
    return found if found is not MISSING else values[1] if len(values) > 1 else None


def plain_sem_ver(values, data):
    a, b = version(values[0]), version(values[2])
    return COMPARE[values[1]](a, b) if a and b else None


def plain_fits(values, fits):
    return fits(*values) if all(isinstance(value, str) for value in values) else None


PLAIN = {
    "var": plain_var,
    "!": lambda v, d: not truth(v[0]),
    "!!": lambda v, d: truth(v[0]),
    "==": lambda v, d: equal(*v),
    "!=": lambda v, d: not equal(*v),
    "===": lambda v, d: same(*v),
    "<": lambda v, d: less(v[0], v[1]) and (len(v) < 3 or less(v[1], v[2])),
    ">": lambda v, d: less(v[1], v[0]),
    "<=": lambda v, d: less(v[0], v[1]) or equal(v[0], v[1]),
    ">=": lambda v, d: less(v[1], v[0]) or equal(v[0], v[1]),
    "+": lambda v, d: sum(map(number, v)),
    "-": lambda v, d: number(v[0]) - number(v[1]),
    "*": lambda v, d: number(v[0]) * number(v[1]),
    "%": lambda v, d: number(v[0]) % number(v[1]),
    "in": lambda v, d: any(same(v[0], item) for item in v[1]) if isinstance(v[1], list) else isinstance(v[1], str) and v[0] in v[1],
    "cat": lambda v, d: "".join("" if value is None else text(value) for value in v),
    "merge": lambda v, d: sum((value if isinstance(value, list) else [value] for value in v), []),
    "missing": lambda v, d: [key for key in (v[0] if v and isinstance(v[0], list) else v) if look(d, key) in (MISSING, None, "")],
    "starts_with": lambda v, d: plain_fits(v, str.startswith),
    "ends_with": lambda v, d: plain_fits(v, str.endswith),
    "sem_ver": plain_sem_ver,
}

# ---- refusing ----------------------------------------------------------------------------------

COUNTS = {"var": (0, 2), "if": (0, None), "and": (1, None), "or": (1, None), "cat": (0, None), "merge": (0, None), "missing": (0, None), "+": (0, None), "*": (1, None), "-": (1, 2), "<": (2, 3),
          "<=": (2, 3), "!": (1, 1), "!!": (1, 1), "sem_ver": (3, 3), "fractional": (1, None), "$ref": (1, 1)}


def token(name):
    return "/" + name.replace("~", "~0").replace("/", "~1")


def places(rule, at, evaluators, open_refs=()):
    """Where the faults of a rule are; of one that is referred to, only where the $ref is."""
    if isinstance(rule, list):
        for i, item in enumerate(rule):
            yield from places(item, f"{at}/{i}", evaluators, open_refs)
    if not isinstance(rule, dict):
        return
    if len(rule) != 1:
        yield at
        return
    ((name, arguments),) = rule.items()
    at += token(name)
    listed = isinstance(arguments, list)
    values = arguments if listed else [arguments]
    least, most = COUNTS.get(name, (2, 2))
    if name not in PLAIN and name not in LAZY or len(values) < least or (most is not None and len(values) > most):
        yield at
        return
    if name == "$ref":
        known = isinstance(values[0], str) and values[0] in evaluators and values[0] not in open_refs
        if not known or any(places(evaluators[values[0]], "", evaluators, (*open_refs, values[0]))):
            yield at
        return
    if name == "sem_ver" and not (isinstance(values[1], str) and values[1] in COMPARE):
        yield f"{at}/1"
    if name == "fractional":
        yield from entry_places(values, at)
    for i, value in enumerate(values):
        if (name, i) != ("sem_ver", 1) and (name != "fractional" or i == 0 or isinstance(value, list)):
            yield from places(value, f"{at}/{i}" if listed else at, evaluators, open_refs)


def entry_places(values, at):
    first = 0 if isinstance(values[0], list) else 1
    if first == len(values):
        yield at
    total = 0
    for i, entry in enumerate(values[first:], first):
        if not isinstance(entry, list) or len(entry) not in (1, 2):
            yield f"{at}/{i}"
            continue
        weight = entry[1] if len(entry) > 1 else 1
        if isinstance(weight, dict):
            continue
        if not is_number(weight) or weight != int(weight) or weight > WEIGHT_MAX:
            yield f"{at}/{i}/1"
        else:
            total += max(0, weight)
    if total > WEIGHT_MAX:
        yield at


# ---- the file ----------------------------------------------------------------------------------


def data_of(case):
    data = dict(case.get("context", {}))
    data.pop("$flagd", None)
    if "flag" in case:
        data["$flagd"] = {"flagKey": case["flag"], "timestamp": case["timestamp"]}
    return data


def flag_answer(flag, context, evaluators):
    """What an evaluation says of a flag: {reason, error?, variant?, value?}."""

    def chosen(reason, variant):
        return {"reason": reason} | ({"variant": variant, "value": flag["variants"][variant]} if variant is not None else {})

    default, targeting = flag.get("defaultVariant"), flag.get("targeting")
    if flag["state"] == "DISABLED":
        return {"reason": "DISABLED"}
    if not targeting:
        return chosen("STATIC" if default is not None else "DEFAULT", default)
    evaluation = Evaluation(evaluators)
    result = evaluation.of(targeting, data_of({"context": context, "flag": "web_search", "timestamp": 1790000000}))
    if result is None and default is None and evaluation.key_missing:
        return {"reason": "ERROR", "error": "TARGETING_KEY_MISSING"}
    if result is None:
        return chosen("DEFAULT", default)
    if isinstance(result, (list, dict)) or text(result) not in flag["variants"]:
        return {"reason": "ERROR", "error": "GENERAL"}
    return chosen("TARGETING_MATCH", text(result))


def alike(a, b):
    """Equal, with true and 1 told apart."""
    return json.dumps(normal(a)) == json.dumps(normal(b))


def normal(value):
    if isinstance(value, list):
        return [normal(item) for item in value]
    return int(value) if isinstance(value, float) and value == int(value) else value


def faults_of(document):
    for case in document["hashes"]:
        got = murmur3(case["text"].encode())
        if got != case["hash"]:
            yield f"the hash of {case['text']!r}: {case['hash']}, and the rules say {got}"
    for case in document["rules"]:
        got = Evaluation(document["evaluators"]).of(case["rule"], data_of(case))
        if not alike(got, case["result"]):
            yield f"{case['rule']} over {case.get('context')}: {case['result']}, and the rules say {got}"
    for case in document["refused"]:
        got = sorted(set(places(case["rule"], "", {**document["evaluators"], **case.get("evaluators", {})})))
        if got != sorted(case["at"]):
            yield f"{case['rule']}: {case['at']}, and the rules say {got}"
    for case in document["flags"]:
        got = flag_answer(case["definition"], case["context"], document["evaluators"])
        if json.dumps(got, sort_keys=True) != json.dumps({key: case[key] for key in case if key not in ("definition", "context")}, sort_keys=True):
            yield f"{case}, and the rules say {got}"


def spoilt(value):
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, dict):
        return {**value, "x": 1}
    return value + 1 if is_number(value) else value + (["x"] if isinstance(value, list) else "x")


def self_test(document):
    missed = total = 0
    for part, key in ("hashes", "hash"), ("rules", "result"), ("refused", "at"), ("flags", "reason"), ("flags", "variant"), ("flags", "value"), ("flags", "error"):
        for case in document[part]:
            if key not in case:
                continue
            one = {"evaluators": document["evaluators"], "hashes": [], "rules": [], "refused": [], "flags": [], part: [copy.deepcopy(case)]}
            one[part][0][key] = spoilt(case[key])
            total += 1
            missed += len(list(faults_of(one))) != 1
    print(f"{total} spoilt answers, {missed} missed")
    return 1 if missed else 0


def main(arguments):
    document = json.loads(Path(arguments[0], "flags.json").read_text(encoding="utf-8"))
    if arguments[1:] == ["--self-test"]:
        return self_test(document)
    faults = list(faults_of(document))
    for fault in faults:
        print(fault)
    print(f"{sum(len(document[part]) for part in ('hashes', 'rules', 'refused', 'flags'))} cases, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
