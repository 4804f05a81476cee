from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document import align
from headway.core.document.align import with_ids_of
from headway.core.document.file_reading import ParsedCell, ParsedNotebook


def unnamed(sources: Sequence[str]) -> ParsedNotebook:
    cells = [
        ParsedCell(f"minted{number}", "code", source, minted=True)
        for number, source in enumerate(sources)
    ]
    return ParsedNotebook(cells=tuple(cells))


def known(sources: Sequence[str]) -> list[ParsedCell]:
    return [ParsedCell(f"known{number}", "code", source) for number, source in enumerate(sources)]


def ids(sources: Sequence[str], ours: Sequence[str]) -> list[str]:
    return [cell.id for cell in with_ids_of(unnamed(sources), known(ours)).cells]


sources = st.lists(st.sampled_from(["", "a = 1", "b = 2", "import c"]), max_size=8)


@given(sources, sources)
def test_a_cell_gets_an_id_once_and_as_many_equal_cells_as_can_be_get_one(
    theirs: list[str], ours: list[str]
) -> None:
    found = ids(theirs, ours)
    assert len(set(found)) == len(theirs)
    by_id = {cell.id: cell.source for cell in known(ours)}
    for text in set(theirs) - {""}:
        same = sum(
            by_id.get(each) == text for each, its in zip(found, theirs, strict=True) if its == text
        )
        assert same == min(theirs.count(text), ours.count(text))


def test_cells_that_stand_as_they_stood_keep_their_ids() -> None:
    same = ["", "", "a = 1", "", "a = 1"]
    assert ids(same, same) == [f"known{number}" for number in range(5)]


def test_a_rewritten_a_new_and_a_moved_cell_are_told_apart() -> None:
    ours = ["import one", "import two", "import three", "last"]
    theirs = ["new", "import one", "import two as t", "last", "import three"]
    assert ids(theirs, ours) == ["minted0", "known0", "known1", "known3", "known2"]


def test_cells_that_are_equal_at_both_ends_are_not_compared_with_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty thousand that are all alike would take minutes."""
    compared: list[tuple[int, int]] = []

    class Counting(SequenceMatcher[Any]):
        def __init__(self, junk: None, one: Any, other: Any, autojunk: bool) -> None:
            compared.append((len(one), len(other)))
            super().__init__(junk, one, other, autojunk)

    monkeypatch.setattr(align, "SequenceMatcher", Counting)
    many = [""] * 20_000
    expected = [f"known{number}" for number in range(20_000)]
    assert ids(["", "new", *many[1:]], many) == ["known0", "minted1", *expected[1:]]
    assert compared == [(1, 0)]
