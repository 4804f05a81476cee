"""What the file has to say that the document does not know, three-way against a base.

Floor 3, pure. Used when a notebook is opened and whenever another program has written its file.
What is written and when is `file`'s business.

Which base? The one that the other program started from, as far as that can be told: `file_base`.

A cell's outputs in the file count as the other program's when they differ from those in the
base. They then take the place of what the document shows, unless the cell was run here since the
base was written: a run is never put aside for a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.core.document.align import with_ids_of
from headway.core.document.brake import check_merge
from headway.core.document.edits import Edit
from headway.core.document.file_image import is_blank
from headway.core.document.file_values import cell_in_file, metadata_in_file
from headway.core.document.json_values import identical
from headway.core.document.nbformat import ParsedNotebook, ShownOutputs, parse_notebook
from headway.core.document.notebook import Cell, NotebookDocument
from headway.core.document.reconcile import reconcile
from headway.core.document.runtime import TERMINAL, RuntimeReader
from headway.core.document.widget_state import WIDGETS_KEY
from headway.core.room.bases import Base
from headway.core.room.file_base import same_outputs, started_from
from headway.errors import NotebookUnreadable
from headway.ids import CellId, Entropy, ExecutionId, cell_id

__all__ = [
    "FileMerge",
    "FileOutputs",
    "check_readable",
    "plan_merge",
    "runs_shown",
    "says_all",
]


@dataclass(frozen=True, slots=True)
class FileOutputs:
    """What the file shows as a cell's last run."""

    cell_id: CellId
    source: str
    shown: ShownOutputs


@dataclass(frozen=True, slots=True)
class FileMerge:
    """What to do to a document and its runtime so that they know what a file says."""

    theirs: ParsedNotebook
    """The file, with the document's cell ids where it has none of its own."""
    edits: tuple[Edit, ...]
    outputs: tuple[FileOutputs, ...]
    """The cells whose outputs the file changed since the base."""
    shown: Mapping[CellId, ShownOutputs]
    """What the base shows of each code cell."""
    widgets_changed: bool = False
    """Whether the file's widget state is another one than in the base."""


def plan_merge(
    notebook: NotebookDocument,
    bases: Sequence[Base],
    content: bytes,
    entropy: Entropy,
    *,
    accepts: bool = False,
) -> FileMerge:
    """What `content` changed since its base; nothing is changed yet.

    Args:
        notebook: The document.
        bases: What was written to, or read from, the file, the latest last; none if never.
        content: The file's bytes now, or their image, outputs included.
        entropy: For the ids of cells that have none.
        accepts: A person wants the file's version, whatever it takes away.

    Raises NotebookUnreadable when the bytes are no notebook, and FileWouldEmpty when the merge
    would take most of the notebook away.
    """
    ours = notebook.cells()

    def parse(file: bytes) -> ParsedNotebook:
        return parse_notebook(file, lambda: cell_id(entropy))

    parsed = parse(content)
    known: ParsedNotebook | None = None
    if bases:
        read = [parse(each.content) for each in bases]
        known, theirs = started_from(bases, read, parsed, ours)
    else:
        theirs = with_ids_of(parsed, ours)
    edits = reconcile(
        known, theirs, ours, notebook.metadata(), notebook.deleted(), may_empty=accepts
    )
    if not accepts:
        check_merge(ours, edits, leaves_nothing=known is not None and not theirs.cells)
    before = {} if known is None else known.outputs
    return FileMerge(
        theirs,
        tuple(edits),
        tuple(
            FileOutputs(cell.id, cell.source, theirs.outputs[cell.id])
            for cell in theirs.cells
            if cell.id in theirs.outputs
            and not same_outputs(before.get(cell.id), theirs.outputs[cell.id])
        ),
        before,
        widgets_changed=known is None or not identical(known.widgets, theirs.widgets),
    )


def check_readable(content: bytes) -> None:
    """Raise NotebookUnreadable for an empty file: it is being written, or was cut off."""
    if is_blank(content):
        raise NotebookUnreadable(
            "The notebook's file is empty: another program cut it off or is still writing it."
        )


def says_all(theirs: ParsedNotebook, ours: Sequence[Cell], metadata: Mapping[str, Any]) -> bool:
    """Whether the file holds all of a document with these cells, outputs and widgets apart.

    Compared by content and not by bytes: a file of an older form is not rewritten for being
    opened.
    """
    # A document from before the widgets were the machine's has them in its metadata.
    metadata = {key: value for key, value in metadata.items() if key != WIDGETS_KEY}
    return (
        len(ours) == len(theirs.cells)
        and all(
            cell.id == our.id and identical(cell_in_file(cell), cell_in_file(our))
            for cell, our in zip(theirs.cells, ours, strict=True)
        )
        and identical(metadata_in_file(theirs.metadata), metadata_in_file(metadata))
    )


def runs_shown(
    runtime: RuntimeReader, shown: Mapping[CellId, ShownOutputs]
) -> dict[CellId, ExecutionId]:
    """Of each cell the latest execution, where a file that shows this shows just that one.

    Told by the execution count and the number of outputs: what the kernel sent and what a file
    holds of it differ in form, and a second run has another count.
    """
    found: dict[CellId, ExecutionId] = {}
    for each, in_file in shown.items():
        latest = runtime.latest(each)
        record = None if latest is None else runtime.execution(latest)
        if record is None or record.status not in TERMINAL:
            continue
        if (record.execution_count, len(record.outputs)) == (
            in_file.execution_count,
            in_file.number,
        ):
            found[each] = record.execution_id
    return found
