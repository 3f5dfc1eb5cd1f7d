# SPDX-License-Identifier: Apache-2.0
"""The one form in which figures are told: ours, the peer's, their ratio, the goal, and whether it is met.

A value is a list with one number a round; what is printed is its median and its spread. The ratio is the median over the rounds, each
with its neighbour in time, so that what else the machine does changes it least. The goal is for the ratio where there is a
peer, and for our own value where there is none or where `absolute` says so.
"""
import argparse
import json
import statistics
import sys
from pathlib import Path

from kit import machine

RESULTS = machine.BUILD / "bench" / "results.json"
COLUMNS = ["figure", "unit", "ours", "peer", "", "ratio", "goal", "met"]


def text(number):
    """Three digits are as many as a measurement of this kind carries; whole numbers stay whole."""
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def spread(rounds):
    middle = text(statistics.median(rounds))
    return middle if len(rounds) == 1 else f"{middle} ({text(min(rounds))}…{text(max(rounds))})"


def summary(rounds):
    return {"median": statistics.median(rounds), "min": min(rounds), "max": max(rounds), "rounds": rounds}


class Report:
    """The rows of one run."""

    def __init__(self):
        self.rows = []
        self.notes = []

    def row(self, figure, unit, ours, peer=None, named="", at_least=None, at_most=None, absolute=False):
        ratio = statistics.median(a / b for a, b in zip(ours, peer)) if peer else None
        judged = statistics.median(ours) if absolute or ratio is None else ratio
        times = "" if judged is not ratio else " ×"
        goal = f"≥ {at_least:g}{times}" if at_least is not None else f"≤ {at_most:g}{times}" if at_most is not None else ""
        met = judged >= at_least if at_least is not None else judged <= at_most if at_most is not None else None
        self.rows.append({"figure": figure, "unit": unit, "ours": summary(ours), "peer": summary(peer) if peer else None,
                          "peer_name": named, "ratio": ratio, "goal": goal, "met": met})

    def note(self, line):
        """What a reader must know to judge the rows, printed below the table."""
        self.notes.append(line)

    def lines(self):
        cells = [COLUMNS]
        for row in self.rows:
            cells.append([row["figure"], row["unit"], spread(row["ours"]["rounds"]), spread(row["peer"]["rounds"]) if row["peer"] else "",
                          row["peer_name"], f"{row['ratio']:.2f}" if row["ratio"] is not None else "", row["goal"],
                          {True: "yes", False: "NO", None: ""}[row["met"]]])
        widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
        yield from ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)

    def print(self, facts):
        print()
        for name, value in facts.items():
            print(f"{name:>12}  {value}")
        print()
        print("\n".join(self.lines()))
        for note in self.notes:
            print(f"  {note}")

    def write(self, facts):
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps({"machine": facts, "rows": self.rows, "notes": self.notes}, indent=1, ensure_ascii=False) + "\n")


def arguments_of(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each load in each round (default 3)")
    return parser


def main(description, measure):
    """One figure by itself."""
    arguments = arguments_of(description).parse_args()
    report = Report()
    measure(report, arguments.rounds, arguments.seconds)
    report.print(machine.facts())


def say(line):
    print(f"{Path(sys.argv[0]).name}: {line}", file=sys.stderr, flush=True)
