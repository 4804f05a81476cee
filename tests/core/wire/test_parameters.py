"""Parameters are read as declared, and an error names the field and what was expected."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.wire.parameters import MAX_PARAMETERS_BYTES, check_params, decode_params
from headway.core.wire.rpc import METHODS, Save, Stop
from headway.errors import BadRequest, UnknownMethod

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["document", "path", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def refused(method: str, body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode_params(method, body)
    return caught.value


@pytest.mark.parametrize(
    ("method", "params", "field", "sentence"),
    [
        ("save", {}, "document", "`save` needs the parameter `document`."),
        (
            "save",
            {"document": 3},
            "document",
            "The parameter `document` of `save` is wrong: expected `str`, got `int`.",
        ),
        (
            "stop",
            {"now": True},
            "now",
            "`stop` takes no parameter `now`; it takes timeout_s.",
        ),
        (
            "execute_all",
            {"document": "d", "batch_id": "b", "cells": ["a", 3]},
            "cells[1]",
            "The parameter `cells[1]` of `execute_all` is wrong: expected `str`, got `int`.",
        ),
        (
            "execute",
            {"document": "d", "cell_id": "c", "execution_id": "e", "source": "x"},
            "source",
            (
                "The parameter `source` of `execute` is wrong: "
                "expected `confirmed` or `latest`, got 'x'."
            ),
        ),
        (
            "save",
            {"document": "d", "required_heads": "é"},
            "required_heads",
            "The parameter `required_heads` of `save` is wrong: expected heads in standard base64.",
        ),
    ],
)
def test_wrong_parameters_are_named(
    method: str, params: dict[str, Any], field: str, sentence: str
) -> None:
    error = refused(method, json.dumps(params).encode())
    assert str(error) == sentence
    assert error.data == {"method": method, "field": field}


@pytest.mark.parametrize("timeout_s", [0, -1, 86400.1, 1e300, True, "30", None])
def test_a_timeout_that_is_no_time_is_refused_by_name(timeout_s: object) -> None:
    error = refused("stop", json.dumps({"timeout_s": timeout_s}).encode())
    assert error.data == {"method": "stop", "field": "timeout_s"}


@pytest.mark.parametrize("session", [2**53, -(2**53), 2**63, -(2**64)])
def test_a_session_that_no_history_can_number_is_refused_by_name(session: int) -> None:
    error = refused("kernel_history", json.dumps({"document": "d", "session": session}).encode())
    assert error.data == {"method": "kernel_history", "field": "session"}


@pytest.mark.parametrize("timeout_s", [5e-324, 1, 86400])
def test_the_ends_of_the_range_of_timeouts_are_taken(timeout_s: float) -> None:
    body = json.dumps({"timeout_s": timeout_s}).encode()
    assert decode_params("stop", body) == Stop(timeout_s=timeout_s)


@pytest.mark.parametrize("timeout_s", [float("nan"), float("inf"), 0.0])
def test_parameters_made_in_python_are_checked_too(timeout_s: float) -> None:
    with pytest.raises(BadRequest, match="timeout_s"):
        check_params(Stop(timeout_s=timeout_s))
    with pytest.raises(BadRequest, match="base64"):
        check_params(Save(document="d", required_heads="no base64!"))


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b'{"document":"\xff"}', b'{"document":"\\ud800"}', b'{"timeout_s":NaN}'],
)
def test_a_body_that_is_not_json_is_a_bad_request(body: bytes) -> None:
    assert "not JSON" in str(refused("save", body))


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b"[" * 100_000])
def test_a_body_that_is_no_object_is_a_bad_request(body: bytes) -> None:
    assert "one JSON object" in str(refused("save", body))


def test_an_empty_body_stands_for_no_parameters() -> None:
    assert decode_params("stop", b"") == Stop()


def test_a_body_over_the_limit_is_refused_unread() -> None:
    error = refused("stop", b"{" * (MAX_PARAMETERS_BYTES + 1))
    assert error.data["limit"] == MAX_PARAMETERS_BYTES
    assert error.data["actual"] == MAX_PARAMETERS_BYTES + 1


def test_an_unknown_method_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UnknownMethod, match="save") as caught:
        decode_params("f" * 10_000, b"{}")
    assert caught.value.data == {"method": "f" * 100}
    assert len(str(caught.value)) < 1000


@given(st.sampled_from(list(METHODS)), json_values)
def test_any_json_for_any_method_is_parameters_or_a_bad_request(method: str, body: object) -> None:
    try:
        params = decode_params(method, json.dumps(body).encode())
    except BadRequest:
        return
    assert type(params) is METHODS[method]
