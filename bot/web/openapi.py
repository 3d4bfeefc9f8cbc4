"""The API's description: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), made from the declarations of its routes.

``/openapi.json`` is the document, ``/docs`` the same as a page. Both are public: they say nothing of the installation.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import jinja2
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bot import __version__
from bot.web import templates_dir, text
from bot.web.http import MAX_ID, NDJSON, TEXT, Endpoint

_PARAMETER = re.compile(r"{(\w+)(?::int)?}")
_REF = "#/components/schemas/{model}"
_INTRODUCTION = (
    "Every address but those that say otherwise needs `Authorization: Bearer TOKEN`: the operator's token, or one made"
    " with `POST /api/tokens`. A token reads, writes (deploys and stops) or administers (changes settings and secrets)"
    " one repository or all. What a token may not see is 404, what it may see but not do 403. Refusals are"
    " `application/problem+json` and say in `fix` what to do. Live logs are also a WebSocket:"
    " `/api/deployments/{id}/logs/stream?offset=N`, with the same JSON objects as `/api/deployments/{id}/stream`."
)
_WHY = {
    400: "It fits the description, but cannot be done as it was asked",
    401: "No token, or one that is not good",
    403: "The token may not do that",
    404: "It does not exist, or the token may not see it",
    409: "It exists, but its state does not allow this",
    413: "The body is too large",
    422: "The request does not fit this description",
    500: "A mistake inside Berth",
    503: "It cannot be done now",
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    shapes = _Shapes(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(shown_path(one.path), {})[one.method.lower()] = _operation(one, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Berth", "version": __version__, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": shapes.definitions,
        },
    }


class _Shapes:
    """The JSON schemas of all bodies, queries and answers, with what they share under one name."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        from bot.web.api.models import Problem  # noqa: PLC0415 - the models need the routes' module

        wanted: dict[tuple[str, Any], TypeAdapter[Any]] = {("problem", "serialization"): TypeAdapter(Problem)}
        for one in endpoints:
            if one.body is not None:
                wanted[name_of(one) + ".body", "validation"] = TypeAdapter(one.body)
            if one.query is not None:
                wanted[name_of(one) + ".query", "validation"] = TypeAdapter(one.query)
            for status, shape in one.answers.items():
                if shape is not None and shape not in (NDJSON, TEXT):
                    wanted[f"{name_of(one)}.{status}", "serialization"] = TypeAdapter(shape)
        inputs = [(name, mode, adapter) for (name, mode), adapter in wanted.items()]
        found, rest = TypeAdapter.json_schemas(inputs, ref_template=_REF)
        self._by_name = {str(name): schema for (name, _), schema in found.items()}
        self.definitions: dict[str, Any] = rest.get("$defs", {})

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._by_name[name]

    def resolved(self, name: str) -> dict[str, Any]:
        schema = self._by_name[name]
        return self.definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def name_of(one: Endpoint) -> str:
    """The operation's id: unique, and stable while path and method are."""
    parts = [part for part in re.split(r"\W+", one.path.replace(":int", "")) if part not in {"", "api"}]
    return "_".join([one.method.lower(), *parts])


def shown_path(path: str) -> str:
    return path.replace(":int}", "}")


def _operation(one: Endpoint, shapes: _Shapes) -> dict[str, Any]:
    said = inspect.cleandoc(one.handler.__doc__ or one.name).replace("``", "`")
    summary, _, rest = said.partition("\n\n")
    public = one.needs.of == "public"
    operation: dict[str, Any] = {
        "operationId": name_of(one),
        "tags": [_tag(one.path)],
        "summary": summary,
        "description": "\n\n".join(part for part in (rest, *([] if public else [needs_of(one)])) if part),
        "responses": _responses(one, shapes),
    }
    if public:
        operation["security"] = []
    if parameters := [*_in_path(one.path), *_in_query(one, shapes)]:
        operation["parameters"] = parameters
    if one.body is not None:
        schema = shapes.resolved(name_of(one) + ".body")
        operation["requestBody"] = {
            "required": schema.get("type") != "object" or bool(schema.get("required")),
            "content": {"application/json": {"schema": shapes[name_of(one) + ".body"]}},
        }
    return operation


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "api" else "health"


def needs_of(one: Endpoint) -> str:
    """What the caller must be allowed, in words."""
    needs = one.needs
    if needs.of == "public":
        return "Open to everybody."
    if needs.of == "anything":
        return "Any token will do; it shows what the token may see."
    if needs.of == "installation":
        return f"Needs {needs.level.name.lower()} on the installation."
    level, of = needs.level.name.lower(), needs.of.replace("|", " or ")
    if of == "repository":
        return f"Needs {level} on the repository."
    if of == "token":
        return f"Needs {level} on what the token is for."
    return f"Needs {level} on the repository of the {of}."


def _in_path(path: str) -> list[dict[str, Any]]:
    found = []
    for match in _PARAMETER.finditer(path):
        schema: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$"}
        if match[0].endswith(":int}"):
            schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
        found.append({"name": match[1], "in": "path", "required": True, "schema": schema})
    return found


def _in_query(one: Endpoint, shapes: _Shapes) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    model = shapes.resolved(name_of(one) + ".query")
    found = []
    for name, given in model["properties"].items():
        schema = _without_null(given)
        described = {"description": schema.pop("description")} if "description" in schema else {}
        schema.pop("title", None)
        required = name in model.get("required", [])
        found.append({"name": name, "in": "query", "required": required, "schema": schema, **described})
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter of a query is there or not there: null cannot be said."""
    schema = dict(schema)
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        schema.pop("default", None)
        schema |= kinds[0]
    return schema


def _responses(one: Endpoint, shapes: _Shapes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, shape in one.answers.items():
        found[str(status)] = {"description": HTTPStatus(status).phrase}
        if shape in (NDJSON, TEXT):
            found[str(status)]["content"] = {shape: {"schema": {"type": "string"}}}
        elif shape is not None:
            content = {"application/json": {"schema": shapes[f"{name_of(one)}.{status}"]}}
            found[str(status)]["content"] = content
    problem = {"application/problem+json": {"schema": shapes["problem"]}}
    for status in _refusals(one):
        found.setdefault(str(status), {"description": _WHY[status], "content": problem})
    return found


def _refusals(one: Endpoint) -> list[int]:
    if one.needs.of == "public":
        return []
    found = [400, 401, 403, 404, 422, 500, 503]
    if one.method != "GET":
        found.append(409)
    if one.body is not None:
        found.append(413)
    return sorted(found)


def routes(endpoints: Sequence[Endpoint]) -> list[BaseRoute]:
    """``/openapi.json`` and ``/docs``."""

    @cache
    def made() -> dict[str, Any]:
        return document(endpoints)

    @cache
    def page() -> str:
        return _page(made(), endpoints)

    async def as_json(_: Request) -> Response:
        return JSONResponse(made(), headers={"Cache-Control": "no-cache"})

    async def as_page(_: Request) -> Response:
        headers = {
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self';"
            " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(page(), headers=headers, media_type="text/html")

    return [Route("/openapi.json", as_json), Route("/docs", as_page)]


def _page(made: dict[str, Any], endpoints: Sequence[Endpoint]) -> str:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir() / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["coded"] = text.coded
    needs = {name_of(one): needs_of(one) for one in endpoints}
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            shown = {"path": path, "method": method.upper(), "needs": needs[operation["operationId"]], **operation}
            groups.setdefault(operation["tags"][0], []).append(shown)
    return templates.get_template("api.html").render(
        version=__version__,
        introduction=made["info"]["description"],
        groups=groups,
        schemas=made["components"]["schemas"],
        kind=_kind,
        refusals=_WHY,
    )


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words, for a table."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_kind(one) for one in schema.get("anyOf") or schema["oneOf"])
    if "enum" in schema:
        return ", ".join(str(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kind = str(schema.get("type", "anything"))
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS if schema.get(key) not in (None, MAX_ID)]
    return ", ".join([kind, *limits])


_LIMITS = (("minimum", "from"), ("maximum", "to"), ("minLength", "at least"), ("maxLength", "at most"))
