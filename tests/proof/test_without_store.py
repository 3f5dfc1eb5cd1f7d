# SPDX-License-Identifier: Apache-2.0
"""Resolving needs no database: the disk fails under a running server, a server is restarted without its store, and is killed while it writes
its snapshot file. Nobody who asks notices, no change is acknowledged that is not there, and all goes on by itself."""
import errno
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter

import pytest

from harness.calls import Trouble
from harness.client import request_of
from harness.crashes import Crashes
from harness.ledger import ACKNOWLEDGED, place
from harness.load import Pump, metric, request_bytes, wait_until
from harness.scale import SCALE, make_random
from harness.server import handed
from harness.table import operations
from harness.wire import Cut, Wire
from harness.world import ENVIRONMENT, World, config, unique

REFS = 300
RATE = 300  # questions a second of the pump
ASKERS, PAUSE = 4, 0.02
UNLIMITED = ("--requests-per-key", "0", "--connections-per-address", "0")
# A commit that could not be written may have been all the same; SQLite takes a page that the disk does not give back (EIO) for damage.
TROUBLE = {"unknown_outcome", "store_io", "store_full", "store_read_only", "store_corrupt"}
KILLS = max(8, SCALE.kills // 10)


def of_any_position(answer):
    """Without what every change moves."""
    status, body = answer
    return status, re.sub(rb'"position":"[0-9.]+",', b"", body)


class Refs:
    """What many refs answer, and clients that ask for all of them again and again, each time on a connection of its own. The answers
    stay the same, byte by byte; the position counts only while nothing changes."""

    def __init__(self, world, changes):
        self.view = of_any_position if changes else lambda answer: answer
        self.server, self.key = world.server, world.server.client("resolve", ENVIRONMENT).key
        self.agents = [world.served(1) for _ in range(REFS)]
        self.asked, self.retried, self.slowest, self.failed = 0, 0, 0.0, []
        self.lock, self.over, self.threads = threading.Lock(), threading.Event(), []
        self.before = self.answers()
        assert all(status == 200 for status, _ in self.before.values())

    def answers(self):
        return {agent: self.ask(agent) for agent in self.agents}

    def ask(self, agent):
        """Once more only when the connection was cut before a byte of the answer: as any client may do with a question."""
        question = request_of(operations()["resolve"], {"agent": agent, "environment": ENVIRONMENT, "context": {"targetingKey": "ann"}})
        for _ in range(3):
            wire = Wire(self.server.address, self.key)
            try:
                reply = wire.send(*question, headers=(("Connection", "close"),))
                return self.view((reply.status, reply.body))
            except Cut:
                if wire.heard:
                    raise
                with self.lock:
                    self.retried += 1
            finally:
                wire.close()
        raise Cut("three times before the answer")

    def run(self, first):
        turn = first
        while not self.over.wait(PAUSE):
            agent, began = self.agents[turn % len(self.agents)], time.monotonic()
            turn += 1
            try:
                got = self.ask(agent)
            except Exception as why:
                got = repr(why)
            with self.lock:
                self.asked += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                if got != self.before[agent]:
                    self.failed.append((agent, got))

    def begin(self):
        self.threads = [threading.Thread(target=self.run, args=(number * len(self.agents) // ASKERS,), daemon=True) for number in range(ASKERS)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.failed, f"{len(self.failed)} of {self.asked}: {self.failed[:3]}"
        assert self.asked > REFS, "each ref was asked for"

    def __str__(self):
        return f"{self.asked} on connections of their own ({self.retried} sent again, slowest {self.slowest:.2f} s), {len(self.failed)} failed"


# ---- the disk fails under a server that runs ----


class FailingDisk:
    """These calls on the store's files fail, each time."""

    def __init__(self, folder, errnum, *calls):
        folder.mkdir()
        self.folder, self.errnum, self.calls, self.trouble = folder, errnum, calls, Trouble(folder)
        self.env = self.trouble.env

    def fail(self):
        for name in self.calls:
            self.trouble.begin(name, self.errnum)

    def mend(self):
        self.trouble.end()

    def remove(self):
        pass


class FullDisk:
    """A file system of its own that somebody else fills."""

    env = None

    def __init__(self, folder):
        if os.geteuid() != 0:
            pytest.skip("needs the right to mount")
        folder.mkdir()
        self.folder, self.ballast = folder, folder / "ballast"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "serin-test", str(folder)], check=True)

    def fail(self):
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as full:
                assert full.errno == errno.ENOSPC

    def mend(self):
        self.ballast.unlink()

    def remove(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


WRITES = ("pwrite", "fsync", "fdatasync", "ftruncate")
DISKS = {
    "gone": lambda folder: FailingDisk(folder, errno.EIO, "pread", *WRITES),
    "read-only": lambda folder: FailingDisk(folder, errno.EROFS, *WRITES),
    "not synced": lambda folder: FailingDisk(folder, errno.EIO, "fsync", "fdatasync"),
    "full": FullDisk,
}


@pytest.fixture(params=DISKS)
def disk(request, tmp_path):
    made = DISKS[request.param](tmp_path / "disk")
    yield made
    made.remove()


@pytest.mark.timeout(SCALE.outage_seconds + 180)
def test_the_disk_fails_under_a_running_server(disk, request):
    crashes = Crashes(disk.folder / "serin", make_random(), *UNLIMITED, env=disk.env, trouble=TROUBLE)
    request.addfinalizer(crashes.server.kill)
    server, counts = crashes.server, crashes.ledger.counts
    refs = Refs(World(server), changes=True)
    pump = Pump(server, request_bytes("GET", f"/v1/resolve/{refs.agents[0]}?key=@@@@@@@@@@", refs.key), 8, SCALE.outage_seconds + 4, RATE)
    refs.begin()
    acknowledged = Counter()

    def outage(_):
        wait_until(lambda: len(crashes.ledger.of(ACKNOWLEDGED)) > 20, "changes before")
        disk.fail()
        wait_until(lambda: sum(counts[code] for code in TROUBLE) > 10, "changes are refused")
        acknowledged["before"] = len(crashes.ledger.of(ACKNOWLEDGED))
        time.sleep(SCALE.outage_seconds)
        acknowledged["after"] = len(crashes.ledger.of(ACKNOWLEDGED))
        disk.mend()
        wait_until(lambda: len(crashes.ledger.of(ACKNOWLEDGED)) > acknowledged["after"] + 20, "changes go on by themselves")

    crashes.write(outage)
    result = pump.result()
    refs.end()
    assert set(result["statuses"]) == {"200"} and result["cut"] == 0 and result["answered"] == result["sent"], result
    crashes.check()
    server.restart()
    crashes.check()
    assert refs.answers() == refs.before
    refused = {code: count for code, count in counts.items() if code in TROUBLE}
    print(f"{SCALE.outage_seconds} s without a disk ({request.node.callspec.id}): {result['answered']} resolves by the pump, p99 {result['p99_ms']} ms; {refs}; "
          f"changes refused {refused}, acknowledged meanwhile {acknowledged['after'] - acknowledged['before']}")
    crashes.close()


# ---- a server is restarted without its store ----


class Disk:
    """The folder of the store, which can be gone, or hold what is no store."""

    def __init__(self, folder):
        self.folder, self.kept = folder, folder.parent / "unplugged"
        folder.mkdir()

    def store(self):
        return self.folder / "serin.db"

    def unplug(self):
        self.folder.rename(self.kept)

    def plug(self):
        self.clear()
        self.kept.rename(self.folder)

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def spoil(self):
        self.folder.mkdir()
        self.store().write_bytes(b"this is no database, though it is long enough to be taken for one " * 100)


def check_read_only(server, world):
    state = server.readiness()
    assert state["status"] == "read_only" and state["store"]["remedy"], state
    answer = server.admin.call("agent_put", agent=unique())
    assert answer.status == 503 and answer.json["code"] == "store_unavailable" and answer.headers["Retry-After"], answer
    assert metric(server, "serin_store_open") == 0


@pytest.mark.timeout(SCALE.outage_seconds + 180)
def test_restarted_without_its_store(make_server, tmp_path):
    """By SIGTERM and by kill -9, on a socket that somebody else holds open: connections wait meanwhile, and none is refused."""
    disk = Disk(tmp_path / "disk")
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as opened:
        server = make_server("--snapshot-file", str(tmp_path / "snapshot"), *UNLIMITED, start=False, **handed(opened))
        server.store = disk.store()
        world = World(server.start()).make_environments()
        refs = Refs(world, changes=False)
        server.wait_written()
        refs.begin()
        time.sleep(1)
        server.kill()
        disk.unplug()
        began, restarts = time.monotonic(), Counter()
        while time.monotonic() - began < SCALE.outage_seconds or len(restarts) < 4:
            server.start()
            check_read_only(server, world)
            time.sleep(0.5 if restarts.total() < 4 else SCALE.outage_seconds / 20)
            end, spoilt = (server.stop, server.kill)[restarts.total() % 2], restarts.total() // 2 % 2
            end()
            restarts[end.__name__, spoilt] += 1
            disk.clear()
            if restarts.total() // 2 % 2:
                disk.spoil()
        server.start()
        check_read_only(server, world)
        disk.plug()
        server.wait_open()
        without = time.monotonic() - began
        assert refs.answers() == refs.before
        refs.end()
        agent = world.served(1)
        assert world.version_of(agent) == 1
        server.restart()
        assert world.version_of(agent) == 1
        assert {name: of_any_position(answer) for name, answer in refs.answers().items()} == \
            {name: of_any_position(answer) for name, answer in refs.before.items()}
    print(f"{without:.0f} s without the store, {restarts.total() + 1} starts meanwhile, by kill -9 and SIGTERM: {refs}")


# ---- a server is killed while it writes its snapshot file ----


def wait_partial(server, rng):
    """Until the file is being written, and a little more."""
    partial = server.snapshot_file.with_name(server.snapshot_file.name + ".partial")
    deadline = time.monotonic() + 3
    while not partial.exists() and time.monotonic() < deadline:
        time.sleep(0.0002)
    time.sleep(rng.uniform(0, 0.01))
    return partial


@pytest.mark.timeout(3600)
def test_killed_while_the_snapshot_file_is_written(tmp_path, request):
    """Started from it without the store, it answers what the audit log says was served at its position; never older than it was told to be."""
    rng = make_random()
    crashes = Crashes(tmp_path / "serin", rng, *UNLIMITED)
    request.addfinalizer(crashes.server.kill)
    server, world = crashes.server, World(crashes.server)
    for _ in range(40):  # some weight, so that writing takes its time
        agent = unique()
        world.admin.op("version_push", agent=agent, config=config(unique() * 3000))
        world.deploy(agent, 1)
    least, torn = (0, 0), 0
    for _ in range(KILLS):
        server.wait_written()
        least = max(least, place(server.readiness()["snapshot_file"]))

        def end(_):
            partial = wait_partial(server, rng)
            server.process.process.kill()
            server.process.wait_end()
            nonlocal torn
            torn += partial.exists()

        crashes.write(end)
        crashes.killed()
        least = crashes.check_snapshot_file(least)
    print(f"killed {KILLS} times while the snapshot file was written, {torn} times in the middle of it: always whole, and what was served at its position")
    assert torn, "no kill found the file half written"
    crashes.close()
