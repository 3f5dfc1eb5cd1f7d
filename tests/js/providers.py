# SPDX-License-Identifier: Apache-2.0
"""OpenFeature clients that others wrote, each behind the same question: ask(kind, key, default, **context) -> details as a dict."""
import json
import subprocess
from pathlib import Path

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

HERE = Path(__file__).parent


class Program:
    """A program that answers each line of JSON with another one."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def say(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"no answer to {question}"
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
