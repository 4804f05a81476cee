"""Messages as bytes: the official codec's vectors, exactness, and bounds on garbage."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.wire.codec import PING, PONG, Unknown, decode, encode
from headway.core.wire.messages import (
    MAX_MESSAGE_BYTES,
    Ack,
    Fragment,
    FragmentHeader,
    Join,
    Joined,
    JoinError,
    JoinErrorCode,
    Kind,
    Leave,
    Message,
    RoomError,
    RoomErrorCode,
    Update,
    UpdateStatus,
)
from headway.errors import MalformedFrame, UpdateTooLarge

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors.json").read_text(encoding="utf-8")
)["vectors"]
BATCH = bytes(range(8))
ENVELOPE = b"%LOR\x01r"
"""The magic bytes and the room "r": what comes before the type of a message."""


def as_bytes(value: dict[str, str] | None) -> bytes:
    return b"" if value is None else bytes.fromhex(value["hex"])


def from_javascript(plain: dict[str, Any]) -> Message:  # noqa: PLR0911 - one for each type
    """The message that a vector's JavaScript object stands for."""
    kind, room = Kind(plain["crdt"].encode()), plain["roomId"]
    reference = bytes.fromhex(plain.get("batchId", plain.get("refId", "0x"))[2:])
    match plain["type"]:
        case 0:
            return Join(kind, room, as_bytes(plain["auth"]), as_bytes(plain["version"]))
        case 1:
            extra = as_bytes(plain.get("extra"))
            return Joined(kind, room, plain["permission"], as_bytes(plain["version"]), extra)
        case 2:
            version = as_bytes(plain["receiverVersion"]) if "receiverVersion" in plain else None
            code, sentence = JoinErrorCode(plain["code"]), plain["message"]
            return JoinError(kind, room, code, sentence, version, plain.get("appCode"))
        case 3:
            return Update(kind, room, tuple(map(as_bytes, plain["updates"])), reference)
        case 4:
            count, total = plain["fragmentCount"], plain["totalSizeBytes"]
            return FragmentHeader(kind, room, reference, count, total)
        case 5:
            return Fragment(kind, room, reference, plain["index"], as_bytes(plain["fragment"]))
        case 6:
            return RoomError(kind, room, RoomErrorCode(plain["code"]), plain["message"])
        case 7:
            return Leave(kind, room)
        case 8:
            return Ack(kind, room, reference, UpdateStatus(plain["status"]))
        case other:
            raise AssertionError(other)


kinds = st.sampled_from(Kind)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
rooms = texts.filter(lambda text: len(text.encode()) <= 128)
blobs = st.binary(max_size=400)
batch_ids = st.binary(min_size=8, max_size=8)
uints = st.integers(0, 2**32 - 1)
messages = st.one_of(
    st.builds(Join, kinds, rooms, blobs, blobs),
    st.builds(Joined, kinds, rooms, st.sampled_from(["read", "write"]), blobs, blobs),
    st.builds(JoinError, kinds, rooms, st.sampled_from(JoinErrorCode), texts),
    st.builds(
        JoinError, kinds, rooms, st.just(JoinErrorCode.VERSION_UNKNOWN), texts, st.none() | blobs
    ),
    st.builds(
        JoinError,
        kinds,
        rooms,
        st.just(JoinErrorCode.APP_ERROR),
        texts,
        st.none(),
        st.none() | texts,
    ),
    st.builds(Update, kinds, rooms, st.lists(blobs, max_size=5).map(tuple), batch_ids),
    st.builds(FragmentHeader, kinds, rooms, batch_ids, uints, uints),
    st.builds(Fragment, kinds, rooms, batch_ids, uints, blobs),
    st.builds(RoomError, kinds, rooms, st.sampled_from(RoomErrorCode), texts),
    st.builds(Leave, kinds, rooms),
    st.builds(Ack, kinds, rooms, batch_ids, st.sampled_from(UpdateStatus)),
)


def outcome(frame: bytes) -> Message | Unknown | None:
    """What a frame decodes to; None when it is refused as malformed."""
    try:
        return decode(frame)
    except MalformedFrame:
        return None


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_message_becomes_the_bytes_that_the_official_codec_makes(vector: dict[str, Any]) -> None:
    assert encode(from_javascript(vector["message"])).hex() == vector["frame"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_bytes_of_the_official_codec_become_the_message(vector: dict[str, Any]) -> None:
    assert decode(bytes.fromhex(vector["frame"])) == from_javascript(vector["message"])


def test_the_vectors_hold_every_type_of_message() -> None:
    assert {vector["message"]["type"] for vector in VECTORS} == set(range(9))


@given(messages)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=300))
def test_random_bytes_are_unknown_or_malformed_or_a_message(frame: bytes) -> None:
    found = outcome(frame)
    if frame[:4] not in {kind.value for kind in Kind}:
        assert found is None or isinstance(found, Unknown)


@given(kinds, rooms, st.integers(0, 255), st.binary(max_size=100))
def test_random_bodies_in_a_sound_envelope_never_break_the_decoder(
    kind: Kind, room: str, message_type: int, body: bytes
) -> None:
    encoded = room.encode()
    length = len(encoded)
    prefix = bytes([length]) if length < 128 else b"\x80\x01"
    found = outcome(kind.value + prefix + encoded + bytes([message_type]) + body)
    if message_type > 8:
        assert found == Unknown(kind.value, room, message_type)
    elif found is not None:
        assert not isinstance(found, Unknown)
        assert decode(encode(found)) == found


@given(messages, st.data())
def test_a_mutated_frame_is_read_or_refused_and_what_is_read_survives(
    message: Message, data: st.DataObject
) -> None:
    frame = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(frame) - 1))
        frame[position] = data.draw(st.integers(0, 255))
    found = outcome(bytes(frame[: data.draw(st.integers(0, len(frame)))]))
    if found is not None and not isinstance(found, Unknown):
        assert decode(encode(found)) == found


@given(messages)
def test_every_cut_of_an_update_fragment_or_ack_is_malformed(message: Message) -> None:
    frame = encode(message)
    if isinstance(message, Update | FragmentHeader | Fragment | Ack):
        assert all(outcome(frame[:length]) is None for length in range(len(frame)))


@pytest.mark.parametrize(
    "frame",
    [
        ENVELOPE + b"\x03" + b"\xff\xff\xff\xff\x0f" + bytes(8),
        ENVELOPE + b"\x03\x01" + b"\xff\xff\xff\xff\x0f" + bytes(8),
        ENVELOPE + b"\x05" + bytes(8) + b"\x00" + b"\xff\xff\xff\xff\x0f",
        ENVELOPE + b"\x00" + b"\xff\xff\xff\xff\x0f",
        ENVELOPE + b"\x02\x00" + b"\xff\xff\xff\xff\x0f",
        b"%LOR" + b"\xff\xff\xff\xff\x0f",
        ENVELOPE + b"\x03" + b"\xff\xff\xff\xff\x0f" + bytes(MAX_MESSAGE_BYTES - 12),
    ],
)
def test_a_claim_that_the_frame_cannot_hold_costs_neither_time_nor_memory(frame: bytes) -> None:
    tracemalloc.start()
    try:
        started = time.perf_counter()
        with pytest.raises(MalformedFrame):
            decode(frame)
        elapsed_s = time.perf_counter() - started
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 64 * 1024
    assert elapsed_s < 0.5


@pytest.mark.parametrize(
    "number", [b"\xff\xff\xff\xff\x10", b"\x80\x80\x80\x80\x80\x00", b"\xff" * 20, b"\x80" * 12]
)
def test_a_number_of_more_than_32_bits_is_malformed(number: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode(ENVELOPE + b"\x04" + BATCH + b"\x01" + number)


def test_a_padded_number_is_read_as_the_official_codec_reads_it() -> None:
    frame = ENVELOPE + b"\x04" + BATCH + b"\x81\x80\x80\x80\x00" + b"\x05"
    assert decode(frame) == FragmentHeader(Kind.DOCUMENT, "r", BATCH, 1, 5)


@pytest.mark.parametrize("frame", [b"", b"%", b"%LO"])
def test_a_frame_without_magic_bytes_is_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode(frame)


@pytest.mark.parametrize("magic", [b"%YJS", b"%EPS", b"%RPC", b"ping", b"\x00\x00\x00\x00"])
def test_magic_bytes_of_others_are_unknown_at_any_length(magic: bytes) -> None:
    assert decode(magic) == Unknown(magic)
    assert decode(magic + bytes(2 * MAX_MESSAGE_BYTES)) == Unknown(magic)


def test_an_unknown_type_of_message_names_its_room_and_type() -> None:
    assert decode(ENVELOPE + b"\x09garbage") == Unknown(b"%LOR", "r", 9)


@pytest.mark.parametrize(
    "message",
    [
        Update(Kind.DOCUMENT, "r", (b"x",), BATCH),
        FragmentHeader(Kind.DOCUMENT, "r", BATCH, 1, 1),
        Fragment(Kind.DOCUMENT, "r", BATCH, 0, b"x"),
        Ack(Kind.DOCUMENT, "r", BATCH, UpdateStatus.OK),
    ],
)
def test_bytes_after_an_update_fragment_or_ack_are_malformed(message: Message) -> None:
    with pytest.raises(MalformedFrame):
        decode(encode(message) + b"\x00")


@pytest.mark.parametrize(
    "message",
    [
        Join(Kind.DOCUMENT, "r", b"", b"v"),
        Joined(Kind.DOCUMENT, "r", "read", b"v"),
        JoinError(Kind.DOCUMENT, "r", JoinErrorCode.AUTH_FAILED, "no"),
        RoomError(Kind.DOCUMENT, "r", RoomErrorCode.EVICTED, "out"),
        Leave(Kind.DOCUMENT, "r"),
    ],
)
def test_bytes_after_the_other_messages_are_ignored(message: Message) -> None:
    assert decode(encode(message) + b"\x00\x01") == message


def test_unknown_codes_are_read_as_unknown() -> None:
    assert decode(ENVELOPE + b"\x02\x55\x00") == JoinError(
        Kind.DOCUMENT, "r", JoinErrorCode.UNKNOWN, ""
    )
    assert decode(ENVELOPE + b"\x06\x55\x00") == RoomError(
        Kind.DOCUMENT, "r", RoomErrorCode.UNKNOWN, ""
    )
    assert decode(ENVELOPE + b"\x08" + BATCH + b"\x02") == Ack(
        Kind.DOCUMENT, "r", BATCH, UpdateStatus.UNKNOWN
    )


def test_a_permission_that_is_neither_read_nor_write_is_malformed() -> None:
    with pytest.raises(MalformedFrame, match="permission"):
        decode(ENVELOPE + b"\x01\x05admin\x00\x00")


@pytest.mark.parametrize("room", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80"])
def test_a_room_id_that_is_not_utf8_is_malformed(room: bytes) -> None:
    with pytest.raises(MalformedFrame, match="UTF-8"):
        decode(b"%LOR" + bytes([len(room)]) + room + b"\x07")


def test_a_sentence_that_is_not_utf8_is_read_with_replacements() -> None:
    found = decode(ENVELOPE + b"\x06\x02\x02a\xff")
    assert found == RoomError(Kind.DOCUMENT, "r", RoomErrorCode.EVICTED, "a\ufffd")


def test_a_room_id_over_the_limit_is_refused_both_ways() -> None:
    with pytest.raises(MalformedFrame) as refused:
        encode(Leave(Kind.DOCUMENT, "é" * 65))
    assert refused.value.data == {"limit": 128, "actual": 130}
    with pytest.raises(MalformedFrame, match="129"):
        decode(b"%LOR\x81\x01" + b"a" * 129 + b"\x07")


def test_a_message_over_the_limit_is_refused_both_ways() -> None:
    largest = MAX_MESSAGE_BYTES - len(encode(Fragment(Kind.DOCUMENT, "r", BATCH, 0, b""))) - 2
    frame = encode(Fragment(Kind.DOCUMENT, "r", BATCH, 0, bytes(largest)))
    assert len(frame) == MAX_MESSAGE_BYTES
    assert decode(frame) == Fragment(Kind.DOCUMENT, "r", BATCH, 0, bytes(largest))
    with pytest.raises(UpdateTooLarge) as refused:
        encode(Fragment(Kind.DOCUMENT, "r", BATCH, 0, bytes(largest + 1)))
    assert refused.value.data == {"limit": MAX_MESSAGE_BYTES, "actual": MAX_MESSAGE_BYTES + 1}
    with pytest.raises(MalformedFrame, match="exceeds"):
        decode(encode(Leave(Kind.DOCUMENT, "r")) + bytes(MAX_MESSAGE_BYTES))


@pytest.mark.parametrize(
    "message",
    [
        Leave(Kind.DOCUMENT, "\ud800"),
        Ack(Kind.DOCUMENT, "r", b"short", UpdateStatus.OK),
        Update(Kind.DOCUMENT, "r", (), b"nine bytes"),
        FragmentHeader(Kind.DOCUMENT, "r", BATCH, -1, 0),
        FragmentHeader(Kind.DOCUMENT, "r", BATCH, 1, 2**32),
        Fragment(Kind.DOCUMENT, "r", BATCH, 2**32, b""),
        JoinError(Kind.DOCUMENT, "r", JoinErrorCode.AUTH_FAILED, "no", version=b"v"),
        JoinError(Kind.DOCUMENT, "r", JoinErrorCode.VERSION_UNKNOWN, "no", app_code="x"),
    ],
)
def test_a_message_that_the_wire_cannot_carry_is_refused(message: Message) -> None:
    with pytest.raises(MalformedFrame):
        encode(message)


def test_a_sentence_with_a_lone_surrogate_still_goes_out() -> None:
    sent = RoomError(Kind.DOCUMENT, "r", RoomErrorCode.EVICTED, "a\ud800b")
    assert decode(encode(sent)) == RoomError(Kind.DOCUMENT, "r", RoomErrorCode.EVICTED, "a?b")


def test_the_keepalive_words_are_those_of_the_protocol() -> None:
    assert (PING, PONG) == ("ping", "pong")
