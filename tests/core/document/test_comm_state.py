"""Binary parts of a widget's state: taken out, put back, and paths that are none."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.comm_state import (
    changed_keys,
    joined,
    put_buffer,
    split_buffers,
)
from headway.core.document.handles import MISSING

STATES = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.one_of(st.none(), st.integers(), st.binary(max_size=4)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=10,
    ),
    max_size=4,
)


@given(STATES)
def test_parts_that_are_taken_out_and_put_back_give_the_same_state(state: dict[str, Any]) -> None:
    plain, paths, buffers = split_buffers(state)
    assert not any(isinstance(each, bytes) for each in plain.values())
    for path, data in zip(paths, buffers, strict=True):
        put_buffer(plain, path, data)
    assert plain == state


@given(STATES)
def test_the_keys_of_a_message_make_the_same_message_again(state: dict[str, Any]) -> None:
    plain, paths, buffers = split_buffers(state)
    changes = changed_keys(plain, paths, buffers)
    assert changes.keys() == state.keys()
    again = joined(changes)
    assert again[0] == plain
    assert sorted(zip(map(repr, again[1]), again[2], strict=True)) == sorted(
        zip(map(repr, paths), buffers, strict=True)
    )


def test_a_key_that_is_one_binary_part_has_no_value() -> None:
    change = changed_keys({}, [["data"]], [b"12"])["data"]
    assert change.value is MISSING
    assert change.parts == [(("data",), b"12")]
    assert change.size() == 2


def test_paths_that_are_none_are_ignored_with_their_parts() -> None:
    paths: list[Any] = ["x", [], [0, "x"], None, ["x", None], ["x", 0]]
    changes = changed_keys({"x": [None]}, paths, [b"%d" % number for number in range(6)])
    assert changes["x"].parts == [(("x", 0), b"5")]
    assert list(changes) == ["x"]


def test_a_part_without_a_place_is_not_put() -> None:
    state: dict[str, Any] = {"x": [1]}
    paths: list[list[str | int]] = [["y", "z"], ["x", 5], ["x", 0, "z"]]
    for path in paths:
        put_buffer(state, path, b"")
    assert state == {"x": [1]}
