# SPDX-License-Identifier: Apache-2.0
"""The last good snapshot: a server whose store is away answers from its file, read-only, and gets its store back by itself."""
import contextlib
import json
import os
import shutil
import subprocess
import threading
import time

import pytest

from harness.audit import all_entries, faults_of
from harness.client import Client, Events
from harness.load import metric
from harness.scale import make_random
from harness.server import Process
from harness.world import ENVIRONMENT, World, config, operations, unique

ROOT = os.geteuid() == 0
SECONDS = 40


def wait_for(condition, what, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def answers(server, agents, clients):
    """What memory answers to everybody, as bytes; what changes with each start (ETag of the whole) is left out."""
    seen = {}
    for number, client in enumerate(clients):
        for agent in agents:
            for user in (None, "ada", "bob"):
                question = {"agent": agent, "environment": ENVIRONMENT, **({"context": {"targetingKey": user}} if user else {})}
                answer = client.send("POST", "/v1/resolve", json.dumps(question).encode())
                seen[number, agent, user] = answer.status, answer.headers.get("ETag"), answer.body
        answer = client.get(f"/v1/snapshot?environment={ENVIRONMENT}")
        seen[number, "snapshot"] = answer.status, answer.body
        seen[number, "whoami"] = client.get("/v1/whoami").body
    return seen


class Story:
    """A server with some of everything, and what it answers."""

    def __init__(self, server):
        self.server, self.world = server, World(server).make_environments()
        for name in operations("CHANGE"):
            self.world.admin.op(name, **self.world.recipe(name))
        agent = self.world.served(1, 2)
        self.world.admin.op("override_put", agent=agent, environment=ENVIRONMENT, override="staff", version=1, keys=["ada"], reason="")
        self.clients = [server.admin, server.client("resolve", ENVIRONMENT), server.client("viewer"), Client(server, "wrong-key" * 5)]
        self.agents = [row["name"] for row in server.admin.op("agent_list", limit=1000)["agents"]]
        self.before = self.answers()

    def answers(self):
        return answers(self.server, self.agents, self.clients)

    def check_read_only(self, code):
        """Everything that memory answers is as before, and everything else is refused in one way."""
        state = self.server.readiness()
        assert state["status"] == "read_only" and state["store"]["code"] == code and state["store"]["remedy"], state
        assert self.answers() == self.before
        for name in ("agent_list", "environment_list", "audit_list", "key_list"):
            assert self.server.admin.refused("store_unavailable", name)["remedy"]
        answer = self.server.admin.call("agent_put", agent=unique())
        assert answer.status == 503 and answer.headers["Retry-After"] and answer.json["code"] == "store_unavailable", answer
        self.server.admin.refused("store_unavailable", "resolve", agent=self.agents[0], environment=ENVIRONMENT, at="2026-01-01T00:00:00Z")
        assert metric(self.server, "serin_store_open") == 0
        event = self.server.process.wait_event("store_away")
        assert event["code"] == code and event["remedy"], event

    def check_back(self):
        """The store is there again without a restart, and everything goes on from where it was."""
        self.server.wait_open()
        assert self.server.process.wait_event("store_back")
        assert metric(self.server, "serin_store_open") == 1
        assert self.answers() == self.before
        agent = self.world.served(1)
        assert self.world.version_of(agent) == 1
        assert not list(faults_of(all_entries(self.server.admin)))
        self.server.admin.op("audit_checkpoint")


@pytest.fixture
def story(make_server):
    return Story(make_server())


def take_away(server, how):
    """Makes the store unusable; answers how to put it back and the code that tells it."""
    kept = server.folder / "kept"
    if how == "moved":
        server.store.rename(kept)
        return lambda: kept.rename(server.store), "store_missing"
    shutil.move(server.store, kept)
    if how == "garbage":
        server.store.write_bytes(b"this is no database, though it is long enough to be taken for one " * 100)
        code = "store_corrupt"
    elif how == "empty":
        server.store.touch()
        code = "store_missing"
    elif how == "damaged":
        good = kept.read_bytes()
        server.store.write_bytes(good[:4096] + b"\xa5" * 8192 + good[12288:])
        code = "store_corrupt"
    else:
        server.store.mkdir()
        code = "store_io"

    def put_back():
        server.store.rmdir() if server.store.is_dir() else None
        kept.rename(server.store)
    return put_back, code


@pytest.mark.parametrize("how", ["moved", "garbage", "empty", "damaged", "folder"])
def test_a_start_without_the_store(story, how):
    server = story.server
    server.stop()
    put_back, code = take_away(server, how)
    before = server.store.read_bytes() if server.store.is_file() else None
    server.start()
    story.check_read_only(code)
    assert (server.store.read_bytes() if server.store.is_file() else None) == before, "what stands in its place is left alone"
    put_back()
    story.check_back()
    server.restart()
    assert server.readiness()["status"] == "ready"


def test_a_disk_that_is_not_mounted(make_server, tmp_path):
    """The store's folder is empty at the start: nothing is made in it, no store and no signing key."""
    disk = tmp_path / "disk"
    server = make_server("--snapshot-file", str(tmp_path / "snapshot"), start=False)
    server.store = disk / "serin.db"
    disk.mkdir()
    story = Story(server.start())
    server.stop()
    disk.rename(tmp_path / "unplugged")
    server.start()
    story.check_read_only("store_missing")
    disk.mkdir()
    time.sleep(2.5)
    assert not list(disk.iterdir()) and server.readiness()["status"] == "read_only"
    disk.rmdir()
    (tmp_path / "unplugged").rename(disk)
    story.check_back()


def mount(*arguments):
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    if not ROOT or not mount("-t", "tmpfs", "-o", "size=16m", "serin-test", str(place)):
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_read_only_file_system(small_disk, make_server):
    story = Story(make_server(folder=small_disk / "serin"))
    server = story.server
    server.stop()
    assert mount("-o", "remount,ro", str(small_disk))
    server.start()
    story.check_read_only("store_read_only")
    assert mount("-o", "remount,rw", str(small_disk))
    story.check_back()


def test_a_file_that_cannot_be_written(small_disk, make_server):
    """The disk of the snapshot file alone is full: told once, changes go on, and the file follows when there is room."""
    server = make_server("--snapshot-file", str(small_disk / "snapshot"))
    world = World(server).make_environments()
    server.wait_written()
    held = server.readiness()["snapshot_file"]
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65536)
    agent = world.served(1, 2)
    event = server.process.wait_event("snapshot_file_failed")
    assert event["code"] == "store_full" and event["remedy"], event
    wait_for(lambda: metric(server, "serin_snapshot_file_failures_total") >= 3, "it is tried again")
    assert server.readiness()["status"] == "ready" and server.readiness()["snapshot_file"] == held
    assert world.version_of(agent) == 2 and world.version_of(world.served(1)) == 1
    assert len([e for e in server.process.events if e["event"] == "snapshot_file_failed"]) == 1
    assert sorted(path.name for path in small_disk.iterdir()) == ["ballast", "snapshot"], "nothing is left of a failed attempt"
    ballast.unlink()
    assert server.process.wait_event("snapshot_file_written")
    server.wait_written()


# ---- the file ----


def test_the_file_is_for_its_owner_alone(make_server):
    server = make_server()
    server.wait_written()
    assert server.snapshot_file.stat().st_mode & 0o7777 == 0o600
    assert b"serin_" not in server.snapshot_file.read_bytes()


def test_the_file_is_whole_after_an_orderly_end(own_world):
    server = own_world.server
    agent = own_world.served(1, 2)
    position = server.admin.op("whoami")["position"]
    server.stop()
    server.store.rename(server.folder / "kept")
    server.start()
    assert server.readiness()["position"] == position
    assert own_world.version_of(agent) == 2


def fails_to_start(server):
    process = Process(server.folder, "--store", f"sqlite:{server.store}", "--listen", "127.0.0.1:0")
    assert process.wait_end() == 1, process.log()
    fatal = process.wait_event("fatal")
    process.check_log()
    return fatal


def damages(good):
    """Every 97th cut, and a bit turned over here and there."""
    yield from (good[:size] for size in range(0, len(good), max(97, len(good) // 40 // 97 * 97)))
    for place in range(0, len(good), max(1, len(good) // 25)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        yield bytes(bad)


def test_a_damaged_file_is_not_used(own_world):
    server = own_world.server
    own_world.served(1, 2)
    server.stop()
    good = server.snapshot_file.read_bytes()
    server.store.rename(server.folder / "kept")
    for number, bad in enumerate(damages(good)):
        server.snapshot_file.write_bytes(bad)
        fatal = fails_to_start(server)
        assert fatal["code"] == "store_missing" and "snapshot" in fatal["message"] and fatal["remedy"], (number, fatal)
        assert not server.store.exists(), "no store is made where one was"
    server.snapshot_file.write_bytes(good)
    server.start()
    assert server.readiness()["status"] == "read_only"


def test_without_the_file_a_new_store_is_made(own_world):
    server = own_world.server
    own_world.served(1)
    server.stop()
    server.store.unlink()
    server.snapshot_file.unlink()
    server.start()
    assert server.readiness()["status"] == "ready" and server.admin.op("agent_list")["agents"] == []


def test_a_damaged_file_beside_a_good_store(own_world):
    server = own_world.server
    agent = own_world.served(1, 2)
    server.stop()
    server.snapshot_file.write_bytes(server.snapshot_file.read_bytes()[:-1] + b"x")
    server.start()
    assert own_world.version_of(agent) == 2
    server.wait_written()
    server.stop()
    server.store.rename(server.folder / "kept")
    server.start()
    assert own_world.version_of(agent) == 2


def test_killed_while_the_file_is_written(make_server):
    """Whenever the process ends, the file is one whole snapshot, not older than the one before."""
    rng, last = make_random(), (0, 0)
    server = make_server()
    world = World(server).make_environments()
    agent = world.agent(2)
    for number in range(30):  # some weight, so that writing takes its time
        world.deploy(world.agent(1), 1)
        world.admin.op("version_push", agent=unique(), config=config(unique() * 2000))
    for turn in range(12):
        stop = time.monotonic() + rng.uniform(0.05, 1.6)
        step = 0
        while time.monotonic() < stop:
            step += 1
            world.deploy(agent, 1 + step % 2)
        server.kill()
        if not server.snapshot_file.exists():
            assert turn == 0
            server.start()
            continue
        kept = server.folder / "kept"
        shutil.move(server.store, kept)
        server.start()
        position = tuple(map(int, server.readiness()["position"].split(".")))
        assert server.readiness()["status"] == "read_only" and position >= last
        last = position
        kept.rename(server.store)
        server.wait_open()
    assert not list(faults_of(all_entries(server.admin)))


# ---- the store comes back as another one ----


def test_a_stream_over_the_absence(story):
    """Nothing happened meanwhile: who follows the stream need not fetch anything again."""
    server = story.server
    server.stop()
    put_back, _ = take_away(server, "moved")
    server.start()
    with Events(server.admin, environment=ENVIRONMENT) as stream:
        put_back()
        server.wait_open()
        agent = story.world.served(1)
        event = stream.next()
        assert event["event"] == "change" and agent in event["data"]


def test_a_store_that_went_on_elsewhere(story, make_server):
    """The store comes back with more in it: the snapshot has it, and streams are told to fetch again."""
    server = story.server
    elsewhere = make_server(folder="elsewhere", start=False)
    server.stop()
    put_back, _ = take_away(server, "moved")
    shutil.copy(server.folder / "kept", elsewhere.store)
    shutil.copy(f"{server.store}.audit-key", f"{elsewhere.store}.audit-key")
    elsewhere.start()
    agent = World(elsewhere).served(1)
    elsewhere.stop()
    server.start()
    with Events(server.admin, environment=ENVIRONMENT) as stream:
        shutil.copy(elsewhere.store, server.folder / "kept")
        put_back()
        server.wait_open()
        assert stream.next()["event"] == "refetch"
        assert story.world.version_of(agent) == 1
        story.world.deploy(story.world.agent(1), 1)
        assert stream.next()["event"] == "change"


@pytest.mark.parametrize("when", ["at the start", "while running"])
def test_a_store_that_is_behind(story, when):
    """An old copy put in place by hand: it is served whole, nothing is mixed, and no position stands for two states."""
    server, world = story.server, story.world
    old = server.folder / "old"
    server.stop()
    shutil.copy(server.store, old)
    server.start()
    lost = world.served(1, 2)
    newest = server.admin.op("whoami")["position"]
    server.stop()
    if when == "at the start":
        shutil.copy(old, server.store)
        server.start()
    else:
        put_back, _ = take_away(server, "moved")
        server.start()
        assert world.version_of(lost) == 2
        with Events(server.admin, environment=ENVIRONMENT) as stream:
            shutil.copy(old, server.folder / "kept")
            put_back()
            server.wait_open()
            assert stream.next()["event"] == "refetch"
    event = server.process.wait_event("store_behind")
    assert event["served"] == newest, event
    assert server.admin.op("whoami")["position"].split(".")[0] == "2"
    world.admin.refused("agent_not_found", "resolve", agent=lost, environment=ENVIRONMENT)
    entries = all_entries(server.admin)
    assert not list(faults_of(entries)) and entries[-1]["operation"] == "epoch_begin" and newest in entries[-1]["reason"]
    with Events(server.admin, environment=ENVIRONMENT, last_event_id=newest) as stream:
        assert stream.next()["event"] == "refetch"
    server.restart()
    assert len([e for e in server.process.events if e["event"] == "store_behind"]) == 0
    assert server.admin.op("whoami")["position"].split(".")[0] == "2"


def test_a_store_of_somebody_else(story, make_server):
    """Not even a store with other content at the same position is taken for the one that was served."""
    server = story.server
    server.stop()
    put_back, _ = take_away(server, "moved")
    server.start()
    position = server.readiness()["position"]
    other = make_server(folder="other")
    world = World(other).make_environments()
    while other.admin.op("whoami")["position"] != position:
        other.admin.op("agent_put", agent=unique())
    other.stop()
    shutil.copy(other.store, server.folder / "kept")
    put_back()
    server.wait_open()
    assert server.process.wait_event("store_behind")
    assert server.admin.op("whoami")["position"].split(".")[0] == "2"
    world.server = server
    assert server.admin.op("snapshot", environment=ENVIRONMENT)["agents"] == {}


def test_the_first_key_of_a_store_that_opens_later(make_server):
    """Its keys are in the store and in the file; a start with the store away makes none."""
    server = make_server()
    server.wait_written()
    server.stop()
    put_back, _ = take_away(server, "moved")
    server.start()
    assert server.admin.op("whoami")["id"] == "bootstrap"
    put_back()
    server.wait_open()
    assert [key["id"] for key in server.admin.op("key_list")["keys"]] == ["bootstrap"]


# ---- what still ends a start ----


def test_a_second_server_is_refused_all_the_same(story):
    story.server.wait_written()
    fatal = fails_to_start(story.server)
    assert fatal["code"] == "store_locked", fatal


def test_status_shows_it(story):
    server = story.server
    server.stop()
    take_away(server, "moved")
    server.start()
    shown = server.cli("status").ok().out
    assert "read_only" in shown and "is not there" in shown


# ---- a store that fails while the server runs ----


def test_a_store_that_goes_while_the_server_runs(own_world):
    """Readers that need a new connection fail, resolving goes on, and all is well when it is back."""
    server = own_world.server
    agent = own_world.served(1, 2)
    kept = server.folder / "kept"
    server.store.rename(kept)
    stop, failed = threading.Event(), []

    def resolve():
        client = server.another()
        while not stop.is_set():
            answer = client.call("resolve", agent=agent, environment=ENVIRONMENT)
            if answer.status != 200:
                failed.append(answer)

    reader = threading.Thread(target=resolve)
    reader.start()
    time.sleep(2.5)
    kept.rename(server.store)
    stop.set()
    reader.join()
    assert not failed
    wait_for(lambda: server.admin.call("agent_list").status == 200, "reads go on")
    assert own_world.version_of(own_world.served(1)) == 1
