"""A peer that joins a document before anything of it is durable."""

from __future__ import annotations

from headway.core.document.crdt import Version
from headway.core.document.edits import AddCell
from headway.core.room.inputs import PeerArrived, Received
from headway.core.wire.messages import Join, Joined, Kind, Leave, Update, UpdateStatus
from room_stage import DOCUMENT, Peer, Stage


class Listener(Peer):
    """A peer that keeps what it was told."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, 1)
        self.told: list[Joined | Update] = []
        stage.peers[1] = self
        stage.feed(PeerArrived(1, "ada", "test"))

    def receive(self, message: object) -> None:
        if isinstance(message, Joined | Update):
            self.told.append(message)


def test_a_runtime_document_is_shown_only_once_it_is_durable() -> None:
    stage = Stage(holds_disk=True)
    peer = Listener(stage)
    peer.join_runtime()
    assert peer.told == []
    stage.disk()
    joined = peer.told[0]
    assert isinstance(joined, Joined)
    shown = Version.decode(joined.version)
    assert shown == stage.room.runtime_reader.replica.version()


def test_a_new_notebook_is_never_shown_empty() -> None:
    stage = Stage(holds_disk=True)
    peer = Listener(stage)
    peer.join()
    assert peer.told == []
    stage.disk()
    joined = peer.told[0]
    assert isinstance(joined, Joined)
    assert not Version.decode(joined.version).is_empty


def test_who_leaves_before_the_disk_has_answered_is_not_let_in() -> None:
    stage = Stage(holds_disk=True)
    peer = Listener(stage)
    stage.feed(Received(1, Join(Kind.DOCUMENT, DOCUMENT, b"", b"")))
    stage.feed(Received(1, Leave(Kind.DOCUMENT, DOCUMENT)))
    stage.disk()
    assert peer.told == []


def test_what_follows_an_early_join_is_taken_after_it() -> None:
    stage = Stage(holds_disk=True)
    peer = stage.peer()
    peer.write(AddCell("a", source="x"))
    peer.send()
    stage.disk()
    assert stage.room.notebook.order() == ["a"]
    assert [ack.status for ack in peer.acks] == [UpdateStatus.OK]
