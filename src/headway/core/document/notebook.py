"""The notebook document: cells in an order, and metadata; everybody writes it.

Not the runtime document (`runtime`: what the machine did) and not the file (`nbformat`). Edits are
values (`edits`); `apply` checks a whole list of them, then does them in one commit, so that no
peer ever sees half of it (where there is undo, new cells are there before, hidden). Safe to use
from several threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from headway.core.document import schema
from headway.core.document.cell_index import CellIndex
from headway.core.document.cell_writer import CellWriter
from headway.core.document.crdt import Replica
from headway.core.document.draft import Draft, no_such_cell
from headway.core.document.edits import (
    CELL_TYPES,
    MAX_COMMIT_OPERATIONS,
    MAX_EDITS,
    CellType,
    Edit,
    intent_of,
)
from headway.core.document.handles import MapHandle, TextHandle
from headway.core.document.limits import MAX_DIFF_OPERATIONS
from headway.errors import CellNotFound, EngineFailure, InvalidEdit, InvalidUpdate
from headway.ids import CellId, DocumentId, Heads
from headway.moments import Moment

__all__ = ["Cell", "NotebookDocument", "NotebookMeta"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it was when it was read."""

    id: CellId
    cell_type: CellType
    source: str
    metadata: dict[str, Any]
    attachments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotebookMeta:
    """The notebook's own numbers. All None in a replica that has not received anything yet."""

    schema: int | None
    nbformat: int | None
    nbformat_minor: int | None
    runtime: DocumentId | None


class NotebookDocument:
    """One replica, read and written as a notebook.

    Args:
        replica: the live document; others may import into it at any time.
        max_operations: the most engine operations of one `apply`: what the daemon takes from a
            client. None for the daemon itself, which asks nobody.
    """

    def __init__(
        self, replica: Replica, max_operations: int | None = MAX_COMMIT_OPERATIONS
    ) -> None:
        self.replica = replica
        self._max_operations = max_operations
        self._meta = replica.map(schema.META)
        self._metadata = replica.map(schema.METADATA)
        self._cells = replica.map(schema.CELLS)
        self._index = CellIndex(replica)
        self._writer = CellWriter(replica, self._index)

    # --- writing -------------------------------------------------------------------------------

    def apply(self, edits: Sequence[Edit], now: Moment, author: str) -> Heads:
        """Do all of the edits in one commit, or none; gives the heads that hold them.

        Edits that change nothing write nothing. `author` names the peer in the history.

        Raises:
            CellNotFound, InvalidEdit: nothing was changed.
            EngineFailure: the engine failed half way; rebuild the replica.
        """
        with self.replica.lock:
            self._index.refresh()
            self._check(edits)
            message = f"{author}: {intent_of(edits)}"
            try:
                # The engine would undo an added cell by removing it, with what others typed into
                # it: undo is given only the showing of a cell that is there.
                if self.replica.has_undo and self._writer.write_hidden(edits):
                    self.replica.commit(now.wall_s, message, undoable=False)
                for edit in edits:
                    self._writer.write(edit)
                self.replica.commit(now.wall_s, message)
            except BaseException as error:
                # Half of the edits are written and there is no way back: not even Ctrl-C may
                # leave them to be committed under the name of whatever comes next.
                self.replica.condemn(f"an edit failed half way: {error!r}")
                if not isinstance(error, Exception):
                    raise
                raise EngineFailure(
                    "An edit that was checked failed half way; rebuild this replica.",
                    detail=str(error),
                ) from error
            self._index.follow_own_commit()
            return self.replica.heads()

    def initialize(self, now: Moment, author: str, nbformat: int = 4, minor: int = 5) -> Heads:
        """Write the schema's version and the nbformat numbers; the daemon does, at creation."""
        return self._set_meta(
            {
                schema.SCHEMA: schema.SCHEMA_VERSION,
                schema.NBFORMAT: nbformat,
                schema.NBFORMAT_MINOR: minor,
            },
            now,
            f"{author}: create notebook",
        )

    def set_runtime(self, runtime: DocumentId, now: Moment, author: str) -> Heads:
        """Point at the current runtime document; only the daemon does."""
        return self._set_meta({schema.RUNTIME: runtime}, now, f"{author}: new runtime document")

    def _set_meta(self, values: dict[str, Any], now: Moment, message: str) -> Heads:
        with self.replica.lock:
            for key, value in values.items():
                self._meta.set(key, value)
            self.replica.commit(now.wall_s, message)
            return self.replica.heads()

    def _check(self, edits: Sequence[Edit]) -> None:
        if len(edits) > MAX_EDITS:
            raise InvalidEdit(f"At most {MAX_EDITS} edits at once.", limit=MAX_EDITS)
        draft = Draft(self._index, self._source_of, self._max_operations)
        for edit in edits:
            draft.check(edit)

    # --- reading -------------------------------------------------------------------------------

    def heads(self) -> Heads:
        """The heads of what this replica holds."""
        return self.replica.heads()

    def order(self) -> list[CellId]:
        """The ids of the cells, in order."""
        with self.replica.lock:
            self._index.refresh()
            return list(self._index.visible.ids)

    def __len__(self) -> int:
        with self.replica.lock:
            self._index.refresh()
            return len(self._index.visible)

    def __contains__(self, cell_id: object) -> bool:
        with self.replica.lock:
            self._index.refresh()
            return isinstance(cell_id, str) and self._index.shows(cell_id)

    def deleted(self) -> list[CellId]:
        """The ids of the cells that are there and not shown; `UndeleteCell` shows them again."""
        with self.replica.lock:
            self._index.refresh()
            visible = self._index.visible
            known = [each for each in self._cells.keys() if each not in visible]  # noqa: SIM118
            return [each for each in known if self._index.exists(each)]

    def cells(self) -> list[Cell]:
        """All cells, in order."""
        return self.cells_of(None)

    def cells_of(self, cell_ids: Iterable[CellId] | None) -> list[Cell]:
        """These cells, or all (None); CellNotFound if one of them is not there."""
        with self.replica.lock:
            self._index.refresh()
            wanted = self._index.visible.ids if cell_ids is None else cell_ids
            return [self._read(cell_id) for cell_id in wanted]

    def cell(self, cell_id: CellId) -> Cell:
        """One cell; CellNotFound if it is not there or was deleted."""
        return self.cells_of((cell_id,))[0]

    def source(self, cell_id: CellId) -> str:
        """A cell's source; CellNotFound if it is not there or was deleted."""
        with self.replica.lock:
            self._index.refresh()
            return str(self._text(self._shown(cell_id), cell_id))

    def source_at(self, cell_id: CellId, heads: Heads, limit: int = MAX_DIFF_OPERATIONS) -> str:
        """A cell's source as somebody saw it who had exactly the changes up to `heads`.

        Nearly free at the current heads, cheap while the cell was not written to since.

        Raises:
            CellNotFound: it is not there now, or was not there at `heads`.
            HeadsUnknown: some of those changes are not here.
            HeadsTooOld: it was written to, and `heads` lie more than `limit` operations back.
            InvalidUpdate: `heads` are malformed.
        """
        with self.replica.lock:
            self._index.refresh()
            cell = self._shown(cell_id)
            source = self.replica.text_at(self._text(cell, cell_id), cell, heads, limit)
        if source is None:
            raise CellNotFound(f"The cell {cell_id} did not exist at these heads.", cell_id=cell_id)
        return source

    def cell_type(self, cell_id: CellId) -> CellType:
        """A cell's type; CellNotFound if it is not there or was deleted."""
        with self.replica.lock:
            self._index.refresh()
            return _known_type(self._shown(cell_id).get(schema.TYPE))

    def metadata(self) -> dict[str, Any]:
        """The notebook's metadata."""
        return self._metadata.to_json()

    def meta(self) -> NotebookMeta:
        """The notebook's own numbers and its current runtime document."""
        with self.replica.lock:
            return NotebookMeta(
                _whole(self._meta.get(schema.SCHEMA)),
                _whole(self._meta.get(schema.NBFORMAT)),
                _whole(self._meta.get(schema.NBFORMAT_MINOR)),
                _text_or_none(self._meta.get(schema.RUNTIME)),
            )

    def runtime(self) -> DocumentId | None:
        """The current runtime document, as `meta` has it."""
        return _text_or_none(self._meta.get(schema.RUNTIME))

    def _shown(self, cell_id: CellId) -> MapHandle:
        cell = self._cells.map(cell_id) if self._index.shows(cell_id) else None
        if cell is None:
            raise no_such_cell(cell_id)
        return cell

    def _text(self, cell: MapHandle, cell_id: CellId) -> TextHandle:
        text = cell.text(schema.SOURCE)
        if text is None:
            raise InvalidUpdate(f"The cell {cell_id} has no source text.", cell_id=cell_id)
        return text

    def _source_of(self, cell_id: CellId) -> str:
        cell = self._cells.map(cell_id)
        text = cell.text(schema.SOURCE) if cell is not None else None
        if text is None:
            raise InvalidEdit(f"The cell {cell_id} has no source to edit.", cell_id=cell_id)
        return str(text)

    def _read(self, cell_id: CellId) -> Cell:
        cell = self._shown(cell_id)
        content = cell.to_json()
        source = content.get(schema.SOURCE)
        return Cell(
            cell_id,
            _known_type(content.get(schema.TYPE)),
            source if isinstance(source, str) else "",
            _object(content.get(schema.METADATA)),
            _object(content.get(schema.ATTACHMENTS)),
        )


def _known_type(found: Any) -> CellType:
    """The type as written; what is none of the three is raw, which runs and shows nothing."""
    known = isinstance(found, str) and found in CELL_TYPES
    return cast("CellType", found) if known else "raw"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int | None:
    """JavaScript writes 1 as 1.0. A foreign peer may have written what is no number of JSON."""
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    return int(value) if is_number else None


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
