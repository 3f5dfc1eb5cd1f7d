#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks spec/vectors/canonical.json and hashes.json against the written rules, with code of its own.

The C tests check the same files. Two programs that share no code and agree on every case make it likely
that the files say what the rules say: RFC 8785 for the canonical form, ECMA-262 section 6.1.6.1.20 for
numbers, MurmurHash3 x86 32-bit for buckets, and for the bucket and the unit the pages of the contract.

usage: check_vectors.py FOLDER            check the files
       check_vectors.py FOLDER --self-test  spoil each case in turn; every spoilt one must be caught
"""

import copy
import hashlib
import json
import struct
import sys
from pathlib import Path

INTEGER_MAX = 2**53
DEPTH_MAX = 64


class Refused(Exception):
    def __init__(self, code, at=""):
        super().__init__(code)
        self.code, self.at = code, at


# ---- reading -----------------------------------------------------------------------------------


def no_duplicates(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise Refused("malformed_json")
    return dict(pairs)


def whole(text):
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise Refused("malformed_json")
    return number


def real(text):
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise Refused("malformed_json")
    return number


def constant(text):
    raise Refused("malformed_json")


def check_texts(value, depth=0):
    """Refuses lone surrogates and NUL, which Python's reader lets pass."""
    if isinstance(value, str):
        if any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in value):
            raise Refused("malformed_json")
        return
    if isinstance(value, (dict, list)) and depth == DEPTH_MAX:
        raise Refused("malformed_json")
    if isinstance(value, dict):
        for key, member in value.items():
            check_texts(key)
            check_texts(member, depth + 1)
    if isinstance(value, list):
        for item in value:
            check_texts(item, depth + 1)


def parse(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("invalid_utf8") from None
    try:
        value = json.loads(
            text, object_pairs_hook=no_duplicates, parse_int=whole, parse_float=real, parse_constant=constant
        )
    except json.JSONDecodeError:
        raise Refused("malformed_json") from None
    check_texts(value)
    return value


# ---- the canonical form ------------------------------------------------------------------------


def digits_and_point(value):
    """The shortest digits d and the n of ECMA-262, so that the value is 0.d × 10^n."""
    mantissa, _, exponent = repr(value).partition("e")
    before, _, after = mantissa.partition(".")
    digits = (before + after).lstrip("0")
    lost = len(before + after) - len(digits)
    point = len(before) - lost + int(exponent or 0)
    return digits.rstrip("0"), point


def number_text(value):
    value = float(value)
    if value == 0:
        return "0"
    if value < 0:
        return "-" + number_text(-value)
    digits, n = digits_and_point(value)
    k = len(digits)
    if k <= n <= 21:
        return digits + "0" * (n - k)
    if 0 < n <= 21:
        return digits[:n] + "." + digits[n:]
    if -6 < n <= 0:
        return "0." + "0" * -n + digits
    sign = "+" if n > 0 else "-"
    tail = "." + digits[1:] if k > 1 else ""
    return digits[0] + tail + "e" + sign + str(abs(n - 1))


SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def string_text(text):
    out = []
    for c in text:
        if c in SHORT_ESCAPES:
            out.append(SHORT_ESCAPES[c])
        elif ord(c) < 0x20:
            out.append(f"\\u{ord(c):04x}")
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def utf16_units(text):
    data = text.encode("utf-16-be")
    return struct.unpack(f">{len(data) // 2}H", data)


def canonical(value, at=""):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, (int, float)):
        text = number_text(value) if isinstance(value, float) else str(value)
        if text.lstrip("-").isdigit() and abs(value) > INTEGER_MAX:
            raise Refused("invalid", at)
        return text
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, f"{at}/{i}") for i, item in enumerate(value)) + "]"
    members = []
    for key in sorted(value, key=utf16_units):
        place = at + "/" + key.replace("~", "~0").replace("/", "~1")
        members.append(string_text(key) + ":" + canonical(value[key], place))
    return "{" + ",".join(members) + "}"


# ---- hashes ------------------------------------------------------------------------------------

WORD = 0xFFFFFFFF


def rotate(x, bits):
    return (x << bits | x >> (32 - bits)) & WORD


def scramble(block):
    return rotate(block * 0xCC9E2D51 & WORD, 15) * 0x1B873593 & WORD


def murmur3(data, seed):
    state = seed
    whole_blocks = len(data) // 4 * 4
    for (block,) in struct.iter_unpack("<I", data[:whole_blocks]):
        state = (rotate(state ^ scramble(block), 13) * 5 + 0xE6546B64) & WORD
    state ^= scramble(int.from_bytes(data[whole_blocks:], "little"))
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state = (state ^ state >> shift) * factor & WORD
    return state


def bucket_case(salt, key):
    data = (salt + "/" + key).encode("utf-8")
    value = murmur3(data, 0)
    unit = "".join(f"{murmur3(data, seed):08x}" for seed in range(3))
    return {"hash": value, "bucket": value * 100000 >> 32, "unit": unit}


# ---- the cases ---------------------------------------------------------------------------------


def case_input(case):
    return bytes.fromhex(case["input_hex"]) if "input_hex" in case else case["input"].encode("utf-8")


def check_canonical_case(case):
    return {"canonical": canonical(parse(case_input(case)))}


def check_refused_case(case):
    try:
        canonical(parse(case_input(case)))
    except Refused as refused:
        return {"code": refused.code, "at": refused.at}
    return {"code": "", "at": ""}


def check_number_case(case):
    (value,) = struct.unpack(">d", bytes.fromhex(case["bits"]))
    text = number_text(value)
    assert float(text) == value, f"{text} does not read back"
    return {"text": text}


def check_sha256_case(case):
    text = canonical(parse(case_input(case)))
    return {"sha256": "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()}


def check_murmur3_case(case):
    return {"hash": murmur3(case_input(case), case["seed"])}


def check_bucket_case(case):
    return bucket_case(case["salt"], case["key"])


SECTIONS = {
    "canonical.json": {
        "canonical": check_canonical_case,
        "refused": check_refused_case,
        "numbers": check_number_case,
    },
    "hashes.json": {"sha256": check_sha256_case, "murmur3": check_murmur3_case, "buckets": check_bucket_case},
}


def faults_of(name, document):
    faults = []
    for section, compute in SECTIONS[name].items():
        if not document[section]:
            faults.append(f"{name}: {section} is empty")
        for number, case in enumerate(document[section]):
            computed = compute(case)
            given = {key: case.get(key) for key in computed}
            if given != computed:
                faults.append(f"{name}: {section}[{number}]: the file says {given}, the rule says {computed}")
    return faults


def spoilt(value):
    return value + 1 if isinstance(value, int) else value + " "


def self_test(name, document):
    """Every expected value of every case is changed in turn; a change that goes unseen is a fault."""
    faults = []
    for section, compute in SECTIONS[name].items():
        for number, case in enumerate(document[section]):
            for key in compute(case):
                changed = {part: [] for part in SECTIONS[name]}
                changed[section] = [copy.copy(case)]
                changed[section][0][key] = spoilt(case[key])
                if not any(f"{section}[0]" in fault for fault in faults_of(name, changed)):
                    faults.append(f"{name}: {section}[{number}]: a wrong {key} was not caught")
    return faults


def main(folder, *options):
    check = self_test if "--self-test" in options else faults_of
    faults, cases = [], 0
    for name, sections in SECTIONS.items():
        document = json.loads((Path(folder) / name).read_text(encoding="utf-8"))
        cases += sum(len(document[section]) for section in sections)
        faults += check(name, document)
    for fault in faults:
        print(fault)
    print(f"{cases} cases, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
