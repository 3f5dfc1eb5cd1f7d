# SPDX-License-Identifier: Apache-2.0
"""Webhooks: a receiver of the test's own hears of every move of a rollout, in order, signed, at least once, whatever it answers and whoever dies."""
import re
import time

import pytest

from harness.receiver import Receiver
from harness.server import Server
from harness.world import World, unique

HERE = "staging"
STEPS = [{"share": 10}, {"share": 50}]


@pytest.fixture(scope="module")
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, receiver):
    server = Server(tmp_path_factory.mktemp("serin"), env={"SERIN_OUTGOING_ALLOW": receiver.origin}).start()
    World(server).make_environments()
    yield server
    server.end()


class Hook:
    """A webhook for an agent of its own, and that agent's rollout."""

    def __init__(self, server, receiver, **more):
        self.server, self.receiver, self.world = server, receiver, World(server)
        self.name, self.agent = unique("hook"), more.pop("agent", None) or self.world.served(1, 2)
        self.path = f"/{self.name}"
        self.made = self.put(**more)
        self.secret = self.made["secret"]

    def put(self, **more):
        wanted = {"webhook": self.name, "url": f"{self.receiver.origin}{self.path}", "agent": self.agent, "environment": HERE, **more}
        return self.server.admin.op("webhook_put", **wanted)

    def start(self):
        return self.server.admin.op("rollout_start", agent=self.agent, environment=HERE, version=1, reason="try", steps=STEPS)

    def move(self, *names):
        for name in names:
            done = self.server.admin.op(f"rollout_{name}", agent=self.agent, rollout=HERE, reason=f"{name} it")
        return done

    def wait(self, count):
        return self.receiver.wait(self.path, count)

    def show(self):
        return self.server.admin.op("webhook_get", webhook=self.name)

    def wait_state(self, state, seconds=40):
        deadline = time.monotonic() + seconds
        while (shown := self.show())["state"] != state:
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)
        return shown


@pytest.fixture
def hook(server, receiver):
    return Hook(server, receiver)


def wait_delivered(hook, seq):
    deadline = time.monotonic() + 40
    while (shown := hook.show())["delivered"] < seq:
        assert time.monotonic() < deadline, shown
        time.sleep(0.02)
    return shown


def seq_of(answer):
    return int(answer["position"].split(".")[1])


# ---- what comes ----


def test_every_move_comes_in_order_and_signed(server, hook):
    started = hook.start()
    hook.move("pause", "resume", "advance")
    last = hook.move("promote")
    messages = hook.wait(5)
    assert [m.type for m in messages] == [f"rollout.{what}" for what in ("started", "paused", "resumed", "advanced", "promoted")]
    assert len({m.id for m in messages}) == 5 and all(re.fullmatch(r"msg_[0-9a-f-]{36}_1_\d+", m.id) for m in messages)
    for message in messages:
        assert message.signatures and len(message.signatures) == 1 and message.signed_by(hook.secret)
        assert abs(int(message.timestamp) - message.at) < 5
        assert message.headers["Content-Type"] == "application/json"
    rollout, first, fourth = started["rollout"], messages[0], messages[3]
    assert first.json == {
        "type": "rollout.started", "timestamp": rollout["at"],
        "data": {"agent": hook.agent, "environment": HERE, "rollout": rollout["id"], "candidate": 1, "stable": 2, "step": 1, "share": 10, "state": "running",
                 "action": "start", "words": "try", "by": rollout["by"], "position": started["position"]}}
    assert (fourth.data["step"], fourth.data["share"], fourth.data["words"]) == (2, 50, "advance it")
    shown = wait_delivered(hook, seq_of(last))
    assert shown["state"] == "on" and shown["delivered_at"]
    assert len(hook.receiver.at(hook.path)) == 5, "each once"


def test_it_comes_at_once(hook):
    began = time.monotonic()
    hook.start()
    hook.wait(1)
    assert time.monotonic() - began < 5


def test_only_what_was_asked_for(server, receiver, hook):
    some = Hook(server, receiver, agent=hook.agent, events=["rollout.aborted"])
    elsewhere = Hook(server, receiver, agent=hook.agent, environment="production")
    all_of_them = Hook(server, receiver, agent=hook.agent)
    hook.start()
    hook.move("pause", "abort")
    all_of_them.wait(3)
    assert [m.type for m in some.wait(1)] == ["rollout.aborted"]
    assert not receiver.at(elsewhere.path)


def test_a_rollout_that_a_deployment_ends(server, hook):
    hook.start()
    server.admin.op("deploy", agent=hook.agent, environment=HERE, version=1, reason="now")
    ended = hook.wait(2)[1]
    assert (ended.type, ended.data["action"], ended.data["share"]) == ("rollout.aborted", "end", 0)


# ---- what goes wrong ----


def test_it_is_tried_again_until_it_is_taken(receiver, hook):
    receiver.plan[hook.path] = [500, None]
    hook.start()
    last = hook.move("abort")
    messages = hook.wait(4)
    assert [m.type for m in messages] == ["rollout.started"] * 3 + ["rollout.aborted"]
    assert len({m.id for m in messages[:3]}) == 1 and len({m.body for m in messages[:3]}) == 1
    assert all(m.signed_by(hook.secret) for m in messages)
    assert wait_delivered(hook, seq_of(last))["state"] == "on"


def test_a_failing_one_holds_no_other(server, receiver, hook):
    other = Hook(server, receiver, agent=hook.agent)
    receiver.plan[hook.path] = [503] * 20
    hook.start()
    hook.move("pause", "abort")
    other.wait(3)
    shown = hook.wait_state("failing")
    assert shown["last_error"] == "it answered 503" and shown["attempts"] >= 1 and shown["next_attempt_at"] and shown["failing_since"]
    assert server.process.wait_event("webhook_failing", webhook=hook.name)["error"] == "it answered 503"
    assert re.search(r"(?m)^serin_webhooks_failing [1-9]", server.admin.get("/metrics").text)
    server.admin.op("webhook_delete", webhook=hook.name)


def test_a_redirect_is_a_failure(receiver, hook):
    receiver.plan[hook.path] = [307] * 20
    hook.start()
    assert hook.wait_state("failing")["last_error"] == "it answered 307; redirects are not followed"
    assert not receiver.at("/elsewhere")
    hook.server.admin.op("webhook_delete", webhook=hook.name)


def test_a_receiver_that_does_not_answer(receiver, hook):
    receiver.plan[hook.path] = [lambda _: time.sleep(20)]
    hook.start()
    shown = hook.wait_state("failing")
    assert "127.0.0.1" in shown["last_error"] and hook.path not in shown["last_error"]
    assert len({m.id for m in hook.wait(2)}) == 1
    hook.wait_state("on")


def test_one_that_is_gone_is_disabled_until_it_is_put_again(server, receiver, hook):
    receiver.plan[hook.path] = [410]
    hook.start()
    shown = hook.wait_state("disabled")
    assert shown["disabled_at"] and "next_attempt_at" not in shown and shown["last_error"] == "it answered 410"
    assert server.process.wait_event("webhook_disabled", webhook=hook.name)
    hook.move("pause")
    again = hook.put()
    assert again["changed"] and not again["created"] and "secret" not in again and again["webhook"]["state"] == "on"
    assert [m.type for m in hook.wait(3)] == ["rollout.started", "rollout.started", "rollout.paused"]


# ---- where to ----


def test_only_to_listed_origins(server, receiver, hook):
    port = int(receiver.origin.rsplit(":", 1)[1])
    for url in ("http://127.0.0.1:1/x", f"https://127.0.0.1:{port}/x", f"http://localhost:{port}/x", f"http://127.0.0.1:{port + 1}/"):
        refused = server.admin.refused("outgoing_not_allowed", "webhook_put", webhook="new", url=url)
        assert "outgoing_allow" in refused["remedy"] and refused["at"] == "/url"
    for url in (f"http://me:pw@127.0.0.1:{port}/", "ftp://127.0.0.1/", "chat", ""):
        assert server.admin.refused("invalid", "webhook_put", webhook="new", url=url)["at"] == "/url"
    server.admin.refused("not_found", "webhook_get", webhook="new")


def test_an_origin_that_is_not_listed_any_more(make_server, receiver):
    server = make_server(env={"SERIN_OUTGOING_ALLOW": receiver.origin})
    World(server).make_environments()
    hook = Hook(server, receiver)
    server.stop()
    server.env = {}
    server.start()
    hook.start()
    assert "may not send requests" in hook.wait_state("failing")["last_error"]
    assert not receiver.at(hook.path)
    server.stop()
    server.env = {"SERIN_OUTGOING_ALLOW": receiver.origin}
    server.start()
    assert [m.type for m in hook.wait(1)] == ["rollout.started"]


# ---- secrets ----


def test_a_new_secret_beside_the_old_one(server, hook):
    new = server.admin.op("webhook_rotate", webhook=hook.name, reason="lost")["secret"]
    assert new != hook.secret and hook.show()["previous_secret_until"]
    hook.start()
    message = hook.wait(1)[0]
    assert len(message.signatures) == 2 and message.signed_by(new) and message.signed_by(hook.secret)


def test_the_secret_is_told_once_and_stands_in_the_store_alone(make_server, receiver):
    server = make_server("--log-level", "debug", env={"SERIN_OUTGOING_ALLOW": receiver.origin})
    World(server).make_environments()
    hook = Hook(server, receiver)
    hook.start()
    hook.wait(1)
    secrets = [hook.secret, server.admin.op("webhook_rotate", webhook=hook.name)["secret"]]
    server.wait_written()
    told = [server.admin.get(path).text for path in ("/v1/webhooks", f"/v1/webhooks/{hook.name}", "/v1/audit?limit=1000", "/metrics",
                                                     f"/v1/snapshot?environment={HERE}")]
    told += [server.cli("webhook", "list").ok().out, server.cli("webhook", "show", hook.name).ok().out, server.cli("audit").ok().out]
    audit = server.admin.get("/v1/audit?limit=1000").text
    assert receiver.origin in audit and hook.path not in audit.replace(f'"webhook":"{hook.name}"', "")
    snapshot = server.snapshot_file.read_bytes().decode(errors="replace")
    server.stop()
    for text in [*told, snapshot, server.process.log()]:
        assert not [secret for secret in secrets if secret.removeprefix("whsec_") in text]
    stored = server.store.read_bytes()
    assert all(secret.encode() in stored for secret in secrets), "where it must be"
    server.start()
    server.admin.op("webhook_delete", webhook=hook.name)
    server.stop()


def test_on_the_command_line(server, receiver):
    name = unique("hook")
    url = f"{receiver.origin}/{name}"
    made = server.cli("webhook", "create", name, "--url", url, "-e", HERE, "--event", "rollout.held", "--event", "rollout.rolled_back").ok()
    assert re.search(r"whsec_[A-Za-z0-9+/]{43}=", made.out)
    assert "already" in server.cli("webhook", "create", name, "--url", url, "-e", HERE, "--event", "rollout.held", "--event", "rollout.rolled_back").ok().out
    shown = server.cli("webhook", "show", name).ok().out
    assert url in shown and "rollout.rolled_back" in shown
    assert name in server.cli("webhook", "list").ok().out
    assert re.search(r"whsec_[A-Za-z0-9+/]{43}=", server.cli("webhook", "rotate", name).ok().out)
    refused = server.cli("webhook", "create", name, "--url", "https://elsewhere.example/").fails()
    assert "outgoing_allow" in refused.err
    server.cli("webhook", "delete", name).ok()
    server.cli("webhook", "show", name).fails()


# ---- ends of the server ----


def test_a_restart_goes_on_where_it_stood(make_server, receiver):
    server = make_server(env={"SERIN_OUTGOING_ALLOW": receiver.origin})
    World(server).make_environments()
    hook = Hook(server, receiver)
    hook.start()
    wait_delivered(hook, seq_of(hook.move("pause")))
    receiver.plan[hook.path] = [500]
    hook.move("resume")
    hook.wait_state("failing")
    server.stop()
    server.start()
    hook.move("abort")
    messages = hook.wait(5)
    assert [m.type.split(".")[1] for m in messages] == ["started", "paused", "resumed", "resumed", "aborted"]
    assert messages[2].id == messages[3].id and all(m.signed_by(hook.secret) for m in messages)


def test_a_stop_does_not_wait_for_a_receiver(make_server, receiver):
    server = make_server(env={"SERIN_OUTGOING_ALLOW": receiver.origin})
    World(server).make_environments()
    hook = Hook(server, receiver)
    receiver.plan[hook.path] = [lambda _: time.sleep(14)]
    hook.start()
    hook.wait(1)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    server.start()
    first, second = hook.wait(2)
    assert first.id == second.id
    assert hook.show()["state"] == "on", "an end of the server is no failure of the receiver"


def test_killed_before_the_answer_it_comes_again(make_server, receiver):
    server = make_server(env={"SERIN_OUTGOING_ALLOW": receiver.origin})
    World(server).make_environments()
    hook = Hook(server, receiver)

    def kill(_):
        server.process.process.kill()
        return 200

    receiver.plan[hook.path] = [kill]
    try:
        hook.start()
    except OSError:
        pass  # it may be killed before it has answered us
    hook.wait(1)
    server.process.wait_end()
    server.close_clients()
    server.start()
    hook.move("abort")
    messages = hook.wait(3)
    assert [m.type for m in messages] == ["rollout.started", "rollout.started", "rollout.aborted"]
    assert messages[0].id == messages[1].id


def test_a_store_that_is_away(make_server, receiver):
    server = make_server(env={"SERIN_OUTGOING_ALLOW": receiver.origin})
    World(server).make_environments()
    hook = Hook(server, receiver)
    receiver.plan[hook.path] = [500]
    hook.start()
    hook.wait_state("failing")
    server.wait_written()
    server.stop()
    moved = server.store.rename(server.folder / "away.db")
    server.start()
    assert server.process.wait_event("store_away")
    moved.rename(server.store)
    server.wait_open()
    assert [m.type for m in hook.wait(2)] == ["rollout.started"] * 2
