# SPDX-License-Identifier: Apache-2.0
"""A Prometheus of the test's own that scrapes every second, and an exporter whose figures the test sets."""
import atexit
import http.client
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

from harness.server import clean_env

MOST_SECONDS = 30


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Prometheus:
    """Its port is known before it runs, so that a server can be told where it will be. `scrape` adds what it looks at."""

    def __init__(self, folder):
        self.folder, self.port, self.process, self.jobs = Path(folder), free_port(), None, []
        self.url = f"http://127.0.0.1:{self.port}"

    def scrape(self, job, address, key=None):
        known = {"authorization": {"credentials": key}} if key else {}
        self.jobs.append({"job_name": job, "static_configs": [{"targets": [address]}], **known})

    def start(self):
        program = shutil.which("prometheus")
        assert program, "Prometheus is not installed: tools/install-deps test"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": self.jobs}
        Path(self.folder, "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{self.port}"],
                cwd=self.folder, env=clean_env(self.folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(self.process.kill)  # a test that failed may not have ended it
        self.wait(self.is_ready, "ready")
        for job in self.jobs:
            self.wait(lambda name=job["job_name"]: self.query(f'up{{job="{name}"}} == 1'), f"a first scrape of {job['job_name']}")
        return self

    def wait(self, condition, what):
        deadline = time.monotonic() + MOST_SECONDS
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline, f"no {what}:\n{(self.folder / 'log').read_text()}"
            time.sleep(0.05)

    def get(self, target):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def is_ready(self):
        return self.get("/-/ready")[0] == 200

    def query(self, text):
        """The numbers of every series."""
        status, body = self.get("/api/v1/query?query=" + urllib.parse.quote(text, safe=""))
        return [float(one["value"][1]) for one in json.loads(body)["data"]["result"]] if status == 200 else []

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Exporter:
    """An HTTP server of the test's: /metrics has the figures, /redirect/… sends to another address."""

    def __init__(self):
        exporter = self
        self.figures, self.elsewhere, self.redirected = {}, "", 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                away = self.path.startswith("/redirect/")
                exporter.redirected += away
                body = b"" if away else "".join(f"{name} {value}\n" for name, value in exporter.figures.items()).encode()
                self.send_response(302 if away else 200)
                if away:
                    self.send_header("Location", exporter.elsewhere + self.path.removeprefix("/redirect"))
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()
