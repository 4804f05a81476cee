"""Edits: everything that can be done to a notebook, as frozen values, and what each may hold.

Not how an edit is done (`notebook`) nor whether its cell exists (`draft`): `check_edit` looks at
the values alone. Text positions are code points; positions of cells count the cells one sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, assert_never

from headway.core.document.json_values import check_json, check_text
from headway.core.document.limits import MAX_IMPORT_OPERATIONS
from headway.errors import InvalidEdit
from headway.ids import CellId

__all__ = [
    "DELETE",
    "MAX_CELLS",
    "MAX_COMMIT_OPERATIONS",
    "MAX_EDITS",
    "MAX_SOURCE_CHARACTERS",
    "AddCell",
    "AppendSource",
    "CellType",
    "Delete",
    "DeleteCell",
    "Edit",
    "MoveCell",
    "SetCellAttachment",
    "SetCellMetadata",
    "SetCellType",
    "SetNotebookMetadata",
    "SpliceSource",
    "UndeleteCell",
    "UpdateSource",
    "check_cell_id",
    "check_edit",
    "intent_of",
]

MAX_CELLS = 20_000
"""Cells of one notebook, deleted ones included."""

MAX_SOURCE_CHARACTERS = 1_000_000
"""Code points in one cell."""

MAX_EDITS = 20_000
"""Edits in one call of `apply`."""

MAX_COMMIT_OPERATIONS = MAX_IMPORT_OPERATIONS
"""Engine operations in one commit of a client: what the daemon takes in one import. An inserted or
deleted character counts as one."""

CellType = Literal["code", "markdown", "raw"]
CELL_TYPES: Final = frozenset({"code", "markdown", "raw"})

_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Delete:
    """The type of `DELETE`: remove the key. None is a JSON value and sets null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DELETE"


DELETE: Final = Delete()


@dataclass(frozen=True, slots=True)
class AddCell:
    """A new cell, at `index`, or after or before a cell; at the end if none is given.

    The id must be fresh: ids of deleted cells are never used again.
    """

    cell_id: CellId
    cell_type: CellType = "code"
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attachments: Mapping[str, Any] = field(default_factory=dict)
    index: int | None = None
    after: CellId | None = None
    before: CellId | None = None


@dataclass(frozen=True, slots=True)
class DeleteCell:
    """Hide a cell. What others type into it meanwhile survives an undo."""

    cell_id: CellId


@dataclass(frozen=True, slots=True)
class UndeleteCell:
    """Show a deleted cell again, where it was."""

    cell_id: CellId


@dataclass(frozen=True, slots=True)
class MoveCell:
    """Move a cell, exactly one of: to `index` (where it is afterwards), after or before a cell."""

    cell_id: CellId
    index: int | None = None
    after: CellId | None = None
    before: CellId | None = None


@dataclass(frozen=True, slots=True)
class UpdateSource:
    """Make a cell's source this text by a small diff, so that concurrent typing survives."""

    cell_id: CellId
    source: str


@dataclass(frozen=True, slots=True)
class AppendSource:
    """Add text at the end of a cell's source."""

    cell_id: CellId
    text: str


@dataclass(frozen=True, slots=True)
class SpliceSource:
    """At `index`, delete `delete` code points, then insert."""

    cell_id: CellId
    index: int
    delete: int
    insert: str


@dataclass(frozen=True, slots=True)
class SetCellMetadata:
    """Set or remove one key of a cell's metadata. Other keys are left alone."""

    cell_id: CellId
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class SetCellAttachment:
    """Set or remove one attachment: a name and its MIME bundle."""

    cell_id: CellId
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class SetCellType:
    """Make it a code, markdown or raw cell."""

    cell_id: CellId
    cell_type: CellType


@dataclass(frozen=True, slots=True)
class SetNotebookMetadata:
    """Set or remove one key of the notebook's metadata. Other keys are left alone."""

    key: str
    value: Any


Edit = (
    AddCell
    | DeleteCell
    | UndeleteCell
    | MoveCell
    | UpdateSource
    | AppendSource
    | SpliceSource
    | SetCellMetadata
    | SetCellAttachment
    | SetCellType
    | SetNotebookMetadata
)

_INTENTS: Final[dict[type, str]] = {
    AddCell: "add cell",
    DeleteCell: "delete cell",
    UndeleteCell: "restore cell",
    MoveCell: "move cell",
    UpdateSource: "edit source",
    AppendSource: "edit source",
    SpliceSource: "edit source",
    SetCellMetadata: "set cell metadata",
    SetCellAttachment: "set attachment",
    SetCellType: "set cell type",
    SetNotebookMetadata: "set notebook metadata",
}


def intent_of(edits: Sequence[Edit]) -> str:
    """What the edits are for, in a few words: the kinds of edits in order of first appearance."""
    return ", ".join(dict.fromkeys(_INTENTS[type(edit)] for edit in edits))


def check_cell_id(cell_id: CellId) -> None:
    """Raise InvalidEdit unless `cell_id` has the form that nbformat 4.5 asks for."""
    if not isinstance(cell_id, str) or not _CELL_ID.fullmatch(cell_id):
        raise InvalidEdit(
            "A cell id is 1 to 64 letters, digits, hyphens or underscores.", cell_id=str(cell_id)
        )


def check_edit(edit: Edit) -> None:
    """Raise InvalidEdit if the edit holds what no notebook can."""
    match edit:
        case AddCell():
            check_cell_id(edit.cell_id)
            _check_type(edit.cell_type)
            _check_source(edit.source)
            for values in filter(None, (edit.metadata, edit.attachments)):
                _check_object(values)
            _check_place(edit, required=False)
        case MoveCell():
            _check_place(edit, required=True)
        case DeleteCell() | UndeleteCell():
            pass
        case UpdateSource():
            _check_source(edit.source)
        case AppendSource():
            _check_source(edit.text)
        case SpliceSource():
            _check_source(edit.insert)
            _check_whole("index", edit.index)
            _check_whole("delete", edit.delete)
        case SetCellMetadata() | SetNotebookMetadata():
            _check_entry(edit.key, edit.value)
        case SetCellAttachment():
            _check_entry(edit.name, edit.value)
        case SetCellType():
            _check_type(edit.cell_type)
        case _:
            assert_never(edit)


def _check_object(values: Mapping[str, Any]) -> None:
    if not isinstance(values, Mapping):
        raise InvalidEdit(f"That takes names and values, not {type(values).__name__}.")
    check_json(dict(values))


def _check_type(cell_type: str) -> None:
    if cell_type not in CELL_TYPES:
        raise InvalidEdit(
            f"A cell is code, markdown or raw, not {cell_type!r}.", cell_type=str(cell_type)
        )


def _check_source(source: str) -> None:
    if not isinstance(source, str):
        raise InvalidEdit(f"A source is text, not {type(source).__name__}.")
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise InvalidEdit(
            f"A source holds at most {MAX_SOURCE_CHARACTERS} characters; this has {len(source)}.",
            limit=MAX_SOURCE_CHARACTERS,
            actual=len(source),
        )
    check_text(source)


def _check_entry(key: str, value: Any) -> None:
    check_json({key: None if value is DELETE else value})


def _check_whole(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidEdit(f"`{name}` must be a whole number from 0 on, not {value!r}.")


def _check_place(edit: AddCell | MoveCell, *, required: bool) -> None:
    given = [place for place in (edit.index, edit.after, edit.before) if place is not None]
    if len(given) > 1 or (required and not given):
        raise InvalidEdit("Give one of `index`, `after` and `before`.", cell_id=edit.cell_id)
    if edit.index is not None:
        _check_whole("index", edit.index)
