"""Notebooks of formats before 4, brought to 4.5 by the nbformat library.

Floor 1, pure but for the library. Format 4.0 to 4.4 differs from 4.5 by cell ids alone, which
`nbformat` mints itself. The library mints random ids; they are taken off again here.
"""

from __future__ import annotations

import json
from typing import Any

from headway.errors import NotebookUnreadable

__all__ = ["OLDEST_FORMAT", "upgrade"]

OLDEST_FORMAT = 1
_WORKSHEETS_FORMAT = 3


def upgrade(notebook: dict[str, Any], major: int, minor: int) -> dict[str, Any]:
    """The notebook as format 4.5, without cell ids. Raises NotebookUnreadable."""
    # Imported here: it brings JSON schemas and takes 0.1 s, and old files are rare.
    from nbformat import converter, versions  # noqa: PLC0415
    from nbformat.v4.convert import upgrade_cell  # noqa: PLC0415

    try:
        node = versions[major].to_notebook_json(notebook, minor=minor)
        node = converter.convert(node, _WORKSHEETS_FORMAT)  # type: ignore[no-untyped-call]
        # Not the library's step from 3 to 4, which validates and complains on stderr.
        old_cells = [cell for sheet in node["worksheets"] for cell in sheet["cells"]]
        cells = [upgrade_cell(cell) for cell in old_cells]  # type: ignore[no-untyped-call]
        metadata = dict(node.get("metadata", {}))
    except Exception as error:
        # What the library raises for a broken file depends on what is broken: a KeyError, an
        # AttributeError, its own ValidationError.
        raise NotebookUnreadable(
            f"The file says it is a notebook of format {major}, but it cannot be read as one "
            f"({type(error).__name__}: {str(error)[:200]})."
        ) from error
    metadata.pop("name", None)
    for cell in cells:
        cell.pop("id", None)
    upgraded: dict[str, Any] = json.loads(
        json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    )
    return upgraded
