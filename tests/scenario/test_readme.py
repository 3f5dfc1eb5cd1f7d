# SPDX-License-Identifier: Apache-2.0
"""The tour in README.md is what a reader will see: its commands run here, and their output is compared.

After a wanted change SERIN_UPDATE_GOLDEN=1 writes what is printed now into the page.
"""
import os
import re
import subprocess
import time

import pytest

from harness import table
from harness.server import BINARY, clean_env

README = table.ROOT / "README.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.S)
# What differs from run to run; runs of spaces because columns are as wide as what they hold.
VARYING = [(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \((just now|[^)]* ago)\)", "TIME"), (r"sha256:[0-9a-f]{64}", "HASH"), (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"), (r" +", " ")]


# Where rollouts are shown: what users did, thrown with dice.
FIGURES = [(r"(more than |less than |[<>+-])?\d[\d,.]*", "N")]
END = 100  # seconds until both rollouts of the demo have come to theirs; most often 40


def steady(text):
    for pattern, word in VARYING + (FIGURES if "serin rollout" in text else []):
        text = re.sub(pattern, word, text)
    return text.strip()


def play_users(server, env, cwd):
    """What `make run` plays, quicker, until nothing moves any more."""
    process = subprocess.Popen([BINARY, "demo", "traffic", "-e", "production", "--agent", "support", "--agent", "voice-receptionist",
                                "--agent", "code-reviewer", "--rollouts", "--per-second", "200", "--for", str(END)], env=env, cwd=cwd, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + END
    while [r["state"] for r in server.admin.op("rollouts")["rollouts"]] != ["rolled_back", "held"]:
        assert time.monotonic() < deadline and process.poll() is None, server.admin.op("rollouts")
        time.sleep(0.5)
    process.terminate()
    process.wait()


def run_block(block, env, scratch):
    """`scratch` stands for /tmp."""
    out = ""
    for command in re.findall(r"^\$ (.*)$", block, re.M):
        here = command.replace("/tmp/", f"{scratch}/")
        done = subprocess.run(["bash", "-c", here], cwd=table.ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        said = "\n".join(line.rstrip() for line in done.stdout.replace(f"{scratch}/", "/tmp/").splitlines())
        out += f"$ {command}\n" + (said + "\n" if said else "")
    return out


@pytest.mark.timeout(240)
def test_the_tour(make_server, tmp_path):
    server = make_server()
    server.cli("demo", "seed", table.ROOT / "examples/agents").ok()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/serin").symlink_to(BINARY)
    text = README.read_text()
    env = {**clean_env(tmp_path), "SERIN_URL": f"http://{server.address}", "SERIN_KEY": server.admin.key, "TZ": "UTC"}
    env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
    play_users(server, env, tmp_path)
    blocks = BLOCK.findall(text)
    assert len(blocks) >= 5
    printed = [run_block(block, env, tmp_path) for block in blocks]
    if os.environ.get("SERIN_UPDATE_GOLDEN"):
        for block, now in zip(blocks, printed):
            text = text.replace(block, now, 1)
        README.write_text(text)
        blocks = BLOCK.findall(text)
    for block, now in zip(blocks, printed):
        assert steady(now) == steady(block)
