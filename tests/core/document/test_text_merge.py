from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.text_merge import merge_texts

texts = st.lists(st.sampled_from("abcde\n"), max_size=12).map("".join)
lines = st.lists(st.integers(0, 5).map(str), max_size=8)


@given(texts, texts)
def test_a_side_that_changed_nothing_changes_nothing(base: str, other: str) -> None:
    assert merge_texts(base, base, other) == other
    assert merge_texts(base, other, base) == other
    assert merge_texts(None, other, other) == merge_texts(base, other, other) == other


@given(st.data())
def test_no_line_is_lost_that_the_other_side_did_not_touch(data: st.DataObject) -> None:
    base = [f"base {i}" for i in range(data.draw(st.integers(1, 6)))]

    def changed(side: str) -> list[str]:
        result: list[str] = []
        for line in base:
            step = data.draw(st.sampled_from(["keep", "keep", "delete", "change", "insert"]))
            if step in {"change", "insert"}:
                result.append(f"{side} {len(result)}")
            if step in {"keep", "insert"}:
                result.append(line)
        return result

    ours, theirs = changed("ours"), changed("theirs")
    merged = merge_texts("\n".join(base), "\n".join(theirs), "\n".join(ours)).split("\n")
    for line in [*ours, *theirs]:
        assert line in base or line in merged
    for line in base:
        assert (line in merged) or line not in ours or line not in theirs
    assert [line for line in merged if line in ours and line not in base] == [
        line for line in ours if line not in base
    ]


@given(lines, lines)
def test_without_a_base_every_line_of_both_is_there(ours: list[str], theirs: list[str]) -> None:
    merged = merge_texts(None, "\n".join(theirs), "\n".join(ours)).split("\n")
    for line in [*ours, *theirs]:
        assert merged.count(line) >= max(ours.count(line), theirs.count(line))


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "merged"),
    [
        ("a\nb\nc", "a\nb\nC", "A\nb\nc", "A\nb\nC"),
        ("x", "x\ntheirs", "x\nours", "x\nours\ntheirs"),
        ("x", "1", "2", "2\n1"),
        ("x\n", "x\ny\n", "w\nx\n", "w\nx\ny\n"),
        ("x\ny", "x", "x\nY", "x\nY"),
        ("x\ny", "", "x\nY", "x\nY"),
        ("x\ny", "x\nY", "", "x\nY"),
        ("", "a", "b", "b\na"),
        ("a\r\nb", "a\r\nB", "A\r\nb", "A\r\nB"),
        ("a\0b\nc", "a\0b\nC", "a\0B\nc", "a\0B\nC"),
    ],
)
def test_known_cases(base: str, theirs: str, ours: str, merged: str) -> None:
    assert merge_texts(base, theirs, ours) == merged


def test_texts_too_long_to_compare_are_kept_both() -> None:
    ours = "\n".join(f"ours {i}" for i in range(15_000))
    theirs = "\n".join(f"theirs {i}" for i in range(15_000))
    assert merge_texts("base", theirs, ours) == f"{ours}\n{theirs}"


def test_a_line_that_one_side_typed_further_is_not_kept_twice() -> None:
    assert merge_texts("a", "ab", "abc") == "abc"
    assert merge_texts("a", "abc", "ab") == "abc"
    assert merge_texts("f()", "f(x)", "f(x, y)") == "f(x, y)"
    assert merge_texts("1\na", "1\nab", "1\nabc\nd") == "1\nabc\nd"


def test_lines_that_share_only_their_ends_are_both_kept() -> None:
    assert merge_texts("a", "a1", "a2") == "a2\na1"
    assert merge_texts("a", "xa", "ax") == "ax\nxa"
