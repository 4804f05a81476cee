"""What happened to a notebook between two versions, as a reader wants to be told.

Not the engine's diffs (`differences`) and not how to redo them: a reader that shows the notebook
takes `SourceChanged` as it is, and for everything else reads the cells named here again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headway.core.document import schema
from headway.core.document.crdt import Replica
from headway.core.document.differences import (
    CONTAINER,
    Difference,
    ListDifference,
    MapDifference,
    TextDifference,
    TextSplice,
)
from headway.core.document.handles import MISSING
from headway.ids import CellId, Heads

__all__ = [
    "CellAdded",
    "CellChanged",
    "CellDeleted",
    "CellMoved",
    "Change",
    "NotebookChanged",
    "SourceChanged",
    "changes_between",
]


@dataclass(frozen=True, slots=True)
class CellAdded:
    """A cell is there that was not: new, or restored."""

    cell_id: CellId


@dataclass(frozen=True, slots=True)
class CellDeleted:
    """A cell is there no more."""

    cell_id: CellId


@dataclass(frozen=True, slots=True)
class CellMoved:
    """A cell stands elsewhere among the others."""

    cell_id: CellId


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """A cell's source changed by these splices, done one after the other."""

    cell_id: CellId
    splices: tuple[TextSplice, ...]


@dataclass(frozen=True, slots=True)
class CellChanged:
    """A cell's type, metadata or attachments changed."""

    cell_id: CellId


@dataclass(frozen=True, slots=True)
class NotebookChanged:
    """The notebook's metadata, its numbers or its runtime document changed."""


Change = CellAdded | CellDeleted | CellMoved | SourceChanged | CellChanged | NotebookChanged


def changes_between(replica: Replica, before: Heads, after: Heads) -> tuple[Change, ...]:
    """The changes from one version to another, each at most once, additions first.

    Raises HeadsUnknown, and HeadsTooOld when the versions lie so far apart that reading the whole
    notebook again is cheaper.
    """
    differences = replica.differences(before, after)
    added = _added(differences)
    found: dict[Change, None] = dict.fromkeys(CellAdded(each) for each in added if added[each])
    for difference in differences:
        for change in _read(difference):
            if isinstance(change, NotebookChanged) or change.cell_id not in added:
                found[change] = None
    return tuple(found)


def _added(differences: tuple[Difference, ...]) -> dict[CellId, bool]:
    """New cell -> whether it is shown. What else happened to these needs no telling."""
    cells: dict[CellId, bool] = {}
    for difference in differences:
        if isinstance(difference, MapDifference) and difference.path == (schema.CELLS,):
            cells |= dict.fromkeys(
                (key for key, value in difference.changed.items() if value is CONTAINER), True
            )
    for difference in differences:
        match difference:
            case MapDifference((schema.CELLS, str() as cell_id), changed) if cell_id in cells:
                cells[cell_id] = changed.get(schema.DELETED) is not True
            case _:
                pass
    return cells


def _read(difference: Difference) -> Iterator[Change]:
    match difference:
        case ListDifference((schema.ORDER,)):
            yield from _moves(difference)
        case MapDifference((schema.CELLS,), changed):
            yield from (CellDeleted(key) for key, value in changed.items() if value is MISSING)
        case MapDifference((schema.CELLS, str() as cell_id), changed):
            if schema.DELETED in changed:
                gone = changed[schema.DELETED] is True
                yield CellDeleted(cell_id) if gone else CellAdded(cell_id)
            if changed.keys() - {schema.DELETED}:
                yield CellChanged(cell_id)
        case TextDifference((schema.CELLS, str() as cell_id, schema.SOURCE), splices):
            yield SourceChanged(cell_id, splices)
        case _ if difference.path[0] == schema.CELLS:
            yield CellChanged(str(difference.path[1]))
        case _:
            yield NotebookChanged()


def _moves(difference: ListDifference) -> Iterator[CellMoved]:
    """The engine tells a move as an insert here and a delete there; a plain insert is an add."""
    for splice in difference.splices:
        if splice.moved:
            yield from (CellMoved(each) for each in splice.insert if isinstance(each, str))
