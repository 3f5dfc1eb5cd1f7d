# SPDX-License-Identifier: Apache-2.0
"""Readers of the stream confirm what they have applied, and whoever changed something sees who has it."""
import contextlib
import json
import re
import threading
import time

import pytest

from harness.client import Events
from harness.world import ENVIRONMENT as HERE
from harness.world import ELSEWHERE, World, unique

ID = re.compile(r"[0-9a-f]{24}")


class Reader:
    """One program that follows an environment; it confirms when it is told to."""

    def __init__(self, client, environment=HERE, **more):
        self.client, self.events = client, Events(client, environment=environment, **more)
        assert self.events.status == 200
        self.ready = json.loads(self.events.first["data"])
        self.id, self.position = self.ready["stream"], self.ready["position"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.events.close()

    def read(self):
        self.position = self.events.next()["id"]
        return self.position

    def confirm(self, position=None):
        return self.client.op("stream_ack", stream=self.id, position=position or self.position)


def standing(client, environment=HERE, **more):
    answer = client.op("stream_list", environment=environment, **more)
    return answer["streams"], answer["confirming"], answer["confirmed"]


def next_to(position, by=1):
    epoch, seq = position.split(".")
    return f"{epoch}.{int(seq) + by}"


def until(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def metric(server, name):
    return int(re.search(rf"^{name} (\d+)$", server.admin.get("/metrics").text, re.M)[1])


def quiet(server):
    """Streams of tests before may still be closing."""
    until(lambda: metric(server, "serin_streams_open") == 0)


@pytest.fixture
def here(server, world):
    quiet(server)
    return world


def test_ready_tells_the_id(here, admin, server):
    with Reader(admin) as first, Reader(admin) as second:
        server.schemas.check("event_ready", first.ready)
        assert ID.fullmatch(first.id) and ID.fullmatch(second.id) and first.id != second.id
        assert first.ready["environment"] == HERE


def test_who_has_it(here, admin, server):
    agent, before = here.served(1, 2), metric(server, "serin_stream_confirmations_total")
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(admin, name=f"web-{n}")) for n in range(4)]
        assert standing(admin) == (4, 0, 0), "nobody has confirmed anything"
        for reader in readers[:3]:
            assert reader.confirm() == {"stream": reader.id, "confirmed": reader.position}
        assert standing(admin) == (4, 3, 3)
        position = here.deploy(agent, 1)["position"]
        assert standing(admin) == (4, 3, 0)
        for reader in readers[:2]:
            assert reader.read() == position
            reader.confirm()
        answer = admin.op("stream_list", environment=HERE)
        assert (answer["position"], answer["confirming"], answer["confirmed"]) == (position, 3, 2)
        laggard, = answer["laggards"]
        key = admin.op("whoami")["name"]
        assert {**laggard, "opened_at": None} == {"id": readers[2].id, "name": "web-2", "key": key,
                                                  "confirmed": readers[2].position, "opened_at": None}
        assert standing(admin, position=readers[2].position) == (4, 3, 3), "they all have what was before"
        assert metric(server, "serin_streams_confirming") == 3
        assert metric(server, "serin_stream_confirmations_total") == before + 5
    until(lambda: standing(admin) == (0, 0, 0))
    assert metric(server, "serin_streams_confirming") == 0


def test_laggards_come_in_order(here, admin):
    agent = here.served(1, 2)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(admin, name=f"web-{n}")) for n in range(3)]
        positions = [here.deploy(agent, version)["position"] for version in (1, 2, 1)]
        for reader, position in zip(readers, (positions[1], positions[0], positions[1])):
            reader.confirm(position)
        listed = admin.op("stream_list", environment=HERE)["laggards"]
        assert [laggard["name"] for laggard in listed] == ["web-1", "web-0", "web-2"]
        assert [laggard["confirmed"] for laggard in listed] == [positions[0], positions[1], positions[1]]


def test_a_position_never_goes_back(here, admin):
    agent = here.served(1, 2)
    with Reader(admin) as reader:
        positions = [here.deploy(agent, version)["position"] for version in (1, 2)]
        assert reader.confirm(positions[1])["confirmed"] == positions[1]
        assert reader.confirm(positions[0])["confirmed"] == positions[1]
        assert reader.confirm("0.1")["confirmed"] == positions[1]
        assert standing(admin) == (1, 1, 1)


def test_what_nobody_can_have(here, admin):
    with Reader(admin) as reader:
        newest = admin.op("whoami")["position"]
        for position in (next_to(newest), next_to(newest, 10**9), "99.1"):
            problem = admin.refused("position_unknown", "stream_ack", stream=reader.id, position=position)
            assert problem["at"] == "/position" and newest in problem["detail"]
        assert standing(admin) == (1, 0, 0)
        reader.confirm(newest)


def test_wrong_ids(here, admin):
    with Reader(admin) as reader:
        for wrong in ("x", "0" * 24, reader.id[:-1], reader.id + "0", reader.id.upper() + "", reader.id[:8], "f" * 24,
                      reader.id[:8] + "0" * 16, "0000ffff" + reader.id[8:]):
            if wrong != reader.id:
                admin.refused("stream_not_found", "stream_ack", stream=wrong, position=reader.position)
        assert standing(admin) == (1, 0, 0)


def test_a_closed_stream_is_not_taken_for_the_next(here, admin):
    with Reader(admin) as closed:
        closed.confirm()
    until(lambda: standing(admin) == (0, 0, 0))
    admin.refused("stream_not_found", "stream_ack", stream=closed.id, position=closed.position)
    with Reader(admin) as reader:
        assert reader.id[:8] == closed.id[:8] and reader.id != closed.id
        admin.refused("stream_not_found", "stream_ack", stream=closed.id, position=closed.position)
        assert standing(admin) == (1, 0, 0), "the new one has confirmed nothing"


def test_which_environment(here, server, admin):
    """A key for one environment need not name it; an unknown one is told."""
    assert server.client("viewer", HERE).op("stream_list")["environment"] == HERE
    assert admin.refused("missing_field", "stream_list")["at"] == "environment"
    admin.refused("environment_not_found", "stream_list", environment="nowhere")


def test_keys_of_other_environments(here, server, admin):
    """For them the stream is not there. Any key of the environment may confirm, as several connections of one program do."""
    elsewhere, own, both = server.client("admin", ELSEWHERE), server.client("resolve", HERE), server.client("resolve", HERE, ELSEWHERE)
    with Reader(admin) as reader:
        hidden = elsewhere.refused("stream_not_found", "stream_ack", stream=reader.id, position=reader.position)
        missing = elsewhere.refused("stream_not_found", "stream_ack", stream="0" * 24, position=reader.position)
        assert hidden == missing
        elsewhere.refused("environment_not_found", "stream_list", environment=HERE)
        assert standing(admin) == (1, 0, 0)
        own.op("stream_ack", stream=reader.id, position=reader.position)
        both.op("stream_ack", stream=reader.id, position=reader.position)
        assert standing(admin) == (1, 1, 1)


def test_other_environments_change(here, server, admin):
    """What happens elsewhere makes no laggards here, and streams are counted where they are."""
    agent = here.served(1, 2)
    with Reader(admin) as reader, Reader(admin, ELSEWHERE) as other:
        here.deploy(agent, 1)
        reader.read()
        reader.confirm()
        position = here.deploy(agent, 1, ELSEWHERE)["position"]
        assert standing(admin) == (1, 1, 1)
        assert standing(admin, position=position) == (1, 1, 1)
        assert standing(admin, ELSEWHERE) == (1, 0, 0)
        assert standing(admin, position=next_to(position)) == (1, 1, 0), "nobody has what is to come"
        other.confirm()
        assert standing(admin, ELSEWHERE) == (1, 1, 0)


def test_names(here, admin):
    with Reader(admin, name="w" * 64) as long, Reader(admin) as unnamed, Reader(admin, name='!"<\\~') as odd:
        for reader in (long, unnamed, odd):
            reader.confirm("0.1")
        names = {laggard["id"]: laggard.get("name") for laggard in admin.op("stream_list", environment=HERE)["laggards"]}
        assert names == {long.id: "w" * 64, unnamed.id: None, odd.id: '!"<\\~'}
    for bad in ("", "a b", "w" * 65, "\u00e4", "a\nb", "\x7f"):
        answer = admin.call("stream", environment=HERE, name=bad)
        assert answer.status == 400 and answer.json["at"] == "name", answer


def test_a_hundred_laggards_at_most(here, admin):
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(admin)) for _ in range(110)]
        for reader in readers:
            reader.confirm("0.1")
        answer = admin.op("stream_list", environment=HERE)
        assert (answer["confirming"], answer["confirmed"], len(answer["laggards"])) == (110, 0, 100)
        assert [laggard["id"] for laggard in answer["laggards"]] == [reader.id for reader in readers[:100]]


def test_a_restart_forgets(own_world):
    """Streams end with the server, and so does what they confirmed; ids of before are none of now."""
    server, admin = own_world.server, own_world.admin
    agent = own_world.served(1, 2)
    with Reader(admin) as before:
        before.confirm()
        assert standing(admin) == (1, 1, 1)
        server.restart()
    with Reader(admin, after=before.position) as reader:
        assert reader.id != before.id
        admin.refused("stream_not_found", "stream_ack", stream=before.id, position=before.position)
        assert standing(admin) == (1, 0, 0)
        reader.confirm()
        assert standing(admin) == (1, 1, 1)
        own_world.deploy(agent, 1, ELSEWHERE)
        assert standing(admin) == (1, 1, 1), "a change elsewhere is none here, also after a start"
        position = own_world.deploy(agent, 1)["position"]
        assert standing(admin) == (1, 1, 0)
        assert reader.read() == position
        reader.confirm()
        assert standing(admin) == (1, 1, 1)


def test_many_confirm_while_streams_close_and_changes_come(make_server):
    """Every answer is one of two, and in the end nothing is left."""
    server = make_server()
    world = World(server).make_environments()
    agent, ids, answers, faults = world.served(1, 2), {}, [], []
    over = threading.Event()

    def read(number):
        client = server.another()
        while not over.is_set():
            with Reader(client, name=f"web-{number}") as reader:
                ids[number] = reader.id
                for _ in range(3):
                    reader.read()
                    reader.confirm()

    def confirm():
        client = server.another()
        while not over.is_set():
            for stream in list(ids.values()):
                answers.append(client.call("stream_ack", stream=stream, position="1.1").status)

    def ask():
        client = server.another()
        while not over.is_set():
            streams, confirming, confirmed = standing(client)
            assert streams >= confirming >= confirmed

    def guarded(work, *arguments):
        def run():
            try:
                work(*arguments)
            except Exception as why:
                if not over.is_set():
                    faults.append(why)
        return threading.Thread(target=run)

    threads = [guarded(read, number) for number in range(6)] + [guarded(confirm), guarded(confirm), guarded(ask)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        world.deploy(agent, 1 + turn % 2)
    over.set()
    for turn in range(4):
        world.deploy(agent, 1 + turn % 2)
    for thread in threads:
        thread.join()
    assert not faults, faults
    assert set(answers) <= {200, 404} and 200 in answers
    until(lambda: standing(server.admin) == (0, 0, 0))
    assert metric(server, "serin_streams_confirming") == 0


# ---- serin streams, and --wait in all its endings -----------------------------------------------


class Following(threading.Thread):
    """A program that confirms whatever it reads, some time after it has read it."""

    def __init__(self, client, delay=0.0, **more):
        super().__init__()
        self.reader, self.delay = Reader(client, **more), delay
        self.reader.confirm()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.events.close()
        self.join()

    def run(self):
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            while self.reader.read():
                time.sleep(self.delay)
                self.reader.confirm()


def test_streams_for_people(here, server, admin):
    agent = here.served(1, 2)
    with Reader(admin, name="web-1") as reader, Reader(admin):
        reader.confirm()
        assert "Nobody who confirms is behind" in server.cli("streams", "-e", HERE).ok().out
        here.deploy(agent, 1)
        out = server.cli("streams", "-e", HERE).ok().out
        assert re.search(r"^streams open +2$", out, re.M) and re.search(r"^that confirm +1$", out, re.M), out
        assert re.search(rf"^web-1 .*{reader.position}.*{reader.id}$", out, re.M), out
        assert "Nobody" in server.cli("streams", "-e", HERE, "--position", reader.position).ok().out
        server.cli("streams", "-e", HERE, "--position", "x").fails()
        server.cli("streams", "-e", HERE, key=server.client("resolve", HERE).key).fails()


def test_wait_until_all_have_it(here, server):
    agent = here.served(1, 2)
    with Following(server.another()), Following(server.another(), delay=0.3):
        ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--wait").ok()
        told = re.fullmatch(r"2 of 2 confirmed in (\d+) ms", ran.out.splitlines()[-1])
        assert told and 200 <= int(told[1]) < 5000 and not ran.err, ran
        ran = server.cli("rollback", agent, "-e", HERE, "--wait=5").ok()
        assert "2 of 2 confirmed in " in ran.out and not ran.err, ran


def test_wait_for_a_release(here, server):
    first, second = here.agent(1), here.agent(1)
    with Following(server.another()):
        ran = server.cli("deploy", f"{first}@1", f"{second}@1", "-e", HERE, "--wait").ok()
        assert "1 of 1 confirmed in " in ran.out, ran
        release, agents = here.release()
        ran = server.cli("release", "rollback", release, "--wait").ok()
        assert "1 of 1 confirmed in " in ran.out, ran


def test_wait_for_what_is_served_already(here, server, admin):
    """Nothing changes, so nobody will hear anything; they have it all the same, whatever happened elsewhere since."""
    agent = here.served(1)
    with Following(server.another()):
        here.deploy(agent, 1, ELSEWHERE)
        admin.op("agent_put", agent=unique())
        ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--wait").ok()
        assert "nothing changed" in ran.out and "1 of 1 confirmed in " in ran.out, ran


def test_wait_names_the_laggards(here, server, admin):
    agent = here.served(1, 2)
    with Following(server.another()), Reader(admin, name="web-7") as behind, Reader(admin) as unnamed:
        behind.confirm()
        unnamed.confirm()
        begun = time.monotonic()
        ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--wait=1").fails()
        assert 1 <= time.monotonic() - begun < 5
        key = admin.op("whoami")["name"]
        assert ran.err.splitlines() == ["serin: 1 of 3 confirmed within 1 s; missing:",
                                        f"  web-7 (key: {key}) has {behind.position}",
                                        f"  {unnamed.id} (key: {key}) has {unnamed.position}"], ran
        assert here.version_of(agent) == 1, "the change is made all the same"


def test_wait_for_one_that_goes_away(here, server, admin):
    agent = here.served(1, 2)
    with Following(server.another()), Reader(admin, name="web-7") as behind:
        behind.confirm()
        leaving = threading.Timer(0.5, behind.events.close)
        leaving.start()
        ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--wait").ok()
        leaving.join()
        assert "1 of 1 confirmed in " in ran.out, ran


def test_wait_when_nobody_confirms(here, server, admin):
    agent = here.served(1, 2)
    ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--wait").ok()
    assert ran.err == "serin: no stream is connected; nothing to wait for\n", ran
    with Reader(admin), Reader(admin), Reader(admin):
        ran = server.cli("rollback", agent, "-e", HERE, "--wait").ok()
        assert ran.err == "serin: none of the 3 connected streams confirms what it has; nothing to wait for\n", ran
        with Following(server.another()):
            ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--wait").ok()
            assert "1 of 1 confirmed in " in ran.out and "3 more streams never confirmed anything" in ran.out, ran


def test_wait_and_json(here, server):
    """Standard output stays the answer of the change."""
    agent = here.served(1, 2)
    with Following(server.another()):
        ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--wait", "--json").ok()
        server.schemas.check("deployment_change", ran.json)
        assert re.fullmatch(r"serin: 1 of 1 confirmed in \d+ ms\n", ran.err), ran
        ran = server.cli("deploy", f"{agent}@2", "-e", HERE, "--wait", "--dry-run").ok()
        assert "confirmed" not in ran.out + ran.err, ran


def test_wait_for_a_change_that_is_refused(here, server):
    agent = here.served(1, 2)
    with Following(server.another()):
        ran = server.cli("deploy", f"{agent}@1", "-e", HERE, "--expected", "7", "--wait").fails()
        assert "the change is made" not in ran.err and "confirmed" not in ran.out, ran
