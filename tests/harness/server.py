# SPDX-License-Identifier: Apache-2.0
"""A Serin server of the test's own: own folder, own port, own first key; ended in order and with clean hands."""
import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import table
from harness.client import Client
from harness.schemas import Schemas

ROOT = table.ROOT
BINARY = Path(os.environ.get("SERIN_BINARY", ROOT / "build/serin")).absolute()
FIRST_KEY = "first-key-of-the-tests-0123456789abcdef"
NOWHERE = "http://127.0.0.1:1"  # where servers may send requests unless a test says otherwise; nobody listens
START_SECONDS = 30
STOP_SECONDS = 30
# Puts the socket at descriptor 3 and names the process for which it is meant: the one that it becomes.
HAND_OVER = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="serin.socket")
os.execv(sys.argv[3], sys.argv[3:])"""


def clean_env(home, **more):
    """What a program under test sees: nothing of the person who runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS") if name in os.environ}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def handed(opened, count=1):
    """What hands a socket over to a Process, as systemd does."""
    return {"launcher": [sys.executable, "-c", HAND_OVER, str(opened.fileno()), str(count)], "pass_fds": (opened.fileno(),)}


class Process:
    """`serin serve` and its log; a launcher is a command that runs it."""

    def __init__(self, folder, *arguments, env=None, preexec=None, launcher=(), pass_fds=()):
        self.folder = folder
        self.lines, self.events = [], []
        self.changed = threading.Condition()
        command = [*launcher, str(BINARY), "serve", "--log-format", "json", *arguments]
        full = {**clean_env(folder), **(env or {})}
        self.process = subprocess.Popen(command, cwd=folder, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=preexec, pass_fds=pass_fds)
        atexit.register(self.process.kill)  # a test that failed may not have ended it
        self.threads = [threading.Thread(target=self.read_log, daemon=True)]
        self.out = []
        self.threads.append(threading.Thread(target=lambda: self.out.extend(self.process.stdout), daemon=True))
        for thread in self.threads:
            thread.start()

    def read_log(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line)
                if line.startswith("{"):
                    try:
                        self.events.append(json.loads(line))
                    except ValueError:
                        pass
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_event(self, name, seconds=START_SECONDS, **fields):
        """The first log event of that name with these fields; None when the program ended without it."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                for event in self.events:
                    if event["event"] == name and fields.items() <= event.items():
                        return event
                left = deadline - time.monotonic()
                ended = self.process.poll() is not None and not self.threads[0].is_alive()
                if ended:
                    return None
                assert left > 0, f"no event {name} in {seconds} s:\n{''.join(self.lines)}"
                self.changed.wait(min(left, 0.2))

    def wait_end(self, seconds=STOP_SECONDS):
        code = self.process.wait(seconds)
        for thread in self.threads:
            thread.join(10)
        return code

    def log(self):
        return "".join(self.lines)

    def check_log(self):
        """Nothing but events of the table: a sanitizer, an assertion or a stray print would stand out."""
        strange = [line for line in self.lines if not line.startswith("{")]
        assert not strange, "the log holds what is no event:\n" + "".join(strange)
        unknown = {event["event"] for event in self.events} - table.log_events()
        assert not unknown, f"log events that the table does not have: {unknown}"


class Server:
    """A store with a server that can be stopped, killed and started again."""

    def __init__(self, folder, *arguments, env=None, launcher=(), pass_fds=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = self.folder / "serin.db"
        self.arguments, self.env, self.launcher, self.pass_fds = arguments, env or {}, launcher, pass_fds
        self.process, self.address, self.schemas = None, None, None
        self.admin = Client(self, FIRST_KEY)
        self.clients = {}

    def start(self):
        self.process = Process(self.folder, "--store", f"sqlite:{self.store}", "--listen", "127.0.0.1:0", *self.arguments,
                               env={"SERIN_BOOTSTRAP_KEY": FIRST_KEY, "SERIN_OUTGOING_ALLOW": NOWHERE, **self.env}, launcher=self.launcher, pass_fds=self.pass_fds)
        event = self.process.wait_event("listening")
        assert event, f"the server ended with {self.process.wait_end()}:\n{self.process.log()}"
        self.address = event["address"]
        self.wait_ready()
        self.schemas = self.schemas or Schemas(self.admin.send("GET", "/openapi.json", key=None).json)
        return self

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while self.admin.send("GET", "/readyz", key=None).status != 200:
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.02)

    @property
    def snapshot_file(self):
        return Path(f"{self.store}.snapshot")

    def readiness(self):
        return self.admin.send("GET", "/readyz", key=None).json

    def wait_readiness(self, seconds=40, **wanted):
        deadline = time.monotonic() + seconds
        while not wanted.items() <= (state := self.readiness()).items():
            assert time.monotonic() < deadline, f"not {wanted} within {seconds} s: {state}"
            time.sleep(0.02)

    def wait_written(self):
        """Until the snapshot file holds what is served."""
        self.wait_readiness(snapshot_file=self.admin.op("whoami")["position"])

    def wait_open(self):
        """Until the store is."""
        self.wait_readiness(status="ready")

    def close_clients(self):
        self.admin.close()
        for client in self.clients.values():
            client.close()

    def stop(self):
        """Ends in order: exit code 0 and a clean log."""
        self.close_clients()
        self.process.process.send_signal(signal.SIGTERM)
        code = self.process.wait_end()
        self.process.check_log()
        assert code == 0, f"exit code {code}:\n{self.process.log()}"
        assert self.process.wait_event("stopped"), self.process.log()

    def kill(self):
        self.close_clients()
        self.process.process.kill()
        self.process.wait_end()

    def restart(self):
        self.stop()
        return self.start()

    @property
    def running(self):
        return self.process is not None and self.process.process.poll() is None

    def end(self):
        if self.running:
            self.stop()

    def client(self, role, *environments):
        """A client with a key of that role, for these environments (none = all). The same one for the same question."""
        wanted = (role, environments)
        if wanted not in self.clients:
            bound = {"environment": list(environments)} if environments else {}
            made = self.admin.op("key_create", name=" ".join([role, *environments]), role=role, **bound)
            self.clients[wanted] = Client(self, made["key"])
            self.clients[wanted].id = made["id"]
        return self.clients[wanted]

    def another(self, key=FIRST_KEY):
        """One more connection."""
        return Client(self, key)

    def cli(self, *arguments, key=FIRST_KEY, input=None, cwd=None, env=None):
        return run_cli(*arguments, home=self.folder, input=input, cwd=cwd or self.folder,
                       env={"SERIN_URL": f"http://{self.address}", "SERIN_KEY": key, **(env or {})})


class Ran:
    def __init__(self, done, arguments):
        self.code, self.out, self.err, self.arguments = done.returncode, done.stdout, done.stderr, arguments

    @property
    def json(self):
        return json.loads(self.out)

    def ok(self):
        assert self.code == 0, repr(self)
        return self

    def fails(self, code=1):
        assert self.code == code, repr(self)
        assert self.err.strip(), f"no message: {self!r}"
        return self

    def __repr__(self):
        return f"serin {' '.join(map(str, self.arguments))}: exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


def run_cli(*arguments, home, input=None, cwd=None, env=None, seconds=60):
    done = subprocess.run([str(BINARY), *map(str, arguments)], cwd=cwd or home, env=clean_env(home, **(env or {})),
                          input=input, capture_output=True, text=True, timeout=seconds,
                          stdin=None if input is not None else subprocess.DEVNULL)
    for sign in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "ThreadSanitizer"):
        assert sign not in done.stderr, done.stderr
    return Ran(done, arguments)
