# SPDX-License-Identifier: Apache-2.0
"""Every call to the kernel that a batch of outcomes needs fails once, under the real server and in every form: the batch is wholly in or wholly out, and sent again
it counts once."""
import gzip
import http.client
import json
import time
import uuid

import pytest

from harness.calls import WAYS, Trouble
from harness.client import Client
from harness.scale import LONG_RUN
from harness.server import Server
from harness.world import ENVIRONMENT, World, unique

JSON, LINES, GZIP = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}, {"Content-Encoding": "gzip"}
ITEMS = 3
CALLS = ("pread", "pwrite", "fdatasync", "ftruncate", "mmap", "recv", "send", "epoll_ctl")
AGAIN_SECONDS = 20
# SQLite takes a page that the disk does not give back for damage.
TROUBLE = {"no_memory", "unavailable", "unknown_outcome", "store_io", "store_full", "store_unavailable", "store_read_only", "store_corrupt"}


def batch(world, agent):
    return {"instance": unique("sender"), "batch": 1, "items": [world.outcome(agent) for _ in range(ITEMS)]}


def as_json(world, agent):
    return "/v1/outcomes", json.dumps(batch(world, agent)).encode(), JSON


def as_lines(world, agent):
    whole = batch(world, agent)
    items = whole.pop("items")
    return "/v1/outcomes", "".join(json.dumps(line) + "\n" for line in [whole, *items]).encode(), LINES


def as_gzip(world, agent):
    target, body, headers = as_json(world, agent)
    return target, gzip.compress(body), {**headers, **GZIP}


def as_traces(world, agent):
    """Told apart by its bytes."""
    begin = time.time_ns()
    values = {"serin.agent": agent, "serin.environment": ENVIRONMENT, "serin.version": "1"}
    spans = [{"traceId": uuid.uuid4().hex, "startTimeUnixNano": str(begin), "endTimeUnixNano": str(begin + 1_000_000),
              "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in {**values, "serin.unit": uuid.uuid4().hex[:24]}.items()]}
             for _ in range(ITEMS)]
    return "/v1/otlp/traces", json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode(), JSON


FORMS = (as_json, as_lines, as_gzip, as_traces)


class Intake:
    """A server in trouble and what it must have counted."""

    def __init__(self, folder):
        self.trouble = Trouble(folder)
        self.server = Server(folder / "serin", env=self.trouble.env).start()
        self.world = World(self.server).make_environments()
        self.agent, self.sent = self.world.served(1), 0

    def post(self, request):
        """On a connection of its own; None: it was lost before the answer came."""
        target, body, headers = request
        client = Client(self.server, self.server.admin.key)
        try:
            return client.send("POST", target, body, headers)
        except (http.client.HTTPException, OSError):
            return None
        finally:
            client.close()

    def again(self, request):
        """As a sender does it: until it is answered."""
        deadline = time.monotonic() + AGAIN_SECONDS
        while not (answer := self.post(request)) or answer.status != 200:
            assert time.monotonic() < deadline and self.server.running, f"{answer}\n{self.server.process.log()}"
        return answer.json

    def check_counts(self):
        """Which may be shown a few seconds late."""
        deadline = time.monotonic() + AGAIN_SECONDS
        while (counted := self.counted()) != self.sent:
            assert counted < self.sent and time.monotonic() < deadline, (counted, self.sent)
            time.sleep(0.2)

    def counted(self):
        sums = self.server.admin.op("outcome_sums", agent=self.agent, environment=ENVIRONMENT)["sums"]
        return sum(one["outcomes"] for one in sums)

    def fail_once(self, form, name, way, number):
        """Whether the call was reached before the batch was answered."""
        request = form(self.world, self.agent)
        self.server.close_clients()
        self.trouble.arm(name, way, self.trouble.counts()[name] + number)
        answer = self.post(request)
        struck = self.trouble.struck
        self.trouble.end()
        if answer and answer.status != 200:
            problem = self.server.admin.problem_of(answer)
            assert answer.status in (500, 503, 507) and (answer.status != 503 or answer.headers["Retry-After"]), answer
            assert problem["code"] in TROUBLE, problem
        taken = self.again(request)
        self.sent += ITEMS
        if answer and answer.status == 200:
            assert answer.json["accepted"] == ITEMS and taken["duplicate"], (answer, taken)
        else:
            assert taken["duplicate"] or taken["accepted"] == ITEMS, taken
        return struck


@pytest.mark.timeout(3600)
def test_every_call_of_a_batch_fails_once(tmp_path):
    intake = Intake(tmp_path)
    failed = dict.fromkeys(CALLS, 0)
    for form in FORMS:
        for name in CALLS:
            for way in WAYS[name] if LONG_RUN else WAYS[name][:1]:
                number = 1
                while number < 60 and intake.fail_once(form, name, way, number):
                    number += 1
                failed[name] += number - 1
        intake.check_counts()
    print("calls that failed:", failed)
    assert all(failed[name] > 0 for name in ("pwrite", "fdatasync", "recv", "send")), failed
    intake.server.stop()
    intake.server.start()
    intake.check_counts()
    intake.server.stop()
