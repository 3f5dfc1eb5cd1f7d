# SPDX-License-Identifier: Apache-2.0
"""Agents and their versions: made once, numbered without gaps, found by number and hash, never changed."""
import hashlib
import json

import pytest
from check_vectors import canonical

from harness.world import config, unique


def sha256(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def push(admin, agent, document, **more):
    return admin.op("version_push", agent=agent, config=document, **more)


def test_agents_are_made_and_described(admin):
    name = unique()
    made = admin.op("agent_put", agent=name, description="First.")
    assert made["created"] and made["changed"] and made["agent"]["latest"] == 0
    same = admin.call("agent_put", agent=name, description="First.")
    assert same.status == 200 and not same.json["created"] and not same.json["changed"]
    other = admin.op("agent_put", agent=name, description="Second.")
    assert not other["created"] and other["changed"]
    assert admin.op("agent_get", agent=name)["description"] == "Second."


def test_versions_are_numbered_without_gaps(admin):
    agent = unique()
    for number in (1, 2, 3):
        made = push(admin, agent, config(f"Answer {number}."))
        assert made["created"] and made["agent_created"] == (number == 1)
        assert made["version"]["version"] == number
        assert made["version"].get("parent", 0) == number - 1
        admin.refused("invalid", "version_push", agent=agent, config={"model": 7})
    assert [v["version"] for v in admin.op("version_list", agent=agent)["versions"]] == [3, 2, 1]


def test_equal_content_makes_no_new_version(admin):
    agent = unique()
    first = push(admin, agent, {"system_prompt": "Hi.", "model": "gpt-4o", "temperature": 0.5})
    head = admin.head()
    again = admin.call("version_push", agent=agent, config={"parameters": {"temperature": 0.50}, "model": "gpt-4o", "instructions": "Hi."})
    assert again.status == 200 and again.json["created"] is False
    assert again.json["version"]["content_hash"] == first["version"]["content_hash"]
    assert admin.head() == head
    push(admin, agent, config("Bye."))
    back = push(admin, agent, {"system_prompt": "Hi.", "model": "gpt-4o", "temperature": 0.5})
    assert back["created"] and back["version"]["version"] == 3


def test_stored_form_and_content_hash(admin):
    """The configuration comes back canonical, and its hash is the SHA-256 of exactly those bytes."""
    agent = unique()
    push(admin, agent, config("Zwölf Boxkämpfer: €, 😀, \u2028", ext={"tests": {"z": 1, "a": [1.5, 1e21, -0.0, 100], "ä": "€"}}))
    answer = admin.call("version_get", agent=agent, version=1)
    stored = answer.json["config"]
    text = canonical(stored)
    assert text.encode() in answer.body
    assert answer.json["content_hash"] == sha256(text) and answer.json["size"] == len(text.encode())
    assert stored["schema"] == "agent/v1"


def test_config_hash_leaves_out_what_does_not_change_behaviour(admin):
    agent = unique()
    plain = push(admin, agent, config("Hi.", tools=["a", "b"]))["version"]
    dressed = push(admin, agent, config("Hi.", tools=["b", "a"], description="d", display_name="n", metadata={"owner": "x", "labels": {"team": "y"}},
                                        **{"x-note": 1}))["version"]
    assert plain["config_hash"] == dressed["config_hash"] and plain["content_hash"] != dressed["content_hash"]
    changed = push(admin, agent, config("Hi!", tools=["a", "b"]))["version"]
    assert changed["config_hash"] != plain["config_hash"]


def test_versions_are_found_by_every_name(admin, world):
    agent = world.served(1, 2)
    world.admin.op("version_push", agent=agent, config=config(f"{agent} third"))
    third = admin.op("version_get", agent=agent, version=3)
    assert admin.op("version_get", agent=agent, version="latest") == third
    assert admin.op("version_get", agent=agent, version="staging")["version"] == 2
    digits = third["content_hash"].removeprefix("sha256:")
    for length in (8, 20, 64):
        assert admin.op("version_get", agent=agent, version="sha256:" + digits[:length]) == third
    for wrong in (4, 0, "sha256:00000000"):
        admin.refused(("version_not_found", "invalid", "bad_request"), "version_get", agent=agent, version=wrong)
    admin.refused(("version_not_found", "not_deployed"), "version_get", agent=agent, version="production")
    admin.refused(("version_not_found", "environment_not_found"), "version_get", agent=agent, version="nowhere")


def test_unknown_agents_are_named(admin):
    agent = unique()
    for name, more in [("agent_get", {}), ("version_list", {}), ("version_get", {"version": 1}), ("deployment_list", {}),
                       ("deploy", {"environment": "staging", "version": 1, "reason": "x"}),
                       ("rollback", {"environment": "staging", "reason": "x"}), ("resolve", {"environment": "staging"}),
                       ("override_list", {"environment": "staging"})]:
        problem = admin.refused("agent_not_found", name, agent=agent, **more)
        assert agent in problem["detail"]


def test_what_a_push_remembers(admin):
    agent = unique()
    source = {"kind": "git", "commit": "a" * 40, "path": "agents/support"}
    push(admin, agent, config(), change_description="Shorter answers,\nand a tool.", source=source)
    version = admin.op("version_get", agent=agent, version=1)
    assert version["source"] == source and version["change_description"] == "Shorter answers,\nand a tool."
    assert version["created_by"] == admin.op("whoami")["id"]


def test_expected_latest(server, admin):
    agent = unique()
    push(admin, agent, config("a"), expected_latest=0)
    head = admin.head()
    assert admin.refused("stale", "version_push", agent=agent, config=config("b"), expected_latest=0)["current"] == 1
    assert admin.head() == head
    push(admin, agent, config("b"), expected_latest=1)


def test_all_faults_are_told_at_once(server, admin):
    agent, head = unique(), admin.head()
    document = {"system_prompt": 5, "model": [], "tools": ["a", "a"], "parameters": {"temperature": 99}, "nonsense": 1}
    problem = admin.refused("invalid", "version_push", agent=agent, config=document)
    places = {fault["at"] for fault in problem["errors"]}
    for place in ("/system_prompt", "/model", "/tools/1", "/parameters/temperature", "/nonsense"):
        assert any(at.endswith(place) for at in places), (place, places)
    assert admin.head() == head
    admin.refused("agent_not_found", "agent_get", agent=agent)


@pytest.mark.parametrize("document,place", [
    ({"system_prompt": "Hi {{name}} {{age}}", "model": "m", "inputs": {"type": "object", "properties": {"name": {"type": "string"}}}}, "/system_prompt"),
    ({"system_prompt": "key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH", "model": "m"}, "/system_prompt"),
    ({"system_prompt": {"file": "../../etc/passwd"}, "model": "m"}, "/system_prompt"),
    ({"system_prompt": "x", "model": "m", "tools": [f"t{i}" for i in range(257)]}, "/tools"),
])
def test_what_a_push_refuses(admin, document, place):
    problem = admin.refused("invalid", "version_push", agent=unique(), config=document)
    assert any(place in fault["at"] for fault in problem["errors"]), problem


def test_a_configuration_that_is_too_deep(admin):
    deep = 1
    for _ in range(40):
        deep = {"a": deep}
    problem = admin.refused(("invalid", "malformed_json"), "version_push", agent=unique(), config=config(ext={"tests": deep}))
    assert "32" in json.dumps(problem) or "levels" in problem["detail"]
    fits = 1
    for _ in range(29):
        fits = {"a": fits}
    assert push(admin, unique(), config(ext={"tests": fits}))["created"]


def test_a_configuration_that_is_too_large(admin):
    problem = admin.refused(("too_large", "invalid"), "version_push", agent=unique(), config=config("x" * (1 << 20)))
    assert "1 MiB" in problem["detail"] or "1048576" in problem["detail"], problem
    assert admin.op("version_push", agent=unique(), config=config("x" * ((1 << 20) - 500)))["created"]


def test_warnings_do_not_stop_a_push(admin):
    inputs = {"type": "object", "properties": {"name": {"type": "string"}}}
    made = push(admin, unique(), config("Hi.", inputs=inputs, model="gpt-4o-latest"))
    assert made["created"] and len(made["warnings"]) >= 2, made


def test_served_in(admin, world):
    agent = world.served(1)
    world.deploy(agent, 1, "production")
    assert admin.op("version_get", agent=agent, version=1)["served_in"] == ["production", "staging"]
