# SPDX-License-Identifier: Apache-2.0
"""Random rules over random data: Serin's results beside those of json-logic-js, byte for byte.

Differences that are meant stand in docs/decisions/0017-targeting-language.md: reference.js takes them over where a change of the reference can, and rules.py leaves out what
leads to the others. Only an evaluation that came to a bound is passed over here. The seed is printed; SERIN_SEED repeats a run.
"""
import json
import os
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest
from harness.scale import LONG_RUN, make_random
from js.rules import Rules

HERE = Path(__file__).parent
LINES = Path(os.environ["SERIN_BINARY"]).resolve().parent / "tests/js/logic-lines"
RULES = 1_000_000 if LONG_RUN else 20_000
BATCH = 5_000


def run(command, lines):
    """What a program answers to the lines; its input is written while its output is read."""
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as program:
        def write():
            for line in lines:
                program.stdin.write(line + "\n")
            program.stdin.close()

        writer = threading.Thread(target=write)
        writer.start()
        answers = program.stdout.read().split("\n")[:-1]
        writer.join()
    assert program.returncode == 0 and len(answers) == len(lines)
    return answers


@pytest.mark.timeout(7200 if LONG_RUN else 120)
def test_rules_answer_as_the_reference(capsys):
    with capsys.disabled():
        source = Rules(make_random())
    results, different = Counter(), []
    for _ in range(RULES // BATCH):
        lines = [json.dumps({"rule": source.rule(source.random.randint(1, 5)), "data": source.data()}, ensure_ascii=False) for _ in range(BATCH)]
        for line, theirs, ours in zip(lines, run(["node", "reference.js"], lines), run([LINES], lines), strict=True):
            results[ours[:1]] += 1
            if theirs != ours and not ours.startswith("outcome"):
                different.append(f"{line}\n  there {theirs}\n  here  {ours}")
    shortest = sorted(different, key=len)[:5]
    assert not different, f"{len(different)} of {RULES}:\n" + "\n".join(shortest)
    assert results["o"] < RULES / 100, "bounds end too many evaluations"
    # Something of every kind came out: null, true, false, numbers, texts, lists.
    assert all(results[first] > RULES / 200 for first in "ntf[\"0"), results
