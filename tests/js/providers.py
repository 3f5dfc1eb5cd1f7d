# SPDX-License-Identifier: Apache-2.0
"""OpenFeature clients that others wrote, each behind the same question: ask(kind, key, default, **context) -> details as a dict."""
import functools
import json
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@functools.cache
def page():
    """The address of a page with web.js in it, served from here as long as the tests run: an origin of its own."""
    script = subprocess.run(["node", "node_modules/esbuild/bin/esbuild", "web.js", "--bundle", "--log-level=error"], cwd=HERE, check=True, stdout=subprocess.PIPE).stdout
    files = {"/": ("text/html", b'<!doctype html><script src="/web.js"></script>'), "/web.js": ("text/javascript", script)}

    class Files(BaseHTTPRequestHandler):
        def do_GET(self):
            kind, body = files.get(self.path, ("text/plain", b""))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Program:
    """A program that answers each line of JSON with another one."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def say(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        answer = self.process.stdout.readline()
        assert answer, "no answer"
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(20) == 0


class Node(Program):
    def __init__(self, url, key):
        super().__init__("node", "provider.js", url, key)

    def ask(self, kind, key, default, **context):
        return self.say(kind=kind, key=key, default=default, context=context)


class Web(Program):
    """The web SDK in Chromium; it has all flags of one context at hand."""

    def __init__(self, url, key, **context):
        browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        assert browser, "no chromium: run tools/install-deps test"
        super().__init__("node", "browser.js", browser, page(), url, key, json.dumps(context))
        self.fault = self.answer()  # of the first load; "": none

    def ask(self, kind, key, default, **context):
        return self.say(ask="askAs", kind=kind, key=key, default=default, context=context)

    def at_hand(self, kind, key, default):
        return self.say(ask="ask", kind=kind, key=key, default=default)

    def wait(self, kind, key, default, other):
        """The details once the value is no longer `other`."""
        return self.say(ask="wait", kind=kind, key=key, default=default, **{"not": other})


class Python:
    def __init__(self, url, key):
        api.set_provider(OFREPProvider(url, headers_factory=lambda: {"X-API-Key": key}))
        self.client = api.get_client()

    def ask(self, kind, key, default, **context):
        asked = EvaluationContext(context.pop("targetingKey", None), context)
        if kind == "number":
            kind = "float" if isinstance(default, float) else "integer"
        details = getattr(self.client, f"get_{kind}_details")(key, default, asked)
        return {"value": details.value, "reason": details.reason, "variant": details.variant, "errorCode": details.error_code,
                "errorMessage": details.error_message, "flagMetadata": details.flag_metadata}

    def close(self):
        api.clear_providers()
