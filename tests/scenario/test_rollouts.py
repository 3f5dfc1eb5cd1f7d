# SPDX-License-Identifier: Apache-2.0
"""Rollouts by people: starting, moving and ending them, what users get meanwhile, and everything that is refused."""
import pytest

from harness.client import Events
from harness.world import config, unique

HERE = "staging"
STEPS = [{"share": 10}, {"share": 50}]
USERS = [f"user-{n}" for n in range(200)]


def tried(admin, agent):
    """Who gets the candidate."""
    decisions = {user: admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": user}) for user in USERS}
    return {user for user, decision in decisions.items() if decision["arm"] == "candidate"}


def move(admin, name, agent, **more):
    return admin.op(name, agent=agent, rollout=HERE, reason="because", **more)


def status(admin, agent):
    return admin.op("rollout_get", agent=agent, rollout=HERE)


def start(admin, agent, **more):
    return admin.op("rollout_start", **{"agent": agent, "environment": HERE, "version": 2, "reason": "try", "steps": STEPS, **more})["rollout"]


@pytest.fixture
def agent(world):
    """Serves 1; has a second version and a third."""
    return fresh(world)


def fresh(world):
    name = world.served(1)
    for text in ("two", "three"):
        world.admin.op("version_push", agent=name, config=config(f"{name} {text}"))
    return name


def test_users_come_in_and_never_out(admin, agent):
    assert tried(admin, agent) == set()
    start(admin, agent)
    few = tried(admin, agent)
    assert 5 <= len(few) <= 40
    move(admin, "rollout_pause", agent)
    assert tried(admin, agent) == few, "a pause moves nobody"
    move(admin, "rollout_resume", agent)
    move(admin, "rollout_advance", agent)
    half = tried(admin, agent)
    assert few < half and 70 <= len(half) <= 130
    move(admin, "rollout_promote", agent)
    assert admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": USERS[0]})["version"] == 2
    newest = admin.op("deployment_list", agent=agent, environment=HERE)["deployments"][0]
    assert (newest["kind"], newest["previous"], newest["version"]) == ("promote", 1, 2)


def test_an_abort_gives_everybody_the_stable_one(admin, agent):
    start(admin, agent)
    done = move(admin, "rollout_abort", agent)
    assert done["rollout"]["state"] == "aborted" and done["rollout"]["share"] == 0 and not done["held"]
    assert tried(admin, agent) == set()


def test_a_restart_has_the_same_canaries_and_another_candidate_others(admin, agent):
    first = start(admin, agent)
    few = tried(admin, agent)
    move(admin, "rollout_abort", agent)
    again = start(admin, agent)
    assert again["id"] != first["id"] and again["salt"] == first["salt"] and tried(admin, agent) == few
    move(admin, "rollout_abort", agent)
    assert start(admin, agent, version=3)["salt"] != first["salt"]
    assert tried(admin, agent) != few


def test_an_audience_is_asked_first(admin, agent):
    start(admin, agent, audience={"==": [{"var": "plan"}, "pro"]}, steps=[{"share": 100}])

    def version(**context):
        return admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": "ann", **context})["version"]

    assert [version(plan="pro"), version(plan="free"), version()] == [2, 1, 1]


def test_the_journal_tells_who_moved_it_and_why(admin, agent):
    start(admin, agent)
    for name in ("rollout_pause", "rollout_resume", "rollout_advance", "rollout_abort"):
        move(admin, name, agent)
    shown = status(admin, agent)
    told = [(m["action"], m["state"], m["step"], m["share"]) for m in reversed(shown["moves"])]
    assert told == [("start", "running", 1, 10), ("pause", "paused", 1, 10), ("resume", "running", 1, 10),
                    ("advance", "running", 2, 50), ("abort", "aborted", 2, 0)]
    assert {m["by"] for m in shown["moves"]} == {admin.op("whoami")["id"]}
    assert shown["moves"][0]["words"] == "because" and "evidence" not in shown["moves"][0]
    assert shown["rollout"]["moved_seq"] == shown["moves"][0]["seq"]


def test_the_plan_is_decided_at_the_start(admin, agent):
    name = unique("ours")
    admin.op("rollout_template_put", template=name, steps=[{"share": 1}, {"share": 2}], on_end="ask")
    plan = start(admin, agent, template=name, steps=[{"share": 3}])["plan"]
    assert [s["share"] for s in plan["steps"]] == [3] and plan["on_end"] == "ask"
    assert plan["analysis"]["alpha"] == 0.05 and plan["steps"][0]["accept"] == 2
    admin.op("rollout_template_put", template=name, steps=[{"share": 99}])
    assert status(admin, agent)["rollout"]["plan"] == plan


def test_who_says_the_last_word_depends_on_the_environment(admin, world):
    for environment in ("production", HERE):
        agent = world.served(1, environment=environment)
        admin.op("version_push", agent=agent, config=config(f"{agent} next"))
        protected = next(e["protected"] for e in admin.op("environment_list")["environments"] if e["name"] == environment)
        plan = admin.op("rollout_start", agent=agent, environment=environment, version=2, reason="x", steps=STEPS)["rollout"]["plan"]
        assert plan["on_end"] == ("ask" if protected else "promote")


@pytest.mark.parametrize("op,as_state", [("deploy", "aborted"), ("rollback", "rolled_back"), ("release_create", "aborted")])
def test_another_move_of_the_ref_ends_it(admin, world, agent, op, as_state):
    world.deploy(agent, 3)
    rollout = start(admin, agent)
    params = {"deploy": {"agent": agent, "version": 1}, "rollback": {"agent": agent},
              "release_create": {"moves": [{"agent": agent, "version": 1}]}}[op]
    head = admin.head()
    done = admin.op(op, environment=HERE, reason="now", **params)
    assert [done.get("rollout_ended")] == [rollout["id"]] or done["rollouts_ended"] == [rollout["id"]]
    entries = admin.op("audit_list", after=int(head[0].split(".")[1]))["entries"]
    assert [e["operation"] for e in entries] == [op], "one change, one entry"
    shown = status(admin, agent)
    assert shown["rollout"]["state"] == as_state and shown["moves"][0]["action"] == "end"
    assert tried(admin, agent) == set()
    assert any(h["agent"] == agent for h in admin.op("hold_list", environment=HERE)["holds"]) == (as_state == "rolled_back")


# ---- refused -------------------------------------------------------------------------------------


def test_a_second_rollout_names_the_first(admin, agent):
    first, head = start(admin, agent), admin.head()
    problem = admin.refused("conflict", "rollout_start", agent=agent, environment=HERE, version=3, reason="x")
    assert first["id"] in problem["detail"] and problem["remedy"] and admin.head() == head


def test_what_cannot_be_rolled_out(admin, world, agent):
    head = admin.head()
    assert admin.refused("invalid", "rollout_start", agent=agent, environment=HERE, version=1, reason="x")["at"] == "/version"
    admin.refused("version_not_found", "rollout_start", agent=agent, environment=HERE, version=9, reason="x")
    admin.refused("environment_not_found", "rollout_start", agent=agent, environment="nowhere", version=2, reason="x")
    admin.refused("not_deployed", "rollout_start", agent=agent, environment="production", version=2, reason="x")
    problem = admin.refused("not_found", "rollout_start", agent=agent, environment=HERE, version=2, reason="x", template="none")
    assert problem["at"] == "/template"
    assert admin.head() == head


FAULTS = [
    ({"steps": []}, ["/steps"]),
    ({"steps": [{"share": 5}] * 21}, ["/steps"]),
    ({"steps": [{"share": 50}, {"share": 5}]}, ["/steps/1/share"]),
    ({"steps": [{"share": 5}, {"share": 5}]}, ["/steps/1/share"]),
    ({"steps": [{"share": 0}]}, ["/steps/0/share"]),
    ({"steps": [{"share": 100.5}]}, ["/steps/0/share"]),
    ({"steps": [{"share": 0.0005}]}, ["/steps/0/share"]),
    ({"steps": [{"share": "5"}, {"nonsense": 1}]}, ["/steps/0/share", "/steps/1/nonsense", "/steps/1/share"]),
    ({"steps": [{"share": 5, "min_time": "soon", "max_time": "1s"}]}, ["/steps/0/max_time", "/steps/0/min_time"]),
    ({"steps": STEPS, "analysis": {"alpha": 0, "beta": 0.9, "metrics": ["error", "error", "speed"]}},
     ["/analysis/alpha", "/analysis/beta", "/analysis/metrics/1", "/analysis/metrics/2"]),
    ({"steps": STEPS, "analysis": {"metrics": [{"name": "error", "weight": 0}]}}, ["/analysis/metrics"]),
    ({"steps": STEPS, "analysis": {"metrics": [{"name": "cost", "harm": 2, "accept": 1.5}]}}, ["/analysis/metrics/0/accept"]),
    ({"steps": STEPS, "limits": {"tokens": {"past": 5}}}, ["/limits/tokens"]),
    ({"steps": STEPS, "guards": [{"name": "a", "url": "file:///etc", "query": "q", "condition": "5"}]},
     ["/guards/0/condition", "/guards/0/url"]),
    ({"steps": STEPS, "judge": "coin", "on_harm": "x", "on_end": "x", "no_data_after": "x"},
     ["/judge", "/no_data_after", "/on_end", "/on_harm"]),
    ({"steps": [{"share": 0}], "audience": {"nonsense": 1}}, ["/audience/nonsense", "/steps/0/share"]),
    ({"steps": STEPS, "audience": {"and": [{"mapp": [1, 2]}, {"fractional": [["a", 1.5]]}, {"var": "$flagd.flagKey"}, {"$ref": "staff"}]}},
     ["/audience/and/0/mapp", "/audience/and/1/fractional/0/1", "/audience/and/2/var", "/audience/and/3/$ref"]),
]


@pytest.mark.parametrize("plan,places", FAULTS)
def test_every_fault_of_a_plan_is_told(admin, agent, plan, places):
    head = admin.head()
    problem = admin.refused("invalid", "rollout_start", agent=agent, environment=HERE, version=2, reason="x", **plan)
    assert sorted(e["at"] for e in problem["errors"]) == places, problem
    assert problem["at"] in places and all(e["detail"] for e in problem["errors"])
    assert admin.head() == head
    if "audience" not in plan:
        again = admin.refused("invalid", "rollout_template_put", template="bad", **plan)
        assert sorted(e["at"] for e in again["errors"]) == places
    assert "rollouts" in admin.op("rollout_list", agent=agent) and not admin.op("rollout_list", agent=agent)["rollouts"]


def test_moves_that_its_state_does_not_allow(admin, agent):
    start(admin, agent)
    move(admin, "rollout_pause", agent)
    head = admin.head()
    again = admin.call("rollout_pause", agent=agent, rollout=HERE, reason="again")
    assert again.status == 200 and not again.json["changed"]
    for name in ("rollout_promote", "rollout_advance"):
        assert "resume" in str(admin.refused("conflict", name, agent=agent, rollout=HERE, reason="x"))
    assert admin.head() == head
    move(admin, "rollout_abort", agent)
    for name in ("rollout_pause", "rollout_resume", "rollout_advance", "rollout_promote"):
        admin.refused("conflict", name, agent=agent, rollout=HERE, reason="x")


@pytest.mark.parametrize("step", [0, 1, 3])
def test_steps_that_are_not_later_ones(admin, agent, step):
    start(admin, agent)
    assert admin.refused("invalid", "rollout_advance", agent=agent, rollout=HERE, reason="x", step=step)["at"] == "/step"
    move(admin, "rollout_advance", agent)
    assert "Promote" in admin.refused("conflict", "rollout_advance", agent=agent, rollout=HERE, reason="x")["remedy"]


def test_rollouts_that_are_not_there(admin, world, agent):
    missing = "0191f3a0-0000-7000-8000-000000000000"
    for rollout in (missing, HERE, "production", "nowhere"):
        admin.refused("not_found", "rollout_get", agent=agent, rollout=rollout)
        admin.refused("not_found", "rollout_abort", agent=agent, rollout=rollout, reason="x")
    other = world.rollout()[1]
    admin.refused("not_found", "rollout_get", agent=agent, rollout=other)


def test_verdicts_have_no_address(server, admin, agent):
    """What only the controller may say, nobody says over HTTP."""
    rollout = start(admin, agent)
    body = b'{"rollout":"%s","action":"promote","words":"x","expected":1}' % rollout["id"].encode()
    for path in ("/v1/verdict", "/v1/rollout_verdict", f"/v1/agents/{agent}/rollouts/{rollout['id']}/verdict"):
        assert admin.send("POST", path, body).status in (404, 405)
    assert "rollout_verdict" not in admin.send("GET", "/openapi.json").text
    assert status(admin, agent)["rollout"]["state"] == "running"


def test_a_hold_does_not_stop_people(admin, agent):
    admin.op("hold_set", agent=agent, environment=HERE, reason="wait")
    start(admin, agent)
    assert move(admin, "rollout_promote", agent)["held"]


def test_streams_hear_of_every_move(server, admin, agent):
    with Events(server.client("resolve", HERE), environment=HERE) as events:
        positions = [admin.op("rollout_start", agent=agent, environment=HERE, version=2, reason="x", steps=STEPS)["position"],
                     move(admin, "rollout_advance", agent)["position"], move(admin, "rollout_abort", agent)["position"]]
        assert [event["id"] for event in events.take(3)] == positions


def test_time_travel_through_a_rollout(admin, agent):
    begun = start(admin, agent, steps=[{"share": 100}])
    position = admin.op("whoami")["position"]
    move(admin, "rollout_abort", agent)

    def then(**more):
        return admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": "ann"}, **more)["version"]

    assert (then(), then(at=position)) == (1, 2)
    assert begun["at"]


def test_a_rollout_survives_a_restart_with_its_canaries(make_server):
    from harness.world import World
    server = make_server()
    world = World(server).make_environments()
    agent = fresh(world)
    start(server.admin, agent)
    few, shown = tried(server.admin, agent), status(server.admin, agent)
    server.stop()
    server.start()
    assert tried(server.admin, agent) == few and status(server.admin, agent) == shown
