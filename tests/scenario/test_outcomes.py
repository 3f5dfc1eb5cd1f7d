# SPDX-License-Identifier: Apache-2.0
"""Outcomes over HTTP: every form, every fault with its place, exactly once, and over restarts."""
import datetime
import gzip
import json
import sqlite3
import threading
import time

import pytest

from harness.client import Client
from harness.server import Server
from harness.world import ENVIRONMENT, World, unique

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}


def post(client, body, headers=None, path="/v1/outcomes"):
    return client.send("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers or JSON)


def batch_of(items, instance=None, batch=1):
    return {"instance": instance or unique("sender"), "batch": batch, "items": items}


def lines_of(batch):
    head = {"instance": batch["instance"], "batch": batch["batch"]}
    return "".join(json.dumps(line) + "\n" for line in [head, *batch["items"]]).encode()


def metric(client, name):
    text = client.send("GET", "/metrics").body.decode()
    return next((int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")), 0)


def test_every_form_is_taken_once(server, world):
    agent = world.served(1)
    forms = [
        lambda b: (json.dumps(b).encode(), JSON),
        lambda b: (lines_of(b), LINES),
        lambda b: (gzip.compress(json.dumps(b).encode()), {**JSON, "Content-Encoding": "gzip"}),
        lambda b: (gzip.compress(lines_of(b)), {**LINES, "Content-Encoding": "gzip"}),
    ]
    before = metric(server.admin, "serin_outcomes_total")
    for form in forms:
        batch = batch_of([world.outcome(agent) for _ in range(7)])
        body, headers = form(batch)
        assert post(server.admin, body, headers).json == {"accepted": 7, "duplicate": False, "mismatched": 0, "unknown": 0}
        for again in forms:  # a repetition is one in whatever form it comes
            body, headers = again(batch)
            assert post(server.admin, body, headers).json["duplicate"] is True
    assert metric(server.admin, "serin_outcomes_total") == before + 7 * len(forms)


def test_instance_and_batch_in_the_query(server, world):
    line = json.dumps(world.outcome(world.served(1))).encode() + b"\n"
    name = unique("sender")
    assert post(server.admin, line, LINES, f"/v1/outcomes?instance={name}&batch=3").json["accepted"] == 1
    assert post(server.admin, line, LINES, f"/v1/outcomes?instance={name}&batch=3").json["duplicate"] is True
    for query in ("instance=x", "batch=1", "instance=x&batch=0", "instance=x&batch=1&more=1"):
        assert post(server.admin, line, LINES, "/v1/outcomes?" + query).status == 400


FAULTS = [
    ({"latency_ms": -1}, "latency_ms", "negative"),
    ({"scores": {"quality": 1.5}}, "scores/quality", "score_outside"),
    ({"version": 0}, "version", "bad_version"),
    ({"unit": "user-42"}, "unit", "bad_unit"),
    ({"at": "2020-01-01T00:00:00Z"}, "at", "too_old"),
    ({"at": (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)).isoformat()}, "at", "in_the_future"),
    ({"latency": 5}, "latency", "unknown_field"),
    ({"feedback": "meh"}, "feedback", "unknown_word"),
    ({"environment": "Nowhere!"}, "environment", "bad_name"),
    ({"ok": None}, "ok", "wrong_type"),
]


@pytest.mark.parametrize("wrong,place,code", FAULTS)
def test_one_bad_outcome_refuses_the_batch_with_its_place(server, world, wrong, place, code):
    agent, name = world.served(1), unique("sender")
    items = [world.outcome(agent) for _ in range(20)]
    items[17].update(wrong)
    problem = server.admin.problem_of(post(server.admin, batch_of(items, name)))
    assert problem["status"] == 422 and problem["at"] == f"/items/17/{place}"
    assert [(e["at"], e["code"]) for e in problem["errors"]] == [(f"/items/17/{place}", code)] and problem["errors"][0]["remedy"]
    items[17] = world.outcome(agent)
    assert post(server.admin, batch_of(items, name)).json["accepted"] == 20  # nothing of it had been taken


def test_all_faults_at_once(server, world):
    items = [world.outcome("support", latency_ms=-1, cost_usd=-1) for _ in range(30)]
    assert len(server.admin.problem_of(post(server.admin, batch_of(items)))["errors"]) == 60


@pytest.mark.parametrize("body,status", [
    (b"", 400), (b"[]", 400), (b"{", 400), (b'{"items":NaN}', 400), (b"\xff", 400), (b"null", 400), (b"{}", 422),
    (b'{"instance":"a","batch":1,"items":[]}', 422), (b'{"instance":"a","batch":1,"batch":2,"items":[]}', 422),
])
def test_what_is_no_batch(server, body, status):
    assert server.admin.problem_of(post(server.admin, body))["status"] == status


def test_too_much(server, world):
    agent = world.served(1)
    item = json.dumps(world.outcome(agent, session="s" * 128)).encode()
    huge = b'{"instance":"a","batch":1,"items":[' + b",".join([item] * (10 * 1024 * 1024 // len(item))) + b"]}"
    refused = 'serin_limit_refused_total{name="body_limit"}'
    before = metric(server.admin, refused)
    try:
        assert post(server.admin, huge).status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused by its length: who goes on sending may find the connection closed before it reads why
    assert metric(server.admin, refused) > before
    zipped = gzip.compress(huge)
    assert len(zipped) < 1 << 20
    assert server.admin.problem_of(post(server.admin, zipped, {**JSON, "Content-Encoding": "gzip"}))["status"] == 413
    bomb = gzip.compress(b" " * (200 << 20))
    assert server.admin.problem_of(post(server.admin, bomb, {**JSON, "Content-Encoding": "gzip"}))["status"] == 413
    many = batch_of([world.outcome(agent) for _ in range(1)] * 10001)
    assert "too_many_items" in post(server.admin, gzip.compress(json.dumps(many).encode()), {**JSON, "Content-Encoding": "gzip"}).body.decode()


@pytest.mark.parametrize("headers,status", [
    ({"Content-Type": "text/plain"}, 415), ({**JSON, "Content-Encoding": "br"}, 415), ({**JSON, "Content-Encoding": "gzip"}, 400),
])
def test_other_media(server, headers, status):
    assert server.admin.problem_of(post(server.admin, b'{"instance":"a","batch":1,"items":[]}', headers))["status"] == status


def test_a_key_of_one_environment(server, world):
    """It need not name its environment, and reports for no other."""
    agent = world.served(1)
    key = Client(server, server.admin.op("key_create", name=unique("sdk"), role="resolve", environment=ENVIRONMENT)["key"])
    item = world.outcome(agent)
    del item["environment"]
    assert post(key, batch_of([item])).json["accepted"] == 1
    problem = key.problem_of(post(key, batch_of([{**item, "environment": "production"}])))
    assert problem["errors"][0]["code"] == "environment_unseen"
    assert post(Client(server, "wrong"), batch_of([item])).status == 401


def test_versions_and_rollouts_that_are_not_there(server, world):
    agent = world.served(1)
    items = [world.outcome(agent), world.outcome(agent, version=9), world.outcome(agent, rollout="0191-none"), world.outcome(unique())]
    assert post(server.admin, batch_of(items)).json == {"accepted": 4, "duplicate": False, "mismatched": 0, "unknown": 3}


def test_traces(server, world):
    traces = world.recipe_otlp_traces()
    other = {"name": "GET /", "startTimeUnixNano": str(time.time_ns()), "attributes": []}
    traces["resourceSpans"][0]["scopeSpans"][0]["spans"].append(other)
    answer = post(server.admin, traces, path="/v1/otlp/traces").json
    assert answer == {"partialSuccess": {}, "accepted": 1, "duplicate": False, "mismatched": 0, "unknown": 0, "passed_over": 1}
    assert post(server.admin, traces, path="/v1/otlp/traces").json["duplicate"] is True
    assert post(server.admin, {"resourceSpans": []}, path="/v1/otlp/traces").json["accepted"] == 0
    protobuf = post(server.admin, b"\x0a\x00", {"Content-Type": "application/x-protobuf"}, "/v1/otlp/traces")
    assert protobuf.status == 415 and "http/json" in protobuf.json["remedy"]


def test_no_position_and_no_audit_entry(server, world):
    agent = world.served(1)
    before = server.admin.head()
    post(server.admin, batch_of([world.outcome(agent)]))
    assert server.admin.head() == before


def test_out_of_order_and_too_old(server, world):
    agent, name = world.served(1), unique("sender")
    send = lambda batch: post(server.admin, batch_of([world.outcome(agent)], name, batch))
    assert [send(n).json["duplicate"] for n in (3, 1, 3, 2, 1, 2)] == [False, False, True, False, True, True]
    for batch in range(5, 5 + 1025):
        assert send(batch).status == 200
    problem = server.admin.problem_of(send(4))  # 1,024 were taken behind it: it was given up
    assert (problem["status"], problem["code"], problem["at"]) == (409, "outcomes_too_old", "/batch")


def test_sums_survive_a_stop(tmp_path):
    server = Server(tmp_path).start()
    world = World(server).make_environments()
    agent, name = world.served(1), unique("sender")
    items = [world.outcome(agent, ok=i % 4 != 0, latency_ms=1.25, cost_usd=0.001, input_tokens=3, feedback="down") for i in range(100)]
    assert post(server.admin, batch_of(items, name)).json["accepted"] == 100
    server.stop()
    with sqlite3.connect(server.store) as store:
        row = store.execute("SELECT sum(outcomes), sum(errors), sum(latency), sum(cost), sum(input_tokens), sum(down) FROM outcome_minutes "
                            "WHERE agent = ?", (agent,)).fetchone()
        assert row == (100, 25, 125000, 100_000_000, 300, 100)
        assert store.execute("SELECT count(*) FROM outcome_log").fetchone() == (0,)
    server.start()
    assert post(server.admin, batch_of(items, name)).json["duplicate"] is True
    server.end()


def test_many_clients_at_once(server, world):
    agent = world.served(1)
    item, failures = world.outcome(agent), []
    before = metric(server.admin, "serin_outcomes_total")

    def run(number):
        client, name = Client(server, server.admin.key), unique("sender")
        for batch in range(1, 21):
            for _ in range(2):
                answer = post(client, batch_of([item] * 10, name, batch))
                if answer.status != 200:
                    failures.append(answer)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert metric(server.admin, "serin_outcomes_total") == before + 8 * 20 * 10
