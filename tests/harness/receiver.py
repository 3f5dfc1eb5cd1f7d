# SPDX-License-Identifier: Apache-2.0
"""A receiver of webhooks on loopback, which checks every signature by itself, as Standard Webhooks says."""
import base64
import hashlib
import hmac
import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS = 40  # the first attempts after a failure come within 5, 10 and 20


def signature(secret, message_id, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()


class Message:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.at = path, headers, body, time.time()
        self.id, self.timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        self.signatures = headers["webhook-signature"].split(" ")
        self.type, self.data = self.json["type"], self.json["data"]

    @property
    def json(self):
        return json.loads(self.body)

    def signed_by(self, secret):
        return signature(secret, self.id, self.timestamp, self.body) in self.signatures

    def __repr__(self):
        return f"{self.path} {self.id} {self.type}"


class Receiver:
    """Answers each path with the statuses that `plan` has for it, one after the other, then 200; a function there is called, and what it answers is the status, None
    being none at all."""

    def __init__(self):
        self.messages, self.plan = [], defaultdict(list)
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver.take(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def take(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        message = Message(request.path, request.headers, body)
        with self.changed:
            self.messages.append(message)
            plan = self.plan[request.path]
            status = plan.pop(0) if plan else 200
            self.changed.notify_all()
        if callable(status):
            status = status(message)
        if status is None:
            request.close_connection = True
            return
        request.send_response(status)
        if 300 <= status < 400:
            request.send_header("Location", f"{self.origin}/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def at(self, path):
        return [message for message in self.messages if message.path == path]

    def wait(self, path, count, seconds=SECONDS):
        """The first so many messages of a path."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while len(self.at(path)) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.at(path))} of {count} messages for {path} in {seconds} s: {self.messages}"
                self.changed.wait(left)
        return self.at(path)[:count]

    def close(self):
        self.http.shutdown()
        self.http.server_close()
