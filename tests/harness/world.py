# SPDX-License-Identifier: Apache-2.0
"""Ready-made situations, and for each operation one request that must succeed in it."""
import datetime
import itertools
import json
import time
import uuid

from harness import table
from harness.client import Events
from harness.server import NOBODY

ENVIRONMENT = "staging"
ELSEWHERE = "other"
ENVIRONMENTS = ("production", ENVIRONMENT, ELSEWHERE)
count = itertools.count(1)


def unique(prefix="agent"):
    return f"{prefix}-{uuid.uuid4().hex[:10]}-{next(count)}"


def config(text="You help.", **more):
    return {"system_prompt": text, "model": "gpt-4o", "parameters": {"temperature": 0.7}, "tools": ["search"], **more}


class World:
    def __init__(self, server):
        self.server, self.admin = server, server.admin
        self.reader = None  # of the stream whose id the last recipe gave

    def make_environments(self):
        for name in ENVIRONMENTS:
            self.admin.op("environment_put", environment=name, description=f"{name} of the tests")
        return self

    def agent(self, versions=1):
        """A new agent with so many versions that all differ."""
        name = unique()
        for number in range(1, versions + 1):
            self.admin.op("version_push", agent=name, config=config(f"{name} says {number}"), change_description=f"say {number}")
        return name

    def deploy(self, agent, version, environment=ENVIRONMENT, **more):
        return self.admin.op("deploy", agent=agent, environment=environment, version=version,
                             reason=f"serve {version}", **more)

    def served(self, *versions, environment=ENVIRONMENT):
        """A new agent that served these versions there, one after the other; 2 means version 2 of it."""
        agent = self.agent(max(versions))
        for version in versions:
            self.deploy(agent, version, environment)
        return agent

    def version_of(self, agent, user=None, environment=ENVIRONMENT, **more):
        """The version that a user gets."""
        context = {"context": {"targetingKey": user}} if user else {}
        return self.admin.op("resolve", agent=agent, environment=environment, **context, **more)["version"]

    def release(self, environment=ENVIRONMENT):
        agents = [self.served(1, environment=environment), self.served(1, environment=environment)]
        for agent in agents:
            self.admin.op("version_push", agent=agent, config=config(f"{agent} says more"))
        moves = [{"agent": agent, "version": 2} for agent in agents]
        made = self.admin.op("release_create", environment=environment, moves=moves, reason="together")
        return made["release"]["id"], agents

    def recipe(self, op):
        """Parameters with which the operation succeeds now, for an admin; a CHANGE changes something."""
        return getattr(self, "recipe_" + op)()

    def recipe_agent_list(self):
        self.agent()
        return {}

    def recipe_agent_get(self):
        return {"agent": self.served(1)}

    def recipe_agent_put(self):
        return {"agent": unique(), "description": "Answers.", "session": "follow", "reason": "needed"}

    def recipe_version_push(self):
        return {"agent": unique(), "config": config(unique()), "change_description": "first", "source": {"kind": "api"},
                "expected_latest": 0}

    def recipe_version_list(self):
        return {"agent": self.agent(2)}

    def recipe_version_get(self):
        return {"agent": self.agent(2), "version": 1}

    def recipe_environment_list(self):
        return {}

    def recipe_environment_get(self):
        self.served(1)
        return {"environment": ENVIRONMENT}

    def recipe_environment_put(self):
        return {"environment": unique("env"), "description": "for tests", "protected": True, "reason": "needed"}

    def recipe_deploy(self):
        return {"agent": self.agent(2), "environment": ENVIRONMENT, "version": 2, "reason": "better", "expected": 0}

    def recipe_deployment_list(self):
        return {"agent": self.served(1, 2), "environment": ENVIRONMENT}

    def recipe_rollback(self):
        return {"agent": self.served(1, 2), "environment": ENVIRONMENT, "reason": "worse", "expected": 2}

    def recipe_release_create(self):
        moves = [{"agent": self.agent(1), "version": 1}, {"agent": self.served(1), "version": 1, "expected": 1}]
        return {"environment": ENVIRONMENT, "moves": moves, "reason": "together"}

    def recipe_release_list(self):
        self.release()
        return {"environment": ENVIRONMENT}

    def recipe_release_get(self):
        return {"release": self.release()[0]}

    def recipe_release_rollback(self):
        return {"release": self.release()[0], "reason": "together back"}

    def recipe_hold_list(self):
        self.recipe_hold_release()
        return {"environment": ENVIRONMENT}

    def recipe_hold_set(self):
        return {"agent": self.served(1), "environment": ENVIRONMENT, "reason": "wait"}

    def recipe_hold_release(self):
        agent = self.served(1)
        self.admin.op("hold_set", agent=agent, environment=ENVIRONMENT, reason="wait")
        return {"agent": agent, "environment": ENVIRONMENT, "reason": "go"}

    def recipe_override_list(self):
        return {"agent": self.recipe_override_delete()["agent"], "environment": ENVIRONMENT}

    def recipe_override_put(self):
        return {"agent": self.served(1, 2), "override": unique("staff"), "environment": ENVIRONMENT, "version": 1,
                "keys": ["ann", "bob"], "reason": "try"}

    def recipe_override_delete(self):
        made = self.recipe_override_put()
        self.admin.op("override_put", **made)
        return {"agent": made["agent"], "override": made["override"], "environment": ENVIRONMENT, "reason": "tried"}

    def rollout(self, environment=ENVIRONMENT, **more):
        """A new agent that serves 1 there and tries 2; its rollout's id."""
        agent = self.served(1, environment=environment)
        self.admin.op("version_push", agent=agent, config=config(f"{agent} tries"))
        made = self.admin.op("rollout_start", agent=agent, environment=environment, version=2, reason="try", **more)
        return agent, made["rollout"]["id"]

    def recipe_rollout_start(self):
        agent = self.served(1, 2)
        return {"agent": agent, "environment": ENVIRONMENT, "version": 1, "template": "careful", "reason": "try",
                "steps": [{"share": 5, "min_time": "1m"}, {"share": 12.345}], "analysis": {"alpha": 0.01},
                "limits": {"error": {"past": 0.5}}, "judge": "ratio", "ratio": {"min_units": 5}, "on_harm": "hold", "on_end": "promote",
                "no_data_after": "5m", "guards": [{"name": "slo", "url": NOBODY, "query": "up", "condition": "< 1"}],
                "audience": {"==": [{"var": "plan"}, "pro"]}, "salt": "spring"}

    def recipe_rollout_list(self):
        return {"agent": self.rollout()[0], "environment": ENVIRONMENT, "open": True}

    def recipe_rollouts(self):
        return {"id": self.rollout()[1], "environment": ENVIRONMENT, "open": True}

    def of_rollout(self, **more):
        agent, rollout = self.rollout()
        return {"agent": agent, "rollout": rollout, **more}

    def recipe_rollout_get(self):
        return self.of_rollout(evidence=True)

    def recipe_rollout_status(self):
        return self.of_rollout()

    def recipe_rollout_failures(self):
        return self.of_rollout()

    def recipe_outcome_sums(self):
        return {"agent": self.served(1), "environment": ENVIRONMENT, "per": "hour", "from": "2026-01-01T00:00:00Z", "to": "2036-01-01T00:00:00Z"}

    def recipe_rollout_pause(self):
        return self.of_rollout(reason="wait")

    def recipe_rollout_resume(self):
        made = self.of_rollout(reason="go")
        self.admin.op("rollout_pause", **made)
        return made

    def recipe_rollout_advance(self):
        return self.of_rollout(step=3, reason="enough")

    def recipe_rollout_promote(self):
        return self.of_rollout(reason="good")

    def recipe_rollout_abort(self):
        return self.of_rollout(reason="bad")

    def recipe_rollout_template_list(self):
        return {}

    def recipe_rollout_template_get(self):
        return {"template": "careful"}

    def recipe_rollout_template_put(self):
        return {"template": unique("ours"), "description": "ours", "steps": [{"share": 5}], "reason": "needed"}

    def webhook(self, **more):
        """A new webhook whose receiver does not run; its name."""
        made = {**self.recipe_webhook_put(), **more}
        self.admin.op("webhook_put", **made)
        return made["webhook"]

    def flag(self, **more):
        """A new flag; its key."""
        made = {**self.recipe_flag_put(), **more}
        self.admin.op("flag_put", **made)
        return made["flag"]

    def recipe_flag_list(self):
        self.flag()
        return {"environment": ENVIRONMENT}

    def recipe_flag_get(self):
        return {"environment": ENVIRONMENT, "flag": self.flag()}

    def recipe_flag_put(self):
        definition = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
                      "targeting": {"fractional": [["on", 20], ["off", 80]]}, "metadata": {"owner": "care"}}
        return {"environment": ENVIRONMENT, "flag": unique("flag"), "definition": definition,
                "bindings": [{"agent": self.served(1), "tool": "search"}], "reason": "try", "expected": 0}

    def recipe_flag_delete(self):
        return {"environment": ENVIRONMENT, "flag": self.flag(), "reason": "tried"}

    def recipe_flag_enable(self):
        flag = self.flag()
        self.admin.op("flag_disable", environment=ENVIRONMENT, flag=flag)
        return {"environment": ENVIRONMENT, "flag": flag, "reason": "mended"}

    def recipe_flag_disable(self):
        return {"environment": ENVIRONMENT, "flag": self.flag(), "reason": "fire"}

    def recipe_flag_history(self):
        return self.recipe_flag_get()

    def recipe_flag_diff(self):
        flag = self.flag()
        self.admin.op("flag_disable", environment=ENVIRONMENT, flag=flag)
        return {"environment": ENVIRONMENT, "flag": flag}

    def recipe_flag_document_get(self):
        return self.recipe_flag_list()

    def recipe_flag_document_put(self):
        made = self.recipe_flag_put()
        return {"environment": ENVIRONMENT, "document": {"flags": {made["flag"]: made["definition"]}}, "bindings": {made["flag"]: made["bindings"]},
                "replace": False, "reason": "import"}

    def recipe_webhook_list(self):
        self.webhook()
        return {}

    def recipe_webhook_get(self):
        return {"webhook": self.webhook()}

    def recipe_webhook_put(self):
        for name in [one["name"] for one in self.admin.op("webhook_list")["webhooks"]][50:]:
            self.admin.op("webhook_delete", webhook=name)  # there is an end of them
        return {"webhook": unique("hook"), "url": f"{NOBODY}/in", "environment": ENVIRONMENT, "agent": self.served(1),
                "events": ["rollout.held", "rollout.rolled_back"], "reason": "needed"}

    def recipe_webhook_rotate(self):
        return {"webhook": self.webhook(), "reason": "lost"}

    def recipe_webhook_delete(self):
        return {"webhook": self.webhook(), "reason": "gone"}

    def recipe_panic_list(self):
        self.recipe_panic_release()
        return {"environment": ENVIRONMENT}

    def recipe_panic_set(self):
        return {"agent": self.served(1, 2), "environment": ENVIRONMENT, "version": 1, "reason": "fire"}

    def recipe_panic_release(self):
        made = self.recipe_panic_set()
        self.admin.op("panic_set", **made)
        return {"agent": made["agent"], "environment": ENVIRONMENT, "reason": "over"}

    def recipe_resolve(self):
        return {"agent": self.served(1), "environment": ENVIRONMENT, "context": {"targetingKey": "ann", "plan": "pro"},
                "explain": True}

    def recipe_resolve_get(self):
        return {"agent": self.served(1), "environment": ENVIRONMENT, "key": "ann", "attr.plan": "pro", "explain": True}

    def recipe_snapshot(self):
        return {"environment": ENVIRONMENT, "agent": self.served(1)}

    def recipe_stream(self):
        return {"environment": ENVIRONMENT}

    def outcome(self, agent, version=1, **more):
        """An outcome of that version as a client sends it."""
        now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        return {"agent": agent, "environment": ENVIRONMENT, "version": version, "unit": uuid.uuid4().hex[:24], "at": now, "ok": True, **more}

    def recipe_outcomes(self):
        return {"instance": unique("sender"), "batch": 1, "items": [self.outcome(self.served(1), latency_ms=12.5)]}

    def recipe_otlp_traces(self):
        values = {"serin.agent": self.served(1), "serin.environment": ENVIRONMENT, "serin.version": "1", "serin.unit": uuid.uuid4().hex[:24]}
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
        begin = time.time_ns()
        span = {"traceId": uuid.uuid4().hex, "startTimeUnixNano": str(begin), "endTimeUnixNano": str(begin + 1_500_000), "attributes": attributes}
        return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    def recipe_stream_ack(self):
        self.served(1)
        if self.reader:
            self.reader.close()
        self.reader = Events(self.admin, environment=ENVIRONMENT)
        ready = json.loads(self.reader.first["data"])
        return {"stream": ready["stream"], "position": ready["position"]}

    def recipe_stream_list(self):
        return {"environment": ENVIRONMENT, "position": self.deploy(self.agent(1), 1)["position"]}

    def recipe_whoami(self):
        return {}

    def recipe_audit_list(self):
        return {"limit": 5}

    def recipe_audit_checkpoint(self):
        return {}

    def recipe_key_list(self):
        return {}

    def recipe_key_create(self):
        return {"name": unique("key"), "role": "viewer", "environment": [ENVIRONMENT], "reason": "needed"}

    def recipe_key_revoke(self):
        made = self.admin.op("key_create", name=unique("short-lived"), role="viewer", environment=ENVIRONMENT)
        return {"key": made["id"], "reason": "gone"}


def operations(*kinds):
    """Names of the operations of these kinds (none named = all but streams, which have no end)."""
    return [op.name for op in table.operations().values() if op.kind in (kinds or ("MEMORY", "READ", "CHANGE", "INTAKE"))]
