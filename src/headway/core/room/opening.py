"""How a room begins: from what is stored, and from the file as it is now.

Floor 3. The history of a notebook is loaded, never rebuilt: what the file has to say that the
history does not know comes in as ordinary edits (DESIGN section 7).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.core.document.crdt import Replica, Version
from headway.core.document.edits import AddCell, Edit, SetNotebookMetadata
from headway.core.document.nbformat import ParsedNotebook, parse_notebook
from headway.core.document.notebook import NotebookDocument
from headway.core.document.reconcile import aligned, reconcile
from headway.core.document.runtime import RuntimeReader
from headway.core.room.effects import ExecutionAccepted
from headway.ids import CellId, DocumentId, Entropy, ExecutionId, cell_id, peer_id
from headway.moments import Moment

__all__ = ["Beginning", "FileOutputs", "Opening", "begin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a room is opened from."""

    document: DocumentId
    path: str | None
    snapshot: bytes | None = None
    updates: tuple[bytes, ...] = ()
    runtime_snapshot: bytes | None = None
    runtime_updates: tuple[bytes, ...] = ()
    base: bytes | None = None
    """The bytes last written to, or read from, the file."""
    file: bytes | None = None
    """The bytes of the file now; None if there is none."""
    taken: Mapping[ExecutionId, ExecutionId] = field(default_factory=dict)
    """Every execution id accepted before, and the one that answers for it."""
    unfinished: tuple[ExecutionAccepted, ...] = ()


@dataclass(frozen=True, slots=True)
class FileOutputs:
    """What the file shows as a cell's last run."""

    cell_id: CellId
    source: str
    execution_count: int | None
    outputs: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Beginning:
    """A room's documents at its start."""

    replica: Replica
    stored: Version
    """What of the replica is durable already."""
    old_runtime: RuntimeReader | None
    from_file: tuple[FileOutputs, ...]
    file_sha256: str | None
    file_is_new: bool
    """Whether the file's bytes are not yet the recorded base."""
    file_is_behind: bool = False
    """Whether the history has something that the file has not: it was not written in time."""


def begin(opening: Opening, entropy: Entropy, now: Moment) -> Beginning:
    """Load the history and merge the file in.

    Raises NotebookUnreadable when the file's bytes are no notebook, and DocumentError when what
    is stored is damaged.
    """
    replica = Replica.load(peer_id(entropy), opening.snapshot, opening.updates)
    notebook = NotebookDocument(replica, max_operations=None)
    stored = replica.version()
    is_new = stored.is_empty
    if is_new:
        notebook.initialize(now, "daemon")
    old_runtime = _old_runtime(opening, entropy)
    if opening.file is None or opening.file == opening.base:
        known = opening.base if opening.file is not None else None
        return Beginning(
            replica,
            stored,
            old_runtime,
            (),
            _sha256(known),
            file_is_new=False,
            file_is_behind=not is_new and _is_behind(opening, notebook, old_runtime, entropy),
        )
    theirs = parse_notebook(opening.file, lambda: cell_id(entropy))
    if is_new:
        edits = _first_edits(theirs)
    else:
        base = _parse(opening.base, entropy)
        base, theirs = aligned(base, theirs, notebook.cells())
        edits = reconcile(base, theirs, notebook.cells(), notebook.metadata(), notebook.deleted())
    notebook.apply(edits, now, "file")
    return Beginning(
        replica,
        stored,
        old_runtime,
        _file_outputs(theirs),
        _sha256(opening.file),
        file_is_new=True,
        file_is_behind=not is_new and _is_behind(opening, notebook, old_runtime, entropy),
    )


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _parse(content: bytes | None, entropy: Entropy) -> ParsedNotebook | None:
    return None if content is None else parse_notebook(content, lambda: cell_id(entropy))


def _old_runtime(opening: Opening, entropy: Entropy) -> RuntimeReader | None:
    if opening.runtime_snapshot is None and not opening.runtime_updates:
        return None
    replica = Replica.load(peer_id(entropy), opening.runtime_snapshot, opening.runtime_updates)
    return RuntimeReader(replica)


def _is_behind(
    opening: Opening, notebook: NotebookDocument, runtime: RuntimeReader | None, entropy: Entropy
) -> bool:
    """Whether the file lacks something of the notebook: the daemon ended before it was saved.

    Compared by content and not by bytes: a file of an older form is not rewritten for being
    opened. A file that was written once and is gone was deleted by somebody, who meant it.
    """
    if opening.path is None:
        return False
    if opening.file is None:
        return opening.base is None and bool(notebook.order())
    theirs = parse_notebook(opening.file, lambda: cell_id(entropy))
    cells = notebook.cells()
    if len(cells) != len(theirs.cells) or notebook.metadata() != theirs.metadata:
        return True
    for mine, found in zip(cells, theirs.cells, strict=True):
        same = (mine.cell_type, mine.source, mine.metadata, mine.attachments)
        if same != (found.cell_type, found.source, found.metadata, found.attachments):
            return True
        if mine.cell_type == "code" and runtime is not None:
            count, outputs = theirs.outputs[found.id]
            if _was_run_since(runtime, mine.id, count, len(outputs)):
                return True
    return False


def _was_run_since(
    runtime: RuntimeReader, cell_id: CellId, count: int | None, outputs: int
) -> bool:
    """Whether a cell's newest execution is visibly another one than the file shows."""
    latest = runtime.latest(cell_id)
    record = None if latest is None else runtime.execution(latest)
    if record is None:
        return False
    return (record.execution_count, len(record.outputs)) != (count, outputs)


def _first_edits(theirs: ParsedNotebook) -> list[Edit]:
    edits: list[Edit] = [SetNotebookMetadata(key, value) for key, value in theirs.metadata.items()]
    edits.extend(
        AddCell(
            cell_id=cell.id,
            cell_type=cell.cell_type,
            source=cell.source,
            metadata=cell.metadata,
            attachments=cell.attachments,
        )
        for cell in theirs.cells
    )
    return edits


def _file_outputs(theirs: ParsedNotebook) -> tuple[FileOutputs, ...]:
    return tuple(
        FileOutputs(cell.id, cell.source, *theirs.outputs[cell.id])
        for cell in theirs.cells
        if cell.cell_type == "code"
    )
