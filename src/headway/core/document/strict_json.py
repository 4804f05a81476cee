"""JSON as files have it, read strictly: bounded, and nothing that could not be written back.

Floor 1, pure. It knows nothing of notebooks (`nbformat`). It tolerates a byte order mark, and
turns lone surrogates, which no file can carry, into U+FFFD.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any, NoReturn

from headway.core.document.mime import MAX_DEPTH, clean_value
from headway.errors import NotebookUnreadable

__all__ = ["MAX_FILE_BYTES", "not_utf8", "read_json", "read_json_text", "too_deep", "too_large"]

MAX_FILE_BYTES = 256 * 1024 * 1024
"""The most that is read as one JSON value: all of a notebook's file but its outputs."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(content: bytes) -> Any:
    """The value that `content` holds; raises NotebookUnreadable with a sentence."""
    if len(content) > MAX_FILE_BYTES:
        raise too_large(len(content))
    return read_json_text(_decode(content))


def read_json_text(text: str) -> Any:
    """As `read_json`, of text that was decoded already."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise too_deep() from error
    except ValueError as error:
        raise NotebookUnreadable(f"The file is not JSON: {_first_line(error)}.") from error
    _check(value)
    return clean_value(value) if _SURROGATE_ESCAPE.search(text) else value


def too_large(actual: int) -> NotebookUnreadable:
    """The error of a file that has too much besides its outputs."""
    return NotebookUnreadable(
        f"The file has {actual:,} bytes besides its outputs; the limit is {MAX_FILE_BYTES:,}.",
        limit=MAX_FILE_BYTES,
        actual=actual,
    )


def _decode(content: bytes) -> str:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(error.start) from error


def not_utf8(place: int) -> NotebookUnreadable:
    """The error of a file that has this byte, counted from 0, where it makes no sense."""
    return NotebookUnreadable(f"The file is not text in UTF-8: byte {place} does not belong there.")


def _check(value: Any) -> None:
    """Refuse what is too deep and numbers that became infinite in reading."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise too_deep()
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                _refuse_constant(str(item))
        level = below
        depth += 1


def _refuse_constant(name: str) -> NoReturn:
    raise NotebookUnreadable(
        f"The file holds {name}, which is no number of JSON; write null or a text in its place."
    )


def too_deep() -> NotebookUnreadable:
    """The error of a file that is nested too deep."""
    return NotebookUnreadable(
        f"The file is nested more than {MAX_DEPTH} levels deep.", limit=MAX_DEPTH
    )


def _first_line(error: ValueError) -> str:
    return str(error).splitlines()[0][:200]
