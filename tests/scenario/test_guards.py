# SPDX-License-Identifier: Apache-2.0
"""Guards: a real Prometheus looks at the server and at an exporter of the test's, and its numbers let rollouts go on, hold them or roll them back."""
import signal
import time

import pytest

from harness.load import metric
from harness.prometheus import Exporter, Prometheus
from harness.rollout import HERE, Traffic, fresh
from harness.scale import make_random
from harness.server import Process, Server
from harness.world import World

GOOD, MOST_SECONDS = (0.0, 0.0), 60


class Place:
    def __init__(self, folder):
        self.exporter, self.prometheus = Exporter(), Prometheus(folder / "prometheus")
        self.server = Server(folder / "serin", env={"SERIN_OUTGOING_ALLOW": f"{self.prometheus.url}, {self.exporter.url}"}).start()
        self.world = World(self.server).make_environments()
        self.exporter.figures["shop_queue_length"] = 3
        self.exporter.elsewhere = self.prometheus.url
        self.prometheus.scrape("serin", self.server.address)
        self.prometheus.scrape("shop", self.exporter.address)
        self.prometheus.start()

    def guard(self, query="shop_queue_length", condition="> 10", **more):
        return {"name": "queue", "url": self.prometheus.url, "query": query, "condition": condition, **more}

    def rollout(self, *guards, **more):
        return Traffic(self.world, fresh(self.world), make_random(), guards=list(guards), on_end="ask", **more)

    def end(self):
        self.prometheus.kill()
        self.exporter.end()
        self.server.end()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("guards"))
    yield made
    made.end()


@pytest.fixture(autouse=True)
def as_usual(place):
    """Each test begins with a Prometheus that runs, and a short queue that it has seen."""
    if place.prometheus.process.poll() is not None:
        place.prometheus.start()
    place.exporter.figures["shop_queue_length"] = 3
    place.prometheus.wait(lambda: place.prometheus.query("shop_queue_length") == [3], "a short queue")


def status(traffic):
    return traffic.admin.op("rollout_status", agent=traffic.agent, rollout=traffic.rollout["id"])


def until(traffic, condition, rates=None):
    """Sends outcomes, when there are rates, until what the rollout then is fulfils the condition."""
    deadline = time.monotonic() + MOST_SECONDS
    while not condition(seen := status(traffic)):
        assert time.monotonic() < deadline, seen
        if rates:
            traffic.send(rates)
        time.sleep(0.1)
    return seen


def step_is(step):
    return lambda seen: seen["rollout"]["step"] == step


def guard_is(state):
    return lambda seen: seen["guards"][0]["state"] == state


def test_prometheus_sees_the_server(place):
    before = int(place.world.admin.op("whoami")["position"].split(".")[1])
    place.prometheus.wait(lambda: place.prometheus.query("serin_position_seq") >= [before], "serin_position_seq")
    assert sorted(place.prometheus.query("up")) == [1, 1]


def test_it_goes_on_while_the_guard_is_fine_and_is_held_when_it_is_not(place):
    traffic = place.rollout(place.guard())
    seen = until(traffic, step_is(2), GOOD)
    assert seen["guards"][0]["name"] == "queue" and seen["guards"][0]["value"] == 3 and "why" not in seen["guards"][0]
    place.exporter.figures["shop_queue_length"] = 50
    seen = until(traffic, lambda seen: seen["rollout"]["state"] != "running")
    assert seen["rollout"]["state"] == "held" and "guard queue: 50 > 10" in seen["rollout"]["words"], seen["rollout"]
    assert seen["rollout"]["share"] == 50, "its share stays"
    assert (seen["guards"][0]["state"], seen["guards"][0]["value"]) == ("bad", 50)
    shown = place.server.cli("rollout", "status", traffic.agent, "-e", HERE).ok().out
    assert "guards      queue bad (50)" in shown, shown


def test_a_figure_of_the_server_itself_rolls_it_back(place):
    taken = place.prometheus.query("serin_outcomes_total")[0]
    guard = place.guard("serin_outcomes_total", f"> {taken + 1000}", action="roll_back", **{"for": "2s"})
    traffic = place.rollout(guard, steps=[{"share": 20, "min_time": "1h"}])
    for _ in range(3):
        traffic.send(GOOD)
    seen = until(traffic, lambda seen: seen["rollout"]["state"] != "running")
    words = seen["rollout"]["words"]
    assert seen["rollout"]["state"] == "rolled_back" and words.startswith("rolled back at 20 %: guard queue: "), words
    assert [move["action"] for move in seen["moves"]] == ["rollback", "start"]
    assert "guards" not in seen, "nobody asks for an ended rollout"


def test_without_prometheus_it_waits_and_with_it_it_goes_on(place):
    traffic = place.rollout(place.guard())
    until(traffic, guard_is("fine"))
    place.prometheus.kill()
    seen = until(traffic, guard_is("unknown"))
    assert place.prometheus.url in seen["guards"][0]["why"], seen["guards"]
    told = [event for event in place.server.process.events if event["event"] == "guard_silent"]
    assert told and told[-1]["server"] == place.prometheus.url and told[-1]["guard"] == "queue"
    until_then = time.monotonic() + 4  # several looks of the controller
    while time.monotonic() < until_then:
        traffic.send(GOOD)
        assert step_is(1)(traffic.state()) and traffic.state()["rollout"]["state"] == "running"
        time.sleep(0.2)
    place.prometheus.start()
    until(traffic, step_is(2), GOOD)
    assert place.server.process.wait_event("guard_answers")


def test_what_prometheus_cannot_answer_is_unknown(place):
    wrong = {"parse": ("shop_queue_length +", "parse error"), "range": ("shop_queue_length[1m]", "range"), "text": ('"three"', "text"),
             "none": ("no_such_metric", "no series"), "nan": ("0 / (shop_queue_length * 0)", "NaN")}
    guards = [{**place.guard(query), "name": name} for name, (query, _) in wrong.items()]
    traffic = place.rollout(*guards)
    seen = until(traffic, lambda seen: all("asked yet" not in guard.get("why", "") for guard in seen["guards"]))
    for guard in seen["guards"]:
        assert guard["state"] == "unknown" and wrong[guard["name"]][1] in guard["why"], guard
    sent, failed = (metric(place.server, f"serin_guard_{name}_total") for name in ("queries", "failures"))
    assert sent >= failed >= 3, "what is asked and fails is counted"


def test_several_series_are_bad_when_one_is(place):
    traffic = place.rollout(place.guard("up * 20"), {**place.guard("up", "< 1"), "name": "up"})
    seen = until(traffic, lambda seen: seen["rollout"]["state"] != "running")
    assert seen["rollout"]["state"] == "held" and "guard queue: 20 > 10" in seen["rollout"]["words"]


def test_a_redirect_is_not_followed(place):
    guard = place.guard(url=f"{place.exporter.url}/redirect")
    traffic = place.rollout(guard)
    seen = until(traffic, lambda seen: "asked yet" not in seen["guards"][0].get("why", ""))
    assert seen["guards"][0]["state"] == "unknown" and "redirects are not followed" in seen["guards"][0]["why"], seen["guards"]
    assert place.exporter.redirected >= 1 and place.prometheus.query("shop_queue_length") == [3], "it would have led somewhere"


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data", "http://localhost:9090", "https://prometheus.example.com"])
def test_an_address_outside_the_list_is_refused_at_the_start(place, url):
    agent = fresh(place.world)
    problem = place.world.admin.refused("invalid", "rollout_start", agent=agent, environment=HERE, version=2, reason="try", steps=[{"share": 10}],
                                        guards=[place.guard(), {**place.guard(), "name": "other", "url": url}])
    (fault,) = problem["errors"]
    assert fault["at"] == "/guards/1/url" and fault["code"] == "outgoing_not_allowed", problem
    assert "outgoing_allow" in fault["remedy"], problem
    done = place.server.cli("rollout", "start", f"{agent}@2", "-e", HERE, "--steps", '[{"share":10}]', "-m", "try", "--guards",
                            f'[{{"name":"g","url":"{url}","query":"up","condition":"< 1"}}]').fails()
    assert "may not send requests to" in done.err and "outgoing_allow" in done.err, done


# ---- the list ----


def write_list(path, origins):
    path.write_text(f'outgoing_allow = "{origins}"\n')


def test_the_list_is_read_again_at_a_sighup(tmp_path):
    settings = tmp_path / "serin.toml"
    write_list(settings, "")
    server = Server(tmp_path / "serin", "--settings", str(settings), env={"SERIN_OUTGOING_ALLOW": None}).start()
    world = World(server).make_environments()
    agent = fresh(world)
    wish = {"agent": agent, "environment": HERE, "version": 2, "reason": "try", "steps": [{"share": 10}],
            "guards": [{"name": "g", "url": "http://127.0.0.1:9", "query": "up", "condition": "< 1"}]}

    def reload(origins, event):
        seen = len(server.process.events)
        write_list(settings, origins)
        server.process.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + MOST_SECONDS
        while not any(one["event"] == event for one in server.process.events[seen:]):
            assert time.monotonic() < deadline, server.process.log()
            time.sleep(0.02)

    world.admin.refused("invalid", "rollout_start", **wish)
    reload("http://127.0.0.1:9", "settings_reloaded")
    world.admin.op("rollout_start", **wish)
    world.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="enough")
    reload("http://127.0.0.1:9/path", "settings_refused")
    world.admin.op("rollout_start", **wish)
    world.admin.op("rollout_abort", agent=agent, rollout=HERE, reason="enough")
    reload("", "settings_reloaded")
    world.admin.refused("invalid", "rollout_start", **wish)
    server.stop()


@pytest.mark.parametrize("origins", ["prometheus:9090", "http://prometheus:9090/graph", "https://ada:secret@prometheus", "*"])
def test_a_list_with_a_fault_refuses_the_start(tmp_path, origins):
    process = Process(tmp_path, "--listen", "127.0.0.1:0", "--outgoing-allow", origins)
    assert process.wait_end() == 1
    assert "outgoing_allow" in process.log() and "https://prometheus.internal:9090" in process.log() and "secret" not in process.log()
