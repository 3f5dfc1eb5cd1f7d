#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTP layer by itself against nginx `return 200` of the same bytes.

One worker each, pinned to one core; wrk on the other; rounds in turn, medians. Prints a table and, with --json FILE, writes
the figures. Figures: requests per second, user CPU per request, system calls per request.

    bench/http_raw.py build/tests/http/http-echo-server
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

CORE_SERVER, CORE_CLIENT = "0", "1"

NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type application/json; keepalive_requests 1000000000; keepalive_timeout 600;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }}
}}
"""


class Server:
    def __init__(self, name, command, url):
        self.name, self.url = name, url
        self.process = subprocess.Popen(["taskset", "-c", CORE_SERVER, *command], stdout=subprocess.PIPE)
        if url is None:
            self.url = "http://" + self.process.stdout.readline().decode().strip() + "/fixed"
        for _ in range(100):
            if subprocess.run(["curl", "-sf", "-o", os.devnull, self.url]).returncode == 0:
                return
            time.sleep(0.05)
        raise SystemExit(f"{name} does not answer at {self.url}")

    def user_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def wrk(url, connections, seconds):
    command = ["taskset", "-c", CORE_CLIENT, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output)
    return int(re.search(r"(\d+) requests in", output)[1]), float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])


def one_round(server, connections, seconds):
    before = server.user_seconds()
    count, rate = wrk(server.url, connections, seconds)
    return rate, (server.user_seconds() - before) / count * 1e6


def system_calls(server, connections):
    with tempfile.NamedTemporaryFile("r") as table:
        tracer = subprocess.Popen(["strace", "-c", "-f", "-o", table.name, "-p", str(server.process.pid)], stderr=subprocess.PIPE)
        tracer.stderr.readline()
        count, _ = wrk(server.url, connections, 3)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        total = next(line.split() for line in table if line.endswith(" total\n"))
        return int(total[3]) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--json")
    options = parser.parse_args()
    for tool in ("nginx", "wrk", "strace", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing")

    with tempfile.TemporaryDirectory() as folder:
        port = 18080
        config = pathlib.Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, body="x" * options.size))
        servers = [
            Server("serin", [options.server, "--fixed-size", str(options.size)], None),
            Server("nginx", ["nginx", "-p", folder, "-c", str(config)], f"http://127.0.0.1:{port}/fixed"),
        ]
        try:
            rounds = {server.name: [] for server in servers}
            for server in servers:
                wrk(server.url, options.connections, 1)
            for _ in range(options.rounds):
                for server in servers:
                    rounds[server.name].append(one_round(server, options.connections, options.seconds))
            calls = {server.name: system_calls(server, 16) for server in servers}
        finally:
            for server in servers:
                server.stop()

    figures = {}
    print(f"{'':8}{'req/s':>10}{'spread':>9}{'user us/req':>13}{'calls/req':>11}")
    for name, values in rounds.items():
        rates, users = [rate for rate, _ in values], [user for _, user in values]
        rate, user = statistics.median(rates), statistics.median(users)
        figures[name] = {"rate": rate, "rates": rates, "user_us": user, "system_calls": calls[name]}
        print(f"{name:8}{rate:10.0f}{(max(rates) - min(rates)) / rate:9.1%}{user:13.2f}{calls[name]:11.2f}")
    pairs = list(zip(rounds["serin"], rounds["nginx"]))  # neighbours in time: what else the machine does changes less
    ratio = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
    cpu = statistics.median(ours[1] / theirs[1] for ours, theirs in pairs)
    figures["ratio"], figures["user_ratio"] = ratio, cpu
    print(f"ratio   {ratio:10.2f}{'':9}{cpu:13.2f}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
