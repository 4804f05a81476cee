"""What a peer may show of itself: all that is accepted is passed on, and nothing else is tried."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.session.presence import PresenceMember
from headway.core.sync.fanout import Frames
from headway.core.sync.presence import MAX_PRESENCE_BYTES, PresenceRoom, check_presence
from headway.core.wire.codec import Unknown, decode, encode
from headway.core.wire.messages import Ack, Join, Joined, Kind, Message, Update, UpdateStatus
from headway.errors import InvalidEdit

ROOM = "nb-0"


JOIN = Join(Kind.PRESENCE, ROOM, b"", b"")


def message(frame: bytes) -> Message:
    decoded = decode(frame)
    assert not isinstance(decoded, Unknown)
    return decoded


def showing(value: dict[str, Any]) -> Update:
    """What a member sends that shows `value`."""
    member = PresenceMember(ROOM, "0123456789abcdef", bytes)
    member.receive(Joined(Kind.PRESENCE, ROOM, "write", b""), 0.0)
    (frame,) = member.set(value, 0.0)
    update = message(frame)
    assert isinstance(update, Update)
    return update


def status_of(frames: Frames) -> UpdateStatus:
    (answer,) = map(message, frames)
    assert isinstance(answer, Ack)
    return answer.status


def shown_status(value: dict[str, Any]) -> UpdateStatus:
    """What the room answers a member that shows `value`."""
    room = PresenceRoom(ROOM)
    room.join(1, JOIN)
    ((_, frames),) = room.receive(1, showing(value))
    return status_of(frames)


def seen_by_who_joins(room: PresenceRoom) -> dict[str, Any]:
    late = PresenceMember(ROOM, "f" * 16, bytes)
    for frame in room.join(4, JOIN):
        late.receive(message(frame), 0.0)
    return late.everybody()


def test_what_a_member_shows_is_seen_by_the_others_and_by_who_joins_later() -> None:
    room = PresenceRoom(ROOM)
    for peer in (1, 2, 3):
        room.join(peer, JOIN)
    room.leave(3)
    update = showing({"name": "Ada"})
    (writer, answer), (other, passed_on) = room.receive(1, update)
    assert (writer, status_of(answer)) == (1, UpdateStatus.OK)
    assert (other, passed_on) == (2, (encode(update),))

    assert seen_by_who_joins(room) == {"0123456789abcdef": {"name": "Ada"}}


@pytest.mark.parametrize(
    ("peer", "update", "status"),
    [
        (9, showing({"name": "Ada"}), UpdateStatus.PERMISSION_DENIED),
        (1, Update(Kind.PRESENCE, ROOM, (b"garbage",), bytes(8)), UpdateStatus.INVALID_UPDATE),
    ],
)
def test_what_is_refused_is_passed_on_to_nobody(
    peer: int, update: Update, status: UpdateStatus
) -> None:
    room = PresenceRoom(ROOM)
    for member in (1, 2):
        room.join(member, JOIN)
    ((answered, frames),) = room.receive(peer, update)
    assert (answered, status_of(frames)) == (peer, status)
    assert seen_by_who_joins(room) == {}


def test_the_longest_that_is_accepted_is_passed_on() -> None:
    low, high = 0, 2 * MAX_PRESENCE_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        try:
            check_presence({"name": "x" * middle})
        except InvalidEdit:
            high = middle - 1
        else:
            low = middle
    assert MAX_PRESENCE_BYTES - 100 < low < MAX_PRESENCE_BYTES
    assert shown_status({"name": "x" * low}) is UpdateStatus.OK
    assert shown_status({"name": "x" * (low + 1)}) is UpdateStatus.PAYLOAD_TOO_LARGE


@pytest.mark.parametrize(
    "value", [{"a": object()}, {1: 2}, {"a": float("nan")}, {"a": "\ud800"}, {"a": {1, 2}}]
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidEdit):
        check_presence(value)
