#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the migrations as a C table: embed_sql.py OUT.c HEADER FILE.sql…

Files are <folder>/NNNN_name.sql with folder `truth` or `derived`. Numbers run from 1 without gaps; a number may have a
file in either folder or in both (then of one name), and both parts are applied in one step.
"""
import re
import sys
from pathlib import Path


def fail(message):
    sys.exit(f"embed_sql: {message}")


def read(files):
    steps = {}
    for file in map(Path, files):
        kind = file.parent.name
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", file.name)
        if not match or kind not in ("truth", "derived"):
            fail(f"{file}: expected truth/NNNN_name.sql or derived/NNNN_name.sql")
        number, name = int(match[1]), match[2]
        step = steps.setdefault(number, {"name": name})
        if step["name"] != name:
            fail(f"{file}: number {number} has another name in the other folder: {step['name']}")
        if kind in step:
            fail(f"{file}: number {number} is used twice")
        step[kind] = file.read_text(encoding="utf-8")
    if sorted(steps) != list(range(1, len(steps) + 1)):
        fail(f"numbers must run from 1 without gaps: {sorted(steps)}")
    return steps


def literal(text):
    if text is None:
        return "NULL"
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    escape = str.maketrans({"\\": "\\\\", '"': '\\"'})
    return "\n        ".join(f'"{line.translate(escape)}\\n"' for line in lines)


def main(out, header, *files):
    steps = read(files)
    rows = [
        f'    {{{number}, "{step["name"]}",\n        {literal(step.get("truth"))},\n        {literal(step.get("derived"))}}},'
        for number, step in sorted(steps.items())
    ]
    text = f'/* Made by tools/embed_sql.py. */\n#include "{header}"\n\n'
    text += "const struct store_migration store_migrations[] = {\n" + "\n".join(rows) + "\n};\n"
    text += f"const int store_migration_count = {len(rows)};\n"
    Path(out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
