# SPDX-License-Identifier: Apache-2.0
"""Care of a store without its server: backups under writes, bringing them back, holding them to a checkpoint, the doctor."""
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.audit import all_entries, hash_of
from harness.server import BINARY, Server, clean_env, run_cli
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
    for size in range(512, len(before), 65536):
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


# ---- restore ----


def restore(server, file, *more, store=None):
    return run_cli("restore", file, "--store", f"sqlite:{store or server.store}", *more, home=server.folder)


def head(file):
    [(epoch, seq)] = read(file, "SELECT epoch, seq FROM head")
    return epoch, seq


def kept(server):
    return sorted(path for path in server.folder.iterdir() if ".before-" in path.name and path.suffix != ".lock")


def with_backup(world, tmp_path):
    """A stopped server whose store went on after its backup: the agent served version 1 then, and serves version 2 now."""
    agent = world.served(1)
    file = tmp_path / "backup.db"
    backup(world.server, file).ok()
    world.admin.op("version_push", agent=agent, config=config("later"))
    world.deploy(agent, 2)
    world.server.stop()
    return agent, file


def test_a_restored_store_serves_what_the_backup_held(own_world, tmp_path):
    server = own_world.server
    agent, file = with_backup(own_world, tmp_path)
    lost, before = head(server.store), server.store.read_bytes()
    (server.folder / "serin.db.snapshot").write_text("the last good snapshot of the old state")
    ran = restore(server, file, "--reason", "the disk was lost").ok()
    assert not (server.folder / "serin.db.snapshot").exists()
    epoch, seq = head(server.store)
    assert epoch == 2 and seq == head(file)[1] + 1
    assert f"{epoch}.{seq}" in ran.out
    [old] = kept(server)
    assert old.read_bytes() == before and old.name in ran.out
    assert stat.S_IMODE(server.store.stat().st_mode) == 0o600
    assert leftovers(server.folder) == []
    server.start()
    assert own_world.version_of(agent) == 1
    [entry] = own_world.admin.op("audit_list", after=seq - 1)["entries"]
    assert (entry["operation"], entry["actor"], entry["reason"]) == ("epoch_begin", "system", "the disk was lost")
    asked = {"agent": agent, "environment": "staging", "at": f"{lost[0]}.{lost[1]}"}
    assert own_world.admin.call("resolve_get", **asked).json["code"] == "position_unknown"
    server.cli("audit", "verify").ok()
    own_world.deploy(own_world.agent(1), 1)


def test_epochs_rise_with_every_restore(own_world, tmp_path):
    server = own_world.server
    _, file = with_backup(own_world, tmp_path)
    for expected in (2, 3, 4):
        restore(server, file).ok()
        assert head(server.store)[0] == expected
    assert len(kept(server)) == 3
    later = tmp_path / "later.db"
    backup(server, later).ok()
    restore(server, file).ok()
    restore(server, later).ok()
    assert head(server.store)[0] == 6


def test_restoring_where_nothing_was(own_world, tmp_path):
    agent, file = with_backup(own_world, tmp_path)
    server = own_world.server
    key = server.folder / "serin.db.audit-key"
    for path in server.folder.iterdir():
        path.rename(tmp_path / path.name)
    ran = restore(server, file).ok()
    assert str(key) in ran.out
    assert head(server.store)[0] == 2 and kept(server) == []
    (tmp_path / key.name).rename(key)
    assert "put back" not in restore(server, file).ok().out
    server.start()
    assert own_world.version_of(agent) == 1


def test_a_store_that_is_in_use_is_not_replaced(own_world, tmp_path):
    own_world.served(1)
    server, file = own_world.server, tmp_path / "b.db"
    backup(server, file).ok()
    ran = restore(server, file).fails()
    assert "has the store" in ran.err and "Stop the server" in ran.err
    assert kept(server) == [] and leftovers(server.folder) == []
    server.stop()
    with sqlite3.connect(server.store) as db:
        db.execute("SELECT count(*) FROM head").fetchall()
        ran = restore(server, file).fails()
        assert "another program has the store open" in ran.err
    db.close()
    restore(server, file).ok()


def test_the_log_of_a_killed_server_is_kept_with_its_store(own_world, tmp_path):
    server = own_world.server
    own_world.served(1)
    file = tmp_path / "b.db"
    backup(server, file).ok()
    agent = own_world.served(1, 2)
    server.kill()
    assert (server.folder / "serin.db-wal").stat().st_size
    restore(server, file).ok()
    [old] = kept(server)
    assert (2,) in read(old, f"SELECT version FROM refs_now WHERE agent = '{agent}'")
    assert read(server.store, f"SELECT version FROM refs_now WHERE agent = '{agent}'") == []
    server.start()


def test_a_damaged_store_is_replaced_and_kept_as_it_is(own_world, tmp_path):
    server = own_world.server
    agent, file = with_backup(own_world, tmp_path)
    damaged, log = b"\xa5" * 40960, b"a log of which nobody knows"
    server.store.write_bytes(damaged)
    (server.folder / "serin.db-wal").write_bytes(log)
    ran = restore(server, file).ok()
    assert "could not be read" in ran.out
    old, old_log = kept(server)
    assert old.read_bytes() == damaged and old_log.read_bytes() == log and old_log.name == old.name + "-wal"
    assert head(server.store)[0] == 2
    server.start()
    assert own_world.version_of(agent) == 1


def test_a_log_without_its_store_is_not_taken_for_the_restored_one(own_world, tmp_path):
    server = own_world.server
    own_world.served(1)
    file = tmp_path / "b.db"
    backup(server, file).ok()
    own_world.served(1, 2)
    server.kill()
    server.store.unlink()
    restore(server, file).ok()
    assert [path.name[-4:] for path in kept(server)] == ["-shm", "-wal"]
    assert head(server.store) == (2, head(file)[1] + 1)
    server.start()
    server.cli("audit", "verify").ok()


def hostile(tmp_path, good):
    """Name and bytes of files that are no backup, with a word of what is said about them."""
    yield "missing", None, "No such file"
    yield "empty", b"", "empty"
    yield "text", b"this is not a database at all " * 1000, "not a database"
    yield "half", good[: len(good) // 2 // 4096 * 4096], ""
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE t (a)")
    yield "foreign", foreign.read_bytes(), "not one of Serin"
    for name, sql, words in (
        ("newer", "INSERT INTO schema_migrations (number, name, applied_at) VALUES (99, 'later', 0)", "schema 99"),
        ("headless", "DELETE FROM head", "no head"),
        ("altered", "UPDATE audit SET reason = 'another' WHERE seq = 2", "altered"),
        ("truncated", "DELETE FROM audit WHERE seq > 3", "missing at its end"),
        ("no audit", "DROP TABLE audit", ""),
    ):
        file = tmp_path / "made.db"
        file.write_bytes(good)
        with sqlite3.connect(file) as db:
            db.execute(sql)
            db.execute("PRAGMA user_version = 0")
        db.close()
        yield name, file.read_bytes(), words
    place = good.index(b"environment_put")  # in a row: one in the schema's text keeps SQLite from opening it at all
    yield "one bit", good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :], "checksum"
    yield "longer", good + b"\0", "checksum"


def test_what_is_no_backup_changes_nothing(own_world, tmp_path):
    server = own_world.server
    _, file = with_backup(own_world, tmp_path)
    before, good = server.store.read_bytes(), file.read_bytes()
    for name, content, words in hostile(tmp_path, good):
        bad = tmp_path / f"bad-{name}.db"
        if content is not None:
            bad.write_bytes(content)
        ran = restore(server, bad).fails()
        assert words in ran.err and "  at: " in ran.err and "  try: " in ran.err, ran
        assert server.store.read_bytes() == before, name
        assert kept(server) == [] and leftovers(server.folder) == [], name
    for itself in (server.store, server.folder / "." / "serin.db"):
        assert "the store itself" in restore(server, itself).fails().err
    restore(server, tmp_path).fails()
    restore(server, file, store=tmp_path / "missing" / "x.db").fails()
    assert server.store.read_bytes() == before
    server.start()


def test_a_backup_that_is_damaged_anywhere_is_refused(own_world, tmp_path):
    """Bits flipped at places all over the file, free space included: its checksum finds each."""
    server = own_world.server
    _, file = with_backup(own_world, tmp_path)
    seed = random.randrange(2**32)
    print("seed", seed)
    dice, good = random.Random(seed), file.read_bytes()
    for place in sorted(dice.sample(range(len(good)), 60)) + [60, 61, 62, 63]:
        bad = bytearray(good)
        bad[place] ^= 1 << dice.randrange(8)
        (tmp_path / "bad.db").write_bytes(bad)
        ran = restore(server, tmp_path / "bad.db", store=tmp_path / "target.db").fails()
        assert "bad.db" in ran.err and not (tmp_path / "target.db").exists(), (place, ran)


def test_a_backup_without_its_checksum_is_held_to_the_rest(own_world, tmp_path):
    """A copy that another tool made has none. Then damage is found by its structure, or the store that it gives is sound."""
    server = own_world.server
    _, file = with_backup(own_world, tmp_path)
    seed = random.randrange(2**32)
    print("seed", seed)
    dice, good, found = random.Random(seed), bytearray(file.read_bytes()), 0
    good[60:64] = bytes(4)
    target = tmp_path / "target.db"
    for place in sorted(dice.sample(range(len(good)), 80)):
        bad = bytearray(good)
        bad[place : place + 200] = dice.randbytes(len(bad[place : place + 200]))
        (tmp_path / "bad.db").write_bytes(bad)
        target.unlink(missing_ok=True)
        ran = restore(server, tmp_path / "bad.db", store=target)
        found += ran.code != 0
        assert target.exists() == (ran.code == 0)
        if ran.code == 0:
            assert read(target, "PRAGMA integrity_check") == [("ok",)], place
    assert found


def test_a_restore_that_is_killed_leaves_the_old_store_or_the_new_one(own_world, tmp_path):
    server = own_world.server
    fill(server, 8)
    agent, file = with_backup(own_world, tmp_path)
    began = time.monotonic()
    restore(server, file).ok()
    lasts, seen, previous = time.monotonic() - began, set(), head(server.store)
    for attempt in range(30):
        process = subprocess.Popen([str(BINARY), "restore", str(file), "--store", f"sqlite:{server.store}"], cwd=server.folder,
                                   env=clean_env(server.folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(lasts * attempt / 25)
        process.kill()
        ended = process.wait(30)
        assert read(server.store, "PRAGMA integrity_check") == [("ok",)]
        now = head(server.store)
        assert now in (previous, (previous[0] + 1, previous[1])), (attempt, now, previous)
        # A kill while the old store was read leaves its log beside it; beside the new one it would be taken for the new one's.
        assert now == previous or not [side for side in SIDES if (server.folder / f"serin.db{side}").exists()]
        seen.add((ended != 0, now != previous))
        previous = now
    assert (True, False) in seen, "no restore was killed before it was done"
    restore(server, file).ok()
    assert leftovers(server.folder) == []
    server.start()
    assert own_world.version_of(agent) == 1


def test_an_interrupted_restore_changes_nothing(own_world, tmp_path):
    server = own_world.server
    fill(server, 8)
    _, file = with_backup(own_world, tmp_path)
    before, caught = head(server.store), 0
    for attempt in range(20):
        process = subprocess.Popen([str(BINARY), "restore", str(file), "--store", f"sqlite:{server.store}"], cwd=server.folder,
                                   env=clean_env(server.folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while process.poll() is None and not leftovers(server.folder) and time.monotonic() < deadline:
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        if process.returncode == 0:
            before = head(server.store)
            continue
        caught += 1
        assert "interrupted" in err and head(server.store) == before and leftovers(server.folder) == []
    assert caught
    server.start()


# ---- audit verify without a server ----


def verify(file, *more, home=None):
    return run_cli("audit", "verify", "--store", f"sqlite:{file}", *more, home=home or file.parent)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A store at rest with a checkpoint in the middle of its log and one at the end: nobody may change it."""
    server = Server(tmp_path_factory.mktemp("audited")).start()
    world = World(server).make_environments()
    world.served(1, 2)
    (server.folder / "middle.json").write_text(json.dumps(server.admin.op("audit_checkpoint")))
    world.served(1, 2)
    (server.folder / "end.json").write_text(json.dumps(server.admin.op("audit_checkpoint")))
    backup(server, server.folder / "backup.db").ok()
    server.stop()
    yield server
    server.end()


def test_a_whole_log_is_verified_offline(audited, tmp_path):
    before = {path.name: path.read_bytes() for path in audited.folder.iterdir()}
    for name in ("serin.db", "backup.db"):
        for checkpoint in ("middle.json", "end.json"):
            ran = verify(audited.folder / name, "--checkpoint", audited.folder / checkpoint).ok()
            assert "The audit log is whole" in ran.out and "the checkpoint that was kept" in ran.out
            assert ("taken at its word" in ran.err) == (name == "backup.db")
        assert verify(audited.folder / name, "--json").ok().json["whole"] is True
    assert {path.name: path.read_bytes() for path in audited.folder.iterdir()} == before


def test_a_log_is_verified_while_its_server_writes(own_world):
    server = own_world.server
    file = server.folder / "kept.json"
    file.write_text(json.dumps(server.admin.op("audit_checkpoint")))
    with Writers(server) as writers:
        for _ in range(5):
            writers.wait(len(writers.acknowledged) + 10)
            verify(server.store, "--checkpoint", file).ok()


COLUMNS = "epoch, at, actor, actor_name, operation, agent, environment, reason, detail, previous, hash"
CHANGES = {
    "reason": "UPDATE audit SET reason = 'another' WHERE seq = 5",
    "actor": "UPDATE audit SET actor = 'somebody' WHERE seq = 5",
    "name": "UPDATE audit SET actor_name = 'somebody' WHERE seq = 5",
    "operation": "UPDATE audit SET operation = 'other' WHERE seq = 5",
    "agent": "UPDATE audit SET agent = 'other' WHERE seq = 5",
    "environment": "UPDATE audit SET environment = 'other' WHERE seq = 5",
    "time": "UPDATE audit SET at = at + 1 WHERE seq = 5",
    "epoch": "UPDATE audit SET epoch = 2 WHERE seq = 5",
    "detail": "UPDATE audit SET detail = '{\"version\":9}' WHERE seq = 5",
    "no JSON": "UPDATE audit SET detail = '{' WHERE seq = 5",
    "hash": "UPDATE audit SET hash = '00' || substr(hash, 3) WHERE seq = 5",
    "no hash": "UPDATE audit SET hash = 'x' WHERE seq = 5",
    "previous": "UPDATE audit SET previous = '00' || substr(previous, 3) WHERE seq = 5",
    "first removed": "DELETE FROM audit WHERE seq = 1",
    "removed": "DELETE FROM audit WHERE seq = 5",
    "last removed": "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
    "half removed": "DELETE FROM audit WHERE seq > 5",
    "all removed": "DELETE FROM audit",
    "reordered": "UPDATE audit SET seq = -1 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6; UPDATE audit SET seq = 6 WHERE seq = -1",
    "doubled": f"INSERT INTO audit (seq, {COLUMNS}) SELECT seq + 1000, {COLUMNS} FROM audit WHERE seq = 5",
    "head back": "UPDATE head SET seq = seq - 1",
    # Whoever cuts the end and moves the head with it leaves a log that is whole in itself: only a checkpoint tells.
    "cut with the head": "DELETE FROM audit WHERE seq > 9; UPDATE head SET seq = 9, at = (SELECT at FROM audit WHERE seq = 9), "
                         "audit_hash = (SELECT hash FROM audit WHERE seq = 9)",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_log_is_found(audited, tmp_path, what):
    file = tmp_path / "copy.db"
    shutil.copy(audited.store, file)
    with sqlite3.connect(file) as db:
        db.executescript(CHANGES[what])
    db.close()
    ran = verify(file, "--checkpoint", audited.folder / "end.json").fails()
    assert "  at: " in ran.err and "  try: " in ran.err
    assert (verify(file).code == 0) == (what == "cut with the head")


def test_checkpoints_that_do_not_belong(audited, tmp_path):
    checkpoint = json.loads((audited.folder / "end.json").read_text())

    def refused(changed, words, store=audited.store):
        (tmp_path / "kept.json").write_text(changed if isinstance(changed, str) else json.dumps(changed))
        assert words in verify(store, "--checkpoint", tmp_path / "kept.json").fails().err

    def signed(key, **changes):
        made = {**checkpoint, **changes}
        text = "\n".join(["serin audit checkpoint", made["position"], made["hash"], made["at"], ""])
        public = key.public_key().public_bytes_raw()
        return {**made, "public_key": public.hex(), "signature": key.sign(text.encode()).hex()}

    own = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(Path(f"{audited.store}.audit-key").read_text().strip()))
    refused({**checkpoint, "hash": "sha256:" + "1" * 64}, "valid signature")
    refused({**checkpoint, "position": "1.5"}, "valid signature")
    refused("{}", "no checkpoint")
    refused("", "kept.json")
    refused(signed(Ed25519PrivateKey.generate()), "is not the one that signed")
    refused(signed(own, position="1.1000000"), "is not in it")
    refused(signed(own, position="2.5"), "is not in it")
    refused(signed(own, hash="sha256:" + "1" * 64), "is not in it")
    refused(signed(own, hash="sha256:" + "1" * 64), "is not in it", audited.folder / "backup.db")
    verify(audited.store, "--checkpoint", tmp_path / "missing.json").fails()
    verify(tmp_path / "missing.db").fails()
    assert not (tmp_path / "missing.db").exists()
    run_cli("audit", "verify", "--store", "nothing", home=tmp_path).fails()


# ---- doctor ----


def doctor(server, *more, store=None):
    """Exit code and findings by the check's name; a check that had nothing to look at is not among them."""
    ran = run_cli("doctor", "--json", "--store", f"sqlite:{store or server.store}", *more, home=server.folder)
    told = json.loads(ran.out)
    found = {finding["check"]: finding for finding in told["findings"]}
    assert ran.err == "" and ran.code == (1 if told["problems"] else 0), ran
    for state, total in (("problem", told["problems"]), ("warning", told["warnings"])):
        assert sum(finding["state"] == state for finding in found.values()) == total
    for finding in found.values():
        assert ("remedy" in finding) == (finding["state"] != "ok"), finding
    return found


def contents(folder):
    """Bytes and rights of everything there but the index of the log, which every reader marks."""
    return {path.name: (path.read_bytes(), path.stat().st_mode) for path in folder.iterdir() if not path.name.endswith("-shm")}


def problems(found):
    return sorted(name for name, finding in found.items() if finding["state"] == "problem")


def test_a_doctor_of_a_running_server(own_world):
    server = own_world.server
    own_world.served(1, 2)
    found = doctor(server, "--listen", server.address)
    assert problems(found) == []
    assert str(server.process.process.pid) in found["server"]["finding"]
    assert "is ready" in found["ready"]["finding"]
    for name in ("settings", "store file", "store opens", "store whole", "derived tables", "write-ahead log", "audit key", "clock",
                 "disk space", "SQLite", "versions", "memory", "cores"):
        assert found[name]["state"] == "ok", found[name]
    ran = run_cli("doctor", "--store", f"sqlite:{server.store}", "--listen", server.address, home=server.folder).ok()
    assert ran.out.startswith("STATE") and "problems: 0" in ran.out


def test_a_doctor_changes_nothing(own_world):
    server = own_world.server
    own_world.served(1, 2)
    server.kill()
    before = contents(server.folder)
    found = doctor(server)
    assert problems(found) == [] and "did not end in order" in found["write-ahead log"]["finding"]
    assert contents(server.folder) == before
    server.start()
    server.stop()
    before = contents(server.folder)
    assert problems(doctor(server)) == []
    assert contents(server.folder) == before
    empty = server.folder / "empty"
    empty.mkdir()
    assert problems(doctor(server, store=empty / "serin.db")) == ["store file"]
    assert list(empty.iterdir()) == []


def test_a_doctor_reads_the_list_of_where_the_server_may_go(own_world):
    server = own_world.server
    assert problems(doctor(server, "--listen", server.address, "--outgoing-allow", "https://prometheus.internal:9090")) == []
    found = doctor(server, "--listen", server.address, "--outgoing-allow", "prometheus:9090")
    assert problems(found) == ["settings"] and "outgoing_allow" in found["settings"]["finding"], found["settings"]


def test_a_doctor_of_a_server_that_does_not_answer(own_world):
    server = own_world.server
    server.process.process.send_signal(signal.SIGSTOP)
    try:
        found = doctor(server, "--listen", server.address)
    finally:
        server.process.process.send_signal(signal.SIGCONT)
    assert problems(found) == ["ready"]


HARMS = {
    "text": (lambda store: store.write_bytes(b"no database " * 1000), "store opens"),
    "empty": (lambda store: store.write_bytes(b""), "store opens"),
    "half": (lambda store: os.truncate(store, store.stat().st_size // 2 // 4096 * 4096), None),
    "page": (lambda store: store.write_bytes(store.read_bytes()[:40960] + b"\xa5" * 8192 + store.read_bytes()[49152:]), None),
    "foreign": ("PRAGMA application_id = 7", "store opens"),
    "newer": ("INSERT INTO schema_migrations (number, name, applied_at) VALUES (99, 'later', 0)", "store opens"),
    "no head": ("DELETE FROM head", "store whole"),
    "audit": ("UPDATE audit SET reason = 'another' WHERE seq = 3", "store whole"),
    "derived": ("UPDATE refs_now SET version = 1", "derived tables"),
    "rights": (lambda store: store.chmod(0o644), "store file"),
    "key": (lambda store: Path(f"{store}.audit-key").chmod(0o604), "audit key"),
    "snapshot": (lambda store: os.truncate(f"{store}.snapshot", 100), "last snapshot"),
}


@pytest.mark.parametrize("what", HARMS)
def test_a_doctor_finds_what_is_wrong(own_world, what):
    server = own_world.server
    own_world.served(1, 2)
    server.stop()
    harm, where = HARMS[what]
    if callable(harm):
        harm(server.store)
    else:
        with sqlite3.connect(server.store) as db:
            db.execute(harm)
        db.close()
    before = contents(server.folder)
    found = doctor(server)
    assert problems(found) == [where] if where else problems(found), found
    assert contents(server.folder) == before


def test_a_doctor_warns(own_world):
    server = own_world.server
    own_world.served(1, 2)
    server.stop()
    Path(f"{server.store}.audit-key").rename(server.folder / "elsewhere")
    (server.folder / "serin.db.restoring").write_text("broken off")
    with sqlite3.connect(server.store) as db:
        ahead = time.time_ns() // 1000 + 3_600_000_000
        db.execute("UPDATE head SET at = ?", (ahead,))
    db.close()
    found = doctor(server, "--workers", "500", "--connections", "1000000")
    for name in ("audit key", "leftovers", "cores", "open files"):
        assert found[name]["state"] == "warning", found[name]
    assert "differ in time" in found["store whole"]["finding"]


def test_a_clock_behind_the_store(own_world):
    """The newest change is made one of the year 2099, with its hash computed anew: a store written while the clock was ahead."""
    server = own_world.server
    entry = all_entries(server.admin)[-1]
    server.stop()
    assert doctor(server)["clock"]["state"] == "ok"
    at = 4_070_908_800_000_000
    changed = hash_of({**entry, "at": "2099-01-01T00:00:00.000000Z"}).removeprefix("sha256:")
    with sqlite3.connect(server.store) as db:
        db.execute("UPDATE audit SET at = ?, hash = ? WHERE seq = (SELECT seq FROM head)", (at, changed))
        db.execute("UPDATE head SET at = ?, audit_hash = ?", (at, changed))
    db.close()
    clock = doctor(server)["clock"]
    assert clock["state"] == "warning" and "behind the newest change" in clock["finding"]


def test_help_of_the_commands_for_care(tmp_path):
    for name in ("backup", "restore", "doctor"):
        page = run_cli(name, "--help", home=tmp_path).ok().out
        assert f"serin {name}" in page and "--store" in page
        assert page == run_cli("help", name, home=tmp_path).ok().out
        assert name in run_cli("help", home=tmp_path).ok().out
        assert f"# serin {name}" in run_cli("help", "--markdown", home=tmp_path).ok().out
        assert name in run_cli("__complete", name[:3], home=tmp_path).ok().out
        run_cli(name, "--nonsense", home=tmp_path).fails(2)
        run_cli(name, "a", "b", home=tmp_path).fails(2)
    run_cli("help", "--man", tmp_path / "man", home=tmp_path).ok()
    assert (tmp_path / "man" / "serin-backup.1").exists()
    assert "--force" in run_cli("__complete", "backup", "--f", home=tmp_path).out
    assert ":files" in run_cli("__complete", "restore", "", home=tmp_path).out
    assert "--store" in run_cli("__complete", "serve", "--st", home=tmp_path).out
