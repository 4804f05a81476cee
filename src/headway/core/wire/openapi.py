"""The commands as an OpenAPI 3.1 document, made from their declarations in `rpc`.

Floor 1. Describes POST /api/v1/METHOD. Not here: serving it.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from headway.core.wire.rpc import METHODS, Params

__all__ = ["ErrorBody", "ErrorDetail", "openapi"]

_REFERENCE = "#/components/schemas/{name}"


class ErrorDetail(msgspec.Struct, kw_only=True, frozen=True):
    """What went wrong: a stable code, a sentence for a person, and data for a program."""

    code: str
    message: str
    data: dict[str, Any]


class ErrorBody(msgspec.Struct, kw_only=True, frozen=True):
    """The body of every answer whose status is not 200."""

    error: ErrorDetail


def openapi() -> dict[str, Any]:
    """The document: fresh, JSON-ready, every method in the order of its declaration."""
    methods = list(METHODS.values())
    types = [kind for method in methods for kind in (method, method.result)]
    references, components = msgspec.json.schema_components(
        [*types, ErrorBody], ref_template=_REFERENCE
    )
    *pairs, problem = references
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headway",
            "version": "1",
            "description": (
                "Commands to a Headway daemon. Heads are standard base64; times are seconds "
                "since 1970, UTC. A request with `required_heads` is answered only from a copy "
                "of the notebook that contains them."
            ),
        },
        "paths": {
            f"/api/v1/{method.method}": {"post": _operation(method, asked, answered, problem)}
            for method, asked, answered in zip(methods, pairs[::2], pairs[1::2], strict=True)
        },
        "components": {"schemas": components},
    }


def _operation(
    method: type[Params],
    asked: dict[str, Any],
    answered: dict[str, Any],
    problem: dict[str, Any],
) -> dict[str, Any]:
    description = inspect.cleandoc(method.__doc__ or "")
    needed = any(field.required for field in msgspec.structs.fields(method))
    return {
        "operationId": method.method,
        "summary": description.partition("\n")[0],
        "description": description,
        "requestBody": {"required": needed, "content": _json(asked)},
        "responses": {
            "200": {
                "description": inspect.cleandoc(method.result.__doc__ or ""),
                "content": _json(answered),
            },
            "default": {
                "description": "The request was not done; `error.code` says why.",
                "content": _json(problem),
            },
        },
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
