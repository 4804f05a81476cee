"""Writing `.ipynb` files: notebook JSON to bytes. See `nbformat`, the face.

Floor 1, pure. As nbformat's own writer does it, but bytes that already say the same are given back
as they are, whatever their indentation, key order or line ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import count, zip_longest
from typing import Any

from headway.core.document.file_reading import (
    ParsedCell,
    ParsedNotebook,
    interpret,
    parse_notebook,
)
from headway.core.document.forms import BUNDLE_TYPES
from headway.core.document.json_values import identical
from headway.errors import NotebookUnreadable
from headway.ids import CellId

__all__ = ["INDENT", "same_content", "serialize"]

INDENT = 1

_INDENTATION = re.compile(rb"\A[^{]{0,10}\{\r?\n([ \t]{1,16})\"")
_SPLIT_APPLICATION_TYPES = frozenset({"application/javascript", "image/svg+xml"})


def serialize(notebook: dict[str, Any], like: bytes | None = None) -> bytes:
    """The bytes of a file that holds `notebook` (nbformat JSON, blobs resolved).

    `like` are the bytes there now. They are given back unchanged if they hold the same notebook.
    Else their indentation is kept, and what only they know: keys that nbformat does not know,
    metadata and attachments too large for a document, a newer minor format; cells match by id.
    Otherwise nbformat's conventions: an indent of 1, sorted keys, text beyond ASCII as it is,
    multi-line strings as lists of lines, a final line feed.
    """
    there = None if like is None else _understood(like)
    indent: int | str = INDENT
    if like is not None and there is not None:
        notebook = _with_unknown(notebook, there)
        if not there.changed and same_content(there, interpret(notebook, _mint())):
            return like
        indent = _indentation(like)
    text = json.dumps(
        _split(notebook),
        ensure_ascii=False,
        allow_nan=False,
        indent=indent,
        sort_keys=True,
        separators=(",", ": "),
    )
    return text.encode() + b"\n"


def same_content(one: ParsedNotebook, other: ParsedNotebook) -> bool:
    """Whether two files say the same: everything but `changed` and `minted`."""
    return len(one.cells) == len(other.cells) and all(
        identical(ours, theirs) for ours, theirs in zip_longest(_parts(one), _parts(other))
    )


def _understood(content: bytes) -> ParsedNotebook | None:
    try:
        return parse_notebook(content, _mint())
    except NotebookUnreadable:
        return None


def _mint() -> Callable[[], CellId]:
    """Ids that no cell of a document has: no cell without an id equals one with an id."""
    numbers = count()
    return lambda: f"no-id-in-the-file-{next(numbers)}"


def _with_unknown(notebook: dict[str, Any], there: ParsedNotebook) -> dict[str, Any]:
    known = {cell.id: cell for cell in there.cells}
    return {
        **there.extra,
        **notebook,
        "cells": [_cell_with_unknown(cell, known.get(cell["id"])) for cell in notebook["cells"]],
        "metadata": {**there.oversize.get("metadata", {}), **notebook["metadata"]},
        "nbformat_minor": max(notebook["nbformat_minor"], there.nbformat_minor),
    }


def _cell_with_unknown(cell: dict[str, Any], there: ParsedCell | None) -> dict[str, Any]:
    if there is None:
        return cell
    oversize = {name: {**entries, **cell.get(name, {})} for name, entries in there.oversize.items()}
    return {**there.extra, **cell, **oversize}


def _parts(notebook: ParsedNotebook) -> Iterator[Any]:
    yield notebook.metadata
    yield notebook.nbformat_minor
    yield notebook.extra
    yield notebook.oversize
    for cell in notebook.cells:
        yield [cell.id, cell.cell_type, cell.source]
        yield cell.metadata
        yield cell.attachments
        yield cell.extra
        yield cell.oversize
        if cell.id in notebook.outputs:
            shown = notebook.outputs[cell.id]
            yield shown.execution_count
            yield list(shown.outputs)


def _indentation(content: bytes) -> int | str:
    found = _INDENTATION.match(content[:100])
    return found[1].decode() if found is not None else INDENT


def _split(notebook: dict[str, Any]) -> dict[str, Any]:
    return {**notebook, "cells": [_split_cell(cell) for cell in notebook["cells"]]}


def _split_cell(cell: dict[str, Any]) -> dict[str, Any]:
    split = {**cell, "source": _lines(cell["source"])}
    if "attachments" in cell:
        split["attachments"] = {
            name: _split_bundle(bundle) for name, bundle in cell["attachments"].items()
        }
    if "outputs" in cell and cell["cell_type"] == "code":
        split["outputs"] = [_split_output(output) for output in cell["outputs"]]
    return split


def _split_output(output: dict[str, Any]) -> dict[str, Any]:
    output_type = output["output_type"]
    if output_type in BUNDLE_TYPES:
        return {**output, "data": _split_bundle(output["data"])}
    if output_type == "stream":
        return {**output, "text": _lines(output["text"])}
    return output


def _split_bundle(bundle: Any) -> Any:
    if not isinstance(bundle, dict):
        return bundle
    return {
        media_type: _lines(value) if _is_split(media_type) else value
        for media_type, value in bundle.items()
    }


def _is_split(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _SPLIT_APPLICATION_TYPES


def _lines(value: Any) -> Any:
    return value.splitlines(keepends=True) if isinstance(value, str) else value
