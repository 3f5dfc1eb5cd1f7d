# SPDX-License-Identifier: Apache-2.0
"""Serin and the peers beside it. Each server runs in a folder of its own on a free port of loopback, pinned to the servers' core, and
is ended by its process id when its `with` block ends."""
import http.client
import json
import os
import pwd
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kit import machine

KEY = "bench-key-0123456789abcdef0123456789abcdef"
START_SECONDS = 60
STOP_SECONDS = 30


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def raise_file_limit():
    """As high as this user may: ten thousand streams are ten thousand files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """A process that listens on `port` once `ready()` says so, and takes `key` from who asks."""

    name = ""
    key = KEY
    stop_signal = signal.SIGTERM

    def __init__(self, command, folder, port, **options):
        self.folder, self.port = folder, port
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen([str(word) for word in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, preexec_fn=raise_file_limit, **options)
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"bench: {self.name} did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.001)

    def ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def pid(self):
        """The process that answers."""
        return self.process.pid

    def cpu_seconds(self):
        """Processor time so far: in the program, in the kernel."""
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rsplit(")", 1)[1].split()
        return [int(fields[column]) / os.sysconf("SC_CLK_TCK") for column in (11, 12)]

    def resident_bytes(self):
        return int(Path(f"/proc/{self.pid()}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def call(self, method, path, body=None, key=None):
        """The bytes of an answer that must be a success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            sys.exit(f"bench: {method} {path}: {answer.status} {content.decode()}")
        return content


# ---- Serin ----


class Serin(Server):
    name = "serin"

    def __init__(self, folder, workers=1, core=machine.SERVER_CORE):
        """On the store in `folder`, or a new one. `workers` and `core` None: as it starts by itself. The limit of requests of a key stays in
        force, at a height that nobody reaches."""
        port = free_port()
        command = [machine.SERIN, "serve", "--store", f"sqlite:{folder}/serin.db", "--listen", f"127.0.0.1:{port}",
                   "--stream-keepalive-s", 3600, "--requests-per-key", 1_000_000, *(["--workers", workers] if workers else [])]
        self.started = time.monotonic()
        super().__init__(machine.pinned(core, *command) if core is not None else command, folder, port,
                         env={**os.environ, "SERIN_BOOTSTRAP_KEY": KEY})
        self.start_seconds = time.monotonic() - self.started

    def ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


# ---- what it serves ----

AGENTS = 10_000
ANSWER_CONFIG_BYTES = 1792  # with what is said about the decision an answer is 2 KB
ASKED = "agent-00042"


def resolve_path(agent=ASKED):
    return f"/v1/resolve/{agent}?environment=production&key=user-42"


def fill(folder, agents, versions, config_bytes, moves=0):
    """A store of so many agents, as long use would leave it."""
    machine.run(machine.own("fill"), folder / "serin.db", agents, versions, config_bytes, moves)


class Folder(tempfile.TemporaryDirectory):
    """A temporary folder; `on_disk` puts it beside the build, where the disk to be measured is."""

    def __init__(self, on_disk=False):
        super().__init__(prefix="serin-bench-", dir=machine.BUILD if on_disk else None)
        os.chmod(self.name, 0o755)  # servers that give up root must still reach it

    def __enter__(self):
        return Path(super().__enter__())


def inside(folder, name):
    (folder / name).mkdir()
    return folder / name


# ---- the peers ----

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{body}'; }}
            location = {unchanged} {{ add_header ETag '"unchanged"' always; return 304; }} }}
}}
"""


class Nginx(Server):
    """One worker that answers every request with the same bytes; at one address it says instead that nothing has changed."""

    name = "nginx"
    UNCHANGED = "/unchanged"

    def __init__(self, folder, body):
        port = free_port()
        conf = folder / "nginx.conf"
        escaped = body.decode().replace("\\", "\\\\").replace("'", "\\'")
        conf.write_text(NGINX.format(folder=folder, port=port, body=escaped, unchanged=self.UNCHANGED))
        super().__init__(machine.pinned(machine.SERVER_CORE, machine.program("nginx"), "-p", folder, "-c", conf), folder, port)
        if self.call("GET", "/") != body:
            sys.exit("bench: nginx answers other bytes")

    def pid(self):
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])


class Redis(Server):
    """One thread, nothing kept on disk, `value` under each of the keys."""

    name = "redis"

    def __init__(self, folder, keys, value):
        port = free_port()
        command = [machine.program("redis-server"), "--bind", "127.0.0.1", "--port", port, "--dir", folder, "--save", "", "--appendonly", "no"]
        super().__init__(machine.pinned(machine.SERVER_CORE, *command), folder, port)
        words = [b"MSET"] + [word for key in keys for word in (key.encode(), value)]
        message = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(message)
            if connection.recv(100) != b"+OK\r\n":
                sys.exit("bench: redis did not take the values")


class Postgres(Server):
    """A fresh cluster with default settings."""

    name = "postgresql"
    stop_signal = signal.SIGINT  # ends at once; with SIGTERM it would wait for its clients

    def __init__(self, folder):
        port = free_port()
        data = folder / "data"
        # It refuses to run as root; the package brings a user for it.
        self.as_user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        if self.as_user:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        machine.run(machine.program("initdb"), "-D", data, "-U", "bench", "-A", "trust", "--no-sync", cwd=folder, **self.as_user)
        command = [machine.program("postgres"), "-D", data, "-p", port, "-k", folder]
        super().__init__(machine.pinned(machine.SERVER_CORE, *command), folder, port, **self.as_user)

    def ready(self):
        done = subprocess.run(self.client("psql", "-c", "SELECT 1"), capture_output=True)
        return done.returncode == 0

    def client(self, name, *arguments):
        return [machine.program(name), "-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", *map(str, arguments), "postgres"]

    def load(self, keys, value):
        """One table, `value` in a row for each of the keys; stored plain, so that no answer has to be unpacked."""
        rows = "".join(f"{key}\t{value.decode()}\n" for key in keys).replace("\\", "\\\\")
        script = ("CREATE TABLE answers (agent text PRIMARY KEY, answer text);\n"
                  "ALTER TABLE answers ALTER COLUMN answer SET STORAGE PLAIN;\n"
                  f"COPY answers FROM stdin;\n{rows}\\.\nVACUUM ANALYZE answers;\n")
        machine.run(*self.client("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"), input=script)


class Unleash(Server):
    """The flag server Unleash on a database of its own, as it starts by itself; nothing is told to its makers. Pages and applications ask it with
    `key`."""

    name = "unleash"
    REFRESH_MS = 5000  # how old what it answers with may be: by itself more, for which the figure would have to wait
    key = "default:development.bench-frontend-0123456789abcdef0123456789"
    ADMIN = "*:*.bench-admin-0123456789abcdef0123456789"

    def __init__(self, folder, postgres):
        port = free_port()
        program = machine.js("node_modules/unleash-server/dist/server.js")
        settings = {"DATABASE_URL": f"postgres://bench@127.0.0.1:{postgres.port}/postgres", "DATABASE_SSL": "false", "HTTP_HOST": "127.0.0.1",
                    "HTTP_PORT": str(port), "INIT_FRONTEND_API_TOKENS": self.key, "INIT_ADMIN_API_TOKENS": self.ADMIN, "LOG_LEVEL": "warn",
                    "NODE_ENV": "production", "CHECK_VERSION": "false", "SEND_TELEMETRY": "false", "FRONTEND_API_REFRESH_INTERVAL_MS": str(self.REFRESH_MS)}
        super().__init__(machine.pinned(machine.SERVER_CORE, machine.program("node"), program), folder, port, env={**os.environ, **settings})

    def create(self, flag, percentage, seen_at):
        """A flag for a percentage of users; done when the answer at that address has it."""
        features = "/api/admin/projects/default/features"
        strategy = {"name": "flexibleRollout", "parameters": {"rollout": str(percentage), "stickiness": "userId", "groupId": flag}}
        for path, body in (("", {"name": flag, "type": "release"}), (f"/{flag}/environments/development/strategies", strategy),
                           (f"/{flag}/environments/development/on", {})):
            self.call("POST", features + path, json.dumps(body), key=self.ADMIN)
        deadline = time.monotonic() + START_SECONDS
        while flag.encode() not in self.call("GET", seen_at):
            if time.monotonic() > deadline:
                sys.exit(f"bench: {self.name} does not answer with the flag")
            time.sleep(0.1)
