"""Requests held against GitHub's own OpenAPI description, and answers completed from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

_FILE = Path(__file__).with_name("openapi.json")
_ROOT = "urn:github"
_SLASHES = {"path"}  # parameters that may hold slashes
_DATE = "2026-01-02T03:04:05Z"


class Description:
    """The trimmed description. Make it once: :func:`description`."""

    def __init__(self) -> None:
        self.document = json.loads(_FILE.read_text().replace('"$ref":"#/', f'"$ref":"{_ROOT}#/'))
        self.registry: Registry[Any] = Registry().with_resource(_ROOT, DRAFT4.create_resource(self.document))
        self._templates = [(_pattern(template), template) for template in self.document["paths"]]

    def operation(self, method: str, raw_path: str) -> Operation | None:
        """What ``method`` and the still quoted path ask for."""
        for pattern, template in self._templates:
            found = pattern.fullmatch(raw_path)
            if found and method.lower() in self.document["paths"][template]:
                parameters = {name: unquote(value) for name, value in found.groupdict().items()}
                return Operation(self, method.lower(), template, parameters)
        return None

    def resolve(self, value: Any) -> Any:
        """``value``, or what its ``$ref`` leads to."""
        while isinstance(value, dict) and "$ref" in value:
            target: Any = self.document
            for part in value["$ref"].removeprefix(f"{_ROOT}#/").split("/"):
                target = target[part]
            value = target
        return value

    def complete(self, schema: Any, value: Any) -> Any:
        """``value`` with everything that ``schema`` requires and that it does not have, in the emptiest form."""
        schema = self.resolve(schema)
        if value is None or not isinstance(schema, dict):
            return value
        for choice in schema.get("allOf", []):
            value = self.complete(choice, value)
        if isinstance(value, list):
            return [self.complete(schema.get("items"), one) for one in value]
        if not isinstance(value, dict):
            return value
        properties = schema.get("properties", {})
        result = {name: self.complete(properties.get(name), one) for name, one in value.items()}
        for name in schema.get("required", []):
            if name not in result:
                result[name] = self._empty(name, properties.get(name, {}))
        return result

    def component(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """``value`` completed as the schema component of that name."""
        result: dict[str, Any] = self.complete(self.schema(name), value)
        return result

    def schema(self, name: str) -> dict[str, Any]:
        """The schema component of that name."""
        found: dict[str, Any] = self.document["components"]["schemas"][name]
        return found

    def problems(self, schema: Any, value: Any, *, answer: bool = False) -> list[str]:
        """What is wrong with ``value``."""
        kind = OAS30ReadValidator if answer else OAS30WriteValidator
        validator = kind(schema, registry=self.registry, format_checker=oas30_format_checker)
        return [
            f"{'/'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:300]}"
            for error in validator.iter_errors(value)
        ]

    def _empty(self, name: str, schema: Any) -> Any:
        schema = self.resolve(schema)
        if schema.get("nullable"):
            return None
        if "enum" in schema:
            return schema["enum"][0]
        for kind in ("oneOf", "anyOf"):
            if kind in schema:
                return self._empty(name, schema[kind][0])
        if "allOf" in schema:
            return self.complete(schema, {})
        if schema.get("type") == "object" or "properties" in schema:
            return self.complete(schema, {})
        texts = {"uri": f"https://example.invalid/{name}", "date-time": _DATE, "email": "nobody@example.invalid"}
        empty = {"string": texts.get(schema.get("format", ""), ""), "integer": 0, "number": 0, "boolean": False}
        return [] if schema.get("type") == "array" else empty.get(schema.get("type", ""))


@dataclass(frozen=True)
class Operation:
    """One method of one path. ``parameters`` are those of the path, unquoted."""

    description: Description
    method: str
    template: str
    parameters: Mapping[str, str]

    @property
    def _node(self) -> dict[str, Any]:
        node: dict[str, Any] = self.description.document["paths"][self.template][self.method]
        return node

    def problems(self, query: Mapping[str, str], body: Any) -> list[str]:
        """How the request breaks the description: parameters, body, and properties that GitHub does not know."""
        return [*self._parameter_problems(query), *self._body_problems(body)]

    def answer_problems(self, status: int, body: Any) -> list[str]:
        """How an answer of our own breaks it."""
        answer = self.description.resolve(self._node["responses"].get(str(status)))
        if answer is None:
            return [f"{status} is no answer to {self.method} {self.template}"] if status < 300 else []
        if "application/json" not in answer.get("content", {}):
            return [] if body is None else ["the answer has no body"]
        schema = answer["content"]["application/json"]["schema"]
        if "discriminator" in schema and isinstance(body, dict):  # else an object may be right in several ways
            chosen = schema["discriminator"]["mapping"][body[schema["discriminator"]["propertyName"]]]
            schema = self.description.schema(chosen.rpartition("/")[2])
        return self.description.problems(schema, body, answer=True)

    def complete(self, status: int, body: Any) -> Any:
        """``body`` with what an answer of that status must have besides."""
        answer = self.description.resolve(self._node["responses"].get(str(status), {}))
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        return self.description.complete(schema, body) if schema else body

    def _parameter_problems(self, query: Mapping[str, str]) -> list[str]:
        problems = []
        known = set()
        for given in self._node.get("parameters", []):
            parameter = self.description.resolve(given)
            known.add(parameter["name"])
            values = self.parameters if parameter["in"] == "path" else query
            text = values.get(parameter["name"])
            if text is None:
                if parameter.get("required"):
                    problems.append(f"the parameter {parameter['name']} is missing")
                continue
            schema = self.description.resolve(parameter["schema"])
            found = self.description.problems(schema, _typed(text, schema))
            problems += [f"parameter {parameter['name']}: {one}" for one in found]
        problems += [f"no parameter {name} is known" for name in query if name not in known]
        return problems

    def _body_problems(self, body: Any) -> list[str]:
        wanted = self._node.get("requestBody")
        if wanted is None:
            return [] if body in ({}, None) else ["there may be no body"]
        if body is None:
            return ["the body is missing"] if wanted.get("required") else []
        schema = self.description.resolve(wanted["content"]["application/json"]["schema"])
        problems = self.description.problems(schema, body)
        known = schema.get("properties", {})
        if isinstance(body, dict) and known and not schema.get("additionalProperties"):
            problems += [f"no property {name} is known" for name in body if name not in known]
        return problems


@cache
def description() -> Description:
    return Description()


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    text = ""
    for position, part in enumerate(parts):
        text += re.escape(part) if position % 2 == 0 else f"(?P<{part}>{'.+' if part in _SLASHES else '[^/]+'})"
    return re.compile(text)


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """A parameter's text as the JSON value that it stands for."""
    if schema.get("type") == "integer":
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
