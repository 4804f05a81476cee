"""What a room was told and what it asked for, as log fields: names and sizes only.

Floor 5. The one place where inputs and effects are logged. Sources, outputs, file contents and
tokens are left out by construction: bytes and texts appear as their length.
"""

from __future__ import annotations

import logging
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from headway.core.room.effects import Effect
from headway.core.room.inputs import Input
from headway.errors import HeadwayError
from headway.ids import DocumentId

__all__ = ["describe", "trace_effect", "trace_input"]

_LOG = logging.getLogger("headway.room")

# Texts that name things and are safe to show; every other text is shown as its length.
_NAMES = frozenset(
    {
        "document",
        "execution_id",
        "kind",
        "media_type",
        "method",
        "notebook",
        "path",
        "peer",
        "room",
        "runs_as",
        "runtime",
        "sha256",
        "status",
        "cell_id",
    }
)
# What may be a password: not even its length is shown.
_SECRETS = frozenset({"value"})
_LONGEST_NAME = 200
_DEEPEST = 3


def trace_input(document: DocumentId, event: Input) -> None:
    """Log one input of a room, at debug level."""
    if _LOG.isEnabledFor(logging.DEBUG):
        _LOG.debug("input", extra={"fields": {"document": document, "input": describe(event)}})


def trace_effect(document: DocumentId, effect: Effect) -> None:
    """Log one effect of a room, at debug level."""
    if _LOG.isEnabledFor(logging.DEBUG):
        _LOG.debug("effect", extra={"fields": {"document": document, "effect": describe(effect)}})


def describe(value: Any) -> Any:
    """`value` (an input, an effect, or a part of one) as JSON-ready names and sizes."""
    return _describe("", value, 0)


def _describe(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:_LONGEST_NAME] if name in _NAMES else f"{len(value)} characters"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, HeadwayError):
        return {"error": value.code}
    if isinstance(value, tuple | list):
        return _describe_sequence(value, depth)
    if isinstance(value, dict):
        return f"{len(value)} keys"
    return _describe_structure(value, depth)


def _describe_sequence(values: tuple[Any, ...] | list[Any], depth: int) -> Any:
    if values and all(isinstance(value, bytes) for value in values):
        return f"{len(values)} frames, {sum(map(len, values))} bytes"
    if depth >= _DEEPEST:
        return f"{len(values)} items"
    return [_describe("", value, depth + 1) for value in values]


def _describe_structure(value: Any, depth: int) -> Any:
    kind = type(value).__name__
    if depth >= _DEEPEST:
        return kind
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    elif is_dataclass(value):
        names = tuple(field.name for field in fields(value))
    else:
        return kind
    described: dict[str, Any] = {"is": kind}
    for name in names:
        secret = name in _SECRETS
        described[name] = "withheld" if secret else _describe(name, getattr(value, name), depth + 1)
    return described
