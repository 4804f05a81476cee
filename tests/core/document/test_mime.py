from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.mime import (
    BlobPart,
    JoinedText,
    clean_text,
    clean_value,
    decode_blob,
    encode_blob,
    fits_inline,
    kind_of,
    parts_of,
    resolve,
    text_size,
)

MEDIA_TYPES = (
    "text/plain",
    "text/html",
    "image/svg+xml",
    "image/png",
    "application/json",
    "application/vnd.plotly.v1+json",
    "application/javascript",
    "application/pdf",
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("text/plain", "text"),
        ("image/svg+xml", "text"),
        ("application/javascript", "text"),
        ("application/json", "json"),
        ("application/vnd.vega.v5+json", "json"),
        ("image/png", "base64"),
        ("application/pdf", "base64"),
    ],
)
def test_kinds_follow_nbformat(media_type: str, kind: str) -> None:
    assert kind_of(media_type) == kind


@given(st.sampled_from(MEDIA_TYPES), values)
def test_any_value_of_any_type_survives_being_a_blob(media_type: str, value: Any) -> None:
    encoded = encode_blob(media_type, value)
    back = decode_blob(media_type, encoded.data, encoded.form)
    assert back == value
    assert type(back) is type(value)


@given(st.binary(max_size=300))
def test_a_png_is_stored_as_its_bytes_however_its_base64_is_broken_into_lines(data: bytes) -> None:
    plain = base64.b64encode(data).decode()
    for value in (plain, plain + "\n", base64.encodebytes(data).decode()):
        encoded = encode_blob("image/png", value)
        assert encoded.data == data
        assert decode_blob("image/png", encoded.data, encoded.form) == value


@given(st.text("AB+/=\n ", max_size=12))
def test_what_only_looks_like_base64_comes_back_as_it_was(value: str) -> None:
    encoded = encode_blob("image/png", value)
    assert decode_blob("image/png", encoded.data, encoded.form) == value


def test_resolve_replaces_every_placeholder_and_leaves_the_rest() -> None:
    blobs = {"a": b"one\n", "b": b"\x89PNG", "c": b'{"x":1}'}
    notebook = {
        "text": JoinedText((BlobPart("a", "text/plain"), "two")),
        "data": [
            {"image/png": BlobPart("b", "image/png")},
            {"application/json": BlobPart("c", "application/json")},
        ],
        "kept": 1.5,
    }
    assert {part.sha256 for part in parts_of(notebook)} == set(blobs)
    assert resolve(notebook, blobs.__getitem__) == {
        "text": "one\ntwo",
        "data": [{"image/png": "iVBORw=="}, {"application/json": {"x": 1}}],
        "kept": 1.5,
    }


def test_a_missing_blob_is_the_loaders_error() -> None:
    blobs: dict[str, bytes] = {}
    with pytest.raises(KeyError):
        resolve([BlobPart("a", "text/plain")], blobs.__getitem__)


@given(st.text())
def test_clean_text_can_always_be_written_and_keeps_its_length(text: str) -> None:
    clean = clean_text(text)
    assert len(clean) == len(text)
    assert text_size(clean) == len(clean.encode())


def test_clean_values_have_no_nan_and_only_text_keys() -> None:
    assert clean_value({1: (float("nan"), float("inf"), b"x")}) == {"1": [None, None, "b'x'"]}


def test_deep_values_and_large_integers_do_not_fit_a_document() -> None:
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    assert not fits_inline(deep)
    assert fits_inline(deep[0])
    assert not fits_inline({"n": 2**53})
    assert fits_inline({"n": 2**53 - 1, "b": True})


def test_a_value_nested_too_deep_is_cut_off_instead_of_exhausting_the_stack() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    inner = clean_value(deep)
    for _ in range(200):
        assert isinstance(inner, list)
        inner = inner[0]
    assert inner is None


def test_an_object_of_unknown_keys_is_spread_out_where_it_belongs() -> None:
    output = {"output_type": "new", "": BlobPart("a", "application/json")}
    blobs = {"a": b'{"payload": [1]}'}
    assert resolve(output, blobs.__getitem__) == {"output_type": "new", "payload": [1]}
