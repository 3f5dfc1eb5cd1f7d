# SPDX-License-Identifier: Apache-2.0
"""The machine: what it is, what is installed on it, which core serves and which one asks."""
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SERIN = BUILD / "serin"

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[1 % len(CORES)]

PLACES = [os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]


def program(name):
    path = shutil.which(name, path=os.pathsep.join(PLACES))
    if not path:
        sys.exit(f"bench: {name} is missing; `tools/install-deps bench` installs it")
    return path


def own(name):
    """A measuring program of this project."""
    path = BUILD / "bench" / f"bench-{name}"
    if not path.exists():
        sys.exit(f"bench: {path} is not built; `ninja -C {BUILD.name} bench-programs` builds it")
    return path


def js(path):
    """What runs in Node, of bench/js, once its packages are installed."""
    if not (ROOT / "bench/js/node_modules").exists():
        sys.exit("bench: the packages of bench/js are missing; `tools/install-deps bench` installs them")
    return ROOT / "bench/js" / path


def pinned(core, *command):
    return [program("taskset"), "-c", str(core), *map(str, command)]


def run(*command, **options):
    """What a program prints; its failure ends the figure with what it said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"bench: {command[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def run_json(*command):
    return json.loads(run(*command))


def first_line(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().split("\n")[0]


def file_system(path):
    return run("findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", path).strip()


def build_type():
    options = {row["name"]: row["value"] for row in json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())}
    return f"{first_line('cc', '--version')}, {options['buildtype']}, sanitizers {options['b_sanitize']}"


def busy_cores(seconds=1):
    """How many cores' worth of time other work takes while nothing of ours runs: more than a tenth, and the figures are of that work too."""

    def idle_and_all():
        ticks = [int(number) for number in open("/proc/stat").readline().split()[1:9]]
        return ticks[3] + ticks[4], sum(ticks)

    before = idle_and_all()
    time.sleep(seconds)
    idle, all_ticks = (after - then for after, then in zip(idle_and_all(), before))
    return (1 - idle / all_ticks) * os.cpu_count()


def peers():
    """The packages that bench/js asks for, in their versions."""
    wanted = json.loads((ROOT / "bench/js/package.json").read_text())["dependencies"]
    return [f"{name} {version}" for name, version in wanted.items()]


def facts():
    """Which machine and which versions the figures are of."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    models = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "machine": f"{models[0] if models else platform.machine()}, {len(CORES)} cores, {memory / 2**30:.0f} GiB, {' '.join(file_system(BUILD).split())}",
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, Linux {platform.release()}",
        "serin": f"{first_line(SERIN, '--version')}, {build_type()}",
        "nginx": first_line(program("nginx"), "-v").split("/")[-1],
        "redis": first_line(program("redis-server"), "--version").split(" sha=")[0],
        "postgresql": first_line(program("postgres"), "--version"),
        "node": f"{first_line(program('node'), '--version')}; {', '.join(peers())}",
        "sqlite": first_line("pkg-config", "--modversion", "sqlite3"),
        "wrk": first_line(program("wrk"), "-v").split(" Copyright")[0],
        "other work": f"{busy_cores():.2f} of {os.cpu_count()} cores busy while none of this ran",
        "pinned": f"servers to core {SERVER_CORE}, what asks them to core {LOAD_CORE}",
    }
