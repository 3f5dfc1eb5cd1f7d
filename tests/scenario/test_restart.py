# SPDX-License-Identifier: Apache-2.0
"""What is kept: over a restart, a kill, a rebuild of the derived tables."""
import random
import re
import shutil
import sqlite3
import threading

from harness.audit import all_entries, faults_of
from harness.server import FIRST_KEY, Process, run_cli
from harness.world import World, operations

LISTS = ["agent_list", "environment_list", "release_list", "hold_list", "key_list", "audit_list"]


def everything(world, agents):
    """All that can be read, as one value."""
    admin, seen = world.admin, {}
    for name in LISTS:
        seen[name] = admin.op(name, **({"limit": 1000} if name in ("agent_list", "release_list", "audit_list") else {}))
    for agent in agents:
        for name in ("agent_get", "version_list", "deployment_list"):
            seen[name, agent] = admin.op(name, agent=agent)
        seen["overrides", agent] = admin.op("override_list", agent=agent, environment="staging")
    for environment in ("staging", "production"):
        seen["snapshot", environment] = admin.call("snapshot", environment=environment).body
        seen["refs", environment] = admin.op("environment_get", environment=environment, limit=1000)
    return seen


def make_story(world):
    for name in operations("CHANGE"):
        world.admin.op(name, **world.recipe(name))
    world.admin.op("override_put", agent=world.served(1, 2), override="us", environment="staging", version=1, audience={"var": "us"}, reason="try")
    return [agent["name"] for agent in world.admin.op("agent_list", limit=1000)["agents"]]


def test_a_restart_keeps_everything(own_world):
    agents = make_story(own_world)
    before = everything(own_world, agents)
    own_world.server.restart()
    assert everything(own_world, agents) == before


def test_a_kill_keeps_everything(own_world):
    agents = make_story(own_world)
    before = everything(own_world, agents)
    own_world.server.kill()
    own_world.server.start()
    assert everything(own_world, agents) == before


def test_idempotency_keys_are_remembered_over_a_restart(own_world):
    key, params = {"Idempotency-Key": "over-a-restart"}, own_world.recipe("deploy")
    first = own_world.admin.op("deploy", headers=key, **params)
    own_world.server.restart()
    head = own_world.admin.head()
    assert own_world.admin.op("deploy", headers=key, **params) == first
    assert own_world.admin.head() == head


def test_the_first_key_is_made_once(make_server):
    """Without SERIN_BOOTSTRAP_KEY the first start prints an admin key, and no later start does."""
    server = make_server(start=False, env={})
    server.start()
    server.stop()
    fresh = make_server(folder="fresh", start=False)
    for turn in range(2):
        process = Process(fresh.folder, "--listen", "127.0.0.1:0")
        address = process.wait_event("listening")["address"]
        process.process.terminate()
        assert process.wait_end() == 0
        printed = re.findall(r"serin_[0-9a-f]+_[0-9a-f]+", "".join(process.out))
        assert len(printed) == (1 if turn == 0 else 0), process.out
        assert "serin_" not in process.log()
        if printed:
            first = printed[0]
    assert (fresh.folder / "serin.db").exists() and address.startswith("127.0.0.1:")
    process = Process(fresh.folder, "--listen", "127.0.0.1:0")
    address = process.wait_event("listening")["address"]
    run_cli("agents", home=fresh.folder, env={"SERIN_URL": f"http://{address}", "SERIN_KEY": first}).ok()
    process.process.terminate()
    assert process.wait_end() == 0


def test_a_rebuild_changes_nothing(own_world):
    agents = make_story(own_world)
    before = everything(own_world, agents)
    server = own_world.server
    server.stop()
    run_cli("rebuild", "--store", f"sqlite:{server.store}", home=server.folder).ok()
    server.start()
    assert everything(own_world, agents) == before


def test_a_rebuild_of_a_store_in_use_is_refused(own_world):
    server = own_world.server
    ran = run_cli("rebuild", "--store", f"sqlite:{server.store}", home=server.folder)
    assert ran.code == 1 and "server" in ran.err, ran


def test_killed_while_clients_write(make_server):
    """What was acknowledged is there, nothing is applied twice, and the chain holds."""
    world = World(make_server()).make_environments()
    agents = [world.agent(2) for _ in range(4)]
    acknowledged, rng = [], random.Random(7)
    for turn in range(4):
        stop = threading.Event()

        def write(number):
            client = world.server.another(FIRST_KEY)
            for step in range(100_000):
                if stop.is_set():
                    return
                key = f"{turn}-{number}-{step}"
                try:
                    done = client.op("deploy", headers={"Idempotency-Key": key}, agent=agents[number], environment="staging",
                                     version=1 + step % 2, reason=key)
                except Exception:
                    return
                if done["changed"]:
                    acknowledged.append((done["position"], key))

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for writer in writers:
            writer.start()
        stop.wait(rng.uniform(0.1, 0.6))
        world.server.kill()
        stop.set()
        for writer in writers:
            writer.join()
        world.server.start()
    entries = all_entries(world.admin)
    assert not list(faults_of(entries))
    reasons = {entry["position"]: entry["reason"] for entry in entries}
    assert acknowledged and all(reasons.get(position) == key for position, key in acknowledged)
    deployed = [entry["reason"] for entry in entries if entry["operation"] == "deploy"]
    assert len(deployed) == len(set(deployed))


def test_a_backup_taken_while_running(own_world, make_server):
    """Also a copy that SQLite's own tool makes is a whole store, with the signing key beside it."""
    agents = make_story(own_world)
    before, checkpoint = everything(own_world, agents), own_world.admin.op("audit_checkpoint")
    restored = make_server(folder="restored", start=False)
    with sqlite3.connect(own_world.server.store) as source, sqlite3.connect(restored.store) as target:
        source.backup(target)
    source.close()
    target.close()
    shutil.copy(f"{own_world.server.store}.audit-key", f"{restored.store}.audit-key")
    own_world.deploy(own_world.agent(1), 1)
    restored.start()
    assert everything(World(restored), agents) == before
    assert restored.admin.op("audit_checkpoint")["public_key"] == checkpoint["public_key"]
