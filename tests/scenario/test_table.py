# SPDX-License-Identifier: Apache-2.0
"""What holds for every operation, asked of every row of the table."""
import json
import re
import threading
import time

import pytest

from harness import table
from harness.client import request_of
from harness.world import World, operations, unique

ALL = operations()
CHANGES = operations("CHANGE")
POSITION = re.compile(r"\d+\.\d+")

# Values that a parameter of the type must not take, in a body and as text.
WRONG = {
    "TEXT": ([5, [], {}, True, "x" * 513], ["x" * 513]),
    "REASON": ([5, [], {}, True, "x" * 100_000], ["x" * 6000]),
    "NAME": ([5, [], {}, True, "", "Bad_Name", "-a", "a-", "a b", "ä", "a" * 64, "../a", "a\u0000b"],
             ["Bad_Name", "-a", "a b", "ä", "a" * 64]),
    "NUMBER": ([-1, 1.5, "1", [], {}, True, 2**70], ["-1", "1.5", "x", "0x10", "1e3", str(2**70), " 1"]),
    "LIMIT": ([], ["0", "1001", "-1", "x", "1.5", str(2**64 + 1)]),
    "BOOL": ([0, 1, "true", [], {}], ["maybe", "TRUEx", "2", "-1"]),
    "VERSION": ([-1, 0, 1.5, [], {}, True, "", "no such!", "sha256:123", "sha256:zzzzzzzz", 2**70],
                ["-1", "1.5", "no such!", "sha256:123", "sha256:zzzzzzzz"]),
    "OBJECT": ([5, [], "x", True], []),
    "KEYS": ([5, {}, "ann", [], [1], [["ann"]], [None], [str(i) for i in range(10001)]], []),
    "MOVES": ([5, {}, "x", [], [{}], [5], [{"agent": "a"}], [{"version": 1}], [{"agent": "Bad_", "version": 1}],
               [{"agent": "a", "version": -1}], [{"agent": "a", "version": 1, "extra": 1}]], []),
    "MOMENT": ([5, [], {}, True, "yesterday", "2026-13-01T00:00:00Z", "1.", ".1", "1.x", "2026-01-01"],
               ["yesterday", "2026-13-01T00:00:00Z", "1.", "1.x"]),
    "POSITION": ([5, [], {}, True, "", "x", "1.", ".1", "1.x", "-1.2", "1.2.3"], ["x", "1.", ".1", "1.x", "-1.2", "1.2.3"]),
    "ROLE": ([5, [], {}, True, "", "king", "Admin"], []),
    "NAMES": ([5, {}, True, [], [5], ["Bad_"], "Bad_", [["a"]]], []),
    "EVENTS": ([5, {}, "rollout.held", True, [], [5], ["rollout.ended"], ["*", "rollout.held"], ["rollout.held"] * 2, ["*"] * 9], []),
    "LIST": ([5, {}, "x", True], []),
    "UUID": ([], ["x", "0191", "0191f3a0-0000-7000-8000-00000000000Z"]),
}

SECRETS = {"key_create": "key", "webhook_put": "secret", "webhook_rotate": "secret"}  # told once


def changes_nothing(server, call):
    before = server.admin.head()
    result = call()
    assert server.admin.head() == before
    return result


def test_every_operation_has_a_recipe():
    recipes = {name.removeprefix("recipe_") for name in dir(World) if name.startswith("recipe_")}
    assert recipes == set(table.operations())


@pytest.mark.parametrize("name", ALL)
def test_success(world, admin, name):
    """The recipe works, the answer keeps its schema (Client.call), and carries a position."""
    answer = admin.call(name, **world.recipe(name))
    assert answer.status == table.operations()[name].status, answer
    if table.operations()[name].kind == "INTAKE":  # outcomes are no state of the world
        assert "Serin-Position" not in answer.headers
        return
    assert POSITION.fullmatch(answer.headers["Serin-Position"]), answer
    if "position" in answer.json:
        assert answer.headers["Serin-Position"] == answer.json["position"]


@pytest.mark.parametrize("name", ALL)
def test_without_key(server, world, name):
    params = world.recipe(name)
    answer = changes_nothing(server, lambda: server.another(None).call(name, **params))
    assert answer.status == 401 and answer.json["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_one_audit_entry(admin, world, name):
    params = world.recipe(name)
    position, hash_before = admin.head()
    answer = admin.op(name, **params)
    entries = admin.op("audit_list", after=int(position.split(".")[1]))["entries"]
    assert [entry["operation"] for entry in entries] == [name]
    assert entries[0]["position"] == answer["position"]
    assert entries[0]["previous"] == hash_before
    assert entries[0]["actor"] == admin.op("whoami")["id"]
    assert entries[0]["reason"] == params.get("reason", params.get("change_description", ""))
    for place in ("agent", "environment"):
        if isinstance(params.get(place), str):
            assert entries[0][place] == params[place], entries[0]


@pytest.mark.parametrize("name", CHANGES)
def test_dry_run(server, world, name):
    params = world.recipe(name)
    answer = changes_nothing(server, lambda: server.admin.call(name, query={"dry_run": "true"}, **params))
    assert answer.status in (200, table.operations()[name].status), answer
    assert answer.json["dry_run"] is True
    assert SECRETS.get(name) not in answer.json
    real = server.admin.op(name, **params)
    assert "dry_run" not in real
    assert set(real) - set(answer.json) <= {SECRETS.get(name), "id"} and not set(answer.json) - set(real) - {"dry_run"}


@pytest.mark.parametrize("name,missing", [(name, p.name) for name in CHANGES for p in table.operations()[name].params
                                          if p.required and p.where != "path"])
def test_a_dry_run_finds_what_is_wrong(server, world, name, missing):
    """Checks are the same: what a change refuses, its dry run refuses."""
    params = world.recipe(name)
    del params[missing]
    problem = changes_nothing(server, lambda: server.admin.refused("missing_field", name, query={"dry_run": "true"}, **params))
    assert missing in problem["at"]


@pytest.mark.parametrize("name", CHANGES)
def test_repeat_with_the_same_idempotency_key(admin, world, name):
    params, key = world.recipe(name), {"Idempotency-Key": unique("once")}
    first = admin.call(name, headers=key, **params)
    head = admin.head()
    again = admin.call(name, headers=key, **params)
    assert admin.head() == head
    assert first.status == again.status == table.operations()[name].status, again
    expected = first.json
    expected.pop(SECRETS.get(name), None)
    assert again.json == expected
    assert again.headers["Serin-Position"] == first.headers["Serin-Position"]


@pytest.mark.parametrize("name", CHANGES)
def test_another_request_with_the_same_idempotency_key(server, world, name):
    key = {"Idempotency-Key": unique("once")}
    server.admin.call(name, headers=key, **world.recipe(name))
    params = world.recipe(name)
    changes_nothing(server, lambda: server.admin.refused("idempotency_mismatch", name, headers=key, **params))


def test_idempotency_keys_belong_to_their_principal(server, world):
    key = {"Idempotency-Key": unique("once")}
    server.admin.call("agent_put", headers=key, **world.recipe("agent_put"))
    server.client("admin").op("agent_put", headers=key, **world.recipe("agent_put"))


def test_a_refused_request_does_not_use_up_its_idempotency_key(admin, world):
    key = {"Idempotency-Key": unique("once")}
    params = world.recipe("deploy")
    admin.refused("stale", "deploy", headers=key, **{**params, "expected": 7})
    assert admin.op("deploy", headers=key, **params)["changed"]


def test_a_dry_run_does_not_use_up_the_idempotency_key(admin, world):
    key = {"Idempotency-Key": unique("once")}
    params = world.recipe("deploy")
    admin.op("deploy", headers=key, query={"dry_run": "true"}, **params)
    assert admin.op("deploy", headers=key, **params)["changed"]


@pytest.mark.parametrize("bad", ["", "x" * 1000])
def test_bad_idempotency_key(server, world, bad):
    params = world.recipe("agent_put")
    answer = changes_nothing(server, lambda: server.admin.call("agent_put", headers={"Idempotency-Key": bad}, **params))
    assert answer.status == 400 and answer.json["at"] == "Idempotency-Key"


@pytest.mark.parametrize("name", CHANGES)
def test_a_read_after_the_position_of_a_change_sees_it(admin, world, name):
    position = admin.op(name, **world.recipe(name))["position"]
    assert admin.call("whoami", headers={"Serin-After": position}).status == 200
    assert admin.call("agent_list", headers={"Serin-After": position}).status == 200


@pytest.mark.parametrize("name", ["whoami", "agent_list", "resolve"])
def test_a_position_that_is_not_there_yet(admin, world, name):
    params = world.recipe(name)
    epoch, seq = admin.op("whoami")["position"].split(".")
    admin.refused(("unavailable", "timeout"), name, headers={"Serin-After": f"{epoch}.{int(seq) + 5}"}, **params)
    answer = admin.call(name, headers={"Serin-After": "nonsense"}, **params)
    assert answer.status == 400 and answer.json["at"] == "Serin-After"


def test_a_position_that_is_not_there_yet_is_no_failure_of_the_server(server, world):
    """Any client can ask for one; nobody is to be woken by it."""
    epoch, seq = server.admin.op("whoami")["position"].split(".")
    late = f"{epoch}.{int(seq) + 1000}"
    server.admin.refused("unavailable", "agent_list", headers={"Serin-After": late})
    after = world.admin.op("deploy", **world.recipe("deploy"))["position"]
    server.process.wait_event("change", position=after)
    assert not [event for event in server.process.events if event["event"] == "request_failed" and late in event["message"]]


@pytest.mark.parametrize("name", ALL)
def test_unknown_query_argument(server, world, name):
    params = world.recipe(name)
    problem = changes_nothing(server, lambda: server.admin.refused("unknown_field", name, query={"nonsense": "1"}, **params))
    assert "nonsense" in problem["at"]


@pytest.mark.parametrize("name", [n for n in ALL if table.operations()[n].takes("body") and table.operations()[n].kind != "INTAKE"])
def test_unknown_field(server, world, name):
    params = world.recipe(name)
    problem = changes_nothing(server, lambda: server.admin.refused("unknown_field", name, nonsense=1, **params))
    assert problem["at"] == "/nonsense"


@pytest.mark.parametrize("name", [n for n in ALL if table.operations()[n].takes("body")])
@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"null", b"7"])
def test_a_body_that_is_no_object(server, world, name, body):
    method, target, _ = request_of(table.operations()[name], world.recipe(name))
    if body == b"" and not any(p.required for p in table.operations()[name].takes("body")):
        assert server.admin.send(method, target, body).status < 300
        return
    problem = server.admin.problem_of(changes_nothing(server, lambda: server.admin.send(method, target, body)))
    assert 400 <= problem["status"] < 500 and problem["detail"]


# Bodies of outcomes have a reader and tests of their own (test_outcomes.py).
REQUIRED = [(op.name, p.name) for op in table.operations().values() if op.kind not in ("STREAM", "INTAKE")
            for p in op.params if p.required and p.where != "path"]


@pytest.mark.parametrize("name,missing", REQUIRED)
def test_missing(server, world, name, missing):
    params = world.recipe(name)
    del params[missing]
    problem = changes_nothing(server, lambda: server.admin.refused("missing_field", name, **params))
    assert missing in problem["at"] and missing in problem["detail"]


TYPED = [(op.name, p.name) for op in table.operations().values() if op.kind not in ("STREAM", "INTAKE")
         for p in op.params if p.where != "path" and "*" not in p.name]


@pytest.mark.parametrize("name,wrong", TYPED)
def test_wrong_type(server, world, name, wrong):
    """Each wrong value is refused, and the answer says where."""
    param = table.operations()[name].param(wrong)
    params = world.recipe(name)
    before = server.admin.head()
    for value in WRONG[param.type][param.where == "query"]:
        answer = server.admin.call(name, **{**params, wrong: value})
        assert answer.status in (400, 422), f"{wrong} = {value!r}: {answer}"
        problem = answer.json
        if problem["code"] == "malformed_json":  # a NUL or a number without end: the reader stops at its place in the text
            assert problem["line"] == 1 and problem["column"] > 1, f"{value!r}: {problem}"
            continue
        assert problem["at"].startswith(f"/{wrong}" if param.where == "body" else wrong), f"{value!r}: {problem}"
    assert server.admin.head() == before


NAMED = [(op.name, p.name) for op in table.operations().values() if op.kind != "STREAM" for p in op.params if p.where == "path"]
ODD = ["Bad_Name", "-a", "a b", "ä", "a" * 64, "..", "../..", "a/b", "%2e%2e", "a%00b", "\u202eabc", "a\nb", "'; --", "$(id)", "{}"]
ODD_KEYS = [*(set(ODD) - {"Bad_Name", "a" * 64}), "a" * 129, "_a", "agent.support"]  # of flags


@pytest.mark.parametrize("name,odd", NAMED)
def test_odd_names_in_the_path(server, world, name, odd):
    params = world.recipe(name)
    before = server.admin.head()
    for value in ODD_KEYS if table.operations()[name].param(odd).type == "FLAG" else ODD:
        answer = server.admin.call(name, **{**params, odd: value})
        assert 400 <= answer.status < 500, f"{odd} = {value!r}: {answer}"
    assert server.admin.head() == before


@pytest.mark.parametrize("path", sorted({op.path for op in table.operations().values()}))
def test_other_methods_are_refused(server, world, path):
    ops = [op for op in table.operations().values() if op.path == path]
    _, target, _ = request_of(ops[0], world.recipe(ops[0].name))
    target = target.split("?")[0]
    taken = {op.method for op in ops}
    for method in {"GET", "PUT", "POST", "DELETE", "PATCH"} - taken:
        answer = changes_nothing(server, lambda: server.admin.send(method, target, b"{}" if method != "GET" else None))
        assert server.admin.problem_of(answer)["code"] == "method_not_allowed"
        assert taken <= {word.strip() for word in answer.headers["Allow"].split(",")}


def test_lists_page_by_cursor(admin, world):
    """Every list that pages: small pages together are the same as large ones."""
    agent = world.served(1, 2, 3)
    world.release()
    tried, rollout = world.rollout()
    admin.op("rollout_abort", agent=tried, rollout=rollout, reason="x")
    admin.op("rollout_start", agent=tried, environment="staging", version=2, reason="again")
    flag = world.flag()
    admin.op("flag_disable", environment="staging", flag=flag)
    cases = [("agent_list", "agents", {}), ("version_list", "versions", {"agent": agent}),
             ("deployment_list", "deployments", {"agent": agent}), ("release_list", "releases", {}),
             ("environment_get", "refs", {"environment": "staging"}), ("audit_list", "entries", {}),
             ("rollout_list", "rollouts", {"agent": tried}), ("rollouts", "rollouts", {}),
             ("rollout_get", "moves", {"agent": tried, "rollout": rollout}), ("flag_list", "flags", {"environment": "staging"}),
             ("flag_history", "entries", {"environment": "staging", "flag": flag})]
    elsewhere = {"rollout_failures", "outcome_sums"}  # test_outcome_sums.py
    paged = {op.name for op in table.operations().values() if op.param("limit")}
    assert paged - elsewhere == {name for name, _, _ in cases}

    def pages(name, member, params, limit):
        cursor, listed, more = "after" if table.operations()[name].param("after") else "before", [], {}
        while True:
            page = admin.op(name, limit=limit, **params, **more)
            assert len(page[member]) <= limit
            listed += page[member]
            if "next" not in page:
                return listed
            more = {cursor: page["next"]}

    for name, member, params in cases:
        whole = pages(name, member, params, 1000)
        assert len(whole) > 1, name
        for limit in (1, 7) if len(whole) < 200 else (7, 100):
            assert pages(name, member, params, limit) == whole, (name, limit)


def test_answers_are_json_that_others_read(admin, world):
    """No duplicate members in any answer."""

    def once(pairs):
        assert len(pairs) == len(dict(pairs)), pairs
        return dict(pairs)

    for name in ALL:
        json.loads(admin.call(name, **world.recipe(name)).body, object_pairs_hook=once)


def test_waiting_for_a_position_keeps_nobody_from_the_store(server):
    """More requests than there are control threads ask for a position that never comes; a change gets through before any of those
    that were let wait has waited its time."""
    epoch, seq = server.admin.head()[0].split(".")
    ended = []

    def wait(client):
        begun = time.monotonic()
        assert client.call("whoami", headers={"Serin-After": f"{epoch}.{int(seq) + 1000}"}).status == 503
        ended.append("waited" if time.monotonic() - begun > 1 else "refused")

    waiting = [threading.Thread(target=wait, args=[server.another()]) for _ in range(12)]
    for thread in waiting:
        thread.start()
    server.admin.op("agent_put", agent=unique())
    ended.append("change")
    for thread in waiting:
        thread.join()
    assert len(ended) == 13 and "waited" in ended
    assert ended.index("change") < ended.index("waited"), ended
