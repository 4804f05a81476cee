"""`.ipynb` files: read, rendered and written. The face of `file_reading` and `file_writing`.

Floor 1, pure: no files, no clock, no ids of its own making. A file's bytes are read by
`parse_notebook`. The other way is `render_notebook` (from the two documents), then `mime.resolve`
(blobs in their places), then `serialize` (bytes, the old ones if they say the same).

What the notebook document has no place for stays with the file: unknown keys of the notebook and
of cells, widget state, and metadata and attachments too large for a document. `serialize` takes
them over from the bytes it is to replace, matching cells by id. So they are lost when a cell is
deleted or loses its id, and (all but widget state) when the notebook is saved to a new path.
Dropped, as nbformat itself does: a cell's `trusted`, the notebook's `signature` and
`orig_nbformat*`.

Source: "The Notebook file format", nbformat 4.5, and the nbformat library's reader and writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.core.document.file_reading import (
    MAX_FILE_BYTES,
    NBFORMAT,
    NBFORMAT_MINOR,
    ParsedCell,
    ParsedNotebook,
    ShownOutputs,
    parse_notebook,
)
from headway.core.document.file_writing import INDENT, same_content, serialize
from headway.core.document.forms import file_form
from headway.core.document.widget_state import WIDGETS_KEY, widgets_form

if TYPE_CHECKING:
    from headway.core.document.notebook import Cell, NotebookDocument
    from headway.core.document.runtime import RuntimeReader

__all__ = [
    "INDENT",
    "MAX_FILE_BYTES",
    "NBFORMAT",
    "NBFORMAT_MINOR",
    "ParsedCell",
    "ParsedNotebook",
    "ShownOutputs",
    "parse_notebook",
    "render_notebook",
    "same_content",
    "serialize",
]


def render_notebook(notebook: NotebookDocument, runtime: RuntimeReader) -> dict[str, Any]:
    """The notebook as nbformat 4.5 JSON, each code cell with what its latest execution shows.

    `mime.BlobPart` and `mime.JoinedText` stand where the content of blobs belongs.
    """
    minor = notebook.meta().nbformat_minor
    return {
        "cells": [_render_cell(cell, runtime) for cell in notebook.cells()],
        "metadata": _metadata(notebook, runtime),
        "nbformat": NBFORMAT,
        "nbformat_minor": max(minor or NBFORMAT_MINOR, NBFORMAT_MINOR),
    }


def _metadata(notebook: NotebookDocument, runtime: RuntimeReader) -> dict[str, Any]:
    metadata = notebook.metadata()
    widgets = widgets_form(runtime.comms)
    if widgets is None:
        metadata.pop(WIDGETS_KEY, None)
    else:
        metadata[WIDGETS_KEY] = widgets
    return metadata


def _render_cell(cell: Cell, runtime: RuntimeReader) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "id": cell.id,
        "cell_type": cell.cell_type,
        "source": cell.source,
        "metadata": cell.metadata,
    }
    if cell.attachments:
        rendered["attachments"] = cell.attachments
    if cell.cell_type == "code":
        latest = runtime.latest(cell.id)
        record = None if latest is None else runtime.execution(latest)
        rendered["execution_count"] = None if record is None else record.execution_count
        outputs = () if record is None else record.outputs
        rendered["outputs"] = [file_form(output) for output in outputs]
    return rendered
