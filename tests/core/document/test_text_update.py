"""Text updates: few steps from one text to another, in bounded time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.crdt import Replica
from headway.core.document.differences import TextDifference
from headway.core.document.handles import TextHandle
from headway.core.document.text_update import common_ends, update_text

TEXTS = st.text(alphabet="ab\n😀é", max_size=30)


def text_with(content: str) -> tuple[Replica, TextHandle]:
    replica = Replica(1)
    text = replica.map("m").new_text("t", content)
    replica.commit(1, "")
    return replica, text


def steps_of(old: str, new: str) -> list[tuple[int, int, str]]:
    replica, text = text_with(old)
    before = replica.heads()
    update_text(text, old, new)
    replica.commit(1, "")
    assert str(text) == new
    found: list[Any] = list(replica.differences(before, replica.heads()))
    assert all(isinstance(each, TextDifference) for each in found)
    return [(s.index, s.delete, s.insert) for each in found for s in each.splices]


@given(old=TEXTS, new=TEXTS)
def test_the_text_becomes_the_new_one_whatever_they_are(old: str, new: str) -> None:
    steps_of(old, new)


@given(start=TEXTS, middle=TEXTS, other=TEXTS, end=TEXTS)
def test_common_ends_are_common_and_do_not_overlap(
    start: str, middle: str, other: str, end: str
) -> None:
    old, new = start + middle + end, start + other + end
    prefix, suffix = common_ends(old, new)
    assert prefix >= len(start) or old[:prefix] == new[:prefix]
    assert prefix + suffix <= min(len(old), len(new))
    assert prefix + suffix >= min(len(start) + len(end), len(old), len(new))
    assert old[:prefix] == new[:prefix]
    assert old[len(old) - suffix :] == new[len(new) - suffix :]


def test_equal_texts_write_nothing() -> None:
    assert steps_of("same", "same") == []


def test_a_short_text_that_becomes_a_long_one_is_not_diffed_by_characters() -> None:
    # The diff would take time like the square of the longer: 27 s for 200,000 characters.
    assert len(steps_of("abc", "xbx" * 3_000)) == 1


def test_an_insertion_is_one_splice() -> None:
    assert steps_of("print(x)\n😀", "print(x, y)\n😀") == [(7, 0, ", y")]


def test_two_far_changes_leave_what_is_between_alone() -> None:
    between = "unchanged line\n" * 20
    steps = steps_of(f"x = 1\n{between}y = 1\n", f"x = 2\n{between}y = 2\n")
    assert sum(deleted for _, deleted, _ in steps) == 2
    assert sum(len(inserted) for _, _, inserted in steps) == 2


def test_a_large_change_goes_line_by_line() -> None:
    old = "".join(f"line {number}\n" for number in range(400))
    new = old.replace("line 1", "lines 1").replace("line 3", "Line 3")
    steps = steps_of(old, new)
    assert 2 <= len(steps) <= 400
    assert sum(deleted for _, deleted, _ in steps) < len(old)


def test_what_differs_too_much_for_any_diff_is_one_splice() -> None:
    old = "".join(f"{number}\n" for number in range(1100))
    new = "".join(f"{number}!\n" for number in range(1100))
    (step,) = steps_of(old, new)
    assert step[1] > 1000
