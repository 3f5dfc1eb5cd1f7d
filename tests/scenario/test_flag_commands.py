# SPDX-License-Identifier: Apache-2.0
"""The story of a flag, told from the command line and looked at over HTTP."""
import json
import re

import pytest

from harness.world import config, unique

HERE, PROTECTED = "staging", "production"
STAFF = {"ends_with": [{"var": "email"}, "@a.example"]}


@pytest.fixture
def agent(world):
    name = unique("flagged")
    world.admin.op("version_push", agent=name, config={**config("one"), "tools": ["search", "refund"]})
    for environment in (HERE, PROTECTED):
        world.admin.op("deploy", agent=name, environment=environment, version=1, reason="first")
    return name


@pytest.fixture(scope="module", autouse=True)
def protected(world):
    assert world.admin.op("environment_get", environment=PROTECTED)["environment"]["protected"]
    world.admin.op("environment_put", environment=HERE, protected=False, reason="tests")


def boolean(default, targeting=None):
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": default, **({"targeting": targeting} if targeting else {})}


def tools(world, agent, environment=HERE, **context):
    return world.admin.op("resolve", agent=agent, environment=environment, context={"targetingKey": "u1", **context})["config"]["tools"]


def flag(server, *words, **more):
    return server.cli("flag", *words, **more)


def test_the_life_of_a_flag(server, world, agent, tmp_path):
    key, file = unique("search"), tmp_path / "search.yaml"
    file.write_text('state: ENABLED\nvariants: {"on": true, "off": false}\ndefaultVariant: "off"\ntargeting:\n  if: [{==: [{var: plan}, pro]}, "on"]\n')
    assert flag(server, "set", key, file, "-e", HERE, "--bind", f"{agent}:tool=search", "-m", "pro first").ok().out == f"{key} in {HERE}: on for plan=pro\n"
    assert tools(world, agent) == ["refund"] and tools(world, agent, plan="pro") == ["search", "refund"]
    then = world.admin.op("whoami")["position"]

    head = world.admin.head()
    file.write_text("state: maybe\nvariants:\n  a: 1\n  b: x\ndefaultVariant: c\ntargeting:\n  nope: 1\n")
    refused = flag(server, "set", key, file, "-e", HERE).fails()
    for place in (f"{file}:1:1: ", f"{file}:4:3: ", f"{file}:5:1: ", f"{file}:7:3: ", "(/bindings/0/tool)"):
        assert place in refused.err, refused
    assert world.admin.head() == head and tools(world, agent, plan="pro") == ["search", "refund"], "what was in force stays"

    assert "Dry run" in flag(server, "disable", key, "-e", HERE, "--dry-run").ok().out
    assert world.admin.head() == head
    flag(server, "disable", key, "-e", HERE, "-m", "fire").ok()
    assert tools(world, agent) == ["refund"], "a switch for emergencies opens nothing"
    assert "nothing changed" in flag(server, "disable", key, "-e", HERE).ok().out
    diff = flag(server, "diff", key, "-e", HERE, "--json").ok().json
    assert diff["changes"] == [{"at": "/definition/state", "was": "ENABLED", "is": "DISABLED"}]
    flag(server, "enable", key, "-e", HERE).ok()
    assert flag(server, "diff", key, "-e", HERE, "--from", then).ok().out == "Nothing differs\n"

    stale = flag(server, "set", key, "--on", "-e", HERE, "--expected", then.split(".")[1]).fails()
    assert "was changed" in stale.err and tools(world, agent) == ["refund"]
    newest = flag(server, "get", key, "-e", HERE, "--json").ok().json["seq"]
    flag(server, "set", key, "--on", "-e", HERE, "--expected", str(newest)).ok()
    flag(server, "delete", key, "-e", HERE, "-m", "everybody has it").ok()
    assert flag(server, "get", key, "-e", HERE).fails().err.startswith(f'serin: {HERE} has no flag "{key}"')
    assert flag(server, "get", key, "-e", HERE, "--at", then, "--json").ok().json["summary"] == "on for plan=pro"
    assert key in flag(server, "list", "-e", HERE, "--at", then).ok().out and key not in flag(server, "list", "-e", HERE).ok().out
    entries = flag(server, "history", key, "-e", HERE, "--json").ok().json["entries"]
    assert [(entry["removed"], entry["flag"]["reason"].split(" by ")[0]) for entry in entries] == [
        (True, "everybody has it"), (False, "from the command line"), (False, ""), (False, "fire"), (False, "pro first")]


def test_audits_say_what_changed(server, world, agent):
    key = unique("search")
    flag(server, "set", key, "--on", "-e", HERE, "-m", "try").ok()
    flag(server, "disable", key, "-e", HERE, "-m", "fire").ok()
    after = int(world.admin.head()[0].split(".")[1]) - 2
    first, second = world.admin.op("audit_list", after=after)["entries"]
    assert (first["operation"], first["detail"]["definition"]["defaultVariant"]) == ("flag_put", "on")
    assert (second["operation"], second["detail"], second["reason"]) == ("flag_disable", {"flag": key, "disabled": True}, "fire")


def test_a_document_goes_elsewhere_and_is_the_same(make_server, tmp_path):
    from harness.world import World
    server = make_server()
    world = World(server).make_environments()
    files = {name: tmp_path / f"{name}.json" for name in ("flags", "bindings", "flags2", "bindings2")}
    document = {"flags": {"search": boolean("off", {"if": [{"$ref": "staff"}, "on"]}), "price": {"state": "DISABLED", "variants": {"p": 1.0}}},
                "$evaluators": {"staff": STAFF}, "metadata": {"team": "care"}}
    files["flags"].write_text(json.dumps(document))
    files["bindings"].write_text(json.dumps({"search": [{"agent": "*", "tool": "search"}]}))
    assert flag(server, "import", files["flags"], "-e", HERE, "--bindings", files["bindings"]).ok().out == "2 set (price, search), 0 removed, 0 as they were\n"
    out = flag(server, "export", "-e", HERE, "--bindings", files["bindings2"]).ok().out
    assert json.loads(out) == document and '"p": 1.0' in out
    files["flags2"].write_text(out)
    flag(server, "import", files["flags2"], "-e", PROTECTED, "--bindings", files["bindings2"]).ok()
    assert flag(server, "export", "-e", PROTECTED).ok().out == out
    here, there = (world.admin.op("flag_document_get", environment=environment) for environment in (HERE, PROTECTED))
    assert (here["document"], here["bindings"]) == (there["document"], there["bindings"])
    assert flag(server, "import", "-", "-e", HERE, input=out).ok().out == "0 set, 0 removed, 2 as they were\n"

    deep = {"var": "x"}
    for _ in range(31):  # as deep as a rule may be: nothing can refer to it
        deep = {"!": deep}
    files["flags"].write_text(json.dumps({"flags": {}, "$evaluators": {"staff": deep}}))
    assert "would stay and not go with these rules: search" in flag(server, "import", files["flags"], "-e", HERE).fails().err
    files["flags"].write_text(json.dumps({"flags": {"other": boolean("on")}}))
    dry = flag(server, "import", files["flags"], "-e", HERE, "--replace", "--dry-run").ok().out
    assert dry == "Dry run, nothing was written: 1 set (other), 2 removed (price, search), 0 as they were\n"
    assert flag(server, "export", "-e", HERE).ok().out == out
    flag(server, "import", files["flags"], "-e", HERE, "--replace").ok()
    assert json.loads(flag(server, "export", "-e", HERE).ok().out) == {"flags": {"other": boolean("on")}}


def test_protected_environments_need_a_releaser(server, world, tmp_path):
    key, document = unique("search"), tmp_path / "flags.json"
    document.write_text(json.dumps({"flags": {key: boolean("off")}}))
    editor, releaser, viewer = (server.client(role).key for role in ("editor", "releaser", "viewer"))
    flag(server, "set", key, "--on", "-e", PROTECTED, key=releaser).ok()
    head = world.admin.head()
    for words in (["set", key, "--off"], ["disable", key], ["enable", key], ["delete", key], ["import", document]):
        told = flag(server, *words, "-e", PROTECTED, key=editor).fails().err
        assert "is protected: its flags need the role releaser" in told and "try: " in told
    flag(server, "set", key, "--off", "-e", HERE, key=viewer).fails()
    assert world.admin.head() == head
    flag(server, "get", key, "-e", PROTECTED, key=viewer).ok()
    flag(server, "preview", key, "--off", "-e", PROTECTED, key=viewer).ok()
    flag(server, "set", key, "--off", "-e", HERE, key=editor).ok()
    flag(server, "disable", key, "-e", PROTECTED, key=releaser).ok()


def test_what_is_tried_and_previewed_is_what_is_decided(server, world, agent):
    """Computed by the program that asks, and the same as the server decides when it is set."""
    key = unique("search")
    rule = {"if": [{"==": [{"var": "plan"}, "pro"]}, {"fractional": [["on", 30], ["off", 70]]}, {">=": [{"var": "user.age"}, 18]}, "on"]}
    contexts = [{"targetingKey": f"u{i}", **({"plan": "pro"} if i % 2 else {}), "user": {"age": i % 40}} for i in range(60)]
    lines = "".join(json.dumps(context) + "\n" for context in contexts)
    flag(server, "set", key, "--off", "-e", HERE, "--bind", f"{agent}:tool=search").ok()
    head = world.admin.head()
    wished = server.folder / "wished.json"
    wished.write_text(json.dumps(boolean("off", rule)))
    told = flag(server, "preview", key, wished, "-e", HERE, "--contexts", "-", "--json", input=lines).ok().json
    assert world.admin.head() == head, "nothing is set"
    flag(server, "set", key, wished, "-e", HERE).ok()
    decided = [world.admin.op("resolve", agent=agent, environment=HERE, context=context) for context in contexts]
    on = [decision["flags"][key] for decision in decided]
    assert told["users"] == 60 and told["changed"] == sum(on) and 10 < sum(on) < 50
    assert told["effects"] == [{"agent": agent, "tool": "search", "appears": sum(on), "disappears": 0}]
    for context, is_on in list(zip(contexts, on))[:12]:
        tried = flag(server, "try", key, "-e", HERE, "--context", json.dumps(context), "--json").ok().json
        explained = world.admin.op("resolve", agent=agent, environment=HERE, context=context, explain=True)["explain"]["flags"][0]
        assert tried["value"] is is_on
        for member in ("reason", "variant", "bucket", "of"):
            assert tried.get(member) == explained.get(member), (tried, explained)
        assert {name: tried["taken"][name] for name in ("operation", "argument")} == explained["taken"]


def test_a_great_population(server, world):
    key = unique("search")
    flag(server, "set", key, "--off", "-e", HERE).ok()
    wished = server.folder / "split.json"
    wished.write_text(json.dumps(boolean("off", {"fractional": [["on", 20], ["off", 80]]})))
    told = flag(server, "preview", key, wished, "-e", HERE, "--population", "200000", "--json").ok().json
    assert told["users"] == 200000 and abs(told["changed"] - 40000) < 900  # five standard deviations


def test_a_condition_without_words_harms_nobody(server, world):
    """Summaries are made by the server: of every rule that is in order."""
    for rule in ({"if": [{"!!": [[]]}, "on"]}, {"if": [[], "on"]}, {"if": [{"var": []}, "on"]}, {"if": [{"==": ["", ""]}, "on"]}, {"if": [{"merge": []}, "on"]}):
        key = unique("odd")
        world.admin.op("flag_put", environment=HERE, flag=key, definition=boolean("off", rule), reason="odd")
        assert world.admin.op("flag_get", environment=HERE, flag=key)["summary"]
        world.admin.op("flag_delete", environment=HERE, flag=key)


def test_explain_says_what_is_there_and_by_which_flag(server, world, agent):
    tool, model = unique("tool"), unique("model")
    flag(server, "set", tool, "--off", "-e", HERE, "--bind", f"{agent}:tool=refund", "-m", "try").ok()
    world.admin.op("flag_put", environment=HERE, flag=model, reason="try", bindings=[{"agent": agent, "parameter": "model"}],
                   definition={"state": "ENABLED", "variants": {"s": "small"}, "targeting": {"if": [{"==": [{"var": "plan"}, "free"]}, "s"]}})
    then = world.admin.op("whoami")["position"]
    free = flag(server, "explain", agent, "-e", HERE, "--user", "ada", "--attr", "plan=free").ok().out
    for line in (rf"tool +refund +off +{tool}", r"tool +search +on", rf'parameter +model +"small" +{model}', rf"{model} +s +TARGETING_MATCH +plan=free", rf"{tool} +off +STATIC"):
        assert re.search(line, free), (line, free)
    paid = flag(server, "explain", agent, "-e", HERE, "--user", "ada").ok().out
    assert re.search(rf"parameter +model +as it is +{model}", paid) and re.search(rf"{model} +no value +DEFAULT +no condition holds", paid), paid
    flag(server, "delete", tool, "-e", HERE).ok()
    assert re.search(r"tool +refund +on\n", flag(server, "explain", agent, "-e", HERE).ok().out)
    assert re.search(rf"tool +refund +off +{tool}", flag(server, "explain", agent, "-e", HERE, "--at", then).ok().out), "as it was then"


def test_percent_is_a_split(server, world, agent):
    key = unique("search")
    assert "on for 20 %" in flag(server, "set", key, "--percent", "20", "-e", HERE, "--bind", f"{agent}:tool=search", "-m", "a fifth").ok().out
    had = sum("search" in world.admin.op("resolve", agent=agent, environment=HERE, context={"targetingKey": f"u{i}"})["config"]["tools"] for i in range(500))
    assert 60 <= had <= 140


@pytest.mark.parametrize("then", [boolean("off", {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", {"fractional": [["on", 50], ["off", 50]]}]}),
                                  {**boolean("on"), "state": "DISABLED"}, boolean("on", {"if": [{"==": [{"var": "plan"}, "pro"]}, "gone"]}),
                                  {"state": "ENABLED", "variants": {"on": True}}], ids=["rule", "disabled", "fails", "default"])
def test_what_a_preview_says_comes_true(server, world, agent, tmp_path, then):
    key, file, contexts = unique("search"), tmp_path / "then.json", tmp_path / "users.ndjson"
    users = [{"targetingKey": f"user-{i}", "plan": ("free", "pro")[i % 2]} for i in range(100)]
    file.write_text(json.dumps(then))
    contexts.write_text("".join(json.dumps(user) + "\n" for user in users))
    world.admin.op("flag_put", environment=HERE, flag=key, definition=boolean("off", {"fractional": [["on", 50], ["off", 50]]}), reason="try",
                   bindings=[{"agent": agent, "tool": "search"}])
    had = ["search" in tools(world, agent, **user) for user in users]
    told = flag(server, "preview", key, file, "-e", HERE, "--contexts", contexts, "--json").ok().json["effects"]
    flag(server, "set", key, file, "-e", HERE, "-m", "as previewed").ok()
    has = ["search" in tools(world, agent, **user) for user in users]
    pairs = list(zip(had, has))
    assert told == [{"agent": agent, "tool": "search", "appears": pairs.count((False, True)), "disappears": pairs.count((True, False))}]


def test_bindings_stay_until_they_are_taken_away(server, world, agent):
    key, bind = unique("refund"), ("--bind", f"{agent}:tool=refund")
    flag(server, "set", key, "--off", "-e", HERE, *bind, "-m", "nobody").ok()
    flag(server, "set", key, "--percent", "0", "-e", HERE, "-m", "in other words").ok()
    assert tools(world, agent) == ["search"]
    assert "exclude each other" in flag(server, "set", key, "--off", "-e", HERE, *bind, "--no-bind").fails(2).err
    flag(server, "set", key, "--off", "-e", HERE, "--no-bind", "-m", "everybody").ok()
    assert tools(world, agent) == ["search", "refund"]
