# SPDX-License-Identifier: Apache-2.0
"""The checker of histories: what it must accept and what it must refuse, and that it agrees with trying all orders."""
import itertools
import random

import pytest

from harness.linear import FOREVER, Operation, check, read, swap, write

LEGAL = {
    "nothing": [],
    "a read of the start": [read(0, 1, 0)],
    "a write, then a read": [write(0, 1, 5), read(2, 3, 5)],
    "a read during a write sees the old value": [write(0, 10, 5), read(1, 2, 0)],
    "a read during a write sees the new value": [write(0, 10, 5), read(1, 2, 5)],
    "old, then new, during one write": [write(0, 10, 5), read(1, 2, 0), read(3, 4, 5)],
    "two writes at once, in the order that their readers tell": [write(0, 10, 1), write(0, 10, 2), read(1, 3, 2), read(4, 6, 1)],
    "a write that was called later takes effect first": [write(0, 10, 1), write(1, 9, 2), read(11, 12, 1)],
    "swaps in a chain that overlaps": [swap(0, 10, 1, 2), swap(0, 10, 0, 1), swap(0, 10, 2, 3), read(11, 12, 3)],
    "a refused swap tells what stood": [write(0, 1, 4), read(2, 3, 4, "stale")],
    "an unknown write that never happened": [write(0, FOREVER, 5, known=False), read(10, 11, 0)],
    "an unknown write seen at once": [write(0, FOREVER, 5, known=False), read(1, 2, 5)],
    "an unknown write that happens late": [write(0, FOREVER, 5, known=False), read(10, 11, 0), read(12, 13, 5)],
    "an unknown swap after its value came": [swap(0, FOREVER, 7, 8, known=False), write(5, 6, 7), read(8, 9, 8)],
    "an unknown write just before its end": [write(0, 20, 5, known=False), read(10, 11, 0), read(19, 22, 5)],
    "two unknown writes, the later one first": [write(0, FOREVER, 1, known=False), write(1, FOREVER, 2, known=False), read(3, 4, 2), read(5, 6, 1)],
    "answers at the same moment as the next call": [write(0, 1, 5), read(1, 2, 0)],
}
REFUSED = {
    "a value from nowhere": [read(0, 1, 3)],
    "a stale read": [write(0, 1, 5), read(2, 3, 0)],
    "a read that goes back": [write(0, 10, 5), read(1, 2, 5), read(3, 4, 0)],
    "two readers disagree about an order": [write(0, 1, 1), write(2, 3, 2), read(4, 5, 1)],
    "a lost update": [swap(0, 1, 0, 1), read(2, 3, 0)],
    "two swaps from one value": [swap(0, 10, 0, 1), swap(0, 10, 0, 2)],
    "a swap from a value that was never there": [swap(0, 1, 9, 1)],
    "an unknown write happens twice": [write(0, FOREVER, 5, known=False), read(1, 2, 5), write(3, 4, 6), read(5, 6, 5)],
    "an unknown write before its call": [read(0, 1, 5), write(2, FOREVER, 5, known=False)],
    "an unknown write after its end": [write(0, 5, 5, known=False), read(6, 7, 0), read(8, 9, 5)],
    "an unknown swap without its value": [swap(0, FOREVER, 7, 8, known=False), read(1, 2, 8)],
    "a refused swap tells what no longer stood": [write(0, 1, 4), write(2, 3, 5), read(4, 5, 4, "stale")],
}


@pytest.mark.parametrize("name", LEGAL)
def test_legal_histories_are_accepted(name):
    assert check(LEGAL[name], 0) is None


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_histories_are_refused(name):
    violation = check(REFUSED[name], 0)
    assert violation and violation.answer in REFUSED[name] and "no order explains" in str(violation)


def by_trying(history, start):
    """All subsets of the unknown ones, in all orders."""
    known = [operation for operation in history if operation.known]
    unknown = [operation for operation in history if not operation.known]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            if any(possible(order, start) for order in itertools.permutations(known + list(chosen))):
                return True
    return False


def possible(order, start):
    value = start
    for index, operation in enumerate(order):
        if any(later.end < operation.call for later in order[index + 1:]):
            return False
        if operation.pre not in (None, value):
            return False
        value = value if operation.post is None else operation.post
    return True


def test_it_agrees_with_trying_all_orders():
    rng, verdicts = random.Random(20), []
    for _ in range(3000):
        history = []
        for _ in range(rng.randrange(1, 6)):
            call = rng.randrange(0, 12) * 2
            end = call + 1 + rng.randrange(0, 8) * 2
            kind, old, new = rng.randrange(3), rng.randrange(3), rng.randrange(3)
            known = kind == 0 or rng.random() < 0.75
            pre, post = (old, None) if kind == 0 else (None, new) if kind == 1 else (old, new)
            history.append(Operation(call, end if known or rng.random() < 0.5 else FOREVER, pre, post, known))
        verdicts.append(check(history, 0) is None)
        assert verdicts[-1] == by_trying(history, 0), history
    assert 500 < sum(verdicts) < 2500


def test_a_long_history_is_checked_in_time():
    """20,000 operations of eight clients, some unknown, as a real register would answer them."""
    rng, value, now, history = random.Random(3), 0, 0, []
    for number in range(20_000):
        now += 1
        call, end = now - rng.random() * 4, now + rng.random() * 4
        if number % 3:
            history.append(read(call, end, value))
        elif number % 500 == 0:
            took = rng.random() < 0.5
            history.append(swap(call, FOREVER, value, number, known=False))
            value = number if took else value
        else:
            history.append(swap(call, end, value, number))
            value = number
    assert check(history, 0) is None
    history[15_001] = read(history[15_001].call, history[15_001].end, -1)
    assert check(history, 0).answer is history[15_001]
