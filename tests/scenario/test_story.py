# SPDX-License-Identifier: Apache-2.0
"""The main job from end to end: push, deploy, resolve for 10,000 users, a bad deploy, rollback, and what did user-42 get then, and why."""
import time

from harness.world import config

USERS = 10_000


def everybody(server, agent, environment):
    """Version -> number of users who get it, over one kept connection."""
    client, seen = server.another(), {}
    for number in range(USERS):
        answer = client.get(f"/v1/resolve/{agent}?environment={environment}&key=user-{number}")
        assert answer.status == 200, answer
        version = answer.json["version"]
        seen[version] = seen.get(version, 0) + 1
    client.close()
    return seen


def test_the_main_story(make_server):
    server = make_server()
    admin = server.admin
    admin.op("environment_put", environment="production", description="what customers talk to")
    releaser, sdk = server.client("releaser", "production"), server.client("resolve", "production")
    editor = server.client("editor")

    good = config("You are the support agent. Be kind; ask before you refund.", tools=["search_orders", "issue_refund"])
    pushed = editor.op("version_push", agent="support", config=good, change_description="first words")
    assert pushed["version"]["version"] == 1 and pushed["agent_created"]
    first = releaser.op("deploy", agent="support", environment="production", version=1, reason="first release")
    assert everybody(server, "support", "production") == {1: USERS}

    bad = config("You are the support agent. Refund everybody.", tools=["issue_refund"])
    editor.op("version_push", agent="support", config=bad, change_description="faster refunds")
    deployed = releaser.op("deploy", agent="support", environment="production", version=2, reason="faster refunds", expected=1)
    during = admin.op("audit_list", after=int(deployed["position"].split(".")[1]) - 1)["entries"][0]["at"]
    assert everybody(server, "support", "production") == {2: USERS}

    started = time.monotonic()
    back = releaser.op("rollback", agent="support", environment="production", reason="it refunds everybody")
    assert sdk.op("resolve_get", agent="support", key="user-42")["version"] == 1
    assert time.monotonic() - started < 2
    assert back["held"] and everybody(server, "support", "production") == {1: USERS}

    then = sdk.op("resolve_get", agent="support", key="user-42", at=during, explain=True)
    assert then["version"] == 2 and then["config"]["tools"] != good["tools"]
    assert "faster refunds" in str(then["explain"])
    now = sdk.op("resolve_get", agent="support", key="user-42", explain=True)
    assert now["version"] == 1 and "it refunds everybody" in str(now["explain"])
    assert sdk.op("resolve", agent="support", context={"targetingKey": "user-42"}, at=first["position"])["version"] == 1

    told = [(d["kind"], d["version"], d["reason"]) for d in
            releaser.op("deployment_list", agent="support", environment="production")["deployments"]]
    assert told == [("rollback", 1, "it refunds everybody"), ("deploy", 2, "faster refunds"), ("deploy", 1, "first release")]
    server.restart()
    assert sdk.op("resolve_get", agent="support", key="user-42", at=during)["version"] == 2
    assert sdk.op("resolve_get", agent="support", key="user-42")["version"] == 1
