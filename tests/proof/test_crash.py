# SPDX-License-Identifier: Apache-2.0
"""kill -9 while clients write: nothing acknowledged is lost, nothing is applied twice, whenever the end comes."""
import re
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

from harness import server as servers
from harness.crashes import Crashes, derived
from harness.ledger import place
from harness.rollout import Traffic, fresh
from harness.scale import SCALE, make_random
from harness.server import ROOT, clean_env, run_cli
from harness.table import rows
from harness.world import World

ASAN = ROOT / "build/asan/serin"
AT_START = ("audit_key_", "migrate_")
IN_COPIES = ("backup_", "restore_")
IN_SNAPSHOT_FILE = ("snapshot_file_",)
IN_OUTCOMES = ("outcomes_",)  # test_outcomes_exact.py
IN_VERDICTS = ("verdict_",)
IN_WEBHOOKS = ("webhook_",)  # test_webhooks.py
POINTS = [row[0] for _, row in rows("src/base/failpoint.def", "FAILPOINT_ROW")]
WRITE_POINTS = [name for name in POINTS if name.startswith(("write_", "change_"))]
PASSAGES = max(1, SCALE.kills // 50)  # of each failpoint of a change; the others once
KILLS_AT_POINTS = PASSAGES * len(WRITE_POINTS) + len(POINTS) - len(WRITE_POINTS)


@pytest.mark.timeout(3600)
def test_killed_at_random_moments(tmp_path):
    rng = make_random()
    crashes = Crashes(tmp_path, rng)
    began, kills = time.monotonic(), max(SCALE.kills - KILLS_AT_POINTS, 10)
    for _ in range(kills):
        def end(_seconds, moment=rng.uniform(0.002, 0.15)):
            time.sleep(moment)
            crashes.server.process.process.kill()

        crashes.write(end)
        crashes.killed()
        crashes.server.start()
        crashes.check()
    print(f"{(time.monotonic() - began) / kills:.2f} s a kill")
    assert crashes.history.entries > kills
    crashes.close()


@pytest.fixture
def asan(monkeypatch):
    assert ASAN.exists(), f"{ASAN} is missing: tools/run-tests --only asan makes it"
    monkeypatch.setattr(servers, "BINARY", ASAN)


@pytest.mark.timeout(3600)
def test_killed_at_every_failpoint_of_a_change(tmp_path, asan):
    rng = make_random()
    crashes = Crashes(tmp_path, rng)
    for name in WRITE_POINTS * PASSAGES:
        crashes.server.stop()
        crashes.server.env = {"SERIN_FAILPOINT": f"{name}:{rng.randrange(1, 120)}"}
        crashes.server.start()
        crashes.write(crashes.server.process.process.wait)
        crashes.killed()
        crashes.server.env = {}
        crashes.server.start()
        crashes.check()
    crashes.close()


def ends_at(point, *arguments, folder):
    """Runs the program until that failpoint kills it."""
    env = clean_env(folder, SERIN_FAILPOINT=f"{point}:1", SERIN_BOOTSTRAP_KEY=servers.FIRST_KEY)
    done = subprocess.run([str(servers.BINARY), *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == -signal.SIGKILL, done


@pytest.mark.parametrize("point", [name for name in POINTS if name not in WRITE_POINTS and not name.startswith(IN_COPIES + IN_SNAPSHOT_FILE + IN_OUTCOMES + IN_VERDICTS + IN_WEBHOOKS)])
def test_killed_in_a_first_start_or_a_rebuild(tmp_path, asan, point):
    """The next start finds a store in order."""
    store = f"sqlite:{tmp_path}/serin.db"
    if point.startswith(AT_START):
        ends_at(point, "serve", "--store", store, "--listen", "127.0.0.1:0", folder=tmp_path)
    crashes = Crashes(tmp_path, make_random())
    crashes.write(lambda _: time.sleep(0.05))
    if not point.startswith(AT_START):
        crashes.server.stop()
        before = derived(crashes.server.store)
        ends_at(point, "rebuild", "--store", store, folder=tmp_path)
        assert derived(crashes.server.store) == before
        crashes.server.start()
    crashes.check()
    crashes.close()


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith(IN_COPIES)])
def test_killed_in_a_backup_or_a_restore(tmp_path, asan, point):
    """A backup that has its name is whole, the store is the old one or the restored one, and doing it again works."""
    folder, backup = tmp_path / "serin", tmp_path / "backup.db"
    crashes = Crashes(folder, make_random())
    crashes.write(lambda _: time.sleep(0.05))
    crashes.server.stop()
    before, store = derived(crashes.server.store), ("--store", f"sqlite:{crashes.server.store}")
    if point.startswith("backup_"):
        ends_at(point, "backup", str(backup), *store, folder=tmp_path)
        assert backup.exists() == (point == "backup_named")
        if not backup.exists():
            run_cli("backup", backup, *store, home=folder).ok()
        run_cli("restore", backup, *store, home=folder).ok()
    else:
        run_cli("backup", backup, *store, home=folder).ok()
        ends_at(point, "restore", str(backup), *store, folder=tmp_path)
        crashes.server.start()
        crashes.check()
        assert crashes.history.position[0] == (2 if point == "restore_placed" else 1)
        crashes.server.stop()
        run_cli("restore", backup, *store, home=folder).ok()
    assert derived(crashes.server.store) == before
    crashes.server.start()
    crashes.check_restored()
    crashes.close()


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith(IN_SNAPSHOT_FILE)])
def test_killed_while_the_snapshot_file_is_written(tmp_path, asan, point):
    """Its second passage is a second after the start, under changes: the file is the one before, or whole and newer once it has its name."""
    crashes = Crashes(tmp_path, make_random())
    crashes.server.stop()
    crashes.server.env = {"SERIN_FAILPOINT": f"{point}:2"}
    crashes.server.start()
    crashes.server.wait_written()
    before = place(crashes.server.readiness()["snapshot_file"])
    crashes.write(crashes.server.process.process.wait)
    crashes.killed()
    crashes.server.env = {}
    position = crashes.check_snapshot_file(least=before)
    assert (position > before) == (point == "snapshot_file_named"), (before, position)
    crashes.close()


def test_an_unknown_failpoint_is_refused(tmp_path, asan):
    env = clean_env(tmp_path, SERIN_FAILPOINT="nowhere:1")
    done = subprocess.run([str(ASAN), "serve"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "nowhere:1" in done.stderr, done


# What the controller is led to do: how the rollout differs, the rates of failure of stable and candidate, and the state it is then in.
LEAST = {"share": 30, "min_time": "1s", "min_units": 50}
ACTIONS = {
    "rollback": ({}, (0.0, 0.5), "rolled_back"),
    "hold": ({"on_harm": "hold"}, (0.0, 0.5), "held"),
    "advance": ({"steps": [LEAST, {"share": 50, "min_time": "1h"}]}, (0.0, 0.0), "running"),
    "promote": ({"steps": [LEAST]}, (0.0, 0.0), "promoted"),
}


def moves_of(store):
    with closing(sqlite3.connect(store)) as db:
        return [action for action, in db.execute("SELECT action FROM rollout_moves ORDER BY seq")]


def wait_until(server, wanted):
    deadline = time.monotonic() + 30
    while not wanted():
        assert time.monotonic() < deadline, server.process.log()
        time.sleep(0.05)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith(IN_VERDICTS)])
def test_killed_in_a_verdict(tmp_path, asan, point, action):
    """Whoever is killed before the verdict's commit has done nothing, whoever is killed behind it does nothing again, and tells the intake of an end of which it
    had not heard."""
    plan, rates, state = ACTIONS[action]
    server = servers.Server(tmp_path, env={"SERIN_FAILPOINT": f"{point}:1"}).start()
    world = World(server).make_environments()
    traffic = Traffic(world, fresh(world), make_random(), **plan)
    traffic.send(rates, count=4000)
    server.process.wait_end(60)
    server.close_clients()
    assert moves_of(server.store) == (["start"] if point == "verdict_begin" else ["start", action])
    server.env = {}
    server.start()
    traffic.admin = server.admin
    wait_until(server, lambda: moves_of(server.store) == ["start", action])
    seen = traffic.state()
    assert seen["rollout"]["state"] == state
    assert [move["action"] for move in seen["moves"]] == [action, "start"]
    for _ in range(2):  # now the intake has read its log, and says so
        traffic.send(rates, count=10)
    kept = 1 if state in ("running", "held") else 0
    wait_until(server, lambda: re.search(rf"(?m)^serin_outcome_rollouts {kept}$", server.admin.get("/metrics").text))
    server.stop()


def test_the_released_program_has_no_failpoints():
    """Neither their names nor their variable."""
    program = (ROOT / "build/serin").read_bytes()
    assert b"SERIN_BOOTSTRAP_KEY" in program
    assert b"SERIN_FAILPOINT" not in program
    assert not [name for name in POINTS if name.encode() in program]
