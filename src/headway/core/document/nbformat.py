"""`.ipynb` files: read, rendered and written. The face of `file_reading` and `file_writing`.

Floor 1, pure: no files, no clock, no ids of its own making. A file's bytes go through `FileScan`
(piece by piece, bulk into blobs) into an image of it, which `parse_notebook` reads. The other way
is `render_notebook` (from the two documents), then `FileWriting` (bytes, piece by piece, blobs put
in their places; and the image of what was written).

What the notebook document has no place for stays with the file: unknown keys of the notebook and
of cells, widget state, and metadata and attachments too large for a document. `FileWriting`
takes them over from the file it is to replace, or replaces at another path, matching cells by id,
or by what they are if the file has no ids. So they are lost when a cell is deleted.
Dropped, as nbformat itself does: a cell's `trusted`, the notebook's `signature` and
`orig_nbformat*`. What a document holds and a file cannot is left out of the file (`file_values`).

Source: "The Notebook file format", nbformat 4.5, and the nbformat library's reader and writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.core.document.file_losses import without_lost
from headway.core.document.file_reading import (
    MAX_FILE_BYTES,
    NBFORMAT,
    NBFORMAT_MINOR,
    ParsedCell,
    ParsedNotebook,
    ShownOutputs,
    parse_notebook,
)
from headway.core.document.file_scanning import FileScan
from headway.core.document.file_values import cell_in_file, metadata_in_file
from headway.core.document.file_writing import INDENT, FileWriting, same_content
from headway.core.document.forms import file_form, form_size
from headway.core.document.notices import MAX_FILE_OUTPUT_BYTES, file_marker
from headway.core.document.widget_state import WIDGETS_KEY, widgets_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.core.document.notebook import Cell, NotebookDocument
    from headway.core.document.runtime import RuntimeReader

__all__ = [
    "INDENT",
    "MAX_FILE_BYTES",
    "NBFORMAT",
    "NBFORMAT_MINOR",
    "FileScan",
    "FileWriting",
    "ParsedCell",
    "ParsedNotebook",
    "ShownOutputs",
    "parse_notebook",
    "render_notebook",
    "same_content",
    "without_lost",
]


def render_notebook(
    notebook: NotebookDocument,
    runtime: RuntimeReader,
    output_bytes: int = MAX_FILE_OUTPUT_BYTES,
) -> dict[str, Any]:
    """The notebook as nbformat 4.5 JSON, each code cell with what its latest execution shows.

    `mime.BlobPart` and `mime.JoinedText` stand where the content of blobs belongs. Outputs beyond
    `output_bytes` in all are left out; a marker at the end of their cell says how much that was.
    """
    minor = notebook.meta().nbformat_minor
    room = _Room(output_bytes)
    return {
        "cells": [_render_cell(cell, runtime, room) for cell in notebook.cells()],
        "metadata": _metadata(notebook, runtime),
        "nbformat": NBFORMAT,
        "nbformat_minor": max(minor or NBFORMAT_MINOR, NBFORMAT_MINOR),
    }


def _metadata(notebook: NotebookDocument, runtime: RuntimeReader) -> dict[str, Any]:
    metadata = metadata_in_file(notebook.metadata())
    widgets = widgets_form(runtime.comms)
    if widgets is None:
        metadata.pop(WIDGETS_KEY, None)
    else:
        metadata[WIDGETS_KEY] = widgets
    return metadata


class _Room:
    """What a file has room for: whole outputs, those of the first cells first."""

    def __init__(self, output_bytes: int) -> None:
        self._limit = self._left = output_bytes

    def fitting(self, outputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The outputs of one cell as the file has them."""
        for place, output in enumerate(outputs):
            size = form_size(output)
            if size > self._left:
                sizes = map(form_size, outputs[place:])
                marker = file_marker(sum(sizes), len(outputs) - place, self._limit)
                return [*outputs[:place], marker]
            self._left -= size
        return list(outputs)


def _render_cell(cell: Cell, runtime: RuntimeReader, room: _Room) -> dict[str, Any]:
    rendered = {"id": cell.id, **cell_in_file(cell)}
    if not rendered["attachments"]:
        del rendered["attachments"]
    if cell.cell_type == "code":
        latest = runtime.latest(cell.id)
        record = None if latest is None else runtime.execution(latest)
        rendered["execution_count"] = None if record is None else record.execution_count
        outputs = () if record is None else record.outputs
        rendered["outputs"] = [file_form(output) for output in room.fitting(outputs)]
    return rendered
