"""How each edit is written: checked edits become engine operations, uncommitted.

Not the checks (`draft`) and not the commit (`notebook`). Whatever is written to the order of the
cells is told to the index at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from headway.core.document import schema
from headway.core.document.cell_index import CellIndex
from headway.core.document.crdt import Replica
from headway.core.document.edits import (
    DELETE,
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
)
from headway.core.document.handles import MISSING, MapHandle, TextHandle
from headway.core.document.text_update import update_text
from headway.ids import CellId

__all__ = ["CellWriter"]


class CellWriter:
    """Writes edits that a `Draft` has passed, under the replica's lock.

    Args:
        replica: the live document.
        index: of the same replica, refreshed.
    """

    def __init__(self, replica: Replica, index: CellIndex) -> None:
        self._index = index
        self._cells = replica.map(schema.CELLS)
        self._order = replica.order(schema.ORDER)
        self._metadata = replica.map(schema.METADATA)

    def write_hidden(self, edits: Sequence[Edit]) -> bool:
        """Write what the edits need and undoing them must leave; False if there is nothing.

        That is the cells that they add, marked as deleted, which `write` then only shows; those
        whose place depends on an edit before get it there. And the maps that they are the first
        to write into.
        """
        order_is_known = True
        wrote = False
        for edit in edits:
            match edit:
                case AddCell():
                    self._new_cell(edit).set(schema.DELETED, value=True)
                    if order_is_known:
                        self._place(edit)
                    wrote = True
                case MoveCell() | DeleteCell() | UndeleteCell():
                    order_is_known = False
                case SetCellMetadata() | SetCellAttachment() if edit.value is not DELETE:
                    cell, key = self._cell(edit.cell_id), _map_of(edit)
                    if cell.map(key) is None:
                        cell.shared_map(key)
                        wrote = True
                case _:
                    pass
        return wrote

    def write(self, edit: Edit) -> None:
        """Write one edit. Where it changes nothing, nothing is written."""
        match edit:
            case AddCell():
                self._add(edit)
            case DeleteCell():
                self._cell(edit.cell_id).set(schema.DELETED, value=True)
                self._index.hidden(edit.cell_id)
            case UndeleteCell():
                self._undelete(edit.cell_id)
            case MoveCell():
                self._move(edit)
            case UpdateSource():
                source = self._source(edit.cell_id)
                update_text(source, str(source), edit.source)
            case AppendSource():
                if edit.text:
                    self._source(edit.cell_id).append(edit.text)
            case SpliceSource():
                self._splice(edit)
            case SetCellMetadata():
                self._set_inside(edit, edit.key)
            case SetCellAttachment():
                self._set_inside(edit, edit.name)
            case SetCellType():
                self._cell(edit.cell_id).set(schema.TYPE, edit.cell_type)
            case SetNotebookMetadata():
                _set_or_delete(self._metadata, edit.key, edit.value)
            case _:
                assert_never(edit)

    def _add(self, edit: AddCell) -> None:
        hidden = self._cells.map(edit.cell_id)
        if hidden is None:
            self._new_cell(edit)
        else:
            hidden.delete(schema.DELETED)
        if not self._index.has_place(edit.cell_id):
            self._place(edit)

    def _new_cell(self, edit: AddCell) -> MapHandle:
        # Most cells have neither, and a container costs more than all the rest of a small cell.
        maps = {schema.METADATA: edit.metadata, schema.ATTACHMENTS: edit.attachments}
        return self._cells.new_map(
            edit.cell_id,
            values={schema.TYPE: edit.cell_type},
            texts={schema.SOURCE: edit.source},
            maps={key: json for key, json in maps.items() if json},
        )

    def _place(self, edit: AddCell) -> None:
        position = self._position(edit, None)
        self._order.insert(position, edit.cell_id)
        self._index.added(edit.cell_id, position)

    def _undelete(self, cell_id: CellId) -> None:
        self._cell(cell_id).delete(schema.DELETED)
        if self._index.has_place(cell_id):
            self._index.unhidden(cell_id)
        else:
            position = self._index.size
            self._order.insert(position, cell_id)
            self._index.added(cell_id, position)

    def _move(self, edit: MoveCell) -> None:
        start = self._index.position(edit.cell_id)
        to = self._position(edit, edit.cell_id)
        if to > start:
            to -= 1
        if to != start:
            self._order.move(start, to)
            self._index.moved(start, to)

    def _position(self, edit: AddCell | MoveCell, moving: CellId | None) -> int:
        """The entry of `order` to insert before; `moving` is not counted in `edit.index`."""
        if edit.after is not None:
            return self._index.position(edit.after) + 1
        if edit.before is not None:
            return self._index.position(edit.before)
        if edit.index is None:
            return self._index.size
        visible = self._index.visible
        at = edit.index
        if moving is not None:
            own = visible.find(moving)
            if at == own:
                return self._index.position(moving)
            at += at > own
        if at < len(visible):
            return self._index.position(visible.ids[at])
        return self._index.position(visible.ids[-1]) + 1 if len(visible) else self._index.size

    def _splice(self, edit: SpliceSource) -> None:
        source = self._source(edit.cell_id)
        if edit.delete:
            source.delete(edit.index, edit.delete)
        if edit.insert:
            source.insert(edit.index, edit.insert)

    def _cell(self, cell_id: CellId) -> MapHandle:
        cell = self._cells.map(cell_id)
        assert cell is not None, cell_id
        return cell

    def _source(self, cell_id: CellId) -> TextHandle:
        source = self._cell(cell_id).text(schema.SOURCE)
        assert source is not None, cell_id
        return source

    def _set_inside(self, edit: SetCellMetadata | SetCellAttachment, name: str) -> None:
        cell, key = self._cell(edit.cell_id), _map_of(edit)
        if edit.value is not DELETE:
            cell.shared_map(key).set_json(name, edit.value)
        elif (inside := cell.map(key)) is not None:
            _set_or_delete(inside, name, DELETE)


def _map_of(edit: SetCellMetadata | SetCellAttachment) -> str:
    return schema.METADATA if isinstance(edit, SetCellMetadata) else schema.ATTACHMENTS


def _set_or_delete(inside: MapHandle, key: str, value: Any) -> None:
    if value is not DELETE:
        inside.set_json(key, value)
    elif inside.get(key) is not MISSING:
        inside.delete(key)
