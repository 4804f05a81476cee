"""The shape of a notebook document: its containers by name, and whether an import kept to it.

Not the limits of edits (`edits`), which are ours to keep before we write; this looks at what
another peer wrote. It looks only at the containers that an import touched, never at the whole.
"""

from __future__ import annotations

from typing import Final

from headway.core.document.crdt import Imported, Replica
from headway.core.document.differences import Touched
from headway.core.document.handles import MapHandle
from headway.core.document.json_values import MAX_JSON_DEPTH, check_json
from headway.errors import InvalidEdit, InvalidUpdate

__all__ = [
    "ATTACHMENTS",
    "CELLS",
    "DELETED",
    "META",
    "METADATA",
    "NBFORMAT",
    "NBFORMAT_MINOR",
    "ORDER",
    "RUNTIME",
    "SCHEMA",
    "SCHEMA_VERSION",
    "SOURCE",
    "TYPE",
    "check_import",
]

SCHEMA_VERSION = 1

META: Final = "meta"
METADATA: Final = "metadata"
CELLS: Final = "cells"
ORDER: Final = "order"

SCHEMA: Final = "schema"
NBFORMAT: Final = "nbformat"
NBFORMAT_MINOR: Final = "nbformat_minor"
RUNTIME: Final = "runtime"

TYPE: Final = "type"
SOURCE: Final = "source"
ATTACHMENTS: Final = "attachments"
DELETED: Final = "deleted"

_ROOTS: Final = {META: "Map", METADATA: "Map", CELLS: "Map", ORDER: "MovableList"}
_CELL_TYPES: Final = frozenset({"code", "markdown", "raw"})
_CELL_KEYS: Final = {SOURCE: "Text", METADATA: "Map", ATTACHMENTS: "Map"}
_PARTS: Final = (METADATA, ATTACHMENTS)
_MAX_PATH = 3 + MAX_JSON_DEPTH
"""`cells`, the id, `metadata`, then the JSON."""


def check_import(replica: Replica, imported: Imported) -> None:
    """Raise InvalidUpdate if what was imported leaves the schema of a notebook.

    Refuses unknown root containers, containers nested too deep, touched cells that are none or
    have no known type or no source, and metadata or attachments that no file can hold. Raises
    HeadsTooOld if the import was too long to be scanned.
    The replica holds the import either way: one that is refused is to be rebuilt without it.
    """
    if not imported.changed:
        return
    step = imported.heads_before, imported.heads_after
    cells: dict[str, set[str]] = {}
    for place in replica.touched(*step):
        _check_place(place)
        match place.path:
            case ("cells",):
                for cell_id in sorted(replica.keys_written(CELLS, *step)):
                    cells.setdefault(cell_id, set()).update(_PARTS)
            case ("cells", cell_id):
                cells.setdefault(str(cell_id), set()).update(_PARTS)
            case ("cells", cell_id, part, *_):
                cells.setdefault(str(cell_id), set()).add(str(part))
            case ("metadata", *_):
                _check_values(replica.map(METADATA), "the notebook's metadata")
            case _:
                pass
    handle = replica.map(CELLS)
    for cell_id, parts in cells.items():
        cell = handle.map(cell_id)
        if cell is not None:
            _check_cell(cell, cell_id, parts)
        elif cell_id in handle:  # else it was removed again since
            raise InvalidUpdate(f"The cell {cell_id} is no map.", cell_id=cell_id)


def _check_cell(cell: MapHandle, cell_id: str, parts: set[str]) -> None:
    kind = cell.get(TYPE)
    if not isinstance(kind, str) or kind not in _CELL_TYPES:
        raise InvalidUpdate(f"The cell {cell_id} has no valid type.", cell_id=cell_id)
    if cell.text(SOURCE) is None:
        raise InvalidUpdate(f"The cell {cell_id} has no source text.", cell_id=cell_id)
    for part in _PARTS:
        values = cell.map(part) if part in parts else None
        if values is not None:
            _check_values(values, f"the {part} of cell {cell_id}")
        elif part in parts and part in cell:
            raise InvalidUpdate(f"The {part} of cell {cell_id} are no map.", cell_id=cell_id)


def _check_values(values: MapHandle, where: str) -> None:
    try:
        for value in values.to_json().values():
            check_json(value)
    except InvalidEdit as error:
        raise InvalidUpdate(f"In {where}: {error}") from error


def _check_place(place: Touched) -> None:
    path = place.path
    if not path:
        return  # overwritten or removed: nobody can read it
    if len(path) > _MAX_PATH:
        raise InvalidUpdate(
            f"The document is nested {len(path)} levels deep; {_MAX_PATH} are allowed.",
            limit=_MAX_PATH,
            actual=len(path),
        )
    expected: str | None = None
    if len(path) == 1:
        expected = _ROOTS.get(str(path[0]), "")
    elif path[0] == CELLS:
        expected = "Map" if len(path) == 2 else _CELL_KEYS.get(str(path[2]))
        expected = expected if len(path) <= 3 else None
    elif path[0] == ORDER:
        expected = ""
    if expected is not None and place.kind != expected:
        where = "/".join(map(str, path))
        raise InvalidUpdate(f"A notebook has no {place.kind} container at {where}.", path=where)
