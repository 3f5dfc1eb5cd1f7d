# SPDX-License-Identifier: Apache-2.0
"""What SDKs read: the snapshot with its ETag, and the stream of changes."""
import json
import threading

import pytest

from harness.client import Events
from harness.world import World, config, unique

HERE = "staging"


def test_etag(admin, world):
    agent = world.served(1, 2)
    first = admin.call("snapshot", environment=HERE)
    tag = first.headers["ETag"]
    assert tag.startswith('"') and tag.endswith('"')
    same = admin.call("snapshot", environment=HERE, headers={"If-None-Match": tag})
    assert same.status == 304 and same.body == b"" and same.headers["ETag"] == tag
    listed = admin.call("snapshot", environment=HERE, headers={"If-None-Match": f'"other", {tag}'})
    assert listed.status == 304
    world.deploy(agent, 1)
    changed = admin.call("snapshot", environment=HERE, headers={"If-None-Match": tag})
    assert changed.status == 200 and changed.headers["ETag"] != tag


def test_an_etag_is_for_what_was_asked(admin, world):
    agent = world.served(1)
    world.deploy(agent, 1, "production")
    tags = [admin.call("snapshot", **asked).headers["ETag"] for asked in
            ({"environment": HERE}, {"environment": "production"}, {"environment": HERE, "agent": agent})]
    for tag, other in zip(tags, tags[1:] + tags[:1]):
        if tag == other:
            continue
        assert admin.call("snapshot", environment="production", headers={"If-None-Match": tags[0]}).status == 200


def test_what_it_holds(admin, world):
    agent = world.served(1, 2)
    admin.op("override_put", agent=agent, override="staff", environment=HERE, version=1, keys=["ann"], reason="x")
    whole = admin.op("snapshot", environment=HERE)
    assert whole["environment"] == HERE and agent in whole["agents"]
    one = admin.op("snapshot", environment=HERE, agent=agent)
    assert set(one["agents"]) == {agent} and one["agents"][agent] == whole["agents"][agent]
    assert "staff" in json.dumps(one) and "ann" in json.dumps(one)
    assert admin.op("version_get", agent=agent, version=2)["config_hash"] in json.dumps(one)


def test_agents_of_elsewhere_are_not_in_it(admin, world):
    agent = world.agent(1)
    world.deploy(agent, 1, "production")
    assert agent not in admin.op("snapshot", environment=HERE)["agents"]


# ---- the stream ---------------------------------------------------------------------------------


def test_the_stream_tells_each_change_in_order(admin, world):
    agent = world.agent(3)
    with Events(admin, environment=HERE) as events:
        assert events.status == 200 and events.first["event"] == "ready"
        assert events.first["id"] == admin.op("whoami")["position"]
        assert events.response.headers["Content-Type"].startswith("text/event-stream")
        positions = [world.deploy(agent, v)["position"] for v in (1, 2, 3)]
        positions.append(admin.op("rollback", agent=agent, environment=HERE, reason="x")["position"])
        got = events.take(4)
    assert [e["id"] for e in got] == positions and {e["event"] for e in got} == {"change"}
    told = [json.loads(e["data"]) for e in got]
    assert [[c["agent"] for c in d["changes"]] for d in told] == [[agent]] * 4
    assert [d["environment"] for d in told] == [HERE] * 4
    assert [d["position"] for d in told] == positions
    world.server.schemas.check("event", told[0])
    current = admin.op("snapshot", environment=HERE, agent=agent)["agents"][agent]
    assert told[-1]["changes"][0]["entry"] == current, "the last event carries the entry as the snapshot has it"


@pytest.mark.parametrize("how", ["last_event_id", "after"])
def test_the_stream_resumes_without_gap_or_repeat(admin, world, how):
    agent = world.agent(2)
    positions = [world.deploy(agent, v)["position"] for v in (1, 2, 1, 2, 1)]
    with Events(admin, environment=HERE, **{how: positions[1]}) as events:
        got = events.take(3)
        positions.append(world.deploy(agent, 2)["position"])
        got += events.take(1)
    assert [e["id"] for e in got] == positions[2:]


def test_the_stream_resumes_from_where_the_server_began(own_world):
    """The oldest event that is kept is told too."""
    start = own_world.admin.op("whoami")["position"]
    own_world.server.restart()
    agent = own_world.agent(2)
    positions = [own_world.deploy(agent, version)["position"] for version in (1, 2)]
    with Events(own_world.admin, environment=HERE, after=start) as events:
        assert [e["id"] for e in events.take(2)] == positions


def test_a_reader_that_missed_too_much(make_server):
    """More than the ring holds: it is told to fetch again, and then gets what is new."""
    server = make_server("--stream-ring", "16")
    world = World(server).make_environments()
    agent = world.agent(2)
    position = world.deploy(agent, 1)["position"]
    for turn in range(40):
        last = world.deploy(agent, 2 - turn % 2)["position"]
    with Events(server.admin, environment=HERE, after=position) as events:
        told = events.next()
        assert (told["event"], told["id"]) == ("refetch", last)
        new = world.deploy(agent, 2)["position"]
        assert events.next()["id"] == new


def test_a_position_that_is_not_in_the_ring(admin, world):
    """Too old, or never there: the reader is told to fetch the snapshot again."""
    world.served(1)
    for unknown in ("0.1", "7.7"):
        with Events(admin, environment=HERE, last_event_id=unknown) as events:
            assert events.status == 200
            assert events.next()["event"] == "refetch"
            position = world.deploy(world.agent(1), 1)["position"]
            assert events.next()["id"] == position, "and goes on from where it is told to begin"


def test_two_environments_do_not_mix(admin, world):
    agent = world.agent(2)
    with Events(admin, environment=HERE) as here, Events(admin, environment="production") as there:
        world.deploy(agent, 1, "production")
        first = world.deploy(agent, 2, HERE)["position"]
        second = world.deploy(agent, 2, "production")["position"]
        assert here.next()["id"] == first
        assert [e["id"] for e in there.take(2)][1] == second


def test_changes_that_do_not_touch_the_environment_are_not_told(admin, world):
    agent = world.served(1)
    with Events(admin, environment=HERE) as events:
        admin.op("version_push", agent=agent, config=config(f"{agent} second"))
        admin.op("environment_put", environment=unique("env"))
        admin.op("key_create", name="x", role="viewer")
        position = world.deploy(agent, 2)["position"]
        assert events.next()["id"] == position


def test_overrides_and_releases_are_told(admin, world):
    agents = [world.served(1), world.served(1)]
    for agent in agents:
        admin.op("version_push", agent=agent, config=config(f"{agent} second"))
    with Events(admin, environment=HERE) as events:
        position = admin.op("override_put", agent=agents[0], override="staff", environment=HERE, version=1, keys=["ann"],
                            reason="x")["position"]
        assert events.next()["id"] == position
        release = admin.op("release_create", environment=HERE, reason="x", moves=[{"agent": a, "version": 2} for a in agents])
        got = events.next()
    assert got["id"] == release["position"]
    assert [change["agent"] for change in json.loads(got["data"])["changes"]] == sorted(agents), "as one"


def test_many_readers_get_the_same(server, world):
    agent, readers, wanted = world.agent(2), [Events(server.another(), environment=HERE) for _ in range(40)], []
    for turn in range(20):
        wanted.append(world.deploy(agent, 1 + turn % 2)["position"])
    got = []
    threads = [threading.Thread(target=lambda r=r: got.append([e["id"] for e in r.take(20)])) for r in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for reader in readers:
        reader.close()
    assert got == [wanted] * 40


def test_a_server_that_ends_ends_its_streams(make_server, tmp_path):
    server = make_server()
    server.admin.op("environment_put", environment=HERE)
    events = Events(server.admin, environment=HERE)
    server.stop()
    assert events.next() is None
    events.close()


def test_the_stream_goes_on_over_a_restart(make_server):
    """A reader that comes back with its last id misses nothing, or is told to fetch again."""
    server = make_server()
    admin = server.admin
    admin.op("environment_put", environment=HERE)
    agent = unique()
    positions = []
    for number in (1, 2):
        admin.op("version_push", agent=agent, config=config(str(number)))
        positions.append(admin.op("deploy", agent=agent, environment=HERE, version=number, reason="x")["position"])
    server.restart()
    with Events(admin, environment=HERE, last_event_id=positions[0]) as events:
        got = events.next()
        assert got["event"] == "refetch" or got["id"] == positions[1]
    with Events(admin, environment=HERE, last_event_id=positions[1]) as events:
        position = admin.op("deploy", agent=agent, environment=HERE, version=1, reason="x")["position"]
        got = events.next()
        if got["event"] == "refetch":
            got = events.next()
        assert got["id"] == position
