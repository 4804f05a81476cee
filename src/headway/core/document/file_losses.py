"""Outputs whose content is lost, and what a file gets in their place.

Floor 1, pure. What is large in an output is a blob in the store. One that is missing there, or
damaged, must not hold back everything else that a file is to hold: the output is taken from the
file that is there, if it has it; else a line in its place says that it is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from headway.core.document.align import with_ids_of
from headway.core.document.file_reading import ShownOutputs, parse_notebook
from headway.core.document.file_writing import cells_to_write, unused_ids
from headway.core.document.forms import file_form
from headway.core.document.mime import parts_of
from headway.core.document.notices import lost_marker
from headway.core.document.widget_state import WIDGETS_KEY
from headway.errors import NotebookUnreadable
from headway.ids import CellId

__all__ = ["without_lost"]


def without_lost(
    notebook: dict[str, Any], lost: Collection[str], there: bytes | None
) -> tuple[dict[str, Any], int]:
    """The notebook as it can be written without some blobs, and how many outputs that costs it.

    Args:
        notebook: nbformat JSON as `FileWriting` takes it.
        lost: The SHA-256 of the blobs that are nowhere.
        there: The image of the file that is there, outputs included; None if there is none.
    """
    shown = _shown(there, notebook)
    cells = [
        {**cell, "outputs": _outputs(cell, lost, shown.get(cell["id"]))}
        if _needs(cell.get("outputs"), lost)
        else cell
        for cell in notebook["cells"]
    ]
    marker = file_form(lost_marker())
    missing = sum(cell.get("outputs", []).count(marker) for cell in cells)
    metadata = dict(notebook["metadata"])
    if _needs(metadata.get(WIDGETS_KEY), lost):
        # The file keeps the widget state that it has.
        del metadata[WIDGETS_KEY]
        missing += 1
    return {**notebook, "cells": cells, "metadata": metadata}, missing


def _needs(value: Any, lost: Collection[str]) -> bool:
    return any(part.sha256 in lost for part in parts_of(value))


def _outputs(
    cell: dict[str, Any], lost: Collection[str], in_file: ShownOutputs | None
) -> list[dict[str, Any]]:
    """The outputs of a cell, those that the file has still in the place of those that are lost."""
    known: Sequence[dict[str, Any] | None] = [None] * len(cell["outputs"])
    if in_file is not None and in_file.execution_count == cell["execution_count"]:
        forms = None if in_file.image is None else in_file.image.outputs
        known = forms if forms is not None and len(forms) == len(known) else known
    return [
        _instead(output, form) if _needs(output, lost) else output
        for output, form in zip(cell["outputs"], known, strict=True)
    ]


def _instead(output: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    if known is not None:
        in_file = file_form(known)
        if all(in_file.get(key) == output.get(key) for key in ("output_type", "name")):
            return in_file
    return file_form(lost_marker())


def _shown(there: bytes | None, notebook: dict[str, Any]) -> Mapping[CellId, ShownOutputs]:
    """What the file shows of the notebook's cells."""
    if there is None:
        return {}
    try:
        parsed = parse_notebook(there, unused_ids())
    except NotebookUnreadable:
        return {}
    return with_ids_of(parsed, cells_to_write(notebook)).outputs
