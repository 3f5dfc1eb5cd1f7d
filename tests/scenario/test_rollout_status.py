# SPDX-License-Identifier: Apache-2.0
"""How a rollout stands: what evidence says, what comes next, on a terminal and in a pipe, while it runs and after its end."""
import os
import pty
import signal
import subprocess
import time

from harness.rollout import HERE, MOST_SECONDS, Traffic, fresh
from harness.scale import make_random
from harness.server import BINARY, clean_env

STEPS = [{"share": 20, "min_time": "1h"}, {"share": 50}]


def status(admin, agent):
    return admin.op("rollout_status", agent=agent, rollout=HERE)


def until(ask, enough):
    deadline = time.monotonic() + MOST_SECONDS
    while not enough(seen := ask()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
    return seen


def test_what_came_in_is_shown(server, world):
    agent = fresh(world)
    traffic = Traffic(world, agent, make_random(), steps=STEPS, analysis={"settle": "0s", "metrics": ["error", "latency"]})
    first = status(world.admin, agent)
    assert (first["units"], first["harm_needed"], first["next"]["action"], first["next"]["share"]) == (0, 20, "advance", 50)
    assert set(first["next"]["missing"]) == {"time", "units", "evidence"}
    traffic.send((0.1, 0.0), count=1000)
    seen = until(lambda: status(world.admin, agent), lambda seen: seen["units"] == traffic.candidates)
    error = seen["metrics"][0]
    assert (error["name"], error["candidate"]["units"], error["candidate"]["events"]) == ("error", traffic.candidates, 0)
    assert error["stable"]["units"] == 1000 - traffic.candidates and 0.05 < error["stable"]["mean"] < 0.15
    assert error["compared"] == 0 and error["go_on_evidence"] > 20 and error["goes_on"]
    assert seen["metrics"][1]["goes_on"] is False and seen["split"]["units"] == 1000
    assert seen["reason"] == "time" and seen["says"].startswith("waits at 20 %: ")
    assert seen["next"]["metric"] == "latency" and "time_at" in seen["next"] and "evidence" in seen["next"]["missing"]
    assert "to go on" in (shown := server.cli("rollout", "status", agent, "-e", HERE).ok().out).lower() and "latency" in shown


def test_words_of_people_are_shown_at_once(world):
    agent = fresh(world)
    Traffic(world, agent, make_random(), steps=STEPS)
    for op, reason in (("rollout_pause", "paused"), ("rollout_resume", "no_traffic")):
        world.admin.op(op, agent=agent, rollout=HERE, reason="x")
        assert status(world.admin, agent)["reason"] == reason
    world.admin.op("rollout_advance", agent=agent, rollout=HERE, reason="x")
    assert status(world.admin, agent)["next"]["action"] in ("promote", "hold")
    world.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="not today")
    ended = status(world.admin, agent)
    assert ended["rollout"]["state"] == "aborted" and "metrics" not in ended and ended["moves"][0]["words"] == "not today"


def test_an_ended_one_shows_what_its_verdict_saw(world):
    agent = fresh(world)
    traffic = Traffic(world, agent, make_random(), steps=STEPS)
    traffic.until({"rolled_back"}, (0.02, 0.3))
    ended = status(world.admin, agent)
    assert ended["says"] == ended["rollout"]["words"] and ended["reason"] == "harm" and "next" not in ended
    assert ended["harm_evidence"] > ended["harm_needed"] and ended["metrics"][0]["candidate"]["events"] >= 3


def test_watching_in_a_pipe_ends_with_the_rollout(server, world):
    agent = fresh(world)
    traffic = Traffic(world, agent, make_random(), steps=STEPS)
    env = {**clean_env(server.folder), "SERIN_URL": f"http://{server.address}", "SERIN_KEY": server.admin.key}
    process = subprocess.Popen([BINARY, "rollout", "status", agent, "-e", HERE, "--watch"], stdout=subprocess.PIPE, text=True, env=env, cwd=server.folder)
    traffic.until({"rolled_back"}, (0.02, 0.3))
    out, _ = process.communicate(timeout=MOST_SECONDS)
    lines = out.splitlines()
    assert process.returncode == 0 and "running 20 %" in lines[0] and "rolled_back 0 %" in lines[-1], out
    assert "rolled back at 20 %" in lines[-1] and "\x1b" not in out


def test_a_terminal_has_its_screen_back_however_it_ends(server, world):
    for ends in (signal.SIGINT, signal.SIGTERM, None):
        agent = fresh(world)
        Traffic(world, agent, make_random(), steps=STEPS)
        leader, follower = pty.openpty()
        env = {**clean_env(server.folder), "SERIN_URL": f"http://{server.address}", "SERIN_KEY": server.admin.key, "TERM": "xterm-256color"}
        process = subprocess.Popen([BINARY, "rollout", "status", agent, "-e", HERE, "--watch"], stdin=follower, stdout=follower, stderr=follower,
                                   env=env, cwd=server.folder, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        os.close(follower)
        seen = b""
        while b"Ctrl-C ends this." not in seen:
            seen += os.read(leader, 65536)
        if ends:
            process.send_signal(ends)
        else:
            world.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="seen enough")
        while True:
            try:
                got = os.read(leader, 65536)
            except OSError:
                break
            if not got:
                break
            seen += got
        assert process.wait(MOST_SECONDS) == (-ends if ends else 0)
        os.close(leader)
        assert seen.startswith(b"\x1b[?1049h\x1b[?25l") and seen.count(b"\x1b[?1049l") == 1 and b"\x1b[?25h" in seen
        assert (b"seen enough" in seen.split(b"\x1b[?1049l")[1]) == (ends is None)
