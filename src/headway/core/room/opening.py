"""How a room begins: from what is stored, and from the file as it is now.

Floor 3. The history of a notebook is loaded, never rebuilt: what the file has to say that the
history does not know comes in as ordinary edits. A history made anew would double every cell for
a peer that holds the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headway.core.document.crdt import Replica, Version
from headway.core.document.edits import MAX_EDITS, Edit, SetNotebookMetadata
from headway.core.document.file_image import named_sha256
from headway.core.document.nbformat import ParsedNotebook, parse_notebook
from headway.core.document.notebook import NotebookDocument
from headway.core.document.reconcile import additions, aligned
from headway.core.document.runtime import RuntimeReader
from headway.core.kernel.events import KernelInfo
from headway.core.room.bases import Base
from headway.core.room.effects import ExecutionAccepted
from headway.core.room.file_errors import beyond_limits
from headway.core.room.file_merge import (
    FileMerge,
    FileOutputs,
    check_readable,
    plan_merge,
    runs_shown,
    says_all,
)
from headway.core.wire.rpc import KernelEnvironment
from headway.errors import EditError, HeadwayError
from headway.ids import CellId, DocumentId, Entropy, ExecutionId, cell_id, peer_id
from headway.moments import Moment

__all__ = ["Beginning", "KnownFile", "LivingKernel", "Opening", "begin"]


@dataclass(frozen=True, slots=True)
class LivingKernel:
    """The notebook's kernel, which outlived an earlier daemon. It may be about to end."""

    incarnation: int
    name: str
    info: KernelInfo
    asked: ExecutionId | None
    """The execution it was given last, whatever became of it."""
    away_since_s: float
    """Since when nobody listened to it (wall clock)."""
    environment: KernelEnvironment | None = None


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
    """The image of what was last written to, or read from, the file (see `file_image`)."""
    intended: bytes | None = None
    """The image of what the file was about to hold when the daemon ended."""
    file: bytes | None = None
    """The image of the file now; None if there is none, or none that can be read. With outputs,
    unless it is that of `base` or `intended`."""
    accept_file: bool = False
    """A person wants the file's version, whatever it takes away."""
    refused: HeadwayError | None = None
    """Why the file that is there was not taken: then `file` is None."""
    taken: Mapping[ExecutionId, ExecutionId] = field(default_factory=dict)
    """Every execution id accepted before, and the one that answers for it."""
    horizon_ms: int = 0
    """Ids minted up to then may have been accepted and forgotten."""
    unfinished: tuple[ExecutionAccepted, ...] = ()
    kernel: LivingKernel | None = None
    kernel_idle_s: float | None = None
    """A kernel that is idle for so long is ended; None: none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """The notebook's file, as far as it is known when its room begins."""

    path: str | None
    base: bytes | None = None
    """The image of what was last written or read: the base of the next merge."""
    base_sha256: str | None = None
    is_there: bool = False
    """Whether these bytes are in the file now."""
    is_new: bool = False
    """Whether they are not recorded yet."""
    runs: dict[CellId, ExecutionId] = field(default_factory=dict)
    """Of each cell the execution that they show, where that is its latest one."""
    is_behind: bool = False
    """Whether the history has something that the file has not: it was not written in time."""
    widgets: Any = None
    """The widget state that it holds."""
    has_new_widgets: bool = False
    """Whether another program may have put that there."""
    refused: HeadwayError | None = None
    """Why the file that is there was not taken."""

    @property
    def is_doubtful(self) -> bool:
        """Whether what is there has to be looked at: there was a file, and it was not read."""
        return not self.is_there and (self.base is not None or self.refused is not None)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A room's documents at its start."""

    notebook: NotebookDocument
    stored: Version
    """What of the notebook is durable already."""
    old_runtime: RuntimeReader | None
    from_file: tuple[FileOutputs, ...]
    """The outputs that the file brought."""
    file: KnownFile


_Outputs = tuple[FileOutputs, ...]


def begin(opening: Opening, entropy: Entropy, now: Moment) -> Beginning:
    """Load the history and merge the file in.

    Raises NotebookUnreadable when the file's bytes are no notebook, FileWouldEmpty when they
    would take most of a known notebook away and nobody accepted that, and DocumentError when
    what is stored is damaged.
    """
    replica = Replica.load(peer_id(entropy), opening.snapshot, opening.updates)
    notebook = NotebookDocument(replica, max_operations=None)
    stored = replica.version()
    runtime = _old_runtime(opening, entropy)
    outputs: _Outputs = ()
    if stored.is_empty:
        notebook.initialize(now, "daemon")
        if opening.file is None:
            known = KnownFile(path=opening.path)
        else:
            known, outputs = _first_reading(opening, opening.file, notebook, entropy, now)
    elif opening.file is None:
        known = _without_file(opening, notebook)
    elif _sha256(opening.file) in (_sha256(opening.base), _sha256(opening.intended)):
        known, outputs = _with_known_file(opening, opening.file, notebook, runtime, entropy)
    else:
        known, outputs = _merged(opening, opening.file, notebook, runtime, entropy, now)
    return Beginning(notebook, stored, runtime, outputs, known)


def _first_reading(
    opening: Opening, content: bytes, notebook: NotebookDocument, entropy: Entropy, now: Moment
) -> tuple[KnownFile, _Outputs]:
    """A file that begins a history."""
    theirs = parse_notebook(content, lambda: cell_id(entropy))
    _apply(notebook, _first_edits(theirs), theirs, now)
    known = _known(opening, content, {}, theirs, is_behind=False)
    return known, _only_in_file(theirs, notebook, None)


def _without_file(opening: Opening, notebook: NotebookDocument) -> KnownFile:
    """No file: it was not written yet, was removed, or cannot be read."""
    return KnownFile(
        path=opening.path,
        base=opening.base,
        base_sha256=_sha256(opening.base),
        is_behind=opening.base is None and bool(notebook.order()),
        refused=opening.refused,
    )


def _with_known_file(
    opening: Opening,
    content: bytes,
    notebook: NotebookDocument,
    runtime: RuntimeReader | None,
    entropy: Entropy,
) -> tuple[KnownFile, _Outputs]:
    """The file is as we left it; the history may have gone on."""
    parsed = parse_notebook(content, lambda: cell_id(entropy))
    ours = notebook.cells()
    _, theirs = aligned(None, parsed, ours)
    runs = {} if runtime is None else runs_shown(runtime, theirs.outputs)
    is_whole = says_all(theirs, ours, notebook.metadata())
    is_behind = not is_whole or _lacks_outputs(theirs, runtime, runs)
    known = _known(opening, content, runs, theirs, is_behind=is_behind)
    return replace(known, has_new_widgets=False), _only_in_file(theirs, notebook, runtime)


def _merged(
    opening: Opening,
    content: bytes,
    notebook: NotebookDocument,
    runtime: RuntimeReader | None,
    entropy: Entropy,
    now: Moment,
) -> tuple[KnownFile, _Outputs]:
    """Another program wrote the file while the notebook was not open."""
    if notebook.order() and not opening.accept_file:
        check_readable(content)
    bases = () if opening.base is None else (Base(opening.base),)
    plan: FileMerge = plan_merge(notebook, bases, content, entropy, accepts=opening.accept_file)
    _apply(notebook, plan.edits, plan.theirs, now)
    runs = {} if runtime is None else runs_shown(runtime, plan.shown)
    replaced = {each.cell_id: runs[each.cell_id] for each in plan.outputs if each.cell_id in runs}
    same = {} if runtime is None else runs_shown(runtime, plan.theirs.outputs)
    shown = {**same, **replaced}
    is_whole = says_all(plan.theirs, notebook.cells(), notebook.metadata())
    is_behind = not is_whole or _lacks_outputs(plan.theirs, runtime, shown)
    known = _known(opening, content, runs, plan.theirs, is_behind=is_behind)
    outputs = (*plan.outputs, *_only_in_file(plan.theirs, notebook, runtime))
    return replace(known, has_new_widgets=plan.widgets_changed), outputs


def _known(
    opening: Opening,
    content: bytes,
    runs: dict[CellId, ExecutionId],
    theirs: ParsedNotebook,
    *,
    is_behind: bool,
) -> KnownFile:
    return KnownFile(
        path=opening.path,
        base=content,
        base_sha256=_sha256(content),
        is_there=True,
        is_new=_sha256(content) != _sha256(opening.base),
        runs=runs,
        is_behind=is_behind,
        widgets=theirs.widgets,
        has_new_widgets=True,
    )


def _only_in_file(
    theirs: ParsedNotebook, notebook: NotebookDocument, runtime: RuntimeReader | None
) -> _Outputs:
    """What the file shows of cells of which no run is known: of all if the store has lost them."""
    latest = {} if runtime is None else runtime.latest_by_cell()
    return tuple(
        FileOutputs(cell.id, cell.source, theirs.outputs[cell.id])
        for cell in theirs.cells
        if cell.id in theirs.outputs and cell.id not in latest and cell.id in notebook
    )


def _lacks_outputs(
    theirs: ParsedNotebook, runtime: RuntimeReader | None, shown: Mapping[CellId, ExecutionId]
) -> bool:
    """Whether cells were run and the file does not show it: the daemon ended before it saved."""
    latest = {} if runtime is None else runtime.latest_by_cell()
    return any(latest.get(each) not in (None, shown.get(each)) for each in theirs.outputs)


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else named_sha256(content)


def _old_runtime(opening: Opening, entropy: Entropy) -> RuntimeReader | None:
    if opening.runtime_snapshot is None:
        return None
    replica = Replica.load(peer_id(entropy), opening.runtime_snapshot, opening.runtime_updates)
    return RuntimeReader(replica)


def _first_edits(theirs: ParsedNotebook) -> list[Edit]:
    edits: list[Edit] = [SetNotebookMetadata(key, value) for key, value in theirs.metadata.items()]
    for cell in theirs.cells:
        edits.extend(additions(cell))
    return edits


def _apply(
    notebook: NotebookDocument, edits: Sequence[Edit], theirs: ParsedNotebook, now: Moment
) -> None:
    """All of a file's edits, in as many commits as it takes: nobody has the notebook yet."""
    try:
        for start in range(0, len(edits), MAX_EDITS):
            notebook.apply(edits[start : start + MAX_EDITS], now, "file")
    except EditError as error:
        raise beyond_limits(error, len(theirs.cells)) from error
