"""What a kernel sends, as JSON: the same as jupyter_client makes of it, and what that cannot."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import json_packer

from headway.in_kernel import packing
from headway.in_kernel.packing import Packer

texts = st.text(st.characters(exclude_categories=()))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


def is_packed_by_jupyter_client(part: Any) -> bool:
    try:
        json_packer(part).decode()
    except UnicodeError:
        return False
    return True


@pytest.mark.filterwarnings("ignore:Message serialization failed")
@given(st.dictionaries(texts, values))
def test_it_packs_everything_and_as_jupyter_client_does_where_that_can(part: Any) -> None:
    packed = Packer(json_packer)(part)
    json.loads(packed.decode("utf-8", "replace"))
    if is_packed_by_jupyter_client(part):
        assert packed == json_packer(part)


def test_moments_bytes_and_half_characters() -> None:
    pack = Packer(json_packer)
    header = {"date": datetime(2026, 11, 30, tzinfo=UTC), "msg_type": "status"}
    assert pack(header) == json_packer(header)
    assert pack({"png": b"\x89"}) == json_packer({"png": b"\x89"})
    assert pack({"msg_type": 5}) == b'{"msg_type": 5}'
    assert pack(None) == b"null"
    assert json.loads(pack({"text": "a\ud800b"})) == {"text": "a\ud800b"}


def test_the_header_of_a_request_is_packed_once() -> None:
    times: list[Any] = []

    def pack(part: Any) -> bytes:
        times.append(part)
        return json_packer(part)

    packer = Packer(pack)
    first = {"msg_type": "execute_request", "msg_id": "1"}
    second = {"msg_type": "execute_request", "msg_id": "2"}
    for request in first, second:
        for _ in range(3):
            assert packer(request) == json_packer(request)
            assert packer({"msg_type": "status"}) == b'{"msg_type": "status"}'
    assert [part for part in times if part in (first, second)] == [first, second]


def test_a_kernels_session_is_given_it() -> None:
    session = SimpleNamespace(pack=json_packer)
    packing.prepare(SimpleNamespace(session=session))
    assert session.pack({"a": "é"}) == b'{"a": "\xc3\xa9"}'
