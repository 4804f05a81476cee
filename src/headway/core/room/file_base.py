"""Which of the versions that the file had another program started from.

Floor 3, pure. A program that read the file, and wrote it after we had written it anew, knows
nothing of what we wrote in between: against the latest base that would be deleted. So one of the
older ones may count, and every one is judged for itself. It does not count

    if the file has something that one of our later bases brought and this one lacks (a cell, its
    text, an entry of metadata): who wrote the file had read that one, and what else is missing in
    it was taken away;
    if no edit of ours was written over it, but outputs at most, and the file does not show what it
    showed: outputs were cleared;
    if fewer than half of the file's cells are as they were in it: a file that is made anew each
    time (by a script, with the same ids) differs from all bases, and from an older one by chance
    in a cell less.

Of those that count it is the one that the file differs from least, the latest in doubt. And a file
that is exactly as one of them was put back on purpose, which is a change of the latest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from headway.core.document.align import with_ids_of
from headway.core.document.nbformat import ParsedNotebook, ShownOutputs
from headway.core.document.notebook import Cell
from headway.core.room.bases import Base

__all__ = ["same_outputs", "started_from"]

_OF_EVERY_RUN = ("kernelspec", "language_info")
"""Metadata of a notebook that whoever runs it writes: two programs write the same."""

_Pair = tuple[ParsedNotebook, ParsedNotebook]
"""A base, and the file with its ids where the file has none of its own."""

_Facts = set[tuple[str, ...]]


def started_from(
    bases: Sequence[Base],
    read: Sequence[ParsedNotebook],
    file: ParsedNotebook,
    ours: Sequence[Cell],
) -> _Pair:
    """The base that counts, and the file; both with the document's ids where they have none.

    Args:
        bases: What was written to, or read from, the file, the latest last; at least one.
        read: Their content.
        file: What another program wrote.
        ours: The document's cells.
    """
    pairs = []
    for each in read:
        base = with_ids_of(each, ours)
        pairs.append((base, with_ids_of(file, base.cells)))
    able = [pairs[-1], *_older(bases, pairs, file)]
    distances = [_distance(*pair) for pair in able]
    return able[distances.index(min(distances))] if all(distances) else pairs[-1]


def _older(bases: Sequence[Base], pairs: Sequence[_Pair], file: ParsedNotebook) -> Iterator[_Pair]:
    """The bases before the latest that count, latest first."""
    latest, theirs = pairs[-1]
    named = {cell.id for cell in file.cells if not cell.minted}
    # An id that was found by likeness proves nothing.
    found = {("cell", cell.id) for cell in theirs.cells if cell.id not in named}
    said = _facts(theirs) - found
    ours_since: _Facts = set()
    has_edits_since = False
    for place in reversed(range(len(pairs) - 1)):
        base, theirs = pairs[place]
        if bases[place + 1].is_ours:
            after = pairs[place + 1][0]
            ours_since |= _facts(after)
            has_edits_since |= _texts(base) != _texts(after)
        if (said & ours_since) - _facts(base):
            continue
        are_only_outputs_since = _texts(base) == _texts(latest)
        if not has_edits_since and not (are_only_outputs_since and _shows_as(base, theirs)):
            continue
        if _is_mostly_as(base, theirs):
            yield base, theirs


def _facts(notebook: ParsedNotebook) -> _Facts:
    """What a notebook says, in parts that are recognised by themselves."""
    facts: _Facts = {
        ("notebook", key, _json(value))
        for key, value in notebook.metadata.items()
        if key not in _OF_EVERY_RUN
    }
    for cell in notebook.cells:
        facts.add(("cell", cell.id))
        if cell.source:
            facts.add(("text", cell.id, cell.cell_type, cell.source))
        facts.update(("entry", cell.id, key, _json(value)) for key, value in cell.metadata.items())
    return facts


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _texts(parsed: ParsedNotebook) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in parsed.cells]


def _shows_as(base: ParsedNotebook, theirs: ParsedNotebook) -> bool:
    """Whether the file shows the runs that the base showed, of all cells with the same text."""
    before = {cell.id: cell.source for cell in base.cells}
    return all(
        same_outputs(base.outputs.get(cell.id), theirs.outputs.get(cell.id))
        for cell in theirs.cells
        if before.get(cell.id) == cell.source
    ) and all(base.metadata.get(key) == theirs.metadata.get(key) for key in _OF_EVERY_RUN)


def _is_mostly_as(base: ParsedNotebook, theirs: ParsedNotebook) -> bool:
    """Whether at least half of the file's cells were in the base, with the same text."""
    before = {cell.id: cell.source for cell in base.cells}
    same = sum(before.get(cell.id) == cell.source for cell in theirs.cells)
    return 2 * same >= len(theirs.cells)


def _distance(base: ParsedNotebook, theirs: ParsedNotebook) -> int:
    """How many cells differ, in what is in them or in what they show."""
    before = {cell.id: cell for cell in base.cells}
    after = {cell.id: cell for cell in theirs.cells}
    changed = sum(
        cell != before[each] or not same_outputs(base.outputs.get(each), theirs.outputs.get(each))
        for each, cell in after.items()
        if each in before
    )
    return len(before.keys() ^ after.keys()) + changed + (base.metadata != theirs.metadata)


def same_outputs(before: ShownOutputs | None, after: ShownOutputs | None) -> bool:
    """Whether a cell shows the same in two files; None: it is no code cell of one."""
    before, after = before or ShownOutputs(), after or ShownOutputs()
    return (before.execution_count, before.digest) == (after.execution_count, after.digest)
