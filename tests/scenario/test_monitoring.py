# SPDX-License-Identifier: Apache-2.0
"""The dashboard and the alerts that are shipped: they name what /metrics really says, and the alerts come when they should."""
import json
import re
import shutil
import subprocess

import pytest
import yaml

from harness import table
from harness.metrics import Scrape, families_of_table
from harness.rollout import HERE, Traffic, fresh
from harness.scale import make_random

DASHBOARD = table.ROOT / "packaging/grafana/serin.json"
RULES = table.ROOT / "packaging/prometheus/serin-alerts.yml"

NAMED = re.compile(r"\b(serin_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPING = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")
FROM_PROMETHEUS = {"instance", "job", "le"}


def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels():
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions():
    """(where it stands, expression, labels that its texts name)."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    for rule in alerts():
        yield rule["alert"], rule["expr"], set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))


@pytest.fixture(scope="module")
def labels(server, world):
    """{sample: its labels} of an answer of /metrics in which all that agents have is there."""
    traffic = Traffic(world, fresh(world), make_random(), analysis={"settle": "0s", "metrics": ["error", "latency"]}, steps=[{"share": 50, "min_units": 100_000}])
    world.admin.op("resolve", agent=traffic.agent, environment=HERE, context={"targetingKey": "ann"})
    assert server.admin.call("outcomes", instance="x", batch=1, items=[{"agent": traffic.agent}]).status == 422
    found = {}
    while "serin_rollout_evidence_log" not in found:
        traffic.send((0.01, 0.01))
        found = {name: {label for label, _ in given} for name, given in Scrape(server.admin).samples}
    return found


def test_they_name_what_there_is(labels):
    seen = set()
    for where, expression, named_in_texts in expressions():
        known = set(FROM_PROMETHEUS)
        for name, matchers in NAMED.findall(expression):
            assert name in labels, f"{where}: /metrics has no {name}"
            assert set(MATCHER.findall(matchers)) <= labels[name] | {"instance", "job"}, f"{where}: {name} has no such label: {matchers}"
            known |= labels[name]
            seen.add(name)
        for group in GROUPING.findall(expression):
            assert {label.strip() for label in group.split(",")} <= known, f"{where}: {group}"
        assert named_in_texts <= known, f"{where}: {named_in_texts}"
    missing = {name for name, (_, _, named) in families_of_table().items() if named} - {name.removesuffix("_bucket") for name in seen}
    assert not missing, "what agents have is on the dashboard"


def test_the_dashboard_can_be_imported():
    board = dashboard()
    assert board["uid"] and board["title"] and board["schemaVersion"] >= 36 and board["id"] is None
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert list(variables) == ["datasource", "instance", "environment", "agent"]
    assert variables["datasource"]["type"] == "datasource"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
        used = set(re.findall(r"\$(\w+)", " ".join(target["expr"] for target in panel["targets"]))) - {"__rate_interval"}
        assert used <= set(variables), panel["title"]


def test_every_alert_says_what_it_is_and_what_to_do():
    advice = {}
    for kind, row in table.rows("src/api/metrics.def", "METRIC", "SECONDS", "LIMIT", "FAMILY", "NAMED"):
        if kind != "LIMIT":
            advice[row[0 if kind in ("METRIC", "SECONDS") else 1]] = row[3 if kind in ("METRIC", "SECONDS") else 5]
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names)) and all(name.startswith("Serin") for name in names)
    for rule in alerts():
        words = rule["annotations"]
        assert set(words) == {"summary", "description", "runbook"} and all(words.values()), rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        named = [name for name, _ in NAMED.findall(rule["expr"])]
        assert not named or words["runbook"] in [advice[name] for name in named], f"{rule['alert']}: as metrics.def says"


# ---- promtool ----


def promtool(*arguments, **options):
    program = shutil.which("promtool")
    assert program, "promtool is missing; it comes with the package prometheus"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules():
    promtool("check", "rules", RULES)


def test_promtool_takes_the_metrics(server, labels):
    promtool("check", "metrics", input=Scrape(server.admin).text)


WHERE = 'agent="a",environment="e",rollout="r"'
STORIES = {
    "SerinDown": {'up{job="serin"}': "1 1 0x9"},
    "SerinStoreAway": {"serin_store_open": "1 1 0x9"},
    "SerinErrors": {'serin_answers_total{operation="deploy",status="5xx"}': "0 0 1 2 3 4 5 6 7 8 9", "serin_store_open": "1x10"},
    "SerinSnapshotStale": {"serin_snapshot_stale": "0 0 1x9"},
    "SerinSnapshotFileFails": {"serin_snapshot_file_failures_total": "0x5 1x5"},
    "SerinSnapshotFileBehind": {"serin_snapshot_file_seq": "7x10", "serin_position_seq": "8x10"},
    "SerinEpochChanged": {"serin_position_epoch": "1x5 2x5"},
    "SerinControlQueue": {"serin_control_waiting": "101x10"},
    "SerinConnectionsNearLimit": {"serin_http_connections_open": "81x10", 'serin_limit{name="connections"}': "100x10"},
    "SerinStreamsNearLimit": {"serin_streams_open": "81x10", 'serin_limit{name="streams"}': "100x10"},
    "SerinLimitRefuses": {'serin_limit_refused_total{name="streams"}': "0x5 3x5"},
    "SerinKeysRefused": {"serin_keys_refused_total": "0+90x10"},
    "SerinFramingRefused": {"serin_http_refused_framing_total": "0x5 1x5"},
    "SerinSeriesLeftOut": {"serin_arm_outcomes_left_out_total": "0x5 1x5"},
    "SerinIntakeBusy": {"serin_outcome_busy_total": "0x6 2x5"},
    "SerinOutcomesCheckpointFails": {"serin_outcome_checkpoint_failures_total": "0x5 1x5"},
    "SerinOutcomesRefused": {'serin_outcome_faults_total{code="unit"}': "0x5 1x5"},
    "SerinOutcomesMismatch": {"serin_outcome_mismatches_total": "0+6x20", "serin_outcomes_total": "0+1000x20"},
    "SerinControllerStandsStill": {"serin_controller_looks_total": "7x20", "serin_store_open": "1x20"},
    "SerinControllerFails": {"serin_controller_failed_total": "0x5 1x5"},
    "SerinControllerSlow": {"serin_controller_look_seconds": "1.5x20"},
    "SerinRolloutRolledBack": {'serin_rollout_moves_total{action="rollback"}': "0x5 1x5"},
    "SerinRolloutHeld": {f'serin_rollout_state{{{WHERE},state="held"}}': "0x5 1x5"},
    "SerinRolloutNearHarm": {f'serin_rollout_evidence_log{{{WHERE},metric="all",direction="harm"}}': "-Inf 1 2 3.5x8",
                             f'serin_rollout_evidence_threshold_log{{{WHERE},direction="harm"}}': "4.6x10"},
    "SerinRolloutSplit": {f'serin_rollout_evidence_log{{{WHERE},metric="all",direction="split"}}': "0 1 2 5x8",
                          f'serin_rollout_evidence_threshold_log{{{WHERE},direction="split"}}': "6.9x10"},
}
QUIET = {
    'up{job="serin"}': "1x20", "serin_store_open": "1x20", 'serin_answers_total{operation="deploy",status="2xx"}': "0+5x20", "serin_snapshot_stale": "0x20",
    "serin_snapshot_file_failures_total": "3x20", "serin_snapshot_file_seq": "0+1x20", "serin_position_seq": "1+1x20", "serin_position_epoch": "1x20",
    "serin_control_waiting": "100x20", "serin_http_connections_open": "1000x20", 'serin_limit{name="connections"}': "0x20", "serin_streams_open": "79x20",
    'serin_limit{name="streams"}': "100x20", 'serin_limit_refused_total{name="idle_timeout_s"}': "0+50x20", "serin_keys_refused_total": "0+30x20",
    "serin_http_refused_framing_total": "0x20", "serin_outcome_busy_total": "4x20", "serin_outcome_mismatches_total": "0+1x20",
    "serin_outcomes_total": "0+1000x20", "serin_controller_looks_total": "0+60x20", "serin_controller_failed_total": "0x20",
    "serin_controller_look_seconds": "0.2x20", 'serin_rollout_moves_total{action="rollback"}': "2x20", 'serin_rollout_moves_total{action="advance"}': "0+1x20",
    f'serin_rollout_state{{{WHERE},state="held"}}': "0x20", f'serin_rollout_state{{{WHERE},state="running"}}': "1x20",
    f'serin_rollout_evidence_log{{{WHERE},metric="all",direction="harm"}}': "3x20",
    f'serin_rollout_evidence_log{{{WHERE},metric="error",direction="harm"}}': "9x20",
    f'serin_rollout_evidence_threshold_log{{{WHERE},direction="harm"}}': "4.6x20",
}


def firing(name):
    return f'count(ALERTS{{alertname=~"{name}",alertstate="firing"}}) or vector(0)'


def story(series, name, count, at):
    return {"interval": "1m", "input_series": [{"series": series, "values": values} for series, values in series.items()],
            "promql_expr_test": [{"expr": firing(name), "eval_time": at, "exp_samples": [{"labels": "{}", "value": count}]}]}


def test_alerts_come_when_they_should(tmp_path):
    assert set(STORIES) == {rule["alert"] for rule in alerts()}
    tests = [story(series, name, 1, "18m" if "x20" in str(series) else "9m") for name, series in STORIES.items()]
    tests += [story(QUIET, ".*", 0, f"{minute}m") for minute in (1, 7, 15, 20)]
    path = tmp_path / "stories.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", path)
