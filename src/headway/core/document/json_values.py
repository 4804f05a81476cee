"""JSON values: what may enter a document as metadata.

Not a parser. A value that passes `check_json` is one that every peer can hold and write back.
"""

from __future__ import annotations

import math
from typing import Any

from headway.errors import InvalidEdit

__all__ = [
    "MAX_JSON_CHARACTERS",
    "MAX_JSON_DEPTH",
    "MAX_JSON_ITEMS",
    "check_json",
    "check_text",
    "count_items",
    "encodable",
    "identical",
]

MAX_JSON_DEPTH = 32
"""Levels of objects and arrays in one value."""

MAX_JSON_ITEMS = 20_000
"""Values in one value, itself included."""

MAX_JSON_CHARACTERS = 8_000_000
"""Characters of all keys and strings in one value; an attached image is one string."""

_INTEGER_LIMIT = 2**63
"""The engine holds signed 64-bit integers and turns larger ones into floats in silence."""


def check_text(text: str) -> None:
    """Raise InvalidEdit for a lone surrogate: half a character, which UTF-8 cannot carry."""
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidEdit(
            "The text holds half a character (a lone surrogate), which no file can carry.",
            index=error.start,
        ) from error


def check_json(value: Any) -> None:
    """Raise InvalidEdit unless `value` is JSON within the limits, made of plain Python types."""
    items = characters = 0
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        items += 1
        if isinstance(item, str):
            check_text(item)
            characters += len(item)
        elif isinstance(item, dict):
            for key in item:
                if not isinstance(key, str):
                    raise InvalidEdit(f"A key is text, not {type(key).__name__}.")
                check_text(key)
                characters += len(key)
            waiting += [(inside, depth + 1) for inside in item.values()]
        elif isinstance(item, list):
            waiting += [(inside, depth + 1) for inside in item]
        else:
            _check_scalar(item)
        if depth > MAX_JSON_DEPTH or items > MAX_JSON_ITEMS or characters > MAX_JSON_CHARACTERS:
            raise InvalidEdit(
                f"The value is too large: at most {MAX_JSON_DEPTH} levels, {MAX_JSON_ITEMS} "
                f"values and {MAX_JSON_CHARACTERS} characters."
            )


def _check_scalar(item: Any) -> None:
    if item is None or isinstance(item, bool):
        return
    if isinstance(item, int):
        if not -_INTEGER_LIMIT <= item < _INTEGER_LIMIT:
            raise InvalidEdit("An integer must fit in 64 bits; write a larger one as text.")
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise InvalidEdit("JSON has no infinity and no NaN.")
    else:
        raise InvalidEdit(f"JSON has no {type(item).__name__}.")


def identical(a: Any, b: Any) -> bool:
    """Equal as JSON: unlike `==`, tells True from 1 and 1 from 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(identical, a, b))
    return bool(a == b)


def count_items(value: Any) -> int:
    """How many values it holds, itself included: the engine operations it needs at most."""
    count = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        count += 1
        if isinstance(item, dict):
            waiting += item.values()
    return count


def encodable(text: str) -> str:
    """The text with `?` for what UTF-8 cannot hold, where a failure would come too late."""
    return text.encode("utf-8", "replace").decode("utf-8")
