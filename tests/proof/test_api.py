# SPDX-License-Identifier: Apache-2.0
"""Calls made up from the OpenAPI document, valid and not, with every kind of key and with none.

schemathesis makes the calls from the document alone. What it cannot know, the names of things that exist, is put into most of
the valid ones, so that they get past the first check; each success adds the names that it made. Every answer is held to the
document twice: by schemathesis, and by the harness, which allows no member that a schema does not name.
"""
import collections
import os
import re
import tempfile
from types import SimpleNamespace

storage = tempfile.TemporaryDirectory(prefix="serin-hypothesis-")
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = storage.name  # read when hypothesis is imported

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from harness import table
from harness.scale import SCALE, make_random
from harness.server import NOBODY
from harness.world import ENVIRONMENT, config, unique

POSITION = re.compile(r"[0-9]+\.[0-9]+")
KEYS = ["admin"] * 8 + ["releaser", "editor", "viewer", "resolve", "bound", "wrong", "none"]
FOLLOWED = 0.75  # of the valid calls that get names of things that exist
RARE = {"rollback", "release_rollback", "override_delete", "override_put", "resolve", "stream_ack", "rollout_get", "rollout_pause",
        "rollout_resume", "rollout_advance", "rollout_promote", "rollout_abort", "rollout_failures", "rollout_status", "webhook_rotate", "webhook_delete", "flag_delete", "flag_enable",
        "flag_disable"}  # each call gets a situation of its own
ROUNDS_MORE = 20  # for operations that no call has succeeded with by then
FAULTS_MAX = 20  # then it gives up
CHECKED = ["status_code_conformance", "content_type_conformance", "response_headers_conformance", "response_schema_conformance"]


class Names:
    """What exists by now."""

    def __init__(self, world, rng):
        self.rng, self.world = rng, world
        agents = [world.served(1, 2) for _ in range(4)]
        release, moved = world.release()
        override = world.recipe_override_delete()
        self.known = {
            "agent": [*agents, *moved, override["agent"]], "environment": [ENVIRONMENT, ENVIRONMENT, "production", "other"],
            "release": [release], "override": [override["override"]], "version": [1, 2, "latest", ENVIRONMENT],
            "key": [world.recipe_key_revoke()["key"]], "stream": ["0123456789abcdef01234567"], "position": ["1.1"],
            "rollout": [ENVIRONMENT], "template": ["careful"], "webhook": [world.webhook() for _ in range(4)],
            "flag": [world.flag() for _ in range(4)],
        }

    def pick(self, name):
        return self.rng.choice(self.known[name])

    def put_into(self, op, case):
        made = self.world.recipe(op.name) if op.name in RARE else {}
        for place in (case.path_parameters, case.query, case.body):
            if not isinstance(place, dict):
                continue
            for name in place.keys() & self.known.keys():
                value = made.get(name, self.pick(name))
                place[name] = value if place is case.body else str(value)
            if self.rng.random() < 0.8:
                for name in ("at", "per", "from", "to", *(("after",) if op.name == "outcome_sums" else ())):
                    place.pop(name, None)
        if isinstance(case.body, dict):
            self.put_into_body(case.body)

    def put_into_body(self, body):
        if "config" in body:
            body["config"] = config(unique(), ext={"tests": body["config"]})
            body.pop("source", None)
        if "context" in body:
            body["context"] = {"targetingKey": unique("user"), "attributes of the document": body["context"]}
        if "items" in body and "instance" in body:
            body.update(instance=unique("sender"), batch=1, items=[self.world.outcome(self.pick("agent"))])
        if "steps" in body:
            body["steps"] = [{"share": 10}, {"share": 50}]
            for name in ("analysis", "limits", "judge", "ratio", "on_harm", "on_end", "no_data_after", "audience", "salt"):
                body.pop(name, None)
        if "url" in body:
            body["url"] = f"{NOBODY}/{unique()}"
        if "definition" in body:
            body.update(definition=self.world.recipe_flag_put()["definition"])
            body.pop("bindings", None)
        if "document" in body:
            made = self.world.recipe_flag_document_put()
            body.update(document=made["document"], bindings=made["bindings"], replace=False)
        if "moves" in body:
            body["moves"] = [{"agent": self.pick("agent"), "version": 1} for _ in range(self.rng.randrange(1, 3))]
        for name in ("expected", "expected_latest"):
            if self.rng.random() < 0.7:
                body.pop(name, None)

    def learn(self, op, case, answer):
        if op.name in ("agent_put", "version_push"):
            self.known["agent"].append(case.path_parameters["agent"])
        elif op.name == "environment_put":
            self.known["environment"].append(case.path_parameters["environment"])
        elif op.name == "override_put":
            self.known["override"].append(case.path_parameters["override"])
        elif op.name == "release_create":
            self.known["release"].append(answer["release"].get("id", self.pick("release")))
        elif op.name == "key_create" and "id" in answer:
            self.known["key"].append(answer["id"])


class Callers:
    """One connection a key."""

    def __init__(self, server):
        keys = {role: server.client(role).key for role in ("releaser", "editor", "viewer", "resolve")}
        keys |= {"admin": server.admin.key, "bound": server.client("releaser", ENVIRONMENT).key, "wrong": "srn_" + "x" * 43, "none": None}
        self.headers = {who: {"Authorization": f"Bearer {key}"} if key else {} for who, key in keys.items()}
        self.sessions = {who: requests.Session() for who in keys}

    def call(self, who, case, server, **more):
        more["headers"] = {**(case.headers or {}), **self.headers[who]}
        return case.call(base_url=f"http://{server.address}", session=self.sessions[who], **more)


def is_busy(response):
    """The one documented limit that these calls can reach: a position that this node has not reached yet."""
    return response.status_code == 503 and "retry-after" in response.headers and response.json()["at"] == "Serin-After"


class Run:
    def __init__(self, server, world):
        self.rng = make_random()
        self.server, self.names, self.callers = server, Names(world, self.rng), Callers(server)
        self.document = server.admin.send("GET", "/openapi.json", key=None).json
        self.statuses = collections.defaultdict(collections.Counter)
        self.faults, self.calls = [], 0

    def operations(self):
        """Those of the table; OpenFeature's protocol beside it has another form of errors."""
        schema = schemathesis.openapi.from_dict(self.document)
        found = {result.ok().definition.raw["operationId"]: result.ok() for result in schema.get_all_operations()}
        return {name: operation for name, operation in found.items() if "x-serin-role" in operation.definition.raw}

    def fuzz(self, operation, op, mode, count):
        examine = self.stream if op.kind == "STREAM" else self.examine

        @hypothesis.seed(self.rng.randrange(2**32))
        @hypothesis.settings(max_examples=count, database=None, deadline=None, phases=[hypothesis.Phase.generate],
                             suppress_health_check=list(hypothesis.HealthCheck), report_multiple_bugs=False)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def each(case):
            examine(op, mode, case)

        each()

    def done(self):
        """The operations that succeeded at least once."""
        return {name for name, seen in self.statuses.items() if any(status < 400 for status in seen)}

    def prepare(self, op, mode, case):
        who = self.rng.choice(KEYS)
        if mode == GenerationMode.POSITIVE and self.rng.random() < FOLLOWED:
            self.names.put_into(op, case)
            case.headers.pop("Idempotency-Key", None)
        if POSITION.fullmatch(str((case.headers or {}).get("Serin-After", ""))) and self.rng.random() < 0.98:
            case.headers["Serin-After"] = "1.1"  # most positions lie in the future: waited for, then a 503
        self.calls += 1
        return who

    def examine(self, op, mode, case):
        who = self.prepare(op, mode, case)
        try:
            response = self.callers.call(who, case, self.server)
            self.check(op, mode, who, case, response)
        except (Exception, schemathesis.core.failures.FailureGroup) as fault:
            self.faults.append(f"{op.name}, {mode}, key {who}: {case.as_curl_command()}\n{type(fault).__name__}: {str(fault)[:3000]}")
            assert len(self.faults) < FAULTS_MAX, "\n\n".join(self.faults)

    def check(self, op, mode, who, case, response):
        status = response.status_code
        self.statuses[op.name][status] += 1
        assert status < 500 or is_busy(response), response.text
        if status in (414, 431) and "content-type" not in response.headers:
            assert response.headers["connection"] == ["close"]
            return  # libmicrohttpd's own words for a head that does not fit: nothing of ours has seen the request
        if who in ("wrong", "none"):
            assert status == 401 or status >= 400 and mode == GenerationMode.NEGATIVE, f"{status} without a key"
        names = CHECKED + (["negative_data_rejection"] if status < 400 else [])
        case.validate_response(response, checks=CHECKS.get_by_names(names))
        if status >= 400:
            headers = {"Content-Type": response.headers["content-type"][0]}
            self.server.admin.problem_of(SimpleNamespace(headers=headers, json=response.json(), status=status))
        elif status != 304:
            self.server.schemas.check(op.answer, response.json())
            self.names.learn(op, case, response.json())

    def stream(self, op, mode, case):
        """It has no end: the head and the first bytes are enough."""
        who = self.prepare(op, mode, case)
        kwargs = case.as_transport_kwargs(base_url=f"http://{self.server.address}")
        kwargs["headers"] = {**kwargs["headers"], **self.callers.headers[who]}
        with requests.request(stream=True, timeout=10, **kwargs) as response:
            status = response.status_code
            self.statuses[op.name][status] += 1
            kind = response.headers["Content-Type"].split(";")[0]
            if status == 200:
                assert kind == "text/event-stream" and next(response.iter_lines(1)), kind
                return
            problem = SimpleNamespace(headers=response.headers, json=response.json(), status=status)
            self.server.admin.problem_of(problem)
            assert status < 500 or is_busy(response), problem


@pytest.mark.timeout(3600)
def test_calls_made_up_from_the_document(server, world):
    run = Run(server, world)
    operations, ops = run.operations(), table.operations()
    assert operations.keys() == ops.keys()
    turn = 0
    while run.calls < SCALE.api_calls:
        share = min(40, max(4, (SCALE.api_calls - run.calls) // (2 * len(ops)) + 1))
        for name, operation in operations.items():
            if run.calls >= SCALE.api_calls:
                break
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                run.fuzz(operation, ops[name], mode, share)
        turn += 1
        assert turn < 1000, f"only {run.calls} calls"
    for _ in range(ROUNDS_MORE):
        for name in sorted(ops.keys() - run.done()):
            run.fuzz(operations[name], ops[name], GenerationMode.POSITIVE, 10)
    print(f"{run.calls} calls, {sum(sum(count for status, count in seen.items() if status < 400) for seen in run.statuses.values())} of them done")
    for name, seen in run.statuses.items():
        print(f"  {name}: {dict(sorted(seen.items()))}")
    assert not run.faults, "\n\n".join(run.faults)
    assert run.done() == ops.keys(), f"never done: {ops.keys() - run.done()}"
    world.version_of(world.served(1))


@pytest.mark.parametrize("path", sorted({"/v1" + op.path for op in table.operations().values()}))
def test_methods_that_the_document_does_not_list(server, admin, path):
    listed = admin.send("GET", "/openapi.json", key=None).json["paths"][path].keys()
    for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        if method.lower() in listed:
            continue
        answer = admin.send(method, path.replace("{", "").replace("}", ""))
        assert admin.problem_of(answer)["code"] == "method_not_allowed", answer
        assert {one.strip().lower() for one in answer.headers["Allow"].split(",")} >= set(listed), answer.headers
