"""Cell ids for the cells of a file that has none of its own.

Floor 1, pure. A file without ids (before format 4.5, or from a tool that drops them) gets fresh
ones each time it is read. Before two readings are compared, or one with the document, the cells
that are evidently the same get the same id: equal ones first, in order and then anywhere, and of
the others those that resemble each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Protocol

from headway.core.document.file_reading import ParsedCell, ParsedNotebook
from headway.ids import CellId

__all__ = ["Known", "with_ids_of"]

_ALIKE = 0.5
"""From this ratio on (`SequenceMatcher`) two sources are taken for versions of one cell."""

_MAX_PAIRS = 400
"""Cells are compared one by one only in gaps of so many pairs."""

_COMPARED_CHARACTERS = 2_000


class Known(Protocol):
    """A cell whose id is certain."""

    @property
    def id(self) -> CellId:
        """Its id."""

    @property
    def cell_type(self) -> str:
        """Its type."""

    @property
    def source(self) -> str:
        """Its text."""


def with_ids_of(parsed: ParsedNotebook, known: Sequence[Known]) -> ParsedNotebook:
    """The notebook with each minted id replaced by that of the known cell it is, if there is one.

    A cell that is none of them keeps its minted id and is `minted` still.
    """
    own = {cell.id for cell in parsed.cells if not cell.minted}
    unnamed = [cell for cell in parsed.cells if cell.minted]
    free = [cell for cell in known if cell.id not in own]
    found = _pairs(unnamed, free) if unnamed else {}
    if not found:
        return parsed
    return replace(
        parsed,
        cells=tuple(
            replace(cell, id=found[cell.id], minted=False) if cell.id in found else cell
            for cell in parsed.cells
        ),
        outputs={found.get(cell_id, cell_id): shown for cell_id, shown in parsed.outputs.items()},
    )


def _pairs(unnamed: Sequence[ParsedCell], free: Sequence[Known]) -> dict[CellId, CellId]:
    """Minted id -> known id."""
    # Equal ends first: the rest takes time like the square of how many cells are equal.
    before = _equal_from_the_start(unnamed, free)
    after = _equal_from_the_start(unnamed[before:][::-1], free[before:][::-1])
    ends = [*zip(unnamed[:before], free, strict=False)]
    ends += zip(unnamed[len(unnamed) - after :], free[len(free) - after :], strict=True)
    unnamed = unnamed[before : len(unnamed) - after]
    free = free[before : len(free) - after]
    return {cell.id: same.id for cell, same in ends} | _inner_pairs(unnamed, free)


def _equal_from_the_start(unnamed: Sequence[ParsedCell], free: Sequence[Known]) -> int:
    pairs = zip(unnamed, free, strict=False)
    same = takewhile(lambda pair: _content(pair[0]) == _content(pair[1]), pairs)
    return sum(1 for _ in same)


def _inner_pairs(unnamed: Sequence[ParsedCell], free: Sequence[Known]) -> dict[CellId, CellId]:
    matcher = SequenceMatcher(
        None,
        [_content(cell) for cell in unnamed],
        [_content(cell) for cell in free],
        autojunk=False,
    )
    found: dict[CellId, CellId] = {}
    gaps: list[tuple[Sequence[ParsedCell], Sequence[Known]]] = []
    for tag, start, end, free_start, free_end in matcher.get_opcodes():
        gap, candidates = unnamed[start:end], free[free_start:free_end]
        if tag == "equal":
            found |= {cell.id: same.id for cell, same in zip(gap, candidates, strict=True)}
        elif tag == "replace":
            gaps.append((gap, candidates))
    _add_moved(found, unnamed, free)
    for gap, candidates in [*gaps, (unnamed, free)]:
        taken = set(found.values())
        rest = [cell for cell in gap if cell.id not in found]
        rest_free = [cell for cell in candidates if cell.id not in taken]
        if gap is not unnamed and _are_one_each(rest, rest_free):
            found[rest[0].id] = rest_free[0].id
        found |= _alike(rest, rest_free)
    return found


def _are_one_each(gap: Sequence[ParsedCell], candidates: Sequence[Known]) -> bool:
    """One cell stands between the same neighbours as one before: it was rewritten."""
    return len(gap) == len(candidates) == 1 and gap[0].cell_type == candidates[0].cell_type


def _add_moved(
    found: dict[CellId, CellId], unnamed: Sequence[ParsedCell], free: Sequence[Known]
) -> None:
    """Pair what is left of equal cells, wherever they stand."""
    taken = set(found.values())
    left: dict[tuple[str, str], list[CellId]] = {}
    for known in reversed(free):
        if known.id not in taken and known.source:
            left.setdefault(_content(known), []).append(known.id)
    for cell in unnamed:
        if cell.id not in found and (same := left.get(_content(cell))):
            found[cell.id] = same.pop()


def _content(cell: Known) -> tuple[str, str]:
    return cell.cell_type, cell.source


def _alike(gap: Sequence[ParsedCell], candidates: Sequence[Known]) -> dict[CellId, CellId]:
    """In order: each cell of the gap gets the next candidate that resembles it."""
    found: dict[CellId, CellId] = {}
    if len(gap) * len(candidates) > _MAX_PAIRS:
        return found
    first = 0
    for cell in gap:
        for position in range(first, len(candidates)):
            if _is_like(cell, candidates[position]):
                found[cell.id] = candidates[position].id
                first = position + 1
                break
    return found


def _is_like(cell: ParsedCell, candidate: Known) -> bool:
    if cell.cell_type != candidate.cell_type:
        return False
    one, other = cell.source[:_COMPARED_CHARACTERS], candidate.source[:_COMPARED_CHARACTERS]
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
