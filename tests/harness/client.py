# SPDX-License-Identifier: Apache-2.0
"""A thin HTTP client that knows the table of operations and holds every answer to it."""
import http.client
import json
import socket
from urllib.parse import quote, urlencode

from harness import table

TIMEOUT = 30


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:2000]!r}"


def query_text(value):
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def request_of(op, params, query=None):
    """Method, target and body of a call; `params` go where the table says."""
    path, body, arguments = op.path, {}, dict(query or {})
    for name, value in params.items():
        param = op.param(name) or next((p for p in op.params if p.name == "attr.*" and name.startswith("attr.")), None)
        where = param.where if param else ("body" if op.takes("body") else "query")
        if where == "path":
            path = path.replace("{" + name + "}", quote(str(value), safe=""))
        elif where == "query":
            arguments[name] = query_text(value)
        else:
            body[name] = value
    target = "/v1" + path + ("?" + urlencode(arguments) if arguments else "")
    return op.method, target, json.dumps(body).encode() if op.takes("body") else None


class Client:
    """One key on one connection, which is kept alive."""

    def __init__(self, server, key):
        self.server, self.key = server, key
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def send(self, method, target, body=None, headers=None, key=...):
        """One request as it is; `key` None sends none."""
        fields = dict(headers or {})
        key = self.key if key is ... else key
        if key is not None:
            fields.setdefault("Authorization", f"Bearer {key}")
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
        reused = self.connection is not None
        for attempt in (1, 2):
            if not self.connection:
                host, port = self.server.address.rsplit(":", 1)
                self.connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT)
            try:
                self.connection.request(method, target, body, fields)
                response = self.connection.getresponse()
                answer = Answer(response, response.read())
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                # Only an idle connection that the server closed meanwhile is worth a second try.
                if not reused or attempt == 2:
                    raise
            except Exception:
                self.close()
                raise
        if response.will_close:
            self.close()
        return answer

    def get(self, target, **headers):
        return self.send("GET", target, headers=headers)

    def call(self, name, /, headers=None, query=None, **params):
        """The answer of an operation, whatever it is; held to its schema."""
        op = table.operations()[name]
        method, target, body = request_of(op, params, query)
        answer = self.send(method, target, body, headers)
        if answer.status < 300:
            assert answer.status in (200, op.status), answer
            assert answer.headers["Content-Type"].split(";")[0] == "application/json", answer
            self.server.schemas.check(op.answer, answer.json)
        elif answer.status >= 400:
            self.problem_of(answer)
        return answer

    def op(self, name, /, headers=None, query=None, **params):
        """The JSON of an operation that must succeed."""
        answer = self.call(name, headers, query, **params)
        assert answer.status < 300, f"{name} {params}: {answer}"
        return answer.json

    def refused(self, code, name, /, headers=None, query=None, **params):
        """The problem of an operation that must fail with this code (or one of them)."""
        answer = self.call(name, headers, query, **params)
        assert answer.status >= 400, f"{name} {params}: {answer}"
        problem = answer.json
        codes = [code] if isinstance(code, str) else list(code)
        assert problem["code"] in codes, f"{name} {params}: {problem}"
        return problem

    def problem_of(self, answer):
        """Every error answer keeps the same form and the table of errors."""
        assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json", answer
        problem = answer.json
        self.server.schemas.check("problem", problem)
        status, title, remedy = table.errors()[problem["code"]]
        assert problem["status"] == answer.status == status, answer
        assert problem["title"] == title and problem["remedy"], answer
        assert problem["type"].endswith(problem["code"]), answer
        return problem

    def head(self):
        """Where the history of all changes stands now: two equal heads say that nothing happened between."""
        checkpoint = self.op("audit_checkpoint")
        return checkpoint["position"], checkpoint["hash"]


class Events:
    """A reader of server-sent events; `first` is the one with which the stream begins."""

    def __init__(self, client, **arguments):
        after = arguments.pop("last_event_id", None)
        host, port = client.server.address.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {client.key}", "Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = after
        self.connection.request("GET", "/v1/stream?" + urlencode(arguments), headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.first = self.next() if self.status == 200 else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        # A stream has no end, so waiting for one must be cut off below the reader.
        if self.connection.sock:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.response.close()
        self.connection.close()

    def next(self):
        """The next event as a dict of its fields; comments (heartbeats) are left out. None at the end."""
        fields = {}
        while line := self.response.readline():
            line = line.decode().rstrip("\r\n")
            if not line:
                if "data" in fields:
                    return fields
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                fields[name] = fields[name] + "\n" + value if name == "data" and name in fields else value
        return None

    def take(self, count):
        return [self.next() for _ in range(count)]
