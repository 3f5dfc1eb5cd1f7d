#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks spec/vectors/config_hash.json against spec/hashes.md, with code of its own.

The C tests check the same file; two programs that share no code and agree on every case make it likely that the file
says what the page says. The canonical form is that of check_vectors.py, which has vectors of its own.

usage: check_config_hash.py FOLDER              check the file
       check_config_hash.py FOLDER --self-test  spoil each rule in turn; each must be caught by some case
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from check_vectors import canonical, parse  # noqa: E402

PARAMETERS = (
    "temperature top_p top_k max_tokens stop_sequences frequency_penalty presence_penalty seed reasoning verbosity tool_choice "
    "parallel_tool_calls top_logprobs service_tier timeout_s max_retries extra"
).split()
NOT_COUNTED = ("description", "display_name", "metadata", "$schema")

# Every rule of the page by a name, so that the self-test can leave it out.
RULES = (
    "line ends",
    "instructions",
    "parameters",
    "mcp.json",
    "schema",
    "left out",
    "x-",
    "tools in order",
    "equal names in order",
    "names by bytes",
    "agent names a tool",
    "server names a tool",
    "top level only",
)


class Refused(Exception):
    """The pointers of the faults."""


class Hasher:
    def __init__(self, without=None):
        self.without = without

    def on(self, rule):
        assert rule in RULES
        return rule != self.without

    def line_ends(self, value):
        if isinstance(value, str):
            return value.replace("\r\n", "\n").replace("\r", "\n") if self.on("line ends") else value
        if isinstance(value, list):
            return [self.line_ends(item) for item in value]
        if isinstance(value, dict):
            return {key: self.line_ends(member) for key, member in value.items()}
        return value

    def stored_form(self, document):
        config, faults = self.line_ends(document), []
        if "instructions" in config and self.on("instructions"):
            if "system_prompt" in config:
                faults.append("/instructions")
            config.setdefault("system_prompt", config.pop("instructions"))
        for name in PARAMETERS:
            if name not in config or not self.on("parameters"):
                continue
            if name in config.get("parameters", {}):
                faults.append("/" + name)
            config.setdefault("parameters", {}).setdefault(name, config.pop(name))
        servers = config.get("mcp_servers")
        if isinstance(servers, dict) and list(servers) == ["mcpServers"] and self.on("mcp.json"):
            if isinstance(servers["mcpServers"], dict):
                config["mcp_servers"] = servers["mcpServers"]
        if self.on("schema"):
            config.setdefault("schema", "agent/v1")
        if faults:
            raise Refused(faults)
        return config

    def tool_name(self, tool):
        if isinstance(tool, str):
            return tool
        if not isinstance(tool, dict):
            return ""
        for member in ("name", "agent", "server"):
            skipped = member != "name" and not self.on(member + " names a tool")
            if isinstance(tool.get(member), str) and not skipped:
                return tool[member]
        return ""

    def tool_order(self, tool):
        name, text = self.tool_name(tool), canonical(tool)
        by = name.encode("utf-8") if self.on("names by bytes") else name.encode("utf-16-be")
        return (by, text.encode("utf-8")) if self.on("equal names in order") else (by,)

    def counted(self, key):
        if key.startswith("x-") and self.on("x-"):
            return False
        return key not in NOT_COUNTED or not self.on("left out")

    def behaviour(self, config):
        kept = {key: value for key, value in config.items() if self.counted(key)}
        if not self.on("top level only"):
            kept = json.loads(json.dumps(kept), object_hook=lambda o: {k: v for k, v in o.items() if self.counted(k)})
        if isinstance(kept.get("tools"), list) and self.on("tools in order"):
            kept["tools"] = sorted(kept["tools"], key=self.tool_order)
        return kept

    def answer(self, case):
        try:
            config = self.stored_form(parse(case["input"].encode("utf-8")))
        except Refused as refused:
            return {"refused": sorted(refused.args[0])}
        return {"content_hash": sha256(config), "config_hash": sha256(self.behaviour(config))}


def sha256(value):
    return "sha256:" + hashlib.sha256(canonical(value).encode("utf-8")).hexdigest()


def wrong_cases(cases, hasher):
    wrong = []
    for case in cases:
        expected = {key: value for key, value in case.items() if key not in ("name", "input")}
        got = hasher.answer(case)
        if got != expected:
            wrong.append(f"{case['name']}: expected {expected}, got {got}")
    return wrong


def check_groups(groups, cases):
    """Cases that the file calls the same behaviour have one config_hash, and different bytes."""
    by_name = {case["name"]: case for case in cases}
    wrong = []
    for group in groups:
        if len({by_name[name]["config_hash"] for name in group}) != 1:
            wrong.append(f"not the same behaviour: {group}")
    return wrong


def main():
    folder = Path(sys.argv[1])
    data = json.loads((folder / "config_hash.json").read_text(encoding="utf-8"))
    wrong = wrong_cases(data["cases"], Hasher()) + check_groups(data["same_behaviour"], data["cases"])
    if "--self-test" in sys.argv:
        wrong += [f"no case misses the rule: {rule}" for rule in RULES if not wrong_cases(data["cases"], Hasher(rule))]
    for line in wrong:
        print(line)
    print(f"{len(data['cases'])} cases, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
