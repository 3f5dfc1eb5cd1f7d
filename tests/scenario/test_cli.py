# SPDX-License-Identifier: Apache-2.0
"""Every command against a live server: what it prints, what it changes, how it ends."""
import http.server
import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from harness import table
from harness.server import BINARY, clean_env, run_cli
from harness.world import config, unique

HERE = "staging"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
COMMANDS = [(row[2], row[3]) for _, row in table.rows("src/cli/cli.def", "COMMAND")]  # words, operation
WITHOUT_SERVER = {"completion", "help", "version"}


class Ways:
    """For each command the arguments with which it succeeds now."""

    def __init__(self, world, folder):
        self.world, self.folder, self.admin = world, folder, world.admin

    def of(self, words):
        return [*words.split(), *getattr(self, words.replace(" ", "_"))()]

    def agents(self):
        return ["-n", "3"]

    def agent_create(self):
        return [unique(), "--description", "Answers."]

    def agent_show(self):
        return [self.world.served(1)]

    def outcome(self):
        return [f"{self.world.served(1)}@1", "-e", HERE, "--unit", "80000000c0ffee1122334455", "--score", "quality=0.5"]

    def push(self):
        path = self.folder / f"{unique()}.json"
        path.write_text(json.dumps(config(unique())))
        return [path, "-m", "first"]

    def log(self):
        return [self.world.agent(2)]

    def show(self):
        return [f"{self.world.served(1, 2)}@{HERE}"]

    def deploy(self):
        return [f"{self.world.agent(2)}@2", "-e", HERE, "-m", "better"]

    def rollback(self):
        return [self.world.served(1, 2), "-e", HERE, "-m", "worse"]

    def history(self):
        return [self.world.served(1, 2), "-e", HERE]

    def releases(self):
        self.world.release()
        return ["-e", HERE, "-n", "5"]

    def release_show(self):
        return [self.world.release()[0]]

    def release_rollback(self):
        return [self.world.release()[0], "-m", "worse"]

    def hold(self):
        return [self.world.served(1), "-e", HERE, "-m", "launch day"]

    def hold_release(self):
        return [self.world.recipe_hold_release()["agent"], "-e", HERE]

    def holds(self):
        self.world.recipe_hold_release()
        return ["-e", HERE]

    def override_set(self):
        return ["qa", f"{self.world.served(1, 2)}@1", "-e", HERE, "--user", "ada", "--user", "alan", "-m", "try"]

    def override_list(self):
        return [self.world.recipe_override_delete()["agent"], "-e", HERE]

    def override_remove(self):
        made = self.world.recipe_override_delete()
        return [made["override"], made["agent"], "-e", HERE]

    def of_rollout(self):
        return [self.world.rollout()[0], "-e", HERE]

    def panic(self):
        return [self.world.served(1, 2), "-e", HERE, "--to", "1", "-m", "fire"]

    def unpanic(self):
        return [self.world.recipe_panic_release()["agent"], "-e", HERE]

    def panics(self):
        self.world.recipe_panic_release()
        return ["-e", HERE]

    def rollout_start(self):
        return [f"{self.world.served(1, 2)}@1", "-e", HERE, "--template", "fast", "--audience", '{"var":"plan"}', "-m", "try"]

    def rollout_list(self):
        return [*self.of_rollout(), "--open"]

    def rollout_status(self):
        return self.of_rollout()

    def rollout_failures(self):
        return self.of_rollout()

    def outcomes(self):
        return [self.world.served(1), "-e", HERE, "--per", "day"]

    def rollout_plan(self):
        return [self.world.agent(1), "--units-per-day", "20000", "--error-rate", "0.02"]

    def rollout_replay(self):
        return [self.world.rollout()[1]]

    def rollout_pause(self):
        return self.of_rollout()

    def rollout_resume(self):
        made = self.world.recipe_rollout_resume()
        return [made["agent"], "-e", made["rollout"]]

    def rollout_advance(self):
        return [*self.of_rollout(), "--step", "2"]

    def rollout_promote(self):
        return self.of_rollout()

    def rollout_abort(self):
        return self.of_rollout()

    def rollout_template_list(self):
        return []

    def rollout_template_show(self):
        return ["careful"]

    def rollout_template_set(self):
        return [unique("ours"), "--steps", '[{"share":5}]']

    def flag_file(self, **more):
        path = self.folder / f"{unique()}.json"
        path.write_text(json.dumps({**self.world.recipe_flag_put()["definition"], **more}))
        return path

    def of_flag(self):
        return [self.world.flag(), "-e", HERE]

    def flag_set(self):
        return [unique("flag"), self.flag_file(), "-e", HERE, "--bind", f"{self.world.served(1)}:tool=search", "--expected", "0", "-m", "try"]

    def flag_get(self):
        return self.of_flag()

    def flag_list(self):
        return self.of_flag()[1:]

    def flag_delete(self):
        return [*self.of_flag(), "-m", "tried"]

    def flag_enable(self):
        return [self.world.recipe_flag_enable()["flag"], "-e", HERE, "-m", "mended"]

    def flag_disable(self):
        return [*self.of_flag(), "-m", "fire"]

    def flag_history(self):
        return self.of_flag()

    def flag_diff(self):
        return [self.world.recipe_flag_diff()["flag"], "-e", HERE]

    def flag_import(self):
        made = self.world.recipe_flag_document_put()
        files = [self.folder / f"{unique()}.json" for _ in range(2)]
        for file, name in zip(files, ("document", "bindings")):
            file.write_text(json.dumps(made[name]))
        return [files[0], "-e", HERE, "--bindings", files[1], "-m", "import"]

    def flag_export(self):
        return ["-e", HERE, "--bindings", self.folder / "bindings.json"]

    def flag_try(self):
        return [*self.of_flag(), "--user", "ada", "--context", '{"plan":"pro"}']

    def flag_explain(self):
        return [self.world.served(1, 2), "-e", HERE, "--user", "ada", "--attr", "plan=pro"]

    def flag_preview(self):
        return [*self.of_flag(), self.flag_file(defaultVariant="on"), "--population", "100"]

    def resolve(self):
        return [self.world.served(1, 2), "-e", HERE, "--user", "ada", "--attr", "plan=pro", "--explain"]

    def snapshot(self):
        return ["-e", HERE, "--agent", self.world.served(1)]

    def streams(self):
        return ["-e", HERE]

    def env(self):
        return []

    def env_create(self):
        return [unique("env"), "--no-protected", "--description", "for tests"]

    def env_show(self):
        self.world.served(1)
        return [HERE]

    def key_create(self):
        return ["--role", "resolve", "-e", HERE, "--name", unique("key")]

    def key_list(self):
        return []

    def key_revoke(self):
        return [self.world.recipe_key_revoke()["key"], "-m", "lost"]

    def webhook_create(self):
        made = self.world.recipe_webhook_put()
        events = [word for event in made["events"] for word in ("--event", event)]
        return [made["webhook"], "--url", made["url"], "-e", HERE, "--agent", made["agent"], *events]

    def webhook_list(self):
        self.world.webhook()
        return []

    def webhook_show(self):
        return [self.world.webhook()]

    def webhook_rotate(self):
        return [self.world.webhook(), "-m", "lost"]

    def webhook_delete(self):
        return [self.world.webhook()]

    def audit(self):
        return ["-n", "4"]

    def audit_checkpoint(self):
        return []

    def audit_verify(self):
        return []

    def status(self):
        return []

    def demo_seed(self):
        agent = self.folder / "examples" / unique()
        shutil.copytree(table.ROOT / "examples/agents/support/v1", agent / "v1")
        (agent / "history.yaml").write_text(f"agent: {agent.name}\nsteps:\n  - push: v1\n    message: first\n  - deploy: 1\n"
                                            f"    environment: {HERE}\n    reason: try\n")
        return [agent.parent]

    def demo_traffic(self):
        return ["-e", HERE, "--agent", self.world.served(1), "--per-second", "20", "--for", "1"]

    def completion(self):
        return ["bash"]

    def help(self):
        return []

    def version(self):
        return []


ONCE = [words for words, _ in COMMANDS if words != "watch"]  # watch has no end and its own test
CHANGES = [words for words, op in COMMANDS if op in table.operations() and table.operations()[op].kind == "CHANGE"]
OWN_JSON = ("show", "audit verify", "status", "demo seed", "rollout replay", "rollout plan", "demo traffic", "flag try", "flag preview")  # what they print is no operation's answer
ASKING = [(words, op) for words, op in COMMANDS if op in table.operations() and words in ONCE and words not in OWN_JSON]


@pytest.fixture
def ways(world, tmp_path):
    return Ways(world, tmp_path)


@pytest.mark.parametrize("words", ONCE)
def test_success(server, ways, words):
    ran = server.cli(*ways.of(words)).ok()
    assert ran.out.strip(), ran
    assert all(line.startswith("serin: there is more: --") for line in ran.err.splitlines()), ran
    assert "\x1b" not in ran.out, "no colour into a pipe"


@pytest.mark.parametrize("words,op", ASKING)
def test_json_is_the_answer(server, ways, words, op):
    ran = server.cli(*ways.of(words), "--json").ok()
    answers = [json.loads(line) for line in ran.out.splitlines()] if words == "push" else [ran.json]
    for answer in answers:
        server.schemas.check(table.operations()[op].answer, answer)


@pytest.mark.parametrize("words", CHANGES)
def test_dry_run(server, ways, words):
    arguments = ways.of(words)
    before = server.admin.head()
    server.cli(*arguments, "--dry-run").ok()
    assert server.admin.head() == before
    server.cli(*arguments).ok()
    assert server.admin.head() != before


@pytest.mark.parametrize("words", CHANGES)
def test_idempotency_key(server, ways, words):
    arguments, key = ways.of(words), unique("once")
    server.cli(*arguments, "--idempotency-key", key).ok()
    after = server.admin.head()
    server.cli(*arguments, "--idempotency-key", key).ok()
    assert server.admin.head() == after


@pytest.mark.parametrize("words", [w for w in ONCE if w not in WITHOUT_SERVER])
def test_a_wrong_key(server, ways, words):
    arguments = ways.of(words)
    before = server.admin.head()
    ran = server.cli(*arguments, key="x" * 40).fails()
    assert "key" in ran.err and not ran.out.strip(), ran
    assert server.admin.head() == before


@pytest.mark.parametrize("words", [w for w in ONCE if w not in WITHOUT_SERVER])
def test_no_server(tmp_path, world, ways, words):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ran = run_cli(*ways.of(words), home=tmp_path, env={"SERIN_URL": f"http://127.0.0.1:{port}", "SERIN_KEY": "x" * 40}).fails()
    assert str(port) in ran.err and "serin serve" in ran.err, ran


@pytest.mark.parametrize("words", [w for w, _ in COMMANDS])
def test_help(tmp_path, words):
    ran = run_cli(*words.split(), "--help", home=tmp_path).ok()
    assert f"serin {words}" in ran.out and len(ran.out.splitlines()) > 3, ran
    assert run_cli("help", *words.split(), home=tmp_path).ok().out == ran.out


@pytest.mark.parametrize("words", [w for w, _ in COMMANDS])
def test_usage(tmp_path, words):
    ran = run_cli(*words.split(), "--nonsense", home=tmp_path).fails(2)
    assert "--nonsense" in ran.err and "--help" in ran.err, ran


@pytest.mark.parametrize("arguments", [["nonsense"], ["agent"], ["agent", "nonsense"], ["deploy"], ["deploy", "a"], ["resolve"], ["resolve", "a", "b"],
                                       ["deploy", "a@1", "-e"], ["agents", "-n", "x"], ["key", "create"],
                                       ["override", "set", "qa"], ["", ""],
                                       ["push"], ["push", "x.txt"], ["resolve", "a", "--attr", "x"], ["deploy", "a@1", "-e", "e", "-e", "f"]])
def test_wrong_usage(tmp_path, arguments):
    ran = run_cli(*arguments, home=tmp_path, env={"SERIN_URL": "http://127.0.0.1:1"})
    assert ran.code in (1, 2) and ran.err.strip() and not ran.out, ran
    assert "127.0.0.1:1" not in ran.err, "a wrong command line is told without asking a server"


def test_no_arguments(tmp_path):
    ran = run_cli(home=tmp_path)
    assert "serin COMMAND" in ran.ok().out
    assert run_cli("--help", home=tmp_path).ok().out == ran.out
    assert run_cli("--version", home=tmp_path).ok().out.strip()


@pytest.mark.parametrize("arguments,words", [
    (["log", "nobody"], ["nobody", "serin push"]), (["show", "nobody@1"], ["nobody"]), (["env", "show", "nowhere"], ["nowhere"]),
    (["rollback", "nobody", "-e", HERE, "-m", "x"], ["nobody"]), (["release", "show", "0191f3a0-0000-7000-8000-000000000000"], ["release"]),
])
def test_refused_by_the_server(server, arguments, words):
    ran = server.cli(*arguments).fails()
    for word in words:
        assert word in ran.err, ran


def test_rollouts_of_all_agents_and_of_one(server, world):
    first, second = world.rollout()[0], world.rollout()[0]
    listed = server.cli("rollout", "list", "--open", "-n", "1000").ok().out
    assert first in listed and second in listed
    listed = server.cli("rollout", "list", first, "-e", HERE).ok().out
    assert first in listed and second not in listed


def test_a_plan_by_measured_traffic(server, world):
    agent = world.served(1)
    server.cli("rollout", "plan", agent, "-e", HERE).fails()
    world.admin.op("outcomes", instance=unique("sender"), batch=1, items=[{**world.outcome(agent), "ok": n > 0} for n in range(50)])
    deadline = time.monotonic() + 15
    while "50 outcomes" not in (ran := server.cli("rollout", "plan", agent, "-e", HERE, "--template", "fast")).out:
        assert time.monotonic() < deadline, ran
        time.sleep(0.5)
    assert "2 % of them fail" in ran.out, ran
    steps = server.cli("rollout", "plan", agent, "-e", HERE, "--steps", '[{"share":5},{"share":50}]', "--json").ok().json["steps"]
    assert [step["share"] for step in steps] == [5, 50] and steps[0]["evidence_s"] > steps[1]["evidence_s"] > 0


def test_a_stale_deploy_says_what_is_served(server, world):
    agent = world.served(1, 2)
    ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--expected", "1", "-m", "x").fails()
    assert "2" in ran.err, ran
    assert world.version_of(agent) == 2


def test_several_agents_move_as_one(server, world):
    first, second = world.agent(1), world.agent(1)
    server.cli("deploy", f"{first}@1", f"{second}@9", "-e", HERE, "-m", "x").fails()
    assert world.admin.call("resolve", agent=first, environment=HERE).status == 404
    ran = server.cli("deploy", f"{first}@1", f"{second}@1", "-e", HERE, "-m", "x").ok()
    assert first in ran.out and second in ran.out
    assert (world.version_of(first), world.version_of(second)) == (1, 1)


# ---- push ---------------------------------------------------------------------------------------


def folder_agent(tmp_path, name=None, prompt="You help.\n", extra=""):
    folder = tmp_path / (name or unique())
    (folder / "tools").mkdir(parents=True)
    (folder / "agent.yaml").write_text("system_prompt: {file: prompt.md}\nmodel: gpt-4o\ntools:\n  - {file: tools/search.json}\n" + extra)
    (folder / "prompt.md").write_text(prompt)
    (folder / "tools/search.json").write_text(json.dumps({"kind": "function", "name": "search", "description": "Search.",
                                                          "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}))
    return folder


def pushed(server, name):
    return server.admin.op("version_get", agent=name, version="latest")


def test_push_of_a_folder(server, tmp_path):
    folder = folder_agent(tmp_path, prompt="Zwölf\r\nBoxkämpfer\n")
    server.cli("push", folder, "-m", "why").ok()
    version = pushed(server, folder.name)
    assert version["config"]["system_prompt"] == "Zwölf\nBoxkämpfer\n" and version["config"]["tools"][0]["name"] == "search"
    assert version["change_description"] == "why" and version["source"]["kind"] == "cli"
    again = server.cli("push", folder).ok()
    assert "nothing" in again.out and pushed(server, folder.name)["version"] == 1


@pytest.mark.parametrize("ending,text", [
    ("yaml", "system_prompt: |\n  You help.\nmodel: gpt-4o\ntemperature: 0.5\n"),
    ("json", '{"system_prompt": "You help.\\n", "model": "gpt-4o", "parameters": {"temperature": 0.5}}'),
    ("md", "---\nmodel: gpt-4o\ntemperature: 0.5\n---\nYou help.\n"),
])
def test_every_language_says_the_same(server, tmp_path, ending, text):
    path = tmp_path / f"{unique()}.{ending}"
    path.write_text(text)
    server.cli("push", path).ok()
    assert pushed(server, path.stem)["config"] == {"model": "gpt-4o", "parameters": {"temperature": 0.5}, "schema": "agent/v1",
                                                    "system_prompt": "You help.\n"}


def test_of_several_either_all_are_pushed_or_none(server, tmp_path):
    good, bad = folder_agent(tmp_path), folder_agent(tmp_path, extra="nonsense: 1\n")
    before = server.admin.head()
    ran = server.cli("push", good, bad).fails()
    assert "nonsense" in ran.err and server.admin.head() == before
    (bad / "agent.yaml").write_text((bad / "agent.yaml").read_text().replace("nonsense: 1\n", ""))
    server.cli("push", good, bad).ok()
    assert pushed(server, good.name)["version"] == pushed(server, bad.name)["version"] == 1


def test_all_faults_with_file_line_and_column(server, tmp_path):
    folder = folder_agent(tmp_path, prompt="Hi {{nobody}}\n", extra="inputs: {type: object, properties: {}}\nparameters:\n  temperature: 99\n  nonsense: 1\n")
    ran = server.cli("push", folder).fails()
    assert re.search(r"agent\.yaml:7:\d+", ran.err) and re.search(r"agent\.yaml:8:\d+", ran.err), ran
    assert "prompt.md" in ran.err and "nobody" in ran.err, ran


HOSTILE = {
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi")),
    "duplicate": "model: a\nmodel: b\nsystem_prompt: x\n", "tag": "system_prompt: !!python/object:os.system x\nmodel: m\n",
    "two documents": "model: m\n---\nmodel: n\n", "tab": "model:\n\t- x\n", "cut": "model: 'm\n", "list": "- a\n- b\n", "nothing": "",
    "deep": "a: " + "[" * 200 + "]" * 200 + "\n", "merge": "x-a: &a {b: 1}\n<<: *a\nmodel: m\n",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_yaml(server, tmp_path, case):
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[case])
    before = server.admin.head()
    started = time.monotonic()
    ran = server.cli("push", path).fails()
    assert "hostile.yaml" in ran.err and time.monotonic() - started < 10, ran
    assert server.admin.head() == before


@pytest.mark.parametrize("content", [b"\xff\xfe", b"system_prompt: \xc0\x80\nmodel: m\n", b"model: m\0\n", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_no_text(server, tmp_path, content):
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    assert "odd.yaml" in server.cli("push", path).fails().err


@pytest.mark.parametrize("target", ["../outside.md", "/etc/hostname", "link.md", "linked/inside.md", "../../../../etc/passwd", "./prompt.md/../../outside.md"])
def test_nothing_outside_the_folder_is_read(server, tmp_path, target):
    (tmp_path / "outside.md").write_text("SECRET OUTSIDE\n")
    folder = folder_agent(tmp_path)
    os.symlink(tmp_path / "outside.md", folder / "link.md")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "inside.md").write_text("SECRET OUTSIDE\n")
    os.symlink(elsewhere, folder / "linked")
    (folder / "agent.yaml").write_text(f"system_prompt: {{file: '{target}'}}\nmodel: m\n")
    before = server.admin.head()
    ran = server.cli("push", folder).fails()
    assert "SECRET" not in ran.err and "agent.yaml" in ran.err, ran
    assert server.admin.head() == before


def test_files_that_cannot_be_read(server, tmp_path):
    assert "missing" in server.cli("push", tmp_path / "missing").fails().err
    (tmp_path / "empty").mkdir()
    assert "agent.yaml" in server.cli("push", tmp_path / "empty").fails().err
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "pipe.yaml" in server.cli("push", tmp_path / "pipe.yaml").fails().err
    big = tmp_path / "big.yaml"
    big.write_text("system_prompt: " + "x" * (3 << 20) + "\nmodel: m\n")
    assert "big.yaml" in server.cli("push", big).fails().err


# ---- asking, the past ---------------------------------------------------------------------------


def test_resolve_now_and_then(server, world):
    agent = world.served(1)
    then = world.admin.op("whoami")["position"]
    at = world.admin.op("audit_list", after=int(then.split(".")[1]) - 1)["entries"][0]["at"]
    world.admin.op("version_push", agent=agent, config=config(f"{agent} second"))
    world.deploy(agent, 2)
    for moment, version in ((None, 2), (then, 1), (at, 1)):
        more = ["--at", moment] if moment else []
        assert server.cli("resolve", agent, "-e", HERE, "--user", "ada", *more, "--json").ok().json["version"] == version
    ran = server.cli("resolve", agent, "-e", HERE, "--user", "ada", "--at", at, "--explain").ok()
    assert "serve 1" in ran.out, ran


def test_show_is_the_stored_configuration(server, world):
    agent = world.agent(2)
    assert server.cli("show", f"{agent}@1").ok().json == world.admin.op("version_get", agent=agent, version=1)["config"]
    assert server.cli("show", agent).ok().json == world.admin.op("version_get", agent=agent, version=2)["config"]


def test_watch(server, world):
    agent = world.agent(2)
    env = {**clean_env(server.folder), "SERIN_URL": f"http://{server.address}", "SERIN_KEY": server.admin.key}
    process = subprocess.Popen([BINARY, "watch", "-e", HERE, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=env, cwd=server.folder)
    deadline = time.monotonic() + 20
    while "serin_streams_open 1" not in server.admin.get("/metrics").text.replace(".0", ""):
        assert time.monotonic() < deadline and process.poll() is None, "watch did not begin"
        time.sleep(0.02)
    position = world.deploy(agent, 2)["position"]
    line = process.stdout.readline()
    process.terminate()  # not SIGINT: whoever runs the tests in the background has it ignored, here too
    process.wait(20)
    assert position in line and agent in line, line
    assert process.returncode in (0, -signal.SIGTERM), process.stderr.read()


# ---- audit --------------------------------------------------------------------------------------


def test_audit_verify_and_a_kept_checkpoint(make_server, tmp_path):
    server = make_server()
    server.admin.op("environment_put", environment=HERE)
    kept = tmp_path / "checkpoint.json"
    kept.write_text(server.cli("audit", "checkpoint").ok().out)
    server.admin.op("environment_put", environment="production")
    server.cli("audit", "verify", "--checkpoint", kept).ok()
    other = json.loads(kept.read_text())
    for member, value in [("hash", "sha256:" + "1" * 64), ("position", "1.1"), ("signature", "0" * 128)]:
        kept.write_text(json.dumps({**other, member: value}))
        server.cli("audit", "verify", "--checkpoint", kept).fails()


@pytest.mark.parametrize("harm", ["UPDATE audit SET reason = 'harmless' WHERE seq = 3", "DELETE FROM audit WHERE seq = 3",
                                  "DELETE FROM audit WHERE seq >= 4"])
def test_audit_verify_finds_what_was_changed_in_the_store(make_server, tmp_path, harm):
    server = make_server()
    for name in ("a", "b", "c", "d"):
        server.admin.op("environment_put", environment=name, reason="as agreed")
    kept = tmp_path / "checkpoint.json"
    kept.write_text(server.cli("audit", "checkpoint").ok().out)
    server.stop()
    with sqlite3.connect(server.store) as db:
        db.execute(harm)
    db.close()
    server.start()
    ran = server.cli("audit", "verify", "--checkpoint", kept).fails()
    assert "audit" in ran.err, ran


# ---- where the server is ------------------------------------------------------------------------


def test_the_configuration_file(server, world, tmp_path):
    agent = world.served(1)
    folder = tmp_path / ".config/serin"
    folder.mkdir(parents=True)
    path = folder / "config.toml"
    path.write_text(f'server = "http://{server.address}"\nkey = "{server.admin.key}"\nenvironment = "{HERE}"\n')
    path.chmod(0o600)
    assert run_cli("resolve", agent, "--json", home=tmp_path).ok().json["environment"] == HERE
    path.chmod(0o644)
    assert "chmod 600" in run_cli("agents", home=tmp_path).fails().err
    path.chmod(0o600)
    path.write_text("server = 7\n")
    assert "config.toml:1" in run_cli("agents", home=tmp_path).fails().err


def test_flags_come_before_the_environment_and_that_before_the_file(server, tmp_path):
    right = f"http://{server.address}"
    run_cli("agents", "--server", right, "--key", server.admin.key, home=tmp_path,
            env={"SERIN_URL": "http://127.0.0.1:1", "SERIN_KEY": "wrong" * 10}).ok()


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/", "http://", "file:///etc/passwd", "http://127.0.0.1:99999", "http://[::1"])
def test_odd_addresses(tmp_path, url):
    ran = run_cli("agents", home=tmp_path, env={"SERIN_URL": url, "SERIN_KEY": "x" * 40})
    assert ran.code in (1, 2) and ran.err.strip() and not ran.out, ran


def test_what_is_no_serin(tmp_path):
    """Another program answers at the address."""
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>\x1b]0;owned\x07 hello")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        ran = run_cli("agents", home=tmp_path, env={"SERIN_URL": f"http://127.0.0.1:{other.server_port}", "SERIN_KEY": "x" * 40}).fails()
        other.shutdown()
    assert "\x1b" not in ran.err and "\x07" not in ran.err


# ---- on a terminal ------------------------------------------------------------------------------


def on_terminal(server, *arguments, env=None):
    leader, follower = pty.openpty()
    full = {**clean_env(server.folder), "SERIN_URL": f"http://{server.address}", "SERIN_KEY": server.admin.key, "TERM": "xterm-256color",
            **(env or {})}
    process = subprocess.Popen([BINARY, *arguments], stdout=follower, stderr=follower, stdin=follower, env=full, cwd=server.folder)
    os.close(follower)
    out = b""
    try:
        while piece := os.read(leader, 65536):
            out += piece
    except OSError:
        pass
    os.close(leader)
    assert process.wait(20) == 0, out
    return out.decode()


def test_colour_on_a_terminal_only_and_not_against_the_users_word(server, world):
    agent = world.served(1)
    coloured = on_terminal(server, "agent", "show", agent)
    plain = on_terminal(server, "agent", "show", agent, env={"NO_COLOR": "1"})
    assert ANSI.search(coloured) and not ANSI.search(plain)
    assert not ANSI.search(on_terminal(server, "agent", "show", agent, "--no-color"))
    assert ANSI.sub("", coloured) == plain


def test_what_others_wrote_cannot_steer_the_terminal(server, world):
    agent = unique()
    world.admin.op("agent_put", agent=agent, description="\x1b]0;owned\x07 \x1b[2J \u202e\r")
    for ran in (on_terminal(server, "agent", "show", agent, env={"NO_COLOR": "1"}), server.cli("agent", "show", agent).out):
        assert "\x1b" not in ran and "\x07" not in ran and "\u202e" not in ran


# ---- manual, completion -------------------------------------------------------------------------


def test_manual_pages(tmp_path):
    pages = tmp_path / "man"
    pages.mkdir()
    run_cli("help", "--man", pages, home=tmp_path).ok()
    names = {path.name for path in pages.rglob("*") if path.is_file()}
    assert "serin.1" in names and len(names) >= 2, names
    for path in pages.rglob("*.1"):
        text = path.read_text()
        assert text.startswith((".TH", ".\\\"", "'\\\"")), path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(tmp_path, shell):
    script = run_cli("completion", shell, home=tmp_path).ok().out
    assert "serin" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_bash_completes_commands_and_agents(server, world):
    agent = world.agent(1)
    script = server.cli("completion", "bash").ok().out
    test = f"""{script}
complete_line() {{
    COMP_LINE="$*"; COMP_WORDS=($COMP_LINE); [ "${{COMP_LINE: -1}}" = " " ] && COMP_WORDS+=("")
    COMP_POINT=${{#COMP_LINE}}; COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
    $(complete -p serin | sed 's/.*-F \\([^ ]*\\).*/\\1/') serin "${{COMP_WORDS[COMP_CWORD]}}" ""
    printf '%s\\n' "${{COMPREPLY[@]}}"
}}
complete_line "serin ro"; complete_line "serin log {agent[:12]}"
"""
    folder = server.folder / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / "serin"
    if not link.exists():
        link.symlink_to(BINARY)
    env = {**clean_env(server.folder), "SERIN_URL": f"http://{server.address}", "SERIN_KEY": server.admin.key}
    env["PATH"] = f"{folder}:{env['PATH']}"
    done = subprocess.run(["bash", "--norc"], input=test, text=True, capture_output=True, env=env, timeout=30)
    assert "rollback" in done.stdout and agent in done.stdout, done


# ---- the example agents -------------------------------------------------------------------------


def test_the_examples_play_into_a_server_once(make_server):
    server = make_server()
    server.cli("demo", "seed", table.ROOT / "examples/agents").ok()
    agents = server.admin.op("agent_list")["agents"]
    assert len(agents) == 6 and all(agent["latest"] >= 3 for agent in agents)
    refs = {environment: server.admin.op("environment_get", environment=environment)["refs"] for environment in ("staging", "production")}
    assert all(len(served) == 6 for served in refs.values())
    kinds = {d["kind"] for agent in agents for d in server.admin.op("deployment_list", agent=agent["name"])["deployments"]}
    assert kinds == {"deploy", "rollback"}
    listed = server.cli("flag", "list", "-e", "production").ok()
    assert not listed.err
    assert [re.split("  +", line)[:2] for line in listed.out.splitlines()[1:]] == [
        ["cheaper_model", "mini for plan=free"], ["issue_refund", "on for verified_staff"], ["web_search", "on for 20 % of plan=pro"]]
    free = server.admin.op("resolve", agent="support", environment="production", context={"targetingKey": "u1", "plan": "free"})
    staff = server.admin.op("resolve", agent="support", environment="production", context={"targetingKey": "u1", "role": "staff", "verified": True})
    assert free["config"]["model"]["id"] == "gpt-4o-mini-2024-07-18" != staff["config"]["model"]["id"]
    tools = [{tool["name"] for tool in decision["config"]["tools"]} for decision in (free, staff)]
    assert tools[1] - tools[0] == {"issue_refund"} and "web_search" not in tools[1]
    pro = [server.admin.op("resolve", agent="support", environment="production", context={"targetingKey": f"u{i}", "plan": "pro"}) for i in range(100)]
    assert 5 < sum("web_search" in {tool["name"] for tool in decision["config"]["tools"]} for decision in pro) < 40
    head = server.admin.head()
    server.cli("demo", "seed", table.ROOT / "examples/agents").ok()
    assert server.admin.head() == head
    server.cli("audit", "verify").ok()


def test_make_run(tmp_path):
    """The script behind `make run`, in a folder of its own: it prints what works, and ends in order on Ctrl-C."""
    (tmp_path / "build").mkdir()
    (tmp_path / "tools").mkdir()
    (tmp_path / "build/serin").symlink_to(BINARY)
    (tmp_path / "examples").symlink_to(table.ROOT / "examples")
    shutil.copy(table.ROOT / "tools/run-example", tmp_path / "tools")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for _ in range(2):  # the second start goes on where the first one was
        process = subprocess.Popen([tmp_path / "tools/run-example"], stdout=subprocess.PIPE, text=True, cwd="/", start_new_session=True,
                                   # A shell cannot trap what was ignored when it began, as in a job in the background.
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                                   env={**clean_env(tmp_path), "SERIN_LISTEN": address})
        told = []
        for line in process.stdout:
            told.append(line)
            if line.startswith("Ctrl-C"):
                break
        text = "".join(told)
        assert f"http://{address}" in text, text
        settings = dict(pair.split("=", 1) for pair in re.findall(r"SERIN_\w+=\S+", text))
        commands = re.findall(r"^    serin (.*)$", text, re.M)
        assert len(commands) == 8
        deadline = time.monotonic() + 30
        while "code-reviewer" not in run_cli(*shlex.split(commands[0]), home=tmp_path, env=settings).ok().out:
            assert time.monotonic() < deadline, (tmp_path / "run/traffic.log").read_text()
        for command in commands[:7]:
            if "--watch" not in command:
                run_cli(*shlex.split(command), home=tmp_path, env=settings).ok()
        traffic = (tmp_path / "run/traffic.log").read_text()
        assert traffic.startswith("A simulation: made-up users and made-up outcomes"), traffic
        started = run_cli("rollout", "list", "--json", home=tmp_path, env=settings).ok().json["rollouts"]
        assert sorted(r["agent"] for r in started) == ["code-reviewer", "voice-receptionist"], "once, over restarts"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0
        assert address not in subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True).stdout
    assert '"event":"stopped"' in (tmp_path / "run/log").read_text()
