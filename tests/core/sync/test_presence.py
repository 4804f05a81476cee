"""What a peer may show of itself: all that is accepted is passed on, and nothing else is tried."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.session.presence import PresenceMember
from headway.core.sync.presence import MAX_PRESENCE_BYTES, PresenceRoom, check_presence
from headway.core.wire.codec import Unknown, decode
from headway.core.wire.messages import Ack, Joined, Kind, Update, UpdateStatus
from headway.errors import InvalidEdit

ROOM = "nb-0"


def shown_status(value: dict[str, Any]) -> UpdateStatus:
    """What the room answers a member that shows `value`."""
    member = PresenceMember(ROOM, "0123456789abcdef", bytes)
    member.receive(Joined(Kind.PRESENCE, ROOM, "write", b""), 0.0)
    (frame,) = member.set(value, 0.0)
    update = decode(frame)
    assert isinstance(update, Update)
    room = PresenceRoom(ROOM)
    room.members[1] = None
    ((_, (answer,)),) = room.receive(1, update)
    acknowledgement = decode(answer)
    assert not isinstance(acknowledgement, Unknown)
    assert isinstance(acknowledgement, Ack)
    return acknowledgement.status


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
