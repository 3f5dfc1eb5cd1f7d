# SPDX-License-Identifier: Apache-2.0
"""A wall clock that jumps by years, between lives of the server and under its feet: order, times and deadlines hold."""
import threading
import time
from pathlib import Path

import pytest

from harness.crashes import Crashes
from harness.scale import make_random
from harness.server import FIRST_KEY, Server
from harness.wire import Cut, Wire
from harness.world import ENVIRONMENT, World

OFFSETS = ["+0", "+7y", "-9y", "+3d", "-400d", "+20y", "-20y", "+0"]


class Clock:
    """The wall clock of servers with this environment; the monotonic one is left alone, as the kernel does."""

    def __init__(self, folder):
        libraries = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert libraries, "libfaketime is missing: tools/install-deps test"
        self.file = folder / "offset"
        self.set("+0")
        self.env = {"LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set(self, offset):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(offset + "\n")
        fresh.rename(self.file)


def check_past(crashes, count=60):
    """Asked about moments of the past, by time and by position, it answers what was served then."""
    moves = crashes.history.moves
    for ref, at, position, version in crashes.rng.sample(moves, min(count, len(moves))):
        for moment in (at, position):
            then = crashes.server.admin.op("resolve", agent=ref[0], environment=ref[1], at=moment)
            assert then["version"] == version, (ref, moment, then)


def years_of(crashes):
    return {at[:4] for _, at, _, _ in crashes.history.moves}


def test_the_clock_jumps_between_kills(tmp_path):
    clock, rng = Clock(tmp_path), make_random()
    crashes = Crashes(tmp_path / "serin", rng, env=clock.env)
    for offset in OFFSETS:
        crashes.write(lambda _: (time.sleep(0.1), crashes.server.process.process.kill()))
        crashes.killed()
        # Answers to repeat are kept for a day by the wall clock: what is unknown is asked again before it jumps.
        crashes.server.start()
        crashes.check()
        crashes.server.kill()
        clock.set(offset)
        crashes.server.start()
        crashes.check()
    crashes.write(lambda _: time.sleep(0.1))
    crashes.check()
    check_past(crashes)
    assert len(years_of(crashes)) >= 3, "the clock did not jump"
    crashes.close()


def test_the_clock_jumps_under_a_running_server(tmp_path):
    clock, rng = Clock(tmp_path), make_random()
    crashes = Crashes(tmp_path / "serin", rng, env=clock.env)

    def jump(_):
        for offset in OFFSETS:
            time.sleep(0.1)
            clock.set(offset)

    crashes.write(jump)
    crashes.check()
    check_past(crashes)
    assert len(years_of(crashes)) >= 3, "the clock did not jump"
    crashes.close()


def closed_after(wire):
    """Seconds until the server closes the idle connection."""
    began = time.monotonic()
    with pytest.raises(Cut):
        wire.fill()
    return time.monotonic() - began


@pytest.mark.parametrize("offset", ["+10y", "-10y"])
def test_deadlines_do_not_follow_the_wall_clock(tmp_path, make_server, offset):
    """Idle connections are closed when they are idle, streams speak when they were silent, waiting ends: neither at once nor never."""
    clock = Clock(tmp_path)
    server = make_server("--idle-timeout-s", "3", "--stream-keepalive-s", "1", env=clock.env)
    World(server).make_environments()
    idle, stream = Wire(server.address, FIRST_KEY, timeout=20), Wire(server.address, FIRST_KEY, timeout=20)
    assert idle.call("whoami").status == 200
    stream.write("GET", f"/v1/stream?environment={ENVIRONMENT}")
    assert stream.head()[0] == 200
    stream.fill()
    clock.set(offset)
    seconds, timer = [], threading.Thread(target=lambda: seconds.append(closed_after(idle)))
    timer.start()
    for _ in range(3):
        stream.buffer, began = b"", time.monotonic()
        while b":" not in stream.buffer:
            stream.fill()
        assert time.monotonic() - began < 5
    timer.join(20)
    assert seconds and 1.5 < seconds[0] < 8, seconds
    began = time.monotonic()
    ahead = Wire(server.address, FIRST_KEY, timeout=60)
    reply = ahead.send("GET", "/v1/agents", headers=(("Serin-After", "1.1000000"),))
    assert reply.status == 503 and time.monotonic() - began < 30, reply
    stream.close()


def test_a_streams_token_expires(tmp_path):
    """OpenFeature's clients then get a new one, because the tag of the list changes with it."""
    clock = Clock(tmp_path)
    server = Server(tmp_path / "serin", env=clock.env).start()
    World(server).make_environments()
    client = server.client("resolve", ENVIRONMENT)

    def ask(**headers):
        answer = client.send("POST", "/ofrep/v1/evaluate/flags", b"{}", headers)
        assert answer.status == 200, answer
        return answer.headers["ETag"], answer.json["eventStreams"][0]["endpoint"]["requestUri"]

    tag, address = ask()
    clock.set("+61m")
    assert client.send("GET", address, key=None).status == 401
    another, renewed = ask(**{"If-None-Match": tag})
    assert tag != another and address != renewed
    clock.set("+0")
    server.end()
