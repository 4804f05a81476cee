"""What changed in a file since it was last written or read, as edits of the notebook document.

Floor 1, pure. A three-way merge by cell id: `base` is what we last wrote or read, `theirs` the file
now, `ours` the document now. Only what the file changed since `base` becomes an edit; what the
document changed stays. Where both changed the same: texts are merged (`text_merge`), a change wins
over a deletion, and for types and metadata the file wins.

Without a base nothing is deleted or moved, and what differs is merged. A file without any cells
deletes none either: it is more likely cut off than meant.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from headway.core.document.align import with_ids_of
from headway.core.document.edits import (
    DELETE,
    AddCell,
    CellType,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellAttachment,
    SetCellMetadata,
    SetCellType,
    SetNotebookMetadata,
    UndeleteCell,
    UpdateSource,
)
from headway.core.document.file_reading import ParsedCell, ParsedNotebook
from headway.core.document.file_values import (
    CellWithValues,
    cell_in_file,
    in_file,
    metadata_in_file,
)
from headway.core.document.json_values import check_json, identical
from headway.core.document.text_merge import merge_texts
from headway.errors import InvalidEdit
from headway.ids import CellId

__all__ = ["OurCell", "additions", "aligned", "reconcile"]


class OurCell(CellWithValues, Protocol):
    """A cell of the document."""

    @property
    def id(self) -> CellId:
        """Its id."""

    @property
    def cell_type(self) -> CellType:
        """Its type."""


def aligned(
    base: ParsedNotebook | None, theirs: ParsedNotebook, ours: Sequence[OurCell]
) -> tuple[ParsedNotebook | None, ParsedNotebook]:
    """`base` and `theirs` with the document's ids where the files have none of their own."""
    if base is None:
        return None, with_ids_of(theirs, ours)
    base = with_ids_of(base, ours)
    return base, with_ids_of(theirs, base.cells)


def reconcile(
    base: ParsedNotebook | None,
    theirs: ParsedNotebook,
    ours: Sequence[OurCell],
    metadata: Mapping[str, Any],
    deleted: Collection[CellId] = (),
    *,
    may_empty: bool = False,
) -> list[Edit]:
    """The edits that bring into the document what the file changed since `base`.

    `ours` are the cells one sees, `metadata` is the notebook's, and `deleted` are the ids of
    deleted cells: one that the file has again is restored, since its id cannot be used anew. Use
    `aligned` first to know which cell of the file got which id; it is done here too. With
    `may_empty` a person has said that a file without any cells is meant so.
    """
    base, theirs = aligned(base, theirs, ours)
    edits: list[Edit] = [
        SetNotebookMetadata(key, value)
        for key, value in _entries(
            None if base is None else base.metadata, theirs.metadata, metadata_in_file(metadata)
        )
    ]
    edits.extend(_Merge(base, theirs, ours, deleted, may_empty=may_empty).edits())
    return edits


class _Merge:
    """The cells of the three sides, by id."""

    def __init__(
        self,
        base: ParsedNotebook | None,
        theirs: ParsedNotebook,
        ours: Sequence[OurCell],
        deleted: Collection[CellId],
        *,
        may_empty: bool,
    ) -> None:
        self._base = {cell.id: cell for cell in (base.cells if base is not None else ())}
        self._theirs = {cell.id: cell for cell in theirs.cells}
        self._ours = {cell.id: cell for cell in ours}
        self._deleted = deleted
        self._deletes = bool(self._theirs) or may_empty

    def edits(self) -> Iterator[Edit]:
        moved = self._moved()
        previous: CellId | None = None
        for cell in self._theirs.values():
            before = self._base.get(cell.id)
            our_cell = self._ours.get(cell.id)
            if our_cell is not None:
                if cell.id in moved:
                    yield _move(cell.id, previous)
                yield from self._changes(before, cell, our_cell)
            elif before is None or not _same(before, cell):
                yield from self._addition(cell, previous)
            else:
                continue  # deleted here, untouched there
            previous = cell.id
        yield from self._deletions()

    def _moved(self) -> set[CellId]:
        """The fewest cells whose moves explain the file's order."""
        places = {cell_id: place for place, cell_id in enumerate(self._base)}
        common = [each for each in self._theirs if each in places and each in self._ours]
        stayed = _longest_ascent(common, places.__getitem__)
        return {each for each in common if each not in stayed}

    def _changes(
        self, before: ParsedCell | None, cell: ParsedCell, our_cell: OurCell
    ) -> Iterator[Edit]:
        is_theirs = before is None or before.cell_type != cell.cell_type
        if is_theirs and cell.cell_type != our_cell.cell_type:
            yield SetCellType(cell.id, cell.cell_type)
        source = merge_texts(
            None if before is None else before.source, cell.source, our_cell.source
        )
        if source != our_cell.source:
            yield UpdateSource(cell.id, source)
        known = None if before is None else before.metadata
        for key, value in _entries(known, cell.metadata, in_file(our_cell.metadata)):
            yield SetCellMetadata(cell.id, key, value)
        known = None if before is None else before.attachments
        for name, value in _entries(known, cell.attachments, in_file(our_cell.attachments)):
            yield SetCellAttachment(cell.id, name, value)

    def _addition(self, cell: ParsedCell, previous: CellId | None) -> Iterator[Edit]:
        if cell.id not in self._deleted:
            first = 0 if previous is None else None
            yield from additions(cell, index=first, after=previous)
            return
        yield UndeleteCell(cell.id)
        yield _move(cell.id, previous)
        yield SetCellType(cell.id, cell.cell_type)
        yield UpdateSource(cell.id, cell.source)
        yield from _all_entries(cell)

    def _deletions(self) -> Iterator[Edit]:
        if not self._deletes:
            return
        for cell_id, before in self._base.items():
            our_cell = self._ours.get(cell_id)
            if cell_id not in self._theirs and our_cell is not None and _same(before, our_cell):
                yield DeleteCell(cell_id)


def additions(
    cell: ParsedCell, *, index: int | None = None, after: CellId | None = None
) -> Iterator[Edit]:
    """A new cell, at the end if no place is given.

    What is too large to come in one edit, each entry of it being small enough, comes in several.
    """
    bare = AddCell(cell.id, cell.cell_type, cell.source, index=index, after=after)
    try:
        check_json(cell.metadata)
        check_json(cell.attachments)
    except InvalidEdit:
        yield bare
        yield from _all_entries(cell)
    else:
        yield replace(bare, metadata=cell.metadata, attachments=cell.attachments)


def _all_entries(cell: ParsedCell) -> Iterator[Edit]:
    for key, value in cell.metadata.items():
        yield SetCellMetadata(cell.id, key, value)
    for name, value in cell.attachments.items():
        yield SetCellAttachment(cell.id, name, value)


def _move(cell_id: CellId, previous: CellId | None) -> MoveCell:
    if previous is None:
        return MoveCell(cell_id, index=0)
    return MoveCell(cell_id, after=previous)


def _same(one: OurCell, other: OurCell) -> bool:
    return identical(cell_in_file(one), cell_in_file(other))


def _entries(
    base: Mapping[str, Any] | None, theirs: Mapping[str, Any], ours: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """What to set (or DELETE) of a map, key by key."""
    known = base or {}
    for key, value in theirs.items():
        untouched = key in known and identical(known[key], value)
        if not untouched and not (key in ours and identical(ours[key], value)):
            yield key, value
    for key, value in known.items():
        if key not in theirs and key in ours and identical(ours[key], value):
            yield key, DELETE


def _longest_ascent(ids: Sequence[CellId], place: Callable[[CellId], int]) -> set[CellId]:
    """A longest subsequence whose places ascend (patience sorting)."""
    tops: list[int] = []
    piles: list[CellId] = []
    below: dict[CellId, CellId | None] = {}
    for each in ids:
        pile = bisect_left(tops, place(each))
        below[each] = piles[pile - 1] if pile else None
        tops[pile : pile + 1] = [place(each)]
        piles[pile : pile + 1] = [each]
    found: set[CellId] = set()
    last = piles[-1] if piles else None
    while last is not None:
        found.add(last)
        last = below[last]
    return found
