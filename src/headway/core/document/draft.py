"""A list of edits against a notebook, checked as a whole before any of it is done.

Not the doing (`notebook`). The engine has no way back, so every reason why an edit cannot be done
must be found here, with the earlier edits of the list taken into account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from headway.core.document.cell_index import CellIndex
from headway.core.document.edits import (
    MAX_CELLS,
    MAX_SOURCE_CHARACTERS,
    AddCell,
    AppendSource,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellAttachment,
    SetCellMetadata,
    SetCellType,
    SetNotebookMetadata,
    SpliceSource,
    UndeleteCell,
    UpdateSource,
    check_edit,
)
from headway.core.document.json_values import count_items
from headway.core.document.text_update import common_ends
from headway.errors import CellNotFound, InvalidEdit
from headway.ids import CellId

__all__ = ["Draft", "no_such_cell"]

_CELL_OPERATIONS = 8
"""Engine operations of an empty cell: its containers, its type, its place, its mark on and off."""


def no_such_cell(cell_id: CellId) -> CellNotFound:
    """The error for a cell that is not there or was deleted."""
    return CellNotFound(f"There is no cell {cell_id}, or it was deleted.", cell_id=cell_id)


class Draft:
    """What the notebook would be after the edits checked so far.

    Args:
        index: the notebook's, refreshed.
        source_of: the source of a cell as it is now; InvalidEdit if it has none.
        max_operations: the most engine operations that all edits together may need.
    """

    def __init__(
        self,
        index: CellIndex,
        source_of: Callable[[CellId], str],
        max_operations: int | None,
    ) -> None:
        self._index = index
        self._source_of = source_of
        self._max_operations = max_operations
        self._operations = 0
        self._shown: dict[CellId, bool] = {}
        self._sources: dict[CellId, int] = {}
        self._visible = len(index.visible)
        self._entries = index.size

    def check(self, edit: Edit) -> None:
        """Raise CellNotFound or InvalidEdit if the edit cannot be done after those before."""
        check_edit(edit)
        match edit:
            case AddCell():
                self._check_add(edit)
            case DeleteCell():
                self._require(edit.cell_id)
                self._shown[edit.cell_id] = False
                self._visible -= 1
            case UndeleteCell():
                self._check_undelete(edit.cell_id)
            case MoveCell():
                self._require(edit.cell_id)
                self._check_place(edit, self._visible - 1)
            case UpdateSource():
                self._check_update(edit)
            case AppendSource():
                length = self._length(edit.cell_id)
                self._grow(edit.cell_id, length + len(edit.text), len(edit.text))
            case SpliceSource():
                self._check_splice(edit)
            case SetCellMetadata() | SetCellAttachment():
                self._require(edit.cell_id)
                self._count(count_items(edit.value))
            case SetCellType():
                self._require(edit.cell_id)
            case SetNotebookMetadata():
                self._count(count_items(edit.value))
            case _:
                assert_never(edit)
        self._count(1)

    def _check_add(self, edit: AddCell) -> None:
        if edit.cell_id in self._shown or self._index.reserved(edit.cell_id):
            raise InvalidEdit(
                f"The cell id {edit.cell_id} is taken; every new cell needs a fresh one.",
                cell_id=edit.cell_id,
            )
        if self._entries >= MAX_CELLS:
            raise InvalidEdit(f"A notebook holds at most {MAX_CELLS} cells.", limit=MAX_CELLS)
        self._check_place(edit, self._visible)
        self._shown[edit.cell_id] = True
        self._sources[edit.cell_id] = len(edit.source)
        self._visible += 1
        self._entries += 1
        maps = filter(None, (edit.metadata, edit.attachments))
        items = sum(count_items(dict(json)) for json in maps)
        self._count(_CELL_OPERATIONS + len(edit.source) + items)

    def _check_undelete(self, cell_id: CellId) -> None:
        if self._shows(cell_id):
            return
        if cell_id not in self._shown and not self._index.exists(cell_id):
            raise no_such_cell(cell_id)
        self._shown[cell_id] = True
        self._visible += 1

    def _check_place(self, edit: AddCell | MoveCell, last: int) -> None:
        if edit.index is not None and edit.index > last:
            raise InvalidEdit(
                f"There is no position {edit.index}; the last is {last}.",
                cell_id=edit.cell_id,
                index=edit.index,
            )
        for neighbour in (edit.after, edit.before):
            if neighbour is not None:
                self._require(neighbour)
            if neighbour == edit.cell_id:
                raise InvalidEdit("A cell cannot stand next to itself.", cell_id=edit.cell_id)

    def _check_update(self, edit: UpdateSource) -> None:
        length = self._length(edit.cell_id)
        changed = length + len(edit.source)
        if self._max_operations is not None and edit.cell_id not in self._sources:
            old = self._source_of(edit.cell_id)
            prefix, suffix = common_ends(old, edit.source)
            changed -= 2 * (prefix + suffix)
        self._grow(edit.cell_id, len(edit.source), changed)

    def _check_splice(self, edit: SpliceSource) -> None:
        length = self._length(edit.cell_id)
        if edit.index + edit.delete > length:
            raise InvalidEdit(
                f"The source of cell {edit.cell_id} has {length} characters; "
                f"{edit.index} + {edit.delete} lies beyond.",
                cell_id=edit.cell_id,
                length=length,
            )
        grown = length - edit.delete + len(edit.insert)
        self._grow(edit.cell_id, grown, edit.delete + len(edit.insert))

    def _shows(self, cell_id: CellId) -> bool:
        shown = self._shown.get(cell_id)
        return self._index.shows(cell_id) if shown is None else shown

    def _require(self, cell_id: CellId) -> None:
        if not self._shows(cell_id):
            raise no_such_cell(cell_id)

    def _length(self, cell_id: CellId) -> int:
        self._require(cell_id)
        known = self._sources.get(cell_id)
        return len(self._source_of(cell_id)) if known is None else known

    def _grow(self, cell_id: CellId, length: int, operations: int) -> None:
        if length > MAX_SOURCE_CHARACTERS:
            raise InvalidEdit(
                f"A source holds at most {MAX_SOURCE_CHARACTERS} characters.",
                cell_id=cell_id,
                limit=MAX_SOURCE_CHARACTERS,
                actual=length,
            )
        self._sources[cell_id] = length
        self._count(operations)

    def _count(self, operations: int) -> None:
        self._operations += operations
        if self._max_operations is not None and self._operations > self._max_operations:
            raise InvalidEdit(
                f"These edits are too much at once (over {self._max_operations} operations; a "
                "character is one); make them in several calls.",
                limit=self._max_operations,
            )
