"""OpenAPI 3.1, made from the route table and the structs: nothing is written twice."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from slideloom.web.endpoint import Endpoint, Parameter
from slideloom.web.problems import Problem

_BYTES = {"type": "string", "format": "binary"}
_OPEN: list[dict[str, list[str]]] = []
_BY_TOKEN: list[dict[str, list[str]]] = [{"token": []}, {}]
"""With a token; or, where the service has none, without."""
_AT_THE_DOOR, _AT_THE_GATE = (400, 403, 421), (401, 429)
"""Statuses of problem answers that any request may get: for its headers; for its token."""
_REF = "#/components/schemas/{name}"


def build_openapi(endpoints: Iterable[Endpoint], *, prefix: str) -> bytes:
    """The document as JSON; `prefix` is in front of every API path."""
    table = tuple(endpoints)
    kinds = tuple(_kinds(table))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(map(id, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in table:
        path = (prefix if endpoint.below_prefix else "") + endpoint.plain_path
        operation = _operation(endpoint, schema_of)
        paths.setdefault(path, {})[endpoint.method.lower()] = operation
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Slideloom",
                "version": version("slideloom"),
                "description": "Makes all the pictures of a slide deck at once.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _kinds(table: Iterable[Endpoint]) -> Iterator[Any]:
    yield Problem
    for endpoint in table:
        yield from (kind for kind in (endpoint.body, *endpoint.answers.values()) if kind)
        yield from (parameter.type for parameter in endpoint.parameters)


def _operation(endpoint: Endpoint, schema_of: dict[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{endpoint.plain_path.title()}".translate(
            str.maketrans("", "", "/-_{}")
        ),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, schema_of),
        "security": _OPEN if endpoint.is_open else _BY_TOKEN,
    }
    if endpoint.parameters:
        operation["parameters"] = [
            _parameter(parameter, schema_of) for parameter in endpoint.parameters
        ]
    if endpoint.body:
        media: dict[str, Any] = {"schema": schema_of[id(endpoint.body)]}
        if endpoint.example:
            media["examples"] = {"deck": {"value": endpoint.example}}
        operation["requestBody"] = {
            "required": endpoint.body_required,
            "content": {"application/json": media},
        }
    return operation


def _parameter(parameter: Parameter, schema_of: dict[int, Any]) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema_of[id(parameter.type)],
    }


def _responses(endpoint: Endpoint, schema_of: dict[int, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in endpoint.answers.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if kind:
            content = {"application/json": {"schema": schema_of[id(kind)]}}
            responses[str(status)]["content"] = content
        elif endpoint.media_type is not None:
            responses[str(status)]["content"] = {endpoint.media_type: {"schema": _BYTES}}
    doors = _AT_THE_DOOR if endpoint.is_open else (*_AT_THE_DOOR, *_AT_THE_GATE)
    for status in sorted({*endpoint.problems, *doors}):
        responses.setdefault(
            str(status),
            {
                "description": HTTPStatus(status).phrase,
                "content": {"application/problem+json": {"schema": schema_of[id(Problem)]}},
            },
        )
    return responses
