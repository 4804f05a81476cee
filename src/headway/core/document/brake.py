"""The brake: a merge that would take most of a notebook away is a question, not an edit.

Floor 1, pure. A file that another program cut off, or wrote from an empty state, is a valid
notebook with hardly anything in it. To merge it would delete the work of everybody who has the
notebook open, so it is stopped, and a person decides. It is not for what people do themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from headway.core.document.edits import AddCell, DeleteCell, Edit, UndeleteCell, UpdateSource
from headway.errors import FileWouldEmpty
from headway.ids import CellId

__all__ = ["HALVED_FROM_CELLS", "Weighed", "check_merge"]

HALVED_FROM_CELLS = 4
"""A notebook with fewer cells may lose half of them: that is a small edit."""


class Weighed(Protocol):
    """A cell, as far as the brake looks at it."""

    @property
    def id(self) -> CellId:
        """Its id."""

    @property
    def source(self) -> str:
        """Its text."""


def check_merge(cells: Sequence[Weighed], edits: Iterable[Edit], *, leaves_nothing: bool) -> None:
    """Raise FileWouldEmpty when `edits` would empty these cells or leave half of them or fewer.

    Args:
        cells: The notebook's cells now.
        edits: What the file would change.
        leaves_nothing: The file has no cells at all, whatever the edits make of that.
    """
    before = {cell.id: cell.source for cell in cells}
    after = dict(before)
    for edit in edits:
        match edit:
            case DeleteCell(cell_id=cell_id):
                after.pop(cell_id, None)
            case AddCell() | UpdateSource():
                after[edit.cell_id] = edit.source
            case UndeleteCell(cell_id=cell_id):
                after.setdefault(cell_id, "")
            case _:
                pass
    left = {} if leaves_nothing else after
    is_emptied = _has_text(before.values()) and not _has_text(left.values())
    is_halved = len(before) >= HALVED_FROM_CELLS and 2 * len(left) <= len(before)
    if is_emptied or is_halved:
        raise FileWouldEmpty(
            f"The file has changed so much that merging it would leave {len(left)} of the "
            f"notebook's {len(before)} cells{' without any text' if is_emptied else ''}. To keep "
            "the notebook as it is here, save it where it is open, or move the file away, open its "
            "path again and save. To take the file's version, open it with `accept_file` "
            "(`--accept-file`).",
            cells=len(before),
            removed=len(before) - len(left),
        )


def _has_text(sources: Iterable[str]) -> bool:
    return any(source.strip() for source in sources)
