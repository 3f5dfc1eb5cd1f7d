# SPDX-License-Identifier: Apache-2.0
"""The corpus of bad documents, and others that are too large for it, through the running server: in as many ways as they could come,
deployed and resolved where they are accepted, and each time the agent that was there before is served as it was."""
import json
import time

import pytest

from harness.server import ROOT
from harness.world import ENVIRONMENT, config, unique

CORPUS = sorted(path for path in (ROOT / "tests/poison").iterdir() if path.name != "expected.json")
ELSEWHERE = "other"
SECONDS_MAX = 5


def schema_with(pattern):
    return {"type": "object", "properties": {"x": {"type": "string", "pattern": pattern}}}


def deep(levels):
    return {"type": "object", "properties": {"a": deep(levels - 1)}} if levels else {}


def tools(count, **more):
    return [{"name": f"tool_{i}", "description": "d", **more} for i in range(count)]


# What each is, and whether it may be kept (None: either).
HOSTILE = {
    "a prompt of a megabyte": (config("x" * 1_000_000), None),
    "a prompt of one long line of odd characters": (config("\u202e\u2028\ufeff\u0301\U0001f468\u200d" * 5000), None),
    "a thousand tools": (config(tools=tools(1000)), None),
    "fifty thousand members": (config(ext={"tests": {f"k{i}": i for i in range(50_000)}}), None),
    "a very long key": (config(ext={"tests": {"k" * 200_000: 1}}), None),
    "numbers at the ends": (config(ext={"tests": [5e-324, -0.0, 1.7976931348623157e308, 2**53 - 1, 1e-7]}), None),
    "a schema of many levels": (config(tools=tools(1, parameters=deep(12))), None),
    "a schema of too many levels": (config(tools=tools(1, parameters=deep(100))), False),
    "patterns that never end": (config(tools=[*tools(1, parameters=schema_with("^(a+)+$")), {"name": "b", "parameters": schema_with("(?R)*(x+x+)+y")}]), None),
    "a pattern that is none": (config(tools=tools(1, parameters=schema_with("((((("))), None),
    "a schema that refers to itself": (config(tools=tools(1, parameters={"$ref": "#", "$defs": {"a": {"$ref": "#/$defs/a"}}})), None),
    "names that never match a pattern": (config(tools=[{"name": "a" * 100_000 + "!"}]), False),
    "opening braces without end": (config("{{" * 100_000, inputs={"properties": {}}), False),
    "sections in sections": (config("{{#a}}" * 20_000, inputs={"properties": {"a": {"type": "object"}}}), False),
    "ten thousand names": (config("".join("{{n%d}}" % i for i in range(10_000)), inputs={"properties": {}}), False),
    "ten thousand declared": (config("x", inputs={"properties": {f"n{i}": {"type": "string"} for i in range(10_000)}}), None),
}


@pytest.fixture(scope="module")
def good(world):
    """Served from before the first bad document on."""
    agent = world.served(1)
    return agent, world.admin.op("resolve", agent=agent, environment=ENVIRONMENT)


@pytest.fixture(autouse=True)
def last_good_stays(server, good):
    yield
    agent, before = good
    after = server.admin.op("resolve", agent=agent, environment=ENVIRONMENT)
    assert {**after, "position": None} == {**before, "position": None}
    assert server.running, server.process.log()


def push(admin, agent, body):
    """Whether it was kept. Refused in words and in time otherwise."""
    started = time.monotonic()
    answer = admin.send("POST", f"/v1/agents/{agent}/versions", body)
    assert time.monotonic() - started < SECONDS_MAX
    if answer.status >= 400:
        assert admin.problem_of(answer)["status"] < 500
    return answer.status < 300


def serve(admin, agent):
    """What was kept is served as it was kept."""
    admin.op("deploy", agent=agent, environment=ELSEWHERE, version="latest", reason="poison")
    kept = admin.op("version_get", agent=agent, version=1)
    served = admin.op("resolve", agent=agent, environment=ELSEWHERE, context={"targetingKey": "ann"}, explain=True)
    assert served["version"] == 1 and served["config"] == kept["config"]
    assert admin.send("GET", f"/v1/snapshot?environment={ELSEWHERE}&agent={agent}").status == 200


def bodies(path):
    """Ways in which these bytes may come over the wire."""
    data = path.read_bytes()
    yield data
    yield b'{"config": ' + data + b"}"
    yield b'{"config": {"model": "gpt-4o", "system_prompt": ' + json.dumps(data.decode("latin-1")).encode() + b"}}"
    yield b'{"config": {"model": "gpt-4o", "system_prompt": "' + data + b'"}}'
    yield b'{"config": {"model": "gpt-4o", "system_prompt": "x", "ext": {"tests": ' + data + b"}}}"


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_over_http(admin, path):
    for body in bodies(path):
        agent = unique("poison")
        if push(admin, agent, body):
            serve(admin, agent)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_through_the_command_line(server, admin, path):
    agent = unique("poison")
    before = admin.head()
    server.cli("push", path, "--agent", agent).fails()
    assert admin.head() == before, "what has faults changes nothing"


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_configurations(admin, case):
    document, may_be_kept = HOSTILE[case]
    agent = unique("poison")
    kept = push(admin, agent, json.dumps({"config": document}).encode())
    assert may_be_kept is None or kept == may_be_kept
    if kept:
        serve(admin, agent)
