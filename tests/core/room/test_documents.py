"""Who is here, as the room passes it on."""

from __future__ import annotations

from typing import Any

from headway.core.document.presence import PresenceStore
from headway.core.room.inputs import PeerArrived, PeerGone, Received
from headway.core.sync.presence import PRESENCE_TIMEOUT_S
from headway.core.wire.messages import Ack, FragmentHeader, Join, Kind, Leave, Update, UpdateStatus
from room_stage import DOCUMENT, Peer, Stage

ADA = {"name": "Ada"}


class Member(Peer):
    """A peer that has joined the room's presence, and nothing else."""

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__(stage, number)
        self.store = PresenceStore(PRESENCE_TIMEOUT_S)
        stage.peers[number] = self
        stage.feed(PeerArrived(number, f"peer {number}", "test"))
        stage.feed(Received(number, Join(Kind.PRESENCE, DOCUMENT, b"", b"")))

    def receive(self, message: Any) -> None:
        if isinstance(message, Update):
            self.store.apply(*message.updates)
        elif isinstance(message, Ack):
            self.acks.append(message)

    def show(self, value: dict[str, str]) -> None:
        update = PresenceStore(PRESENCE_TIMEOUT_S).set(f"peer {self.number}", value)
        message = Update(Kind.PRESENCE, DOCUMENT, (update,), bytes(8))
        self.stage.feed(Received(self.number, message))

    def sees(self) -> dict[str, Any]:
        return self.store.get_all()


def test_who_is_here_is_told_to_everybody_who_asked_and_stays() -> None:
    stage = Stage()
    ada, ben, left, gone = (Member(stage, number) for number in range(1, 5))
    stage.feed(Received(left.number, Leave(Kind.PRESENCE, DOCUMENT)))
    stage.feed(PeerGone(gone.number))
    ada.show(ADA)
    assert [ack.status for ack in ada.acks] == [UpdateStatus.OK]
    assert ben.sees() == Member(stage, 5).sees() == {"peer 1": ADA}
    assert left.sees() == gone.sees() == {}


def test_presence_is_not_sent_in_parts() -> None:
    stage = Stage()
    ada = Member(stage, 1)
    header = FragmentHeader(Kind.PRESENCE, DOCUMENT, bytes(8), 2, 1000)
    stage.feed(Received(1, header))
    assert [ack.status for ack in ada.acks] == [UpdateStatus.PAYLOAD_TOO_LARGE]
