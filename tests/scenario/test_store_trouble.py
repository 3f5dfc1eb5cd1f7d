# SPDX-License-Identifier: Apache-2.0
"""A store that cannot be used as it should: the answer says what is wrong and what to do, and nothing is half done."""
import errno
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness.server import BINARY, Process, Server, clean_env
from harness.world import World, config, unique

ROOT = os.geteuid() == 0
NOBODY = 65534


def fails_to_start(folder, *arguments, code, env=None, preexec=None):
    """Starts a server that must end with an error: exit code 1, a `fatal` event with code, place and remedy."""
    process = Process(folder, *arguments, env=env, preexec=preexec)
    assert process.wait_end() == 1, process.log()
    fatal = process.wait_event("fatal")
    assert fatal, process.log()
    assert fatal["code"] == code, fatal
    assert fatal["remedy"], fatal
    process.check_log()
    return fatal


def without_snapshot(server):
    """A server that has the last good snapshot starts from it (test_last_good.py)."""
    Path(f"{server.store}.snapshot").unlink(missing_ok=True)


def store_arguments(server):
    return ["--store", f"sqlite:{server.store}", "--listen", "127.0.0.1:0"]


def with_story(make_server):
    world = World(make_server()).make_environments()
    return world, world.served(1, 2)


def state(server):
    return server.admin.head(), server.admin.op("snapshot", environment="staging")


def test_a_second_server_on_the_same_store(make_server):
    world, _ = with_story(make_server)
    before = state(world.server)
    fatal = fails_to_start(world.server.folder, *store_arguments(world.server), code="store_locked")
    assert "serin.db" in str(fatal)
    assert state(world.server) == before
    world.deploy(world.agent(1), 1)


def test_the_lock_goes_with_its_holder(make_server):
    world, agent = with_story(make_server)
    world.server.kill()
    world.server.start()
    assert world.version_of(agent) == 2


@pytest.mark.parametrize("harm", ["text", "half", "page", "empty folder"])
def test_a_corrupt_store(make_server, tmp_path, harm):
    world, _ = with_story(make_server)
    server = world.server
    server.stop()
    without_snapshot(server)
    good = server.store.read_bytes()
    if harm == "text":
        server.store.write_bytes(b"this is not a database, though long enough to be looked at as one " * 100)
    elif harm == "half":
        server.store.write_bytes(good[: len(good) // 2 // 4096 * 4096])
    elif harm == "page":
        server.store.write_bytes(good[:4096] + b"\xa5" * 8192 + good[12288:])
    else:
        server.store.unlink()
        server.store.mkdir()
    damaged = b"" if server.store.is_dir() else server.store.read_bytes()
    fatal = fails_to_start(server.folder, *store_arguments(server),
                           code="store_corrupt" if harm != "empty folder" else "store_io")
    assert "serin.db" in str(fatal)
    if harm != "empty folder":
        assert server.store.read_bytes() == damaged, "a damaged store is left as it is"


def test_a_newer_store(make_server):
    world, _ = with_story(make_server)
    server = world.server
    server.stop()
    without_snapshot(server)
    with sqlite3.connect(server.store) as db:
        newer = raise_schema(db)
    db.close()
    before = server.store.read_bytes()
    fatal = fails_to_start(server.folder, *store_arguments(server), code="store_newer")
    assert str(newer) in str(fatal)
    assert server.store.read_bytes() == before


def raise_schema(db):
    """Says that a later program has been here, wherever the schema number is kept; answers that number."""
    tables = {name: sql for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")}
    table = next(name for name in tables if name in ("migrations", "schema_migrations", "schema", "migration"))
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    number = next(c for c in columns if c in ("number", "version", "schema"))
    row = db.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {number} DESC").fetchone()
    values = [9999 if c == number else v for c, v in zip(columns, row)]
    db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    return 9999


def drop_rights():
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@pytest.mark.skipif(not ROOT, reason="needs root to start the server as another user")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_store(make_server, what):
    world, _ = with_story(make_server)
    world.server.stop()
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777 if what == "file" else 0o755)
        store, program = Path(place, "serin.db"), Path(place, "serin")
        shutil.copy(world.server.store, store)
        shutil.copy(BINARY, program)
        os.chmod(store, 0o444)
        before = store.read_bytes()
        done = subprocess.run([program, "serve", "--log-format", "json", "--store", f"sqlite:{store}", "--listen", "127.0.0.1:0"], cwd="/",
                              env=clean_env("/nonexistent"), capture_output=True, text=True, timeout=30, preexec_fn=drop_rights)
        assert done.returncode == 1 and "store_read_only" in done.stderr and "serin.db" in done.stderr, done
        assert store.read_bytes() == before


def mount(*arguments):
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    place = tmp_path / "small"
    place.mkdir()
    if not ROOT or not mount("-t", "tmpfs", "-o", "size=3m", "serin-test", str(place)):
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_read_only_file_system(make_server, small_disk):
    server = Server(small_disk / "serin").start()
    server.admin.op("environment_put", environment="staging")
    server.stop()
    without_snapshot(server)
    assert mount("-o", "remount,ro", str(small_disk))
    fails_to_start(small_disk, *store_arguments(server), code="store_read_only")


def test_a_full_disk(small_disk):
    """No false acknowledgement: each push is either kept or refused with store_full; with room again it goes on."""
    server = Server(small_disk / "serin").start()
    world = World(server).make_environments()
    agent, kept = world.served(1), 1
    ballast = small_disk / "ballast"
    refused = 0
    for turn in range(60):
        answer = server.admin.call("version_push", agent=agent, config=config(f"{turn} " + unique() * 4000))
        if answer.status == 201:
            kept += 1
            assert answer.json["version"]["version"] == kept
            continue
        assert answer.status == 507 and answer.json["code"] == "store_full", answer
        refused += 1
        if refused == 3:
            break
    assert refused, "the disk never became full"
    assert server.admin.op("agent_get", agent=agent)["latest"] == kept
    assert world.version_of(agent) == 1
    before = server.admin.head()
    server.admin.refused("store_full", "version_push", agent=agent, config=config(unique() * 8000))
    assert server.admin.head() == before
    assert mount("-o", "remount,size=64m", str(small_disk))
    made = server.admin.op("version_push", agent=agent, config=config("room again"))
    assert made["version"]["version"] == kept + 1
    assert not ballast.exists()
    server.restart()
    assert server.admin.op("agent_get", agent=agent)["latest"] == kept + 1
    server.stop()


class Writer(threading.Thread):
    """Pushes versions to an agent of its own without a pause, and remembers what was acknowledged."""

    def __init__(self, server):
        super().__init__()
        self.client, self.agent = server.another(), unique()
        self.kept, self.refused, self.faults, self.over = [], 0, [], threading.Event()

    def run(self):
        while not self.over.is_set() and not self.faults:
            text = unique() * 100
            answer = self.client.call("version_push", agent=self.agent, config=config(text))
            if answer.status == 201:
                self.kept.append(text)
            elif answer.status == 507 and answer.json["code"] == "store_full":
                self.refused += 1
            else:
                self.faults.append(answer)
        self.client.close()


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as full:
            assert full.errno == errno.ENOSPC


def until(condition, writers, world, agent):
    """Resolving goes on all the while."""
    deadline = time.monotonic() + 30
    while not all(condition(writer) for writer in writers):
        assert world.version_of(agent) == 1
        assert not any(writer.faults for writer in writers), [writer.faults for writer in writers]
        assert time.monotonic() < deadline


def test_a_disk_that_fills_while_clients_write(small_disk):
    assert mount("-o", "remount,size=32m", str(small_disk))
    server = Server(small_disk / "serin").start()
    world = World(server).make_environments()
    agent = world.served(1)
    writers = [Writer(server) for _ in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        fill(small_disk / "ballast")
        refused = {writer: writer.refused for writer in writers}
        until(lambda writer: writer.refused > refused[writer] + 3, writers, world, agent)
        (small_disk / "ballast").unlink()
        kept = {writer: len(writer.kept) for writer in writers}
        until(lambda writer: len(writer.kept) > kept[writer] + 20, writers, world, agent)
    for writer in writers:
        writer.over.set()
    for writer in writers:
        writer.join()
    server.restart()
    for writer in writers:
        assert server.admin.op("agent_get", agent=writer.agent)["latest"] == len(writer.kept)
        for number, text in enumerate(writer.kept, 1):
            assert server.admin.op("version_get", agent=writer.agent, version=number)["config"]["system_prompt"] == text
    assert world.version_of(agent) == 1
    server.stop()


def test_a_port_in_use(make_server, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fatal = fails_to_start(tmp_path, "--store", f"sqlite:{tmp_path}/serin.db", "--listen", f"127.0.0.1:{port}", code="port_in_use")
    assert str(port) in str(fatal)


@pytest.mark.parametrize("arguments,word", [
    (["--listen", "nonsense"], "listen"), (["--listen", "127.0.0.1:99999"], "listen"), (["--store", "mysql://x"], "store"),
    (["--store", "sqlite:"], "store"), (["--workers", "-1"], "workers"), (["--workers", "many"], "workers"),
    (["--log-format", "xml"], "log"),
])
def test_settings_that_are_not_valid(tmp_path, arguments, word):
    process = Process(tmp_path, *arguments)
    assert process.wait_end() in (1, 2), process.log()
    assert word in process.log() + "".join(process.out)
    assert not list(tmp_path.glob("*.db")), "nothing is made"


def test_a_short_first_key(tmp_path):
    process = Process(tmp_path, "--listen", "127.0.0.1:0", env={"SERIN_BOOTSTRAP_KEY": "short"})
    assert process.wait_end() in (1, 2)
    assert "SERIN_BOOTSTRAP_KEY" in process.log() and "32" in process.log()


def test_a_folder_that_is_not_there(tmp_path):
    fails_to_start(tmp_path, "--store", f"sqlite:{tmp_path}/missing/serin.db", "--listen", "127.0.0.1:0", code="store_io")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_in_order(make_server, how):
    world, _ = with_story(make_server)
    process = world.server.process
    world.server.close_clients()
    process.process.send_signal(how)
    assert process.wait_end() == 0, process.log()
    names = [event["event"] for event in process.events]
    assert names.index("draining") < names.index("stopped")
    process.check_log()
