"""Messages as frames, against jupyter_client's own Session."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session

from headway.edges.kernel_messages import DELIMITER, KernelMessages

KEY = b"secret"
SCHEME = "hmac-sha256"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def theirs() -> Session:
    return Session(key=KEY, signature_scheme=SCHEME)


def ours(key: bytes = KEY) -> KernelMessages:
    return KernelMessages(key, SCHEME)


def test_jupyter_client_reads_what_is_written() -> None:
    frames = ours().write("execute_request", {"code": "é = '😀'"}, "our-id")
    _, parts = theirs().feed_identities(frames)
    message = theirs().deserialize(parts)
    assert message["msg_id"] == "our-id"
    assert message["msg_type"] == message["header"]["msg_type"] == "execute_request"
    assert message["content"] == {"code": "é = '😀'"}
    assert message["parent_header"] == {}


@given(st.dictionaries(st.text(), values, max_size=4))
def test_what_jupyter_client_writes_is_read_as_it_reads_it_itself(content: dict[str, Any]) -> None:
    session = theirs()
    parent = session.msg("execute_request", {"code": "1"})
    frames = session.serialize(session.msg("display_data", content, parent=parent), b"for us")
    message = ours().read(frames)
    _, parts = session.feed_identities(frames)
    expected = session.deserialize(parts)
    for part in ("content", "metadata", "msg_id", "msg_type"):
        assert message[part] == expected[part]
    assert message["parent_header"]["msg_id"] == expected["parent_header"]["msg_id"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"Infinity", math.inf),
        (b'"\\ud800"', "\ud800"),
        (b'"\xff"', "\N{REPLACEMENT CHARACTER}"),
        (b'["\xff", -Infinity]', ["\N{REPLACEMENT CHARACTER}", -math.inf]),
    ],
)
def test_what_is_no_strict_json_is_read_all_the_same(sent: bytes, read: object) -> None:
    parts = [b'{"msg_id":"a","msg_type":"b"}', b"{}", b"{}", b'{"it":' + sent + b"}"]
    message = ours().read([DELIMITER, theirs().sign(parts), *parts])
    assert message["content"]["it"] == read


def test_a_message_with_another_key_is_refused() -> None:
    with pytest.raises(ValueError, match="signature"):
        ours(b"another").read(ours().write("status", {}, "a"))


def test_without_a_key_nothing_is_signed() -> None:
    frames = ours(b"").write("status", {}, "a")
    assert frames[1] == b""
    assert ours(b"").read(frames)["msg_id"] == "a"


def test_buffers_after_the_parts_are_left_out() -> None:
    assert ours().read([*ours().write("status", {}, "a"), b"a buffer"])["msg_id"] == "a"


def test_a_message_of_the_old_protocol_is_brought_up_to_date() -> None:
    parts = [b'{"msg_id":"a","msg_type":"pyout","version":"4.1"}', b"{}", b"{}", b'{"data":{}}']
    message = ours().read([DELIMITER, theirs().sign(parts), *parts])
    assert message["header"]["msg_type"] == "execute_result"


def test_an_unknown_way_of_signing_is_refused() -> None:
    with pytest.raises(ValueError, match="no way of signing"):
        KernelMessages(KEY, "hmac-rot13")
