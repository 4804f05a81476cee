"""The index: an id is found wherever edits have pushed it, in few steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.cell_index import IdList

OPERATIONS = st.lists(st.tuples(st.booleans(), st.integers(0, 10_000), st.integers(0, 10_000)))


@given(size=st.integers(1, 300), operations=OPERATIONS)
def test_every_id_is_found_after_inserts_and_moves(
    size: int, operations: list[tuple[bool, int, int]]
) -> None:
    ids = IdList([f"c{each}" for each in range(size)])
    for number, (moves, first, second) in enumerate(operations):
        if moves:
            ids.move(first % len(ids), second % len(ids))
        else:
            ids.insert(first % (len(ids) + 1), f"n{number}")
    for position, cell_id in enumerate(ids.ids):
        assert ids.find(cell_id) == position


def test_an_id_pushed_far_from_where_it_was_is_found() -> None:
    ids = IdList([f"c{each}" for each in range(2000)])
    for each in range(1500):
        ids.insert(0, f"n{each}")
    assert ids.find("c0") == 1500
    assert ids.find("c1999") == 3499


def test_of_duplicates_the_first_is_found() -> None:
    ids = IdList(["a", "b", "a", "c"])
    assert not ids.distinct
    assert ids.find("a") == 0
    ids.move(0, 3)
    assert ids.ids == ["b", "a", "c", "a"]
    assert ids.find("a") == 1


def test_a_removed_id_is_gone() -> None:
    ids = IdList(["a", "b", "c"])
    ids.remove("a")
    assert "a" not in ids
    assert ids.find("c") == 1
