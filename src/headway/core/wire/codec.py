"""Messages as bytes, and back.

Floor 1. One binary WebSocket frame is one message. Not here: commands (`commands`), the joining
of fragments (`fragments`), and what any message means. The form of each message is protocol.md,
version 1, of the loro-dev/protocol repository; where that is silent (trailing bytes, unknown
codes), the behaviour is that of its JavaScript codec, `packages/loro-protocol/src/encoding.ts`.

Every read is checked against what is left of the frame before anything is built, so time and
memory are bounded by the frame's length and never by a number that the frame claims.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from headway.core.wire.messages import (
    MAX_MESSAGE_BYTES,
    MAX_ROOM_BYTES,
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

__all__ = ["BATCH_ID_BYTES", "PING", "PONG", "Unknown", "decode", "encode"]

PING: Final = "ping"
"""A keepalive question, as a whole *text* frame. Answer with PONG; `decode` never sees it."""

PONG: Final = "pong"
"""The answer to PING, as a whole text frame."""

BATCH_ID_BYTES = 8
"""The length of a batch id."""

_MAGIC_BYTES = 4
_MAX_UINT = (1 << 32) - 1
"""The largest number on this wire: the JavaScript codec counts in 32 bits."""

_MAX_UINT_BYTES = 5
"""LEB128 bytes that hold 32 bits."""

_JOIN, _JOINED, _JOIN_ERROR, _UPDATE, _FRAGMENT_HEADER = 0x00, 0x01, 0x02, 0x03, 0x04
_FRAGMENT, _ROOM_ERROR, _LEAVE, _ACK = 0x05, 0x06, 0x07, 0x08

_KINDS: dict[bytes, Kind] = {kind.value: kind for kind in Kind}
_JOIN_ERROR_CODES: dict[int, JoinErrorCode] = {int(code): code for code in JoinErrorCode}
_ROOM_ERROR_CODES: dict[int, RoomErrorCode] = {int(code): code for code in RoomErrorCode}
_STATUSES: dict[int, UpdateStatus] = {int(status): status for status in UpdateStatus}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A frame of somebody else's, to be skipped.

    `room` and `type` are None when the magic bytes are not ours: then nothing after them is known.
    """

    magic: bytes
    room: str | None = None
    type: int | None = None


def encode(message: Message) -> bytes:
    """The frame of a message.

    Human sentences (`message` of the errors) may hold anything; lone surrogates in them become
    question marks.

    Raises:
        UpdateTooLarge: the frame would exceed MAX_MESSAGE_BYTES; `data["limit"]`,
            `data["actual"]`. Cut an update with `fragments.split` first.
        MalformedFrame: a field cannot be written: a room id that is no text or over
            MAX_ROOM_BYTES, a batch id that is not 8 bytes, a number outside 32 bits, or an extra
            of JoinError that does not go with its code.
    """
    frame = bytearray(message.kind.value)
    _put_bytes(frame, _room_bytes(message.room))
    match message:
        case Update():
            frame.append(_UPDATE)
            _put_uint(frame, len(message.updates))
            for update in message.updates:
                _put_bytes(frame, update)
            frame += _checked_batch_id(message.batch_id)
        case Ack():
            frame.append(_ACK)
            frame += _checked_batch_id(message.batch_id)
            frame.append(message.status)
        case Join():
            frame.append(_JOIN)
            _put_bytes(frame, message.payload)
            _put_bytes(frame, message.version)
        case Joined():
            frame.append(_JOINED)
            _put_bytes(frame, message.permission.encode())
            _put_bytes(frame, message.version)
            _put_bytes(frame, message.extra)
        case JoinError():
            _put_join_error(frame, message)
        case FragmentHeader():
            frame.append(_FRAGMENT_HEADER)
            frame += _checked_batch_id(message.batch_id)
            _put_uint(frame, message.count)
            _put_uint(frame, message.total_bytes)
        case Fragment():
            frame.append(_FRAGMENT)
            frame += _checked_batch_id(message.batch_id)
            _put_uint(frame, message.index)
            _put_bytes(frame, message.data)
        case RoomError():
            frame.append(_ROOM_ERROR)
            frame.append(message.code)
            _put_sentence(frame, message.message)
        case Leave():
            frame.append(_LEAVE)
        case _:
            assert_never(message)
    if len(frame) > MAX_MESSAGE_BYTES:
        raise UpdateTooLarge(
            f"A message of {len(frame)} bytes exceeds the protocol's {MAX_MESSAGE_BYTES}; "
            "send it in fragments.",
            limit=MAX_MESSAGE_BYTES,
            actual=len(frame),
        )
    return bytes(frame)


def _room_bytes(room: str) -> bytes:
    try:
        encoded = room.encode()
    except UnicodeEncodeError as error:
        raise MalformedFrame("A room id must be valid Unicode text.") from error
    if len(encoded) > MAX_ROOM_BYTES:
        raise MalformedFrame(
            f"A room id of {len(encoded)} bytes exceeds the protocol's {MAX_ROOM_BYTES}.",
            limit=MAX_ROOM_BYTES,
            actual=len(encoded),
        )
    return encoded


def _checked_batch_id(batch_id: bytes) -> bytes:
    if len(batch_id) != BATCH_ID_BYTES:
        raise MalformedFrame(f"A batch id is {BATCH_ID_BYTES} bytes, not {len(batch_id)}.")
    return batch_id


def _put_join_error(frame: bytearray, message: JoinError) -> None:
    if message.version is not None and message.code is not JoinErrorCode.VERSION_UNKNOWN:
        raise MalformedFrame("Only a JoinError of code VERSION_UNKNOWN carries a version.")
    if message.app_code is not None and message.code is not JoinErrorCode.APP_ERROR:
        raise MalformedFrame("Only a JoinError of code APP_ERROR carries an app_code.")
    frame.append(_JOIN_ERROR)
    frame.append(message.code)
    _put_sentence(frame, message.message)
    if message.version is not None:
        _put_bytes(frame, message.version)
    if message.app_code is not None:
        _put_sentence(frame, message.app_code)


def _put_uint(frame: bytearray, value: int) -> None:
    if not 0 <= value <= _MAX_UINT:
        raise MalformedFrame(f"A number on the wire lies in 0 to {_MAX_UINT}, not {value}.")
    while value > 0x7F:
        frame.append(value & 0x7F | 0x80)
        value >>= 7
    frame.append(value)


def _put_bytes(frame: bytearray, value: bytes) -> None:
    _put_uint(frame, len(value))
    frame += value


def _put_sentence(frame: bytearray, text: str) -> None:
    _put_bytes(frame, text.encode(errors="replace"))


def decode(frame: bytes) -> Message | Unknown:
    """The message of a binary frame.

    Unknown magic bytes or an unknown message type give `Unknown`. Unknown error and status codes
    are read as UNKNOWN, and bytes that are not UTF-8 in a human sentence are replaced. Trailing
    bytes are refused after updates, fragments and acks, and ignored after the others.

    Raises:
        MalformedFrame: the frame is too long or too short, or a known message has not its form.
    """
    if len(frame) < _MAGIC_BYTES:
        raise MalformedFrame(f"A frame of {len(frame)} bytes is too short to be a message.")
    magic = bytes(frame[:_MAGIC_BYTES])
    kind = _KINDS.get(magic)
    if kind is None:
        return Unknown(magic)
    if len(frame) > MAX_MESSAGE_BYTES:
        raise MalformedFrame(
            f"A message of {len(frame)} bytes exceeds the protocol's {MAX_MESSAGE_BYTES}.",
            limit=MAX_MESSAGE_BYTES,
            actual=len(frame),
        )
    cursor = _Cursor(frame, _MAGIC_BYTES)
    room = _read_room(cursor)
    message_type = cursor.byte()
    read = _READERS.get(message_type)
    return Unknown(magic, room, message_type) if read is None else read(cursor, kind, room)


class _Cursor:
    """A place in a frame that moves on as values are read, and never past the end."""

    __slots__ = ("at", "end", "frame")

    def __init__(self, frame: bytes, at: int) -> None:
        self.frame = frame
        self.at = at
        self.end = len(frame)

    def byte(self) -> int:
        if self.at >= self.end:
            raise MalformedFrame(f"The frame ends at byte {self.end} where another was expected.")
        value = self.frame[self.at]
        self.at += 1
        return value

    def take(self, length: int) -> bytes:
        start = self.at
        if length > self.end - start:
            raise MalformedFrame(
                f"The frame claims {length} bytes at byte {start}, "
                f"but only {self.end - start} are left."
            )
        self.at = start + length
        return bytes(self.frame[start : self.at])

    def uint(self) -> int:
        value = self.byte()
        if value < 0x80:
            return value
        value &= 0x7F
        for position in range(1, _MAX_UINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                if value > _MAX_UINT:
                    break
                return value
        raise MalformedFrame(f"The number that ends at byte {self.at} does not fit in 32 bits.")

    def var_bytes(self) -> bytes:
        return self.take(self.uint())

    def sentence(self) -> str:
        return self.var_bytes().decode(errors="replace")

    def batch_id(self) -> bytes:
        return self.take(BATCH_ID_BYTES)

    def finish(self) -> None:
        if self.at != self.end:
            raise MalformedFrame(f"{self.end - self.at} bytes follow the end of the message.")


def _read_room(cursor: _Cursor) -> str:
    encoded = cursor.var_bytes()
    if len(encoded) > MAX_ROOM_BYTES:
        raise MalformedFrame(
            f"A room id of {len(encoded)} bytes exceeds the protocol's {MAX_ROOM_BYTES}.",
            limit=MAX_ROOM_BYTES,
            actual=len(encoded),
        )
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise MalformedFrame("The room id is not valid UTF-8.") from error


def _read_update(cursor: _Cursor, kind: Kind, room: str) -> Update:
    count = cursor.uint()
    # Each update takes a byte at least, so a larger count is a lie: found before any work.
    if count > cursor.end - cursor.at - BATCH_ID_BYTES:
        raise MalformedFrame(f"The frame is too short for the {count} updates it claims.")
    updates = tuple([cursor.var_bytes() for _ in range(count)])
    batch_id = cursor.batch_id()
    cursor.finish()
    return Update(kind, room, updates, batch_id)


def _read_ack(cursor: _Cursor, kind: Kind, room: str) -> Ack:
    batch_id = cursor.batch_id()
    status = _STATUSES.get(cursor.byte(), UpdateStatus.UNKNOWN)
    cursor.finish()
    return Ack(kind, room, batch_id, status)


def _read_joined(cursor: _Cursor, kind: Kind, room: str) -> Joined:
    permission = cursor.var_bytes()
    if permission == b"write":
        return Joined(kind, room, "write", cursor.var_bytes(), cursor.var_bytes())
    if permission == b"read":
        return Joined(kind, room, "read", cursor.var_bytes(), cursor.var_bytes())
    raise MalformedFrame('The permission of a join is "read" or "write", and this is neither.')


def _read_join_error(cursor: _Cursor, kind: Kind, room: str) -> JoinError:
    code = _JOIN_ERROR_CODES.get(cursor.byte(), JoinErrorCode.UNKNOWN)
    message = cursor.sentence()
    more = cursor.at < cursor.end
    version = cursor.var_bytes() if more and code is JoinErrorCode.VERSION_UNKNOWN else None
    app_code = cursor.sentence() if more and code is JoinErrorCode.APP_ERROR else None
    return JoinError(kind, room, code, message, version, app_code)


def _read_join(cursor: _Cursor, kind: Kind, room: str) -> Join:
    return Join(kind, room, cursor.var_bytes(), cursor.var_bytes())


def _read_header(cursor: _Cursor, kind: Kind, room: str) -> FragmentHeader:
    header = FragmentHeader(kind, room, cursor.batch_id(), cursor.uint(), cursor.uint())
    cursor.finish()
    return header


def _read_fragment(cursor: _Cursor, kind: Kind, room: str) -> Fragment:
    fragment = Fragment(kind, room, cursor.batch_id(), cursor.uint(), cursor.var_bytes())
    cursor.finish()
    return fragment


def _read_room_error(cursor: _Cursor, kind: Kind, room: str) -> RoomError:
    code = _ROOM_ERROR_CODES.get(cursor.byte(), RoomErrorCode.UNKNOWN)
    return RoomError(kind, room, code, cursor.sentence())


def _read_leave(_cursor: _Cursor, kind: Kind, room: str) -> Leave:
    return Leave(kind, room)


_READERS: dict[int, Callable[[_Cursor, Kind, str], Message]] = {
    _JOIN: _read_join,
    _JOINED: _read_joined,
    _JOIN_ERROR: _read_join_error,
    _UPDATE: _read_update,
    _FRAGMENT_HEADER: _read_header,
    _FRAGMENT: _read_fragment,
    _ROOM_ERROR: _read_room_error,
    _LEAVE: _read_leave,
    _ACK: _read_ack,
}
