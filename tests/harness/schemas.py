# SPDX-License-Identifier: Apache-2.0
"""Holds answers to the OpenAPI document that the server itself publishes, and allows no field that it does not name."""
import copy
import re

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FORMATS = jsonschema.FormatChecker(formats=[])
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@FORMATS.checks("date-time")
def is_time(value):
    return not isinstance(value, str) or bool(TIME.fullmatch(value))


def closed(node):
    """The same schema without room for members that it does not name."""
    if isinstance(node, list):
        return [closed(child) for child in node]
    if not isinstance(node, dict):
        return node
    result = {name: closed(child) for name, child in node.items()}
    if isinstance(result.get("properties"), dict):
        result.setdefault("additionalProperties", False)
    return result


class Schemas:
    def __init__(self, document):
        self.document = document
        contents = {**closed(copy.deepcopy(document)), "$schema": "https://json-schema.org/draft/2020-12/schema"}
        self.registry = Registry().with_resource("serin:api", Resource.from_contents(contents, DRAFT202012))

    def check(self, name, value):
        schema = {"$ref": f"serin:api#/components/schemas/{name}"}
        validator = jsonschema.Draft202012Validator(schema, registry=self.registry, format_checker=FORMATS)
        faults = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(value)]
        assert not faults, f"answer is not a {name}: {faults}\n{value}"
