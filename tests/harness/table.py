# SPDX-License-Identifier: Apache-2.0
"""What the source tables say about operations, answers, errors and log events.

Read with the C preprocessor from the .def files, not from a running Serin, so that the two can be compared.
"""
import os
import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROLES = ["resolve", "viewer", "editor", "releaser", "admin"]
CELL = re.compile(r'"((?:[^"\\]|\\.)*)"|([A-Za-z0-9_*]+)|(,)')


@dataclass(frozen=True)
class Param:
    name: str
    where: str  # path, query, body
    type: str
    required: bool


@dataclass
class Op:
    name: str
    method: str
    path: str  # under /v1
    role: str
    kind: str
    scope: str
    status: int
    answer: str
    params: list = field(default_factory=list)

    def param(self, name):
        return next((p for p in self.params if p.name == name), None)

    def takes(self, where):
        return [p for p in self.params if p.where == where]


def cells(text):
    """The arguments of one row; text literals side by side are one, as in C."""
    row, current = [], ""
    for literal, word, comma in CELL.findall(text):
        if comma:
            row.append(current)
            current = ""
        else:
            current += word or literal.replace('\\"', '"').replace("\\\\", "\\")
    return row + [current]


def rows(path, *macros):
    """(macro, arguments) of every row of a .def file, in order."""
    defines = [f"-D{macro}(...)=@{macro} __VA_ARGS__ @END" for macro in macros]
    command = [os.environ.get("CC", "cc"), "-E", "-P", "-x", "c", *defines, str(ROOT / path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [(macro, cells(body)) for macro, body in re.findall(r"@(\w+) (.*?) @END", text, re.S)]


@cache
def operations():
    ops = {}
    for macro, row in rows("src/ops/ops.def", "OP", "PARAM"):
        if macro == "OP":
            name, method, path, role, kind, scope, status, answer = row[:8]
            ops[name] = Op(name, method, path, role.lower(), kind, scope, int(status), answer)
        else:
            op, name, where, kind, required = row[:5]
            ops[op].params.append(Param(name, where.lower(), kind, required == "1"))
    return {name: op for name, op in ops.items() if op.scope != "ROBOT"}  # those have no address


@cache
def answers():
    """Schema -> field -> (type, schema it refers to, required)."""
    schemas = {}
    for macro, row in rows("src/ops/answers.def", "SCHEMA", "FIELD"):
        if macro == "SCHEMA":
            schemas[row[0]] = {}
        else:
            schemas[row[0]][row[1]] = (row[2], row[3], row[4] == "1")
    return schemas


@cache
def errors():
    """Code -> (HTTP status, title, remedy)."""
    return {row[1]: (int(row[2]), row[3], row[4]) for _, row in rows("src/base/err.def", "ERR")}


@cache
def log_events():
    return {row[1] for _, row in rows("src/base/log.def", "LOG_EVENT")}


def role_reaches(role, needed):
    return ROLES.index(role) >= ROLES.index(needed)
