# SPDX-License-Identifier: Apache-2.0
"""What /metrics says, read by Prometheus' own parser and held to the rules of the format."""
import math
import re
from functools import cache

from prometheus_client.parser import text_string_to_metric_families

from harness import table

LABELS_OF_AGENTS = {"agent", "environment", "rollout"}


@cache
def families_of_table():
    """{name: (type, labels, named)} of metrics.def."""
    found = {}
    for kind, row in table.rows("src/api/metrics.def", "METRIC", "SECONDS", "LIMIT", "FAMILY", "NAMED"):
        if kind in ("METRIC", "SECONDS"):
            found[row[0]] = row[1], set(), False
        elif kind != "LIMIT":
            found[row[1]] = row[2], set(row[3].split(",")), kind == "NAMED"
    return found


def check_histogram(family):
    """Buckets rise to +Inf, which is the count."""
    series = {}
    for sample in family.samples:
        labels = frozenset((name, value) for name, value in sample.labels.items() if name != "le")
        parts = series.setdefault(labels, {"buckets": []})
        if sample.name.endswith("_bucket"):
            parts["buckets"].append((float(sample.labels["le"]), sample.value))
        else:
            parts[sample.name.removeprefix(family.name + "_")] = sample.value
    for labels, parts in series.items():
        ends, counts = zip(*parts["buckets"])
        assert list(ends) == sorted(set(ends)) and ends[-1] == math.inf, labels
        assert list(counts) == sorted(counts) and counts[-1] == parts["count"], labels
        assert parts["sum"] >= 0, labels


class Scrape:
    """One answer. `samples` is {(name, labels as a frozenset of pairs): value}."""

    def __init__(self, client, **options):
        answer = client.send("GET", "/metrics", **options)
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.text
        self.families, self.samples = {}, {}
        for family in text_string_to_metric_families(self.text):
            self.add(family)

    def add(self, family):
        name = family.name + "_total" if family.type == "counter" else family.name  # the parser takes it away
        assert name not in self.families, f"{name} comes twice"
        self.families[name] = family
        kind, labels, _ = families_of_table()[name]
        assert family.type == kind and family.documentation, name
        assert f"# TYPE {name} {kind}\n" in self.text, name
        assert re.fullmatch(r"serin_[a-z0-9_]+", name)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample
            key = sample.name, frozenset(sample.labels.items())
            assert key not in self.samples, f"told twice: {key}"
            self.samples[key] = sample.value
        if kind == "histogram":
            check_histogram(family)

    def of(self, name, /, **labels):
        """{the other labels' values, in order of their names: value} of what has these labels."""
        wanted, found = set(labels.items()), {}
        for (sample, given), value in self.samples.items():
            if sample == name and wanted <= given:
                found[tuple(value for _, value in sorted(given - wanted))] = value
        return found

    def value(self, name, /, **labels):
        """The one number of that name with exactly these labels; None: it is not there."""
        return self.samples.get((name, frozenset(labels.items())))
