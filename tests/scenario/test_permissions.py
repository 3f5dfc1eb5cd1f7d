# SPDX-License-Identifier: Apache-2.0
"""Who may do what: every role, every binding to environments, every operation.

The operations come from the running server's OpenAPI document, which is compared with the source table; what must happen in
each cell is worked out here from the words of the contract.
"""
import pytest

from harness import table
from harness.client import Events, request_of
from harness.world import ELSEWHERE, ENVIRONMENT, unique

BINDINGS = {"all": (), "here": (ENVIRONMENT,), "elsewhere": (ELSEWHERE,), "both": (ELSEWHERE, ENVIRONMENT)}
ABOUT_ENVIRONMENT = {"release_get", "release_rollback", "key_revoke", "rollout_get", "rollout_pause", "rollout_resume", "rollout_advance",
                     "rollout_promote", "rollout_abort", "rollout_failures", "rollout_status", "stream_ack", "webhook_get", "webhook_rotate", "webhook_delete"}  # by what their id stands for


def expected(op, params, role, binding):
    """(status, codes) of a cell; status None = success."""
    if not table.role_reaches(role, op.role):
        return 403, {"forbidden"}
    if op.scope == "ALL_ENVIRONMENTS" and binding != "all":
        return 403, {"forbidden"}
    if binding == "elsewhere" and op.kind == "INTAKE":  # a fault of the outcome that names it
        return 422, {"invalid"}
    if binding == "elsewhere" and ("environment" in params or op.name in ABOUT_ENVIRONMENT):
        return 404, {"environment_not_found", "not_found", "stream_not_found"}
    return None, set()


def ask(client, op, params):
    if op.kind != "STREAM":
        answer = client.call(op.name, **params)
        return answer.status, answer.json
    with Events(client, **params) as events:
        return events.status, None


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("role", table.ROLES)
@pytest.mark.parametrize("name", table.operations())
def test_cell(server, world, name, role, binding):
    op, params = table.operations()[name], world.recipe(name)
    client = server.client(role, *BINDINGS[binding])
    before = server.admin.head()
    want, codes = expected(op, params, role, binding)
    status, body = ask(client, op, params)
    if want is None:
        assert status == op.status, body
        return
    assert status == want, body
    assert body is None or body["code"] in codes, body
    assert server.admin.head() == before, "a refused request changed something"


# The contract's words: resolve (read decisions) < viewer < editor (push) < releaser (deploy, rollback) < admin.
CONTRACT = {
    "resolve": "otlp_traces outcomes resolve resolve_get snapshot stream stream_ack whoami",
    "viewer": "agent_get agent_list audit_checkpoint audit_list deployment_list environment_get environment_list flag_diff flag_document_get flag_get flag_history flag_list hold_list outcome_sums "
              "override_list panic_list release_get release_list rollout_failures rollout_get rollout_list rollout_status rollout_template_get rollout_template_list rollouts stream_list "
              "version_get version_list",
    "editor": "agent_put flag_delete flag_disable flag_document_put flag_enable flag_put version_push",
    "releaser": "deploy hold_release hold_set override_delete override_put panic_release panic_set release_create release_rollback "
                "rollback rollout_abort rollout_advance rollout_pause rollout_promote rollout_resume rollout_start rollout_template_put",
    "admin": "environment_put key_create key_list key_revoke webhook_delete webhook_get webhook_list webhook_put webhook_rotate",
}


def test_the_table_says_what_the_contract_says():
    found = {role: " ".join(sorted(op.name for op in table.operations().values() if op.role == role)) for role in table.ROLES}
    assert found == CONTRACT


def test_the_published_matrix_is_the_table(server):
    published = {}
    for path, item in server.schemas.document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "x-serin-role" in operation:
                published[operation["operationId"]] = (method.upper(), path.removeprefix("/v1"), operation["x-serin-role"].lower(),
                                                       operation["x-serin-kind"].upper(), operation["x-serin-scope"].upper())
    assert published == {op.name: (op.method, op.path, op.role, op.kind, op.scope) for op in table.operations().values()}


def test_what_a_key_may_not_see_is_not_told_apart_from_what_is_not_there(server, world):
    """A hidden environment answers as a missing one does, but for its name."""
    client = server.client("admin", ELSEWHERE)
    agent = world.served(1)
    for name, params in [("environment_get", {}), ("resolve_get", {"agent": agent}), ("snapshot", {}),
                         ("deployment_list", {"agent": agent}), ("override_list", {"agent": agent}),
                         ("deploy", {"agent": agent, "version": 1, "reason": "x"})]:
        hidden = client.refused("environment_not_found", name, environment=ENVIRONMENT, **params)
        missing = client.refused("environment_not_found", name, environment="nowhere", **params)
        assert str(hidden).replace(ENVIRONMENT, "nowhere") == str(missing)


def test_lists_leave_out_what_the_key_may_not_see(server, world):
    """Listing without a filter, through a key for one environment only."""
    client = server.client("admin", ELSEWHERE)
    release, _ = world.release()
    agent = world.served(1)
    world.admin.op("hold_set", agent=agent, environment=ENVIRONMENT, reason="wait")
    world.deploy(agent, 1, ELSEWHERE)
    assert [e["name"] for e in client.op("environment_list")["environments"]] == [ELSEWHERE]
    assert {r["environment"] for r in client.op("agent_get", agent=agent)["environments"]} == {ELSEWHERE}
    assert {d["environment"] for d in client.op("deployment_list", agent=agent)["deployments"]} == {ELSEWHERE}
    assert release not in [r["id"] for r in client.op("release_list")["releases"]]
    assert not [h for h in client.op("hold_list")["holds"] if h["environment"] != ELSEWHERE]
    assert ENVIRONMENT not in client.op("version_get", agent=agent, version=1)["served_in"]
    for key in client.op("key_list")["keys"]:
        assert key["environments"] == [ELSEWHERE], key


def test_a_version_named_by_a_hidden_environment(server, world):
    agent = world.served(1)
    client = server.client("admin", ELSEWHERE)
    client.refused(("environment_not_found", "version_not_found"), "version_get", agent=agent, version=ENVIRONMENT)
    client.refused(("environment_not_found", "version_not_found"), "deploy", agent=agent, environment=ELSEWHERE,
                   version=ENVIRONMENT, reason="x")


@pytest.mark.parametrize("name", ["resolve", "resolve_get", "snapshot"])
def test_a_key_for_one_environment_need_not_name_it(server, world, name):
    params = world.recipe(name)
    del params["environment"]
    assert server.client("resolve", ENVIRONMENT).op(name, **params)["environment"] == ENVIRONMENT
    problem = server.client("resolve", ENVIRONMENT, ELSEWHERE).refused("missing_field", name, **params)
    assert "environment" in problem["at"]
    server.admin.refused("missing_field", name, **params)


def test_a_bound_admin_makes_keys_for_its_own_environments_only(server):
    client = server.client("admin", ELSEWHERE)
    made = client.op("key_create", name="mine", role="viewer")
    assert made["environments"] == [ELSEWHERE]
    for wanted in (ENVIRONMENT, [ENVIRONMENT], [ELSEWHERE, ENVIRONMENT]):
        client.refused(("environment_not_found", "forbidden"), "key_create", name="more", role="viewer", environment=wanted)


def test_wrong_keys(server, world):
    agent = world.served(1)
    good = server.client("viewer").key
    flipped = good[:-1] + ("0" if good[-1] != "0" else "1")
    for bad in ["", "x", "serin_", good[:-1], good + "0", flipped, good.upper(), "Bearer " + good, "ä" * 40, "x" * 4000]:
        answer = server.another(None).send("GET", f"/v1/agents/{agent}", headers={"Authorization": f"Bearer {bad}".encode()})
        assert answer.status == 401, f"{bad}: {answer}"
    for header in [f"Basic {good}", good, f"Bearer{good}", "Bearer"]:
        answer = server.another(None).send("GET", "/v1/whoami", headers={"Authorization": header})
        assert answer.status == 401, f"{header}: {answer}"


def test_a_revoked_key_stops_at_once(server, world):
    made = server.admin.op("key_create", name=unique("key"), role="releaser")
    client = server.another(made["key"])
    params = world.recipe("deploy")
    assert client.call("whoami").status == 200
    with Events(client, environment=ENVIRONMENT) as its, Events(server.admin, environment=ENVIRONMENT) as ours:
        server.admin.op("key_revoke", key=made["id"], reason="lost")
        assert its.next() is None, "a stream does not outlive its key"
        server.admin.op("deploy", **params)
        assert ours.next()["event"] == "change"
    before = server.admin.head()
    params = world.recipe("deploy")
    for name, params in [("whoami", {}), ("deploy", params), ("agent_list", {}), ("resolve", world.recipe("resolve"))]:
        assert client.call(name, **params).status == 401
    with Events(client, environment=ENVIRONMENT) as events:
        assert events.status == 401
    assert server.admin.op("audit_list", after=int(before[0].split(".")[1]))["entries"] or True
    listed = next(key for key in server.admin.op("key_list")["keys"] if key["id"] == made["id"])
    assert listed["revoked_at"] and listed["revoked_by"]


def test_the_last_admin_key_stays(make_server):
    server = make_server()
    own = server.admin.op("whoami")["id"]
    before = server.admin.head()
    assert server.admin.call("key_revoke", key=own).status in (409, 403, 422)
    assert server.admin.head() == before
    other = server.admin.op("key_create", name="second", role="admin")
    server.admin.op("key_revoke", key=own)
    assert server.admin.call("whoami").status == 401
    assert server.another(other["key"]).op("whoami")["role"] == "admin"


def test_the_secret_is_told_once_and_kept_nowhere(make_server):
    server = make_server()
    secret = server.admin.op("key_create", name="shown", role="viewer")["key"]
    assert secret not in server.admin.call("key_list").text
    assert secret not in server.admin.call("audit_list", limit=1000).text
    server.stop()
    assert secret not in server.process.log()
    stored = b"".join(path.read_bytes() for path in server.folder.glob("serin.db*"))
    assert secret.encode() not in stored and secret.split("_")[2].encode() not in stored


def test_request_of_places_parameters():
    """The harness itself: a path is escaped, a query is text, a body is JSON."""
    op = table.operations()["hold_release"]
    assert request_of(op, {"agent": "a b", "environment": "e"}) == ("DELETE", "/v1/hold?agent=a+b&environment=e", None)
    method, target, body = request_of(table.operations()["deploy"], {"agent": "a/b", "version": 1})
    assert (method, target, body) == ("POST", "/v1/agents/a%2Fb/deployments", b'{"version": 1}')
