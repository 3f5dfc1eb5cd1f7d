# SPDX-License-Identifier: Apache-2.0
"""Whether a history of one register could have happened one operation after the other.

An operation needs a value (`pre`, None = any) and leaves one (`post`, None = the same): a read needs what it answered, a write leaves
what it wrote, a compare-and-swap does both, a refused one needs the value that it was told. It took effect at one moment between its
call and its answer. One whose outcome is unknown took effect at one moment from its call until `end`, or never.

The search is just-in-time linearization: calls and answers are walked through in order of time, with the set of all states that
the register may be in. A state is the value and which of the open operations have taken effect. At an answer,
each state is followed through all orders of open operations that make this one take effect; when none is left, the history is refused.
A state with the same value and fewer unknown operations used up can do all that another can, so that one is dropped.
"""
from collections import namedtuple

FOREVER = float("inf")


class Operation(namedtuple("Operation", "call end pre post known text", defaults=(True, ""))):
    """Times are of any one clock. `known`: it was answered, so it must have taken effect."""


def read(call, end, value, text=""):
    return Operation(call, end, value, None, True, text)


def write(call, end, value, known=True, text=""):
    return Operation(call, end, None, value, known, text)


def swap(call, end, old, new, known=True, text=""):
    return Operation(call, end, old, new, known, text)


class Violation:
    """Where it ends: the first answer that no order explains, what was open then, what was answered shortly before."""

    def __init__(self, answer, open_operations, before, values):
        self.answer, self.open, self.before, self.values = answer, open_operations, before, values

    def __str__(self):
        lines = ["no order explains", f"  {self.answer}", f"the register may have held {sorted(self.values, key=str)} before it; open with it were"]
        lines += [f"  {operation}" for operation in self.open] or ["  none"]
        return "\n".join(lines + ["answered before it were"] + [f"  {operation}" for operation in self.before])


def follow(states, number, operations, pending):
    """All states after operation `number` took effect, by way of any of the other pending ones."""
    result, seen, work = set(), set(states), list(states)
    while work:
        value, done = work.pop()
        if number in done:
            result.add((value, done - {number}))
            continue
        for other in pending:
            if other in done:
                continue
            operation = operations[other]
            if operation.pre is not None and operation.pre != value:
                continue
            state = (value if operation.post is None else operation.post, done | {other})
            if state not in seen:
                seen.add(state)
                work.append(state)
    return result


def prune(states, operations):
    """Without those that differ from another only in having used up more unknown operations."""
    groups = {}
    for value, done in states:
        unknown = frozenset(number for number in done if not operations[number].known)
        groups.setdefault((value, done - unknown), []).append(unknown)
    kept = set()
    for (value, done), used in groups.items():
        used.sort(key=len)
        for index, unknown in enumerate(used):
            if not any(fewer <= unknown for fewer in used[:index]):
                kept.add((value, done | unknown))
    return kept


def check(history, start):
    """None when the history is linearizable for a register that holds `start`, else the Violation."""
    operations = list(history)
    moments = []
    for number, operation in enumerate(operations):
        moments.append((operation.call, 0, number))
        if operation.end != FOREVER:
            moments.append((operation.end, 1, number))
    moments.sort()
    states, pending, before = {(start, frozenset())}, set(), []
    for _, is_end, number in moments:
        if not is_end:
            pending.add(number)
            continue
        if operations[number].known:
            after = follow(states, number, operations, pending)
            if not after:
                others = [operations[other] for other in sorted(pending) if other != number]
                return Violation(operations[number], others, before[-12:], {value for value, _ in states})
        else:
            # Too late for it: what it did stays done, and it is forgotten where it did nothing.
            after = follow(states, number, operations, pending) | {state for state in states if number not in state[1]}
        states = prune(after, operations)
        pending.discard(number)
        before.append(operations[number])
    return None
