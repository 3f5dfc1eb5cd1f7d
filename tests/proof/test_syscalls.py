# SPDX-License-Identifier: Apache-2.0
"""Every call to the kernel fails once, under the real server: start, push, deploy, resolve, roll back, stop.

Nothing may crash or hang; what was acknowledged is there after a clean restart, what was refused is not, nothing is there by half; and
when the trouble is over the same server goes on by itself.
"""
import errno
import http.client
import json
import shutil
import socket
import time
from types import SimpleNamespace

import pytest

from harness import audit, table
from harness.calls import WAYS, Trouble
from harness.client import request_of
from harness.scale import LONG_RUN, make_random
from harness.server import FIRST_KEY, START_SECONDS, Process, Server
from harness.world import config, unique

SHORT_RUNS = 90
ANSWER_SECONDS = 10
AGAIN_SECONDS = 20


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Lost(Exception):
    """The connection went before the answer came."""


class Story:
    """What a client knows: what was acknowledged, what was refused, what may or may not have happened."""

    def __init__(self, folder, trouble):
        self.trouble = trouble
        self.server = Server(folder)
        self.agent, self.number = "story", 0
        self.pushed, self.unclear, self.refused = {}, set(), set()  # texts of versions
        self.deployed = []
        self.possible = {0}  # what may be served
        self.lost = 0

    def start(self, log_is_sound):
        """False: it said in order that it cannot."""
        server, port = self.server, 0 if log_is_sound else free_port()
        server.process = Process(server.folder, "--store", f"sqlite:{server.store}", "--listen", f"127.0.0.1:{port}",
                                 env={"SERIN_BOOTSTRAP_KEY": FIRST_KEY, **self.trouble.env})
        server.address = f"127.0.0.1:{port}" if port else self.address_from_log()
        if not self.wait_ready():
            assert server.process.wait_end() == 1, server.process.log()
            fatal = server.process.wait_event("fatal")
            assert fatal and fatal["code"] in table.errors() and fatal["remedy"], server.process.log()
            return False
        return True

    def address_from_log(self):
        event = self.server.process.wait_event("listening")
        return event and event["address"]

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while self.server.running and self.server.address:
            try:
                if self.try_once("GET", "/readyz", None, None).status == 200:
                    return True
            except (http.client.HTTPException, ConnectionError):
                pass
            assert time.monotonic() < deadline, f"not ready:\n{self.server.process.log()}"
            time.sleep(0.01)
        return False

    def send(self, method, target, body=None, key=FIRST_KEY):
        """One try on a connection of its own, another when the first was lost: only one call fails."""
        for last in (False, True):
            try:
                return self.try_once(method, target, body, key)
            except (http.client.HTTPException, ConnectionError) as why:
                self.lost += 1
                assert self.server.running, f"the server ended: {self.server.process.log()}"
                if last or method != "GET":
                    raise Lost from why

    def try_once(self, method, target, body, key):
        host, port = self.server.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_SECONDS)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            text = response.read()
            return SimpleNamespace(status=response.status, headers=response.headers, json=json.loads(text or b"null"))
        finally:
            connection.close()

    def op(self, name, **params):
        answer = self.send(*request_of(table.operations()[name], params))
        if answer.status >= 400:
            status, title, _ = table.errors()[answer.json["code"]]
            assert (status, title) == (answer.status, answer.json["title"]) and answer.json["remedy"], answer
        return answer

    def change(self, name, done, refused, unclear, **params):
        try:
            answer = self.op(name, **params)
        except Lost:
            return unclear()
        if answer.status < 300:
            return done(answer.json)
        assert answer.status in (404, 409, 500, 503, 507), answer  # 404: what it needs was refused before
        return unclear() if answer.json["code"] == "unknown_outcome" else refused(answer.json)

    def push(self):
        self.number += 1
        text = f"version {self.number} " + "x" * 3000
        return self.change("version_push", agent=self.agent, config=config(text), done=lambda answer: self.note_push(text, answer),
                           refused=lambda problem: self.refused.add(text), unclear=lambda: self.unclear.add(text))

    def note_push(self, text, answer):
        self.pushed[text] = answer["version"]["version"]
        return True

    def note_served(self, answer):
        self.possible = {answer["deployment"]["version"]}
        if answer["changed"]:
            self.deployed.append(answer["deployment"]["version"])

    def deploy(self):
        if not self.pushed:
            return
        version = max(self.pushed.values())
        self.change("deploy", agent=self.agent, environment="staging", version=version, reason="go", done=self.note_served,
                    refused=lambda problem: None, unclear=lambda: self.possible.add(version))

    def roll_back(self):
        versions = set(self.possible) | set(self.deployed)
        self.change("rollback", agent=self.agent, environment="staging", reason="back", done=self.note_served,
                    refused=lambda problem: None, unclear=lambda: self.possible.update(versions))

    def resolve(self):
        answer = self.op("resolve", agent=self.agent, environment="staging", context={"targetingKey": "ann"})
        assert answer.status == 200 and answer.json["version"] in self.possible or answer.status == 404 and 0 in self.possible, answer

    def tell(self):
        for name in ("staging", "production"):
            self.change("environment_put", environment=name, done=lambda answer: None, refused=lambda problem: None, unclear=lambda: None)
        for step in (self.push, self.deploy, self.resolve, self.push, self.deploy, self.resolve, self.roll_back, self.resolve):
            try:
                step()
            except Lost:
                pass  # of a question

    def goes_on(self):
        """The trouble was one call: the same server takes changes again."""
        deadline = time.monotonic() + AGAIN_SECONDS
        while not self.push():
            assert time.monotonic() < deadline, f"does not go on:\n{self.server.process.log()}"
            time.sleep(0.05)

    def stop(self, log_is_sound):
        self.server.close_clients()
        self.server.process.process.terminate()
        code = self.server.process.wait_end()
        assert code == 0, f"ended with {code}:\n{self.server.process.log()}"
        if log_is_sound:
            self.server.process.check_log()

    def check(self):
        """After a restart without trouble."""
        server = self.server
        server.start()
        admin = server.admin
        kept = {}
        found = admin.call("agent_get", agent=self.agent)
        for number in range(1, found.json["latest"] + 1 if found.status == 200 else 1):
            version = admin.op("version_get", agent=self.agent, version=number)
            kept[version["config"]["system_prompt"]] = number
        assert self.pushed.items() <= kept.items(), "an acknowledged version is lost"
        assert kept.keys() <= self.pushed.keys() | self.unclear, "a refused version is there"
        served = admin.call("resolve", agent=self.agent, environment="staging", context={"targetingKey": "ann"})
        assert (served.json["version"] if served.status == 200 else 0) in self.possible, served
        if self.deployed:
            moves = [one["version"] for one in admin.op("deployment_list", agent=self.agent, environment="staging")["deployments"]][::-1]
            left = iter(moves)
            assert all(to in left for to in self.deployed), f"acknowledged {self.deployed}, kept {moves}"
        assert not list(audit.faults_of(audit.all_entries(admin)))
        server.stop()


def run(folder, name=None, number=0, way=0):
    folder.mkdir()
    trouble = Trouble(folder)
    story = Story(folder / "serin", trouble)
    try:
        return run_story(story, trouble, name, number, way)
    finally:
        if story.server.running:
            story.server.kill()


def run_story(story, trouble, name, number, way):
    if name:
        trouble.arm(name, way, number)
    log_is_sound = name != "write"  # a line may be missing, or half of it
    started = story.start(log_is_sound)
    if started:
        story.tell()
        story.goes_on()
        story.stop(log_is_sound)
    counts = trouble.counts()
    assert started or trouble.struck, story.server.process.log()
    trouble.calls.clear()
    story.check()
    return counts, trouble, story


@pytest.mark.timeout(4 * 3600)
def test_every_call_fails_once(tmp_path):
    rng = make_random()
    counts, _, story = run(tmp_path / "none")
    assert not story.refused and not story.unclear and not story.lost, "without trouble all goes well"
    print("calls:", ", ".join(f"{name} {count}" for name, count in counts.items()))
    for name in ("open", "write", "pread", "pwrite", "fdatasync", "mmap", "accept4", "epoll_ctl", "send", "recv", "pthread_create"):
        assert counts[name] > 0, f"{name} is not reached: the library is not in the way of it"
    ways = [(name, way) for name, list_ in WAYS.items() if counts[name] for way in list_]
    every = [(name, number, way) for name, way in ways for number in range(1, counts[name] + 1)]
    some = [(name, rng.randrange(1, counts[name] + 1), way) for name, way in ways]
    chosen = every if LONG_RUN else some + rng.sample(every, max(0, SHORT_RUNS - len(some)))
    faults = []
    for turn, (name, number, way) in enumerate(chosen):
        folder = tmp_path / f"{turn}"
        try:
            run(folder, name, number, way)
            shutil.rmtree(folder)
        except Exception as fault:
            faults.append(f"call {number} of {name} fails with {errno.errorcode.get(way, 'half its bytes')} ({folder}):\n{type(fault).__name__}: {fault}")
    print(f"{len(chosen)} calls failed, each in a run of its own")
    assert not faults, f"{len(faults)} of {len(chosen)}\n\n" + "\n\n".join(fault[:1500] for fault in faults[:12])
