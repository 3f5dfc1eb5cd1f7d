# SPDX-License-Identifier: Apache-2.0
"""Flags as teams have them: half of them for a percentage of users, half with rules about a user's attributes; an agent with tools and parameters
that they are bound to; a context of 120 bytes that all of them find their attributes in."""
import json

CONTEXT = '{"targetingKey":"user-42","plan":"pro","country":"NL","seats":12,"beta":true,"language":"nl","device":"phone","trial":1}'
assert len(CONTEXT) == 120

PERCENTAGE = {"fractional": [["on", 20], ["off", 80]]}
RULES = [
    {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]},
    {"if": [{"in": [{"var": "country"}, ["CH", "DE", "NL"]]}, "on", "off"]},
    {"if": [{"and": [{">=": [{"var": "seats"}, 10]}, {"var": "beta"}]}, "on", "off"]},
    {"if": [{"or": [{"==": [{"var": "plan"}, "team"]}, {"starts_with": [{"var": "language"}, "n"]}]}, "on", PERCENTAGE]},
    {"if": [{"!=": [{"var": "device"}, "watch"]}, PERCENTAGE, "off"]},
]
BOUND = 20
PROMPT_BYTES = 1300  # with it an answer is about 2 KB


def rule(i):
    """Every other one a percentage, so that any first so many are mixed."""
    return RULES[i // 2 % len(RULES)] if i % 2 else PERCENTAGE


def definition(targeting, on=True, off=False):
    return {"state": "ENABLED", "variants": {"on": on, "off": off}, "defaultVariant": "off", "targeting": targeting}


def set_flag(server, key, what, bindings=()):
    server.call("PUT", f"/v1/environments/production/flags/{key}", json.dumps({"definition": what, "bindings": list(bindings), "reason": "measured"}))


def serve_agent(server, agent):
    """One with a tool for each flag but four, and four parameters."""
    server.call("PUT", "/v1/environments/production", json.dumps({}))
    config = {"schema": "agent/v1", "model": "gpt-4o-mini", "parameters": {"temperature": 0.2, "top_p": 0.9, "max_tokens": 800, "seed": 7},
              "tools": [f"tool-{i:02}" for i in range(BOUND)], "system_prompt": "p" * PROMPT_BYTES}
    server.call("POST", f"/v1/agents/{agent}/versions", json.dumps({"config": config}))
    server.call("POST", f"/v1/agents/{agent}/deployments", json.dumps({"environment": "production", "version": 1, "reason": "measured"}))


def bind(server, agent):
    """Sixteen tools that are on for some, four parameters that differ for some."""
    for i in range(BOUND - 4):
        set_flag(server, f"flag-{i:02}", definition(rule(i)), [{"agent": agent, "tool": f"tool-{i:02}"}])
    for i, (name, on, off) in enumerate([("temperature", 0.5, 0.2), ("top_p", 1, 0.9), ("max_tokens", 400, 800), ("seed", 1, 7)], BOUND - 4):
        set_flag(server, f"flag-{i:02}", definition(rule(i), on, off), [{"agent": agent, "parameter": name}])


def bind_shares(server, agent):
    """All tools, each on for a percentage."""
    for i in range(BOUND):
        set_flag(server, f"share-{i:02}", definition(PERCENTAGE), [{"agent": agent, "tool": f"tool-{i:02}"}])
