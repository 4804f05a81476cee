from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.file_values import attachments_in_file, in_file, metadata_in_file
from headway.core.document.json_values import MAX_JSON_DEPTH, check_json, identical
from headway.core.document.notebook import Cell
from headway.errors import InvalidEdit

leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.binary() | st.text()
values = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=10,
    ),
)


@given(values)
def test_what_is_in_a_file_is_json_and_json_is_as_it_was(held: dict[str, Any]) -> None:
    written = in_file(held)
    json.dumps(written, allow_nan=False)
    check_json(written)
    assert identical(in_file(written), written)
    try:
        check_json(held)
    except InvalidEdit:
        return
    assert identical(written, held)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"k": value}
    return value


def test_what_is_deeper_than_a_documents_values_is_left_out() -> None:
    deepest = nested(MAX_JSON_DEPTH)
    check_json(deepest)
    assert in_file(deepest) == deepest
    assert in_file(nested(5000)) == deepest


def test_a_gap_in_a_list_is_null_and_in_an_object_nothing() -> None:
    held = {"list": [1, b"", float("nan")], "object": {"a": b"", "b": 2}, "gone": float("inf")}
    assert in_file(held) == {"list": [1, None, None], "object": {"b": 2}}


def test_a_kernel_and_a_language_that_are_no_objects_are_left_out() -> None:
    metadata = {"kernelspec": "python3", "language_info": {"name": "python"}, "title": "T"}
    assert metadata_in_file(metadata) == {"language_info": {"name": "python"}, "title": "T"}


def test_a_code_cell_has_no_attachments_in_a_file() -> None:
    attached = {"x.png": {"image/png": "iVBORw=="}}
    assert attachments_in_file(Cell("a", "code", "", {}, attached)) == {}
    assert attachments_in_file(Cell("a", "raw", "", {}, attached)) == attached
