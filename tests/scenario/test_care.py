# SPDX-License-Identifier: Apache-2.0
"""Care of a store without its server: backups under writes, bringing them back, holding them to a checkpoint, the doctor."""
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

from harness.server import BINARY, clean_env, run_cli
from harness.world import World, config, unique

SIDES = ("-wal", "-shm", "-journal")


def backup(server, file, *more, store=None):
    return run_cli("backup", file, "--store", f"sqlite:{store or server.store}", *more, home=server.folder)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if ".partial" in path.name or ".restoring" in path.name)


def read(file, sql):
    with sqlite3.connect(f"file:{file}?immutable=1", uri=True) as db:
        return db.execute(sql).fetchall()


class Writers:
    """Clients that push until they are told to end, and remember what was acknowledged."""

    def __init__(self, server, count=4):
        self.server, self.acknowledged, self.ending = server, [], False
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(count)]

    def write(self, number):
        client, agent = self.server.another(), f"writer-{number}"
        version = 0
        while not self.ending:
            version += 1
            client.op("version_push", agent=agent, config=config(f"{agent} says {version} " + "x" * 2000))
            self.acknowledged.append((agent, version))
        client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        for thread in self.threads:
            thread.join(30)

    def wait(self, count):
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


# ---- backup ----


def test_a_backup_under_writes_holds_all_that_was_acknowledged(own_world, tmp_path):
    server = own_world.server
    with Writers(server) as writers:
        for number in range(5):
            writers.wait(len(writers.acknowledged) + 40)
            before, file = list(writers.acknowledged), tmp_path / f"{number}.db"
            ran = backup(server, file).ok()
            after = set(writers.acknowledged)
            kept = set(read(file, "SELECT agent, number FROM versions"))
            assert set(before) <= kept, "an acknowledged version is not in the backup"
            assert kept - after <= {(f"writer-{n}", v) for n in range(4) for v in range(1, len(after) + 10)}
            [(epoch, seq, audit_hash)] = read(file, "SELECT epoch, seq, audit_hash FROM head")
            assert f"{epoch}.{seq}" in ran.out and f"sha256:{audit_hash}" in ran.out
            assert read(file, "PRAGMA integrity_check") == [("ok",)]
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert not [side for side in SIDES if (tmp_path / (file.name + side)).exists()]
    assert leftovers(tmp_path) == []
    assert str(server.store) + ".audit-key" in ran.out


def test_a_backup_of_a_store_at_rest(own_world, tmp_path):
    own_world.served(1, 2)
    own_world.server.stop()
    backup(own_world.server, tmp_path / "b.db").ok()
    own_world.server.start()


def test_a_file_that_is_there_stays(own_world, tmp_path):
    file = tmp_path / "b.db"
    file.write_text("precious")
    assert "--force" in backup(own_world.server, file).fails().err
    assert file.read_text() == "precious"
    backup(own_world.server, file, "--force").ok()
    assert read(file, "SELECT count(*) FROM head") == [(1,)]
    before = file.read_bytes()
    missing = own_world.server.folder / "nothing.db"
    backup(own_world.server, file, "--force", store=missing).fails()
    assert file.read_bytes() == before
    assert not missing.exists()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["serin.db", "serin.db-wal", "serin.db.lock", "serin.db.audit-key", "link.db"])
def test_a_backup_never_replaces_the_store(own_world, name):
    server = own_world.server
    (server.folder / "link.db").symlink_to(server.store)
    before = (server.folder / name).read_bytes()
    assert backup(server, server.folder / name, "--force").fails().err
    assert (server.folder / name).read_bytes() == before
    own_world.served(1)


def test_targets_that_cannot_be_written(own_world, tmp_path):
    server = own_world.server
    ran = backup(server, tmp_path / "missing" / "b.db").fails()
    assert "missing/b.db" in ran.err and "No such file" in ran.err
    (tmp_path / "folder").mkdir()
    backup(server, tmp_path / "folder", "--force").fails()
    os.mkfifo(tmp_path / "pipe")
    backup(server, tmp_path / "pipe", "--force").fails()
    (tmp_path / "b.db.partial").symlink_to(tmp_path / "elsewhere")
    backup(server, tmp_path / "b.db").fails()
    assert not (tmp_path / "elsewhere").exists()
    run_cli("backup", home=server.folder).fails(2)


def run_limited(server, file, size):
    """A disk that is full after so many bytes, as far as this process can tell."""
    command = ["sh", "-c", f"ulimit -f {size // 512}; exec \"$@\"", "-", str(BINARY), "backup", str(file), "--store",
               f"sqlite:{server.store}", "--force"]
    return subprocess.run(command, cwd=server.folder, env=clean_env(server.folder), capture_output=True, text=True, timeout=60)


def test_a_disk_that_takes_no_more(own_world, tmp_path):
    for _ in range(20):
        own_world.served(1, 2)
    file = tmp_path / "b.db"
    backup(own_world.server, file).ok()
    before = file.read_bytes()
    for size in range(0, len(before), 65536):
        ran = run_limited(own_world.server, file, size)
        assert ran.returncode == 1, ran.stderr
        assert "b.db.partial" in ran.stderr, ran.stderr
        assert file.read_bytes() == before and leftovers(tmp_path) == []


def start_backup(server, file, *more):
    return subprocess.Popen([str(BINARY), "backup", str(file), "--store", f"sqlite:{server.store}", *more], cwd=server.folder,
                            env=clean_env(server.folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fill(server, megabytes):
    """Makes the store so large that copying it takes a while: the server is told of big versions."""
    client, agent = server.another(), unique()
    for number in range(megabytes):
        client.op("version_push", agent=agent, config=config(f"{number} " + os.urandom(480_000).hex()))
    client.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_is_interrupted(own_world, tmp_path, sent):
    server, file = own_world.server, tmp_path / "b.db"
    fill(server, 30)
    backup(server, file).ok()
    before, caught = file.read_bytes(), 0
    for attempt in range(20):
        process = start_backup(server, file, "--force")
        deadline = time.monotonic() + 20
        partial = tmp_path / "b.db.partial"
        while process.poll() is None and not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline:
            pass
        time.sleep(0.002 * attempt)
        process.send_signal(sent)
        _, err = process.communicate(timeout=30)
        if process.returncode == 0:
            continue
        caught += 1
        assert file.read_bytes() == before
        if sent != signal.SIGKILL:
            assert process.returncode == 1 and "interrupted" in err
            assert leftovers(tmp_path) == []
    assert caught, "no backup was caught in the act"
    backup(server, file, "--force").ok()
    assert leftovers(tmp_path) == []


def test_two_backups_into_one_file(own_world, tmp_path):
    server, file = own_world.server, tmp_path / "b.db"
    fill(server, 10)
    many = [start_backup(server, file, "--force") for _ in range(4)]
    codes = [process.wait(60) for process in many]
    assert 0 in codes
    for process in many:
        _, err = process.communicate()
        assert process.returncode == 0 or "another program is writing there" in err, err
    assert read(file, "PRAGMA integrity_check") == [("ok",)]
    assert leftovers(tmp_path) == []


def test_a_store_that_is_damaged_gives_no_backup(own_world, tmp_path):
    server, file = own_world.server, tmp_path / "b.db"
    for _ in range(20):
        own_world.served(1, 2)
    server.stop()
    good = server.store.read_bytes()
    server.store.write_bytes(good[:40960] + b"\xa5" * 8192 + good[49152:])
    backup(server, file).fails()
    assert not file.exists() and leftovers(tmp_path) == []
    server.store.write_bytes(good)
