# SPDX-License-Identifier: Apache-2.0
"""What asks the servers, and what an answer costs them."""
import csv
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections import namedtuple

from kit import machine, servers

CONNECTIONS = 32

Load = namedtuple("Load", "rate user_us kernel_us median_ms p99_ms max_ms requests")
SCALE = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def in_turn(rounds, seconds, loads):
    """Each load for a second to warm up, then in every round each after the other: {name: [result of each round]}."""
    for load in loads.values():
        load(1)
    results = {name: [] for name in loads}
    for _ in range(rounds):
        for name, load in loads.items():
            results[name].append(load(seconds))
    return results


def column(loads, field):
    return [getattr(load, field) for load in loads]


def milliseconds(written):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", written).groups()
    return float(number) * SCALE[unit]


def wrk(server, path, seconds, script=None, connections=CONNECTIONS):
    """One load over keep-alive connections; every answer must be a success."""
    command = [machine.program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Authorization: Bearer {server.key}"]
    if script:
        command += ["-s", script]
    before = server.cpu_seconds()
    text = machine.run(*machine.pinned(machine.LOAD_CORE, *command, f"http://127.0.0.1:{server.port}{path}"))
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"bench: {server.name} {path} went wrong:\n{text}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    user, kernel = ((after - then) / requests * 1e6 for after, then in zip(server.cpu_seconds(), before))
    def found(pattern):
        return re.search(pattern, text, re.M)[1]

    return Load(rate=float(found(r"^Requests/sec:\s+([\d.]+)")), user_us=user, kernel_us=kernel, requests=requests,
                median_ms=milliseconds(found(r"^ +50% +(\S+)")), p99_ms=milliseconds(found(r"^ +99% +(\S+)")),
                max_ms=milliseconds(found(r"^ +Latency +\S+ +\S+ +(\S+)")))


def post_script(path, body, headers=None):
    """Makes wrk send that JSON, with further headers; answers `path`, where the script then stands."""
    lines = ["wrk.method = \"POST\"", f"wrk.body = [[{body}]]"]
    lines += [f"wrk.headers[\"{name}\"] = [[{value}]]" for name, value in {"Content-Type": "application/json", **(headers or {})}.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def request_bytes(method, target, body=b""):
    fields = {"Host": "serin", "Authorization": f"Bearer {servers.KEY}"}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": len(body)}
    return "\r\n".join([f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode() + body


class Pump:
    """One request at a rate of its own, running in the background; see tests/load/pump.c."""

    NUMBER = "@@@@@@@@@@"  # another in each request

    def __init__(self, port, request, connections, seconds, rate):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(request)
        self.file.flush()
        command = [machine.BUILD / "tests/load/pump", f"127.0.0.1:{port}", connections, rate, seconds, self.file.name]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)

    def result(self):
        text = self.process.communicate()[0]
        self.file.close()
        return json.loads(text)


def system_calls(server, path, connections=16, seconds=2):
    """System calls per request, counted by strace, which slows the server down: never in a round that is timed."""
    with tempfile.NamedTemporaryFile("r") as table:
        tracer = subprocess.Popen([machine.program("strace"), "-c", "-f", "-o", table.name, "-p", str(server.pid())],
                                  stderr=subprocess.PIPE, text=True)
        attached = tracer.stderr.readline()
        if "attached" not in attached:
            sys.exit(f"bench: strace may not look at {server.name} (root may, or kernel.yama.ptrace_scope=0): {attached}")
        requests = wrk(server, path, seconds, connections=connections).requests
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        total = next(line.split() for line in table if line.endswith(" total\n"))
        return int(total[3]) / requests


def redis_get(server, key, seconds, expected):
    """GETs a second. redis-benchmark counts requests, not seconds: `expected` is about how many it does in one."""
    command = [machine.program("redis-benchmark"), "-p", server.port, "-c", CONNECTIONS, "-n", int(expected * seconds), "--csv", "GET", key]
    text = machine.run(*machine.pinned(machine.LOAD_CORE, *command))
    return float(list(csv.DictReader(io.StringIO(text)))[-1]["rps"])


def postgres_select(server, key, seconds, protocol):
    """SELECTs of one row by its primary key a second; `protocol` is pgbench's: "simple" sends the text each time, "prepared" its name."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"SELECT answer FROM answers WHERE agent = '{key}';\n")
        script.flush()
        command = server.client("pgbench", "-n", "-M", protocol, "-c", CONNECTIONS, "-j", 1, "-T", seconds, "-f", script.name)
        text = machine.run(*machine.pinned(machine.LOAD_CORE, *command))
    return float(re.search(r"tps = ([\d.]+) \(without", text)[1])
