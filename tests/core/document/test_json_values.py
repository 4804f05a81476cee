"""JSON values: what may enter a document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.crdt import Replica
from headway.core.document.json_values import (
    MAX_JSON_DEPTH,
    MAX_JSON_ITEMS,
    check_json,
    check_text,
    count_items,
    encodable,
    identical,
)
from headway.errors import InvalidEdit

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
JSON = st.recursive(
    SCALARS,
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inside, max_size=4)
    ),
    max_leaves=12,
)


@given(first=JSON, second=JSON)
def test_any_json_value_comes_back_from_a_document_as_it_was(first: Any, second: Any) -> None:
    replica = Replica(1)
    root = replica.map("m")
    for value in (first, second, first):
        check_json(value)
        root.set_json("k", value)
        assert identical(root.get("k"), value)
        before = replica.commit(1, ""), replica.heads()
        root.set_json("k", value)
        assert replica.pending_operations() == 0
        assert replica.heads() == before[1]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def test_depth_and_size_are_bounded() -> None:
    check_json(nested(MAX_JSON_DEPTH))
    check_json([0] * (MAX_JSON_ITEMS - 1))
    for value in (nested(MAX_JSON_DEPTH + 1), nested(100_000), [0] * MAX_JSON_ITEMS):
        with pytest.raises(InvalidEdit):
            check_json(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidEdit):
        check_json(value)


@pytest.mark.parametrize(
    "value",
    [
        (1,),
        {1},
        b"x",
        {1: 2},
        2**63,
        -(2**63) - 1,
        float("inf"),
        float("nan"),
        "\ud800",
        {"\udc00": 1},
    ],
)
def test_what_json_or_the_engine_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidEdit):
        check_json([value])


def test_a_lone_surrogate_is_named_by_its_place() -> None:
    with pytest.raises(InvalidEdit) as caught:
        check_text("😀\ud83d")
    assert caught.value.data == {"index": 1}
    assert encodable("😀\ud83d") == "😀?"


def test_true_one_and_one_point_zero_are_not_identical() -> None:
    values: list[Any] = [True, 1, 1.0, "1", None, [1], {"a": 1}]
    for at, value in enumerate(values):
        assert [identical(value, other) for other in values] == [
            at == place for place in range(len(values))
        ]


def test_items_count_what_becomes_an_operation() -> None:
    assert count_items({"a": 1, "b": {"c": [1, 2, 3]}}) == 4
