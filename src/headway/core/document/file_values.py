"""What of a document's values a file can hold.

Floor 1, pure. A document may hold what no valid notebook file can: attachments of a cell that was
made a code cell, a `kernelspec` that is a text, and what is no JSON at all, which a peer that does
not use our library wrote. It stays in the document; a file is written, and compared, without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from headway.core.document.json_values import MAX_JSON_DEPTH

__all__ = ["CellWithValues", "attachments_in_file", "cell_in_file", "in_file", "metadata_in_file"]

_OBJECTS = ("kernelspec", "language_info")
"""Metadata of a notebook that whoever reads it looks into."""

_NOTHING = object()
"""Stands for a value that no file can hold: None is one that it can."""


class CellWithValues(Protocol):
    """A cell, whether of a document or of a file."""

    @property
    def cell_type(self) -> str:
        """Its type."""

    @property
    def source(self) -> str:
        """Its text."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata."""

    @property
    def attachments(self) -> Mapping[str, Any]:
        """Its attachments."""


def in_file(values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are JSON.

    In a list null stands for what is not. Nothing is deeper than a document's own values may be.
    """
    held = _held(values, 0)
    assert isinstance(held, dict), "an object is one still"
    return held


def metadata_in_file(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook's metadata."""
    held = in_file(metadata)
    return {
        key: value for key, value in held.items() if key not in _OBJECTS or isinstance(value, dict)
    }


def attachments_in_file(cell: CellWithValues) -> dict[str, Any]:
    """A cell's attachments: nbformat knows none of code cells."""
    return {} if cell.cell_type == "code" else in_file(cell.attachments)


def cell_in_file(cell: CellWithValues) -> dict[str, Any]:
    """All of a cell but its id and what was run."""
    return {
        "cell_type": cell.cell_type,
        "source": cell.source,
        "metadata": in_file(cell.metadata),
        "attachments": attachments_in_file(cell),
    }


def _held(value: Any, depth: int) -> Any:
    match value:
        case _ if depth > MAX_JSON_DEPTH:
            return _NOTHING
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _NOTHING
        case Mapping():
            entries = {key: _held(inner, depth + 1) for key, inner in value.items()}
            return {
                key: inner
                for key, inner in entries.items()
                if isinstance(key, str) and inner is not _NOTHING
            }
        case list() | tuple():
            items = [_held(inner, depth + 1) for inner in value]
            return [None if each is _NOTHING else each for each in items]
        case _:
            return _NOTHING
