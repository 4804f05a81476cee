from __future__ import annotations

import pytest

from headway.core.document.brake import HALVED_FROM_CELLS, check_merge
from headway.core.document.edits import AddCell, DeleteCell, Edit, UndeleteCell, UpdateSource
from headway.core.document.file_reading import ParsedCell
from headway.errors import FileWouldEmpty


def cells(count: int) -> list[ParsedCell]:
    return [ParsedCell(f"c{number}", "code", f"x = {number}") for number in range(count)]


def is_stopped(count: int, edits: list[Edit], *, leaves_nothing: bool = False) -> bool:
    try:
        check_merge(cells(count), edits, leaves_nothing=leaves_nothing)
    except FileWouldEmpty:
        return True
    return False


def deletions(count: int) -> list[Edit]:
    return [DeleteCell(f"c{number}") for number in range(count)]


def test_a_merge_that_halves_a_notebook_is_stopped_and_one_that_takes_less_is_not() -> None:
    assert is_stopped(10, deletions(5))
    assert not is_stopped(10, deletions(4))


def test_a_small_notebook_may_lose_half_of_its_cells() -> None:
    assert not is_stopped(HALVED_FROM_CELLS - 1, deletions(HALVED_FROM_CELLS - 2))
    assert is_stopped(HALVED_FROM_CELLS, deletions(HALVED_FROM_CELLS - 2))


def test_a_merge_that_leaves_no_text_is_stopped_whatever_the_size() -> None:
    assert is_stopped(1, deletions(1))
    assert is_stopped(2, [UpdateSource("c0", ""), UpdateSource("c1", "\n")])
    assert not is_stopped(2, [UpdateSource("c0", "")])


def test_a_file_without_cells_is_stopped_although_no_edit_comes_of_it() -> None:
    assert is_stopped(1, [], leaves_nothing=True)
    assert not is_stopped(0, [], leaves_nothing=True)


def test_cells_that_come_in_place_of_others_count() -> None:
    added: list[Edit] = [AddCell(f"d{number}", source="y") for number in range(6)]
    assert not is_stopped(6, [*deletions(6), *added])


def test_a_restored_cell_counts() -> None:
    restored: list[Edit] = [UndeleteCell("e"), UpdateSource("e", "z")]
    assert not is_stopped(1, [*deletions(1), *restored])


def test_the_error_says_how_much_would_be_left() -> None:
    with pytest.raises(FileWouldEmpty) as caught:
        check_merge(cells(8), deletions(6), leaves_nothing=False)
    assert (caught.value.data["cells"], caught.value.data["removed"]) == (8, 6)
    assert "2 of the notebook's 8 cells" in str(caught.value)
