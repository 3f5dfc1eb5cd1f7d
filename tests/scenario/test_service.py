# SPDX-License-Identifier: Apache-2.0
"""What operators and machines look at: health, metrics, the API's own description, settings, the log."""
import re
import signal

import jsonschema
import pytest

from harness import table
from harness.server import Process, run_cli
from harness.world import unique

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"(?:,[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*")*\})? (\S+)')


def test_health_needs_no_key(server):
    client = server.another(None)
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert client.get(path).status == 200, path


def metrics(server):
    text = server.admin.get("/metrics").text
    types, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, "one TYPE a metric"
            types[name] = kind
        elif line and not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert (match[1], match[2]) not in samples, f"told twice: {line}"
            samples[match[1], match[2]] = float(match[3])
            base = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert match[1] in types or base in types, line
    return types, samples


def test_metrics(server, world):
    types, before = metrics(server)
    assert types and all(name.startswith(("serin_", "process_")) for name in types)
    assert set(types.values()) <= {"counter", "gauge", "histogram", "summary"}
    for _ in range(5):
        world.recipe("deploy")
    _, after = metrics(server)
    counters = {name for name, kind in types.items() if kind == "counter"}
    for key, value in before.items():
        if key[0] in counters:
            assert after[key] >= value, key
    assert any(after[key] > before.get(key, 0) for key in after if key[0] in counters)


def reference_rows(tmp_path, page):
    """The table of `serin docs PAGE`: {first cell without its marks: the other cells}."""
    text = run_cli("docs", page, home=tmp_path).out
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert rows, text
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_reference_says_of_every_metric_what_to_do(server, world, tmp_path):
    rows = reference_rows(tmp_path, "metrics")
    assert all(len(row) == 3 and all(row) for row in rows.values())
    world.recipe("deploy")
    types, _ = metrics(server)
    assert {name.partition("{")[0]: row[0] for name, row in rows.items()} == types


def test_the_reference_says_of_every_event_what_to_do(tmp_path):
    rows = reference_rows(tmp_path, "log")
    assert set(rows) == table.log_events()
    assert all(len(row) == 3 and all(row) for row in rows.values())
    assert not [event for event, (level, _, advice) in rows.items() if level in ("warn", "error") and advice == "Nothing"]


def test_every_event_of_the_table_is_written_somewhere():
    sources = "".join(path.read_text() for path in (table.ROOT / "src").rglob("*.c") if not path.name.startswith("test_"))
    ids = {row[0] for _, row in table.rows("src/base/log.def", "LOG_EVENT")}
    assert not [name for name in ids if not re.search(rf"\bLOG_{name}\b", sources)]


def test_openapi_is_a_document_of_3_1(server):
    document = server.schemas.document
    assert document["openapi"].startswith("3.1") and document["info"]["version"]
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["description"], name

    def references(node):
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for child in node.values():
                yield from references(child)
        elif isinstance(node, list):
            for child in node:
                yield from references(child)

    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_openapi_has_every_operation_with_its_parameters(server):
    document = server.schemas.document
    for op in table.operations().values():
        operation = document["paths"]["/v1" + op.path][op.method.lower()]
        named = {(p["name"], p["in"], p.get("required", False)) for p in operation.get("parameters", []) if p["in"] != "header"}
        wanted = {(p.name, p.where, p.required) for p in op.params if p.where != "body" and "*" not in p.name}
        extra = {name for name, _, _ in named - wanted}
        assert wanted <= named and extra <= {"dry_run", "attr", "attr.*"}, (op.name, named ^ wanted)
        assert ("dry_run" in extra) == (op.kind == "CHANGE")
        if op.takes("body"):
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            assert set(body["properties"]) == {p.name for p in op.takes("body")}
            assert set(body.get("required", [])) == {p.name for p in op.takes("body") if p.required}
            assert body["additionalProperties"] is (op.name == "otlp_traces"), "its protocol has receivers pass over what they do not know"
        assert str(op.status) in operation["responses"]
        assert "default" in operation["responses"] or "4XX" in operation["responses"]


def test_openapi_has_every_answer(server):
    schemas = server.schemas.document["components"]["schemas"]
    for name, fields in table.answers().items():
        assert set(schemas[name]["properties"]) == set(fields), name
        assert set(schemas[name].get("required", [])) == {field for field, row in fields.items() if row[2]}, name


def test_each_change_is_in_the_log(server, world):
    agent = unique()
    world.admin.op("agent_put", agent=agent)
    event = server.process.wait_event("change", agent=agent)
    assert event["operation"] == "agent_put" and event["position"]


def test_sighup(make_server):
    server = make_server()
    server.process.process.send_signal(signal.SIGHUP)
    assert server.process.wait_event("settings_reloaded")
    assert server.admin.call("whoami").status == 200


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_addresses(tmp_path, address):
    process = Process(tmp_path, "--listen", address)
    event = process.wait_event("listening")
    if not event and "::1" in address:
        pytest.skip("no IPv6 here")
    assert event and not event["address"].endswith(":0")
    process.process.terminate()
    assert process.wait_end() == 0


def test_head_and_options(server, admin):
    assert admin.send("HEAD", "/healthz").status in (200, 405)
    assert admin.send("OPTIONS", "/v1/agents").status in (200, 204, 405)


def test_the_connection_is_kept(server):
    client = server.another()
    client.get("/v1/whoami")
    connection = client.connection
    for _ in range(20):
        assert client.get("/v1/whoami").status == 200
    assert client.connection is connection
    client.close()
