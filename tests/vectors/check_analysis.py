#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks spec/vectors/analysis.json by computing every case again, with code and arithmetic of its own.

Logarithms, exponentials and the gamma function are worked out here in decimal numbers of 50 digits, so that an error of a C library, or
cancellation in doubles, would show. The C tests check the same file.

usage: check_analysis.py FOLDER              check the file
       check_analysis.py FOLDER --self-test  spoil each number in turn; each must be caught
"""

import copy
import json
import math
import sys
from decimal import Decimal, getcontext
from pathlib import Path

getcontext().prec = 50
D = Decimal
EPSILON = D("1e-9")
HALF = D("0.5")
PI = D("3.14159265358979323846264338327950288419716939937510582097494")
GAMMA_SHIFT = 40  # Stirling's series is good to 40 digits from there on
BERNOULLI = [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798), (-174611, 330)]


def number(value):
    return D(str(value))


def log_gamma(x):
    """Stirling's series above GAMMA_SHIFT, brought there by Gamma(x + 1) = x Gamma(x)."""
    less = D(0)
    while x < GAMMA_SHIFT:
        less += x.ln()
        x += 1
    total = (x - HALF) * x.ln() - x + (2 * PI).ln() / 2
    for k, (top, bottom) in enumerate(BERNOULLI, start=1):
        total += D(top) / D(bottom) / (2 * k * (2 * k - 1)) / x ** (2 * k - 1)
    return total - less


def log_sum_exp(values):
    most = max(values)
    return most + sum((v - most).exp() for v in values).ln()


def log_mean_exp(values):
    return log_sum_exp(values) - D(len(values)).ln()


# ---- the grids -----------------------------------------------------------------------------------


def power(base, exponent):
    return (D(base).ln() * exponent).exp()


def harm_points():
    return [D("0.2") * power(20, D(k) / 7) for k in range(8)]


def go_on_points(scale):
    return [D("-0.25") * scale * power(6, D(k) / 5) for k in range(6)]


def points(direction, ratio=None):
    if direction == "harm":
        return harm_points()
    return go_on_points(min(D(1), ratio.ln() / D("1.5").ln()) if ratio else D(1))


# ---- the formulas --------------------------------------------------------------------------------


def likelihood(candidate, stages, u):
    return candidate * u - sum(events * (1 - share + share * u.exp()).ln() for share, events in stages)


def k1(direction, ratio, candidate, stages, grid=None):
    boundary = ratio.ln()
    base = likelihood(candidate, stages, boundary)
    grid = grid or points(direction, ratio)
    return log_mean_exp([likelihood(candidate, stages, boundary + u) - base for u in grid])


def k0(direction, rate, events, units):
    logs = []
    for u in points(direction):
        q = rate * u.exp()
        if u > 0 and q > HALF:
            q = HALF if rate < HALF else (1 + rate) / 2
        logs.append(events * (q / rate).ln() + (units - events) * ((1 - q).ln() - (1 - rate).ln()))
    return log_mean_exp(logs)


def stages_of(case):
    return [(number(share), D(events)) for share, events in case["stages"]]


def k1_of(case):
    return k1(case["direction"], number(case["ratio"]), D(case["candidate"]), stages_of(case))


def check_grid(case):
    return {"points": points(case["direction"], number(case["ratio"]))}


def check_k1(case):
    return {"log": k1_of(case)}


def check_k0(case):
    return {"log": k0(case["direction"], number(case["rate"]), D(case["events"]), D(case["units"]))}


def check_event(case):
    ratio = k1_of(case)
    rate = k0(case["direction"], number(case["rate"]), D(case["candidate"]), D(case["units"]))
    both = min(ratio, rate) if case["direction"] == "harm" else log_mean_exp([ratio, rate])
    computed = {"ratio_log": ratio, "log": both}
    if "rate_log" in case:
        computed["rate_log"] = rate
    return computed


def check_restarts(case):
    ratio, share, copies, mixture = number(case["ratio"]), number(case["share"]), [], []
    for i, (candidate, events) in enumerate([[0, 0]] + case["snapshots"]):
        copies.append(k1("harm", ratio, D(case["candidate"] - candidate), [(share, D(case["events"] - events))]))
        mixture.append(copies[-1] + (HALF if i == 0 else HALF / (i * (i + 1))).ln())
    mixture.append((HALF / (len(case["snapshots"]) + 1)).ln())
    return {"copies": copies, "log": log_sum_exp(mixture)}


def check_k2(case):
    share, m, margin = number(case["share"]), number(case["centre"]), number(case["margin"])
    harm = case["direction"] == "harm"
    bound = max(m / share, (1 - m) / (1 - share)) + margin if harm else max((1 - m) / share, m / (1 - share)) - margin
    logs = [D(0)] * 8
    for candidate, badness in case["observations"]:
        away = number(badness) - m
        z = away / share if candidate else -away / (1 - share)
        w = (z - margin if harm else margin - z) / bound
        logs = [log + (1 + D("0.9") * D("0.6") ** k * w).ln() for k, log in enumerate(logs)]
    computed = {"bound": bound, "log": log_mean_exp(logs)}
    if "first_log" in case:
        computed["first_log"] = logs[0]
    return computed


def check_split(case):
    share, c, kappa = number(case["share"]), D(case["candidate"]), D(1000)
    s = D(case["units"]) - c
    a, b = kappa * share, kappa * (1 - share)
    log = log_gamma(a + c) - log_gamma(a) + log_gamma(b + s) - log_gamma(b) - log_gamma(kappa + c + s) + log_gamma(kappa)
    return {"log": log - c * share.ln() - s * (1 - share).ln()}


def check_split_grid(case):
    tilts = [D(t) for t in "0.01 0.02 0.04 0.08 0.15 0.3 0.6 1.2 2.5".split()]
    stages = [(number(case["share"]), D(case["units"]))]
    return {"log": k1(None, D(1), D(case["candidate"]), stages, tilts + [-t for t in tilts])}


def halve(inside, outside, is_inside):
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return inside


def check_ratio_interval(case):
    candidate, stages = D(case["candidate"]), stages_of(case)
    mixture = log_mean_exp([likelihood(candidate, stages, -3 + 7 * D(i) / 63) for i in range(64)])
    least = mixture + number(case["alpha"]).ln()

    def rises(u):
        r = u.exp()
        return candidate > sum(events * share * r / (1 - share + share * r) for share, events in stages)

    top = halve(D(-20), D(20), rises)
    inside = lambda u: likelihood(candidate, stages, u) > least  # noqa: E731
    low, high = halve(top, D(-20), inside), halve(top, D(20), inside)
    return {"estimate": top.exp(), "low": low.exp(), "high": high.exp()}


def check_rate_interval(case):
    bad, n = D(case["events"]), D(case["units"])
    good, estimate = n - bad, D(case["events"]) / n
    least = log_gamma(bad + HALF) + log_gamma(good + HALF) - log_gamma(n + 1) - 2 * log_gamma(HALF) + number(case["alpha"]).ln()
    inside = lambda p: (bad * p.ln() if bad else 0) + good * (1 - p).ln() > least  # noqa: E731
    return {"low": halve(estimate, D(0), inside) if bad else D(0), "high": halve(estimate, D(1), inside)}


def check_sketch(case):
    log_gamma_ = (D("1.01") / D("0.99")).ln()
    index = math.ceil(number(case["value"]).ln() / log_gamma_)
    gamma = log_gamma_.exp()
    return {"log_gamma": log_gamma_, "index": D(index), "estimate": 2 * gamma**index / (gamma + 1)}


SECTIONS = {
    "grids": check_grid,
    "k1": check_k1,
    "k0": check_k0,
    "event": check_event,
    "restarts": check_restarts,
    "k2": check_k2,
    "split": check_split,
    "split_grid": check_split_grid,
    "ratio_interval": check_ratio_interval,
    "rate_interval": check_rate_interval,
    "sketch": check_sketch,
}

# ---- comparing -----------------------------------------------------------------------------------


def near(given, computed):
    if isinstance(computed, list):
        return isinstance(given, list) and len(given) == len(computed) and all(map(near, given, computed))
    return abs(number(given) - computed) <= EPSILON * max(1, abs(computed))


def faults_of_case(section, place, case):
    for key, computed in SECTIONS[section](case).items():
        if key not in case or not near(case[key], computed):
            yield f"{section}[{place}] {case['name']}: {key} is {case.get(key)}, computed {computed}"


def faults_of(document):
    for section in SECTIONS:
        if not document.get(section):
            yield f"{section} is empty"
        for place, case in enumerate(document.get(section, [])):
            yield from faults_of_case(section, place, case)


def spoilt(value):
    """Off in the eighth digit: ten times what may be."""
    if isinstance(value, list):
        return [spoilt(value[0])] + value[1:]
    return value + max(1, abs(value)) * 1e-8


def self_test(document):
    for section, compute in SECTIONS.items():
        for place, case in enumerate(document[section]):
            for key in compute(case):
                changed = copy.deepcopy(case)
                changed[key] = spoilt(case[key])
                if not any(True for _ in faults_of_case(section, place, changed)):
                    yield f"{section}[{place}] {case['name']}: a wrong {key} was not caught"


def main(folder, *options):
    document = json.loads((Path(folder) / "analysis.json").read_text(encoding="utf-8"))
    faults = list(self_test(document) if "--self-test" in options else faults_of(document))
    for fault in faults:
        print(fault)
    print(f"{sum(len(document[section]) for section in SECTIONS)} cases, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
