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

__all__ = ["MAX_FILE_BYTES", "read_json"]

MAX_FILE_BYTES = 256 * 1024 * 1024
"""The largest file that is read as a notebook."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(content: bytes) -> Any:
    """The value that `content` holds; raises NotebookUnreadable with a sentence."""
    if len(content) > MAX_FILE_BYTES:
        raise NotebookUnreadable(
            f"The file has {len(content):,} bytes; the limit is {MAX_FILE_BYTES:,}.",
            limit=MAX_FILE_BYTES,
            actual=len(content),
        )
    text = _decode(content)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise NotebookUnreadable(f"The file is not JSON: {_first_line(error)}.") from error
    _check(value)
    return clean_value(value) if _SURROGATE_ESCAPE.search(text) else value


def _decode(content: bytes) -> str:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotebookUnreadable(
            f"The file is not text in UTF-8: byte {error.start} does not belong there."
        ) from error


def _check(value: Any) -> None:
    """Refuse what is too deep and numbers that became infinite in reading."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise _too_deep()
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
    raise NotebookUnreadable(f"The file holds {name}, which is not a JSON number.")


def _too_deep() -> NotebookUnreadable:
    return NotebookUnreadable(
        f"The file is nested more than {MAX_DEPTH} levels deep.", limit=MAX_DEPTH
    )


def _first_line(error: ValueError) -> str:
    return str(error).splitlines()[0][:200]
