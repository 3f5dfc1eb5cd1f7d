# SPDX-License-Identifier: Apache-2.0
"""Bytes that nobody should send: each gets an error that names the place and the remedy, and changes nothing."""
import json
import random
import socket
import time

import pytest

from harness.world import config, unique

PUSH = "/v1/agents/hostile/versions"


@pytest.fixture(autouse=True)
def nothing_changes(server):
    before, snapshot = server.admin.head(), server.admin.op("snapshot", environment="staging")
    yield
    assert server.running, server.process.log()
    assert server.admin.head() == before
    assert server.admin.op("snapshot", environment="staging") == snapshot


def refused(admin, body, codes, target=PUSH, headers=None):
    answer = admin.send("POST", target, body, headers)
    problem = admin.problem_of(answer)
    assert problem["code"] in codes, problem
    assert problem["detail"] and problem["remedy"]
    return problem


def nested(depth, opening="[", closing="]", core=""):
    return (opening * depth + core + closing * depth).encode()


MALFORMED = {
    "nothing": b" ", "cut": b'{"config": {"a"', "comma": b'{"config": {},}', "single": b"{'config': {}}",
    "comment": b'{"config": {}} // x', "two": b'{"config": {}} {}', "bare": b"{config: {}}", "nan": b'{"config": NaN}',
    "infinity": b'{"config": {"a": Infinity}}', "plus": b'{"config": {"a": +1}}', "zero": b'{"config": {"a": 01}}',
    "dot": b'{"config": {"a": 1.}}', "escape": rb'{"config": {"a": "\x41"}}', "tab": b'{"config": {"a": "\t"}}',
    "newline": b'{"config": {"a": "\n"}}', "half": rb'{"config": {"a": "\ud800"}}', "nul": b'{"config": {"a": "\0"}}',
    "tail nul": b'{"config": {}}\0', "bom": b'\xef\xbb\xbf{"config": {}', "huge number": b'{"config": {"a": 1e400}}',
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_json(admin, case):
    problem = refused(admin, MALFORMED[case], {"malformed_json", "invalid_utf8"})
    assert problem["line"] >= 1 and problem["column"] >= 0


@pytest.mark.parametrize("body", [b'{"config": {}, "config": {}}', b'{"config": {"a": 1, "a": 1}}', rb'{"config": {"a": 1, "\u0061": 1}}'])
def test_duplicate_keys(admin, body):
    problem = refused(admin, body, {"malformed_json"})
    assert "config" in problem["detail"] or "\"a\"" in problem["detail"] or "duplicate" in problem["detail"].lower()


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80"])
def test_invalid_utf8(admin, bad):
    refused(admin, b'{"config": {"a": "' + bad + b'"}}', {"invalid_utf8", "malformed_json"})
    refused(admin, b'{"config": {"' + bad + b'": 1}}', {"invalid_utf8", "malformed_json"})


@pytest.mark.parametrize("body", [nested(100), nested(5000), nested(200_000), nested(3000, '{"a":', "}", "1"),
                                  b'{"config":' * 40 + b"1" + b"}" * 40])
def test_deep_json(admin, body):
    refused(admin, body, {"malformed_json", "invalid", "too_large"})


def test_a_nul_inside_a_text(admin):
    body = json.dumps({"config": {"system_prompt": "a\u0000b", "model": "m"}}).encode()
    refused(admin, body, {"invalid", "malformed_json"})


def test_a_body_over_the_limit(server, admin):
    body = b'{"config": {"a": "' + b"x" * (64 << 20) + b'"}}'
    head = (f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    with raw(server) as peer:
        peer.sendall(head)
        try:
            peer.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server need not take in what it will refuse
        answer = read_all(peer)
    assert b" 413 " in answer.split(b"\r\n")[0] and b"too_large" in answer, answer[:300]


def test_a_body_over_the_limit_in_chunks(server, admin):
    head = (f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.key}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n").encode()
    with raw(server) as peer:
        peer.sendall(head)
        try:
            for _ in range(64):
                peer.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = read_all(peer)
    assert b" 413 " in answer.split(b"\r\n")[0], answer[:300]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_other_content_types(admin, kind):
    refused(admin, b"a=b", {"unsupported_media_type"}, headers={"Content-Type": kind})


@pytest.mark.parametrize("target,status", [
    ("/v1/agents/..%2f..%2fetc%2fpasswd", 404), ("/v1/agents/%00", 404), ("/v1/agents/a%00b", 404), ("/v1/agents/%ff", 404),
    ("/v1/agents/%e2%80%ae", 404), ("/v1/agents/" + "a" * 4000, 404), ("/v1/../v1/agents", 404), ("//v1/agents", 404),
    ("/v1/agents//versions", 404), ("/v1", 404), ("/v2/agents", 404), ("/v1/nothing", 404), ("/%", 404), ("/v1/agents/%zz", 404),
])
def test_odd_paths(admin, target, status):
    answer = admin.get(target)
    assert answer.status in (status, 400, 414, 422, 431), answer
    if answer.body:
        admin.problem_of(answer)


@pytest.mark.parametrize("query", ["limit=1&limit=2", "after=%ff", "after=%00", "limit=1%002", "%ff=1", "=1", "&&&", "limit", "a" * 3000,
                                   "after=%", "after=%e2%82"])
def test_odd_queries(admin, query):
    answer = admin.get("/v1/agents?" + query)
    assert answer.status in (200, 400, 414, 422, 431), answer
    if answer.status >= 400:
        admin.problem_of(answer)
    if "%ff" in query or "%00" in query:
        assert answer.status >= 400


def test_numbers_stay_where_json_is_exact(admin):
    assert admin.get(f"/v1/audit?after={2**53 - 1}").status == 200
    for number in (2**53, 2**63 - 1, 2**63):
        answer = admin.get(f"/v1/audit?after={number}")
        assert admin.problem_of(answer)["at"] == "after", answer


def test_headers_over_the_limit(admin):
    answer = admin.send("GET", "/v1/whoami", headers={"X-Long": "x" * 100_000})
    assert answer.status in (431, 400), answer
    admin.close()
    assert admin.send("GET", "/v1/whoami").status == 200


# ---- bytes on the wire --------------------------------------------------------------------------


def raw(server, seconds=20):
    host, port = server.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=seconds)


def read_all(peer):
    data = b""
    try:
        while piece := peer.recv(65536):
            data += piece
    except (ConnectionResetError, TimeoutError):
        pass
    return data


SMUGGLED = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n",
    "the same length twice": b"Content-Length: 2\r\nContent-Length: 2\r\n",
    "length and chunks": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    "unknown encoding": b"Transfer-Encoding: gzip\r\n",
    "encoding with a tab": b"Transfer-Encoding:\tchunked, identity\r\n",
    "folded": b"X-A: b\r\n c\r\nContent-Length: 2\r\n",
    "nul in a value": b"X-A: b\0c\r\nContent-Length: 2\r\n",
    "space before the colon": b"Content-Length : 2\r\n",
    "negative length": b"Content-Length: -2\r\n",
    "length with a plus": b"Content-Length: +2\r\n",
    "list of lengths": b"Content-Length: 2, 2\r\n",
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_request_smuggling(server, admin, case):
    """The second request, hidden behind an unclear end of the first, is never answered."""
    hidden = f"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.key}\r\n\r\n".encode()
    with raw(server) as peer:
        peer.sendall(b"POST /v1/resolve HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + SMUGGLED[case] + b"\r\n{}" + hidden)
        peer.shutdown(socket.SHUT_WR)
        answer = read_all(peer)
    statuses = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]
    assert all(b" 400 " in status for status in statuses), answer


@pytest.mark.parametrize("host", [b"", b"Host: a\r\nHost: b\r\n"])
def test_host_is_there_once(server, host):
    with raw(server) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n")
        assert b" 400 " in read_all(peer).split(b"\r\n")[0]


def test_random_bytes(server):
    rng = random.Random(20261123)
    starts = [b"", b"GET ", b"GET / HTTP/1.1\r\n", b"POST /v1/resolve HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", b"\x16\x03\x01"]
    for turn in range(150):
        with raw(server, 5) as peer:
            try:
                peer.sendall(starts[turn % len(starts)] + rng.randbytes(rng.randrange(2000)))
                peer.shutdown(socket.SHUT_WR)
                read_all(peer)
            except OSError:
                pass


def test_random_json_bodies(admin):
    """Mutations of a good request: each answer is a problem or a dry run's."""
    rng = random.Random(20261124)
    good = json.dumps({"config": config("Hi.", ext={"tests": {"n": [1, 2.5, None]}}), "change_description": "x"}).encode()
    for _ in range(400):
        body = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(body))
            kind = rng.randrange(3)
            if kind == 0:
                body[place] = rng.randrange(256)
            elif kind == 1:
                del body[place]
            else:
                body.insert(place, rng.choice(b'{}[]",:\\0eE-'))
        answer = admin.send("POST", f"/v1/agents/{unique()}/versions?dry_run=true", bytes(body))
        if answer.status >= 400:
            assert admin.problem_of(answer)["status"] < 500


def test_a_slow_sender_does_not_hold_others_up(server, admin):
    with raw(server) as slow:
        slow.sendall(b"POST /v1/resolve HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        started = time.monotonic()
        for _ in range(50):
            assert admin.send("GET", "/v1/whoami").status == 200
        assert time.monotonic() - started < 5


def test_many_idle_connections(server, admin):
    idle = [raw(server) for _ in range(200)]
    assert admin.send("GET", "/v1/whoami").status == 200
    for peer in idle:
        peer.close()
