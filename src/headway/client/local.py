"""What a notebook can do without its daemon: read, edit, undo, look at versions.

Floor 5. Shared by both faces of the client, for these are plain calls in both: each takes the
document's lock, never waits for the network, and may come from any thread. What was edited is
sent in the background; `confirm_sync` and every request that reads the document see to the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Literal

from headway.client.models import Cell, Rejected
from headway.client.pump import Pump
from headway.core.document import edits
from headway.core.document.comm_records import CommMessageRecord, CommRecord
from headway.core.document.crdt import HistoryEntry
from headway.core.document.dependencies import (
    METADATA_KEY,
    Dependencies,
    declared,
    edited_metadata,
    with_added,
    without,
)
from headway.core.document.edits import Edit
from headway.core.document.notebook import NotebookDocument
from headway.core.document.undo import Undo
from headway.core.session import inputs
from headway.core.session.effects import SessionStatus
from headway.core.session.session import Session
from headway.core.sync.presence import check_presence
from headway.core.wire.rpc import Notice
from headway.errors import InvalidDependencies, InvalidEdit, NotPermitted
from headway.ids import CellId, DocumentId, ExecutionId, Heads, cell_id
from headway.moments import Moment

__all__ = ["CellLike", "LocalNotebook", "id_of"]

CellLike = Cell | CellId
"""A cell, or its id."""

CellType = Literal["code", "markdown", "raw"]

HISTORY_ENTRIES = 100
"""How many entries of the history are given when the caller names no number."""


class LocalNotebook:
    """The replica of one open notebook, and edits on it."""

    def __init__(self, pump: Pump, author: str) -> None:
        """Not for callers: notebooks come from `open`, `connect` and their async forms."""
        self._pump = pump
        self._author = author
        self._undo = Undo(self._document.replica)
        self._undo_document = self._document

    # Reading

    @property
    def id(self) -> DocumentId:
        """The notebook's document id: its identity, for ever."""
        identity = self._session.document_id
        assert identity is not None, "an open notebook has an id"
        return identity

    @property
    def path(self) -> str | None:
        """The notebook's file, where the daemon has it; None for an untitled one."""
        opened = self._session.opened
        return opened.path if opened is not None else None

    @property
    def notices(self) -> list[Notice]:
        """What a person should know of its file or history: a code, a sentence and data each.

        As the daemon said when it last opened the notebook for this connection.
        """
        opened = self._session.opened
        return list(opened.notices) if opened is not None else []

    @property
    def cells(self) -> list[Cell]:
        """The cells, in order, each with the outputs of its latest execution."""
        return [self._cell_view(found) for found in self._document.cells()]

    def cell(self, cell: CellLike) -> Cell:
        """One cell as it is now; raises CellNotFound."""
        return self._cell_view(self._document.cell(id_of(cell)))

    def source(self, cell: CellLike) -> str:
        """A cell's source as it is now; raises CellNotFound."""
        return self._document.source(id_of(cell))

    @property
    def metadata(self) -> dict[str, Any]:
        """The notebook's metadata, as nbformat has it."""
        return self._document.metadata()

    @property
    def dependencies(self) -> Dependencies | None:
        """What the notebook declares that it needs; None if nothing. InvalidDependencies."""
        cells = self._document.cells()
        sources = (cell.source for cell in cells if cell.cell_type == "code")
        return declared(self._document.metadata(), sources)

    @property
    def kernel(self) -> dict[str, Any]:
        """The kernel as the daemon last showed it: name, status, reason, environment, progress."""
        runtime = self._session.runtime
        return runtime.kernel() if runtime is not None else {}

    @property
    def queue(self) -> list[str]:
        """The ids of the executions that wait or run, in order."""
        runtime = self._session.runtime
        return list(runtime.queue()) if runtime is not None else []

    @property
    def latest_executions(self) -> dict[CellId, ExecutionId]:
        """The latest execution of each cell that was ever run, waiting and running ones too."""
        runtime = self._session.runtime
        return runtime.latest_by_cell() if runtime is not None else {}

    @property
    def comms(self) -> dict[str, CommRecord]:
        """The kernel's comms by their ids: widgets, as a rule. Large values as references.

        Those of a kernel that ended are there until another one opens comms; `is_open` tells.
        """
        runtime = self._session.runtime
        found = [] if runtime is None else runtime.comms.records()
        return {record.comm_id: record for record in found}

    @property
    def widgets(self) -> dict[str, CommRecord]:
        """Those of `comms` that are widgets, by their model ids."""
        return {each: record for each, record in self.comms.items() if record.is_widget}

    def comm_messages(self, after: int = 0) -> list[CommMessageRecord]:
        """The newest messages of comms that are no state, those numbered above `after`.

        A gap in the numbers is what came and went while nobody here looked.
        """
        runtime = self._session.runtime
        return [] if runtime is None else runtime.comms.messages(after)

    def presence(self) -> dict[str, Any]:
        """Who else is here: key -> what they show."""
        return self._session.presence()

    def set_presence(self, value: dict[str, Any] | None) -> None:
        """Show `value` to the others who have this notebook open; None takes it away.

        Raises InvalidEdit for what is no JSON, or too large to be passed on.
        """
        if value is not None:
            check_presence(value)
        self._pump.post(inputs.PresenceSet(value))

    # Editing

    def add_cell(
        self,
        source: str = "",
        *,
        cell_type: CellType = "code",
        metadata: dict[str, Any] | None = None,
        index: int | None = None,
        after: CellLike | None = None,
        before: CellLike | None = None,
    ) -> Cell:
        """Make a cell, at the end unless a place is named; local and immediate."""
        identity = cell_id(os.urandom)
        self.apply(
            edits.AddCell(
                identity,
                cell_type,
                source,
                metadata=metadata or {},
                index=index,
                after=_id_or_none(after),
                before=_id_or_none(before),
            )
        )
        return Cell(identity, cell_type, source, metadata or {})

    def delete_cell(self, cell: CellLike) -> None:
        """Delete a cell; others' edits of it survive an undo."""
        self.apply(edits.DeleteCell(id_of(cell)))

    def move_cell(
        self,
        cell: CellLike,
        *,
        index: int | None = None,
        after: CellLike | None = None,
        before: CellLike | None = None,
    ) -> None:
        """Move a cell to an index, or next to another cell."""
        self.apply(
            edits.MoveCell(
                id_of(cell), index=index, after=_id_or_none(after), before=_id_or_none(before)
            )
        )

    def update_source(self, cell: CellLike, source: str) -> None:
        """Make a cell's source `source`, as the smallest change: others' typing survives."""
        self.apply(edits.UpdateSource(id_of(cell), source))

    def append_source(self, cell: CellLike, text: str) -> None:
        """Add `text` at the end of a cell's source."""
        self.apply(edits.AppendSource(id_of(cell), text))

    def splice_source(self, cell: CellLike, index: int, delete: int, insert: str) -> None:
        """At `index`, take `delete` characters out and put `insert` in (Unicode code points)."""
        self.apply(edits.SpliceSource(id_of(cell), index, delete, insert))

    def set_cell_metadata(self, cell: CellLike, key: str, value: Any) -> None:
        """Set one key of a cell's metadata."""
        self.apply(edits.SetCellMetadata(id_of(cell), key, value))

    def set_cell_type(self, cell: CellLike, cell_type: CellType) -> None:
        """Make a cell a code, markdown or raw cell."""
        self.apply(edits.SetCellType(id_of(cell), cell_type))

    def set_metadata(self, key: str, value: Any) -> None:
        """Set one key of the notebook's metadata."""
        self.apply(edits.SetNotebookMetadata(key, value))

    def add_dependencies(self, *requirements: str) -> Dependencies:
        """Declare that the notebook needs these packages, such as "pandas>=2"; as one edit.

        One that is declared already is replaced. Nothing is installed by this: that is done when
        a kernel is started next, with consent. Raises InvalidDependencies.
        """
        return self._declare(with_added(self.dependencies, requirements))

    def remove_dependencies(self, *names: str) -> Dependencies:
        """Declare that the notebook does not need these packages. Raises InvalidDependencies."""
        for name in names:
            if not isinstance(name, str):
                raise InvalidDependencies(f"{name!r} is not the name of a package.", name=str(name))
        return self._declare(without(self.dependencies, names))

    def _declare(self, wanted: Dependencies) -> Dependencies:
        self.set_metadata(METADATA_KEY, edited_metadata(self.metadata, wanted))
        return wanted

    def apply(self, *changes: Edit) -> Heads:
        """Apply several edits as one commit, all or none; gives the heads after it."""
        for change in changes:
            if not isinstance(change, Edit):
                raise InvalidEdit(
                    f"`apply` takes edits, each as an argument of its own (`apply(*edits)`); "
                    f"{type(change).__name__} is none."
                )
        return self._apply(changes)

    def undo(self) -> bool:
        """Take back the last commit made here; False if there is none."""
        return self._step_back(Undo.undo, "undo")

    def redo(self) -> bool:
        """Make the last commit that was taken back again; False if there is none."""
        return self._step_back(Undo.redo, "redo")

    # Versions

    @property
    def heads(self) -> Heads:
        """The heads of this replica: the ticket for everything in it."""
        return self._document.replica.heads()

    @property
    def remote_heads(self) -> Heads:
        """The heads of what the other side is known to hold, as far as it is here too."""
        return self._document.replica.heads_of(self._session.confirmations.remote)

    @property
    def is_synced(self) -> bool:
        """Whether the other side is known to hold every change that is here."""
        version = self._document.replica.version()
        return self._session.confirmations.remote.includes(version)

    @property
    def status(self) -> SessionStatus:
        """connecting, live, reconnecting, rejected or closed."""
        return self._session.status

    @property
    def rejected(self) -> list[Rejected]:
        """Edits that the server refused, oldest first: the cells as they were here.

        Also what was here when the daemon had lost this notebook and had another one at its path
        (NotebookReplaced); its `status` is "replaced".
        """
        return [
            Rejected(status, tuple(self._cell_view(found) for found in document.cells()))
            for status, document in self._session.rejected
        ]

    def history(self, limit: int = HISTORY_ENTRIES) -> list[HistoryEntry]:
        """Who changed the notebook, when and why, newest first."""
        return list(self._document.replica.history(limit))

    # Inside

    @property
    def _session(self) -> Session:
        return self._pump.session

    @property
    def _document(self) -> NotebookDocument:
        return self._pump.session.document

    def _apply(self, changes: Sequence[Edit]) -> Heads:
        document = self._writable_document()
        with document.replica.lock:
            heads = document.apply(changes, _now(), self._author)
            self._session.note_commit()
        self._pump.wake()
        return heads

    def _step_back(self, step: Any, intent: str) -> bool:
        document = self._writable_document()
        with document.replica.lock:
            done: bool = step(self._undo, time.time(), f"{self._author}: {intent}")
            self._session.note_commit()
        self._pump.wake()
        return done

    def _writable_document(self) -> NotebookDocument:
        self._check_writable()
        document = self._document
        if self._undo_document is not document:
            # A fresh replica took over; its steps are counted from before its first edit.
            self._undo, self._undo_document = Undo(document.replica), document
        return document

    def _check_writable(self) -> None:
        if self._session.is_read_only:
            raise NotPermitted("This notebook may be read here and not changed.")
        if self._session.is_closed:
            error = self._session.error
            raise error or NotPermitted("This notebook is closed; edits here would go nowhere.")
        if self._pump.loop.is_closed():
            raise NotPermitted(
                "The event loop on which this notebook was opened has ended, so edits here would "
                "go nowhere. Open it again."
            )

    def _runnable_around(self, cell: CellLike) -> tuple[list[CellId], list[CellId]]:
        """The code cells that hold something: those above `cell`, and the others."""
        named = self._document.cell(id_of(cell)).id
        parts: tuple[list[CellId], list[CellId]] = ([], [])
        is_below = False
        for found in self._document.cells():
            is_below = is_below or found.id == named
            if found.cell_type == "code" and found.source.strip():
                parts[is_below].append(found.id)
        return parts

    def _cell_view(self, found: Any) -> Cell:
        runtime = self._session.runtime
        latest = runtime.latest(found.id) if runtime is not None else None
        record = runtime.execution(latest) if runtime is not None and latest is not None else None
        return Cell(
            id=found.id,
            cell_type=found.cell_type,
            source=found.source,
            metadata=found.metadata,
            attachments=found.attachments,
            outputs=tuple(record.outputs) if record is not None else (),
            execution_count=record.execution_count if record is not None else None,
            status=record.status if record is not None else None,
        )


def id_of(cell: CellLike) -> CellId:
    """The id of a cell or id."""
    return cell.id if isinstance(cell, Cell) else cell


def _id_or_none(cell: CellLike | None) -> CellId | None:
    return None if cell is None else id_of(cell)


def _now() -> Moment:
    return Moment(time.monotonic(), time.time())
