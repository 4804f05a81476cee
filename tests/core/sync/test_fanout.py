"""What the members of a room are sent, and what is taken from them."""

from __future__ import annotations

from headway.core.document.bulk import LARGE_OPERATIONS
from headway.core.document.crdt import Version
from headway.core.document.edits import AddCell, AppendSource
from headway.core.document.limits import MAX_IMPORT_OPERATIONS
from headway.core.room.documents import CLOSE_UNSOUND
from headway.core.room.effects import Close, Send
from headway.core.room.inputs import Received
from headway.core.wire.codec import decode
from headway.core.wire.fragments import split
from headway.core.wire.messages import (
    Fragment,
    FragmentHeader,
    Join,
    Joined,
    JoinError,
    JoinErrorCode,
    Kind,
    Leave,
    Update,
    UpdateStatus,
)
from room_stage import DOCUMENT, Peer, Stage


def sent_to(stage: Stage, number: int) -> list[object]:
    """Every message that this peer was sent, in order."""
    sends = [each for each in stage.of(Send) if each.peer == number]
    return [decode(frame) for each in sends for frame in each.frames]


def updates_sent_to(stage: Stage, number: int) -> list[Update]:
    return [each for each in sent_to(stage, number) if isinstance(each, Update)]


def leave_a_gap(peer: Peer) -> None:
    """Send what builds on a change that is not sent."""
    peer.write(AddCell("unsent", source="1"))
    peer.sent = peer.replica.version()
    peer.write(AddCell("sent", source="2"))
    peer.send()


def test_a_peer_that_has_everything_is_sent_nothing_when_it_joins_again() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.add_cell("a", "1")
    stage.log.clear()
    peer.join()
    (joined,) = sent_to(stage, 1)
    assert isinstance(joined, Joined)


def test_what_leaves_the_schema_is_refused_and_nobody_ever_sees_it() -> None:
    stage = Stage()
    writer, other = stage.peer(1), stage.peer(2)
    writer.add_cell("a", "1")
    records = len(stage.persists)
    writer.replica.map("strange").set("key", 1)
    writer.replica.commit(0, "")
    writer.send()

    assert writer.acks[-1].status is UpdateStatus.INVALID_UPDATE
    assert [(each.peer, each.code) for each in stage.of(Close)] == [(1, CLOSE_UNSOUND)]
    assert len(stage.persists) == records
    other.add_cell("b", "2")
    late = stage.peer(3)
    assert late.notebook.order() == other.notebook.order() == ["a", "b"]
    assert "key" not in late.replica.map("strange")


def test_more_operations_than_one_update_may_bring_are_refused_and_merge_nothing() -> None:
    stage = Stage()
    peer = stage.peer()
    heads = stage.room.notebook.replica.heads()
    for cell_id in "ab":
        peer.write(AddCell(cell_id, source="x" * (MAX_IMPORT_OPERATIONS // 2)))
    peer.send()
    assert peer.acks[-1].status is UpdateStatus.PAYLOAD_TOO_LARGE
    assert stage.room.notebook.replica.heads() == heads


def test_who_is_asked_to_join_again_is_sent_and_may_send_nothing_until_it_has() -> None:
    stage = Stage()
    peer, other = stage.peer(1), stage.peer(2)
    leave_a_gap(peer)
    stage.log.clear()
    other.add_cell("b", "1")
    assert sent_to(stage, 1) == []
    peer.send()
    assert peer.acks[-1].status is UpdateStatus.PERMISSION_DENIED
    stage.feed(Received(1, Join(Kind.DOCUMENT, DOCUMENT, b"", b"")))
    assert peer.notebook.source("b") == "1"


def test_every_update_that_a_peer_is_sent_has_a_batch_id_of_its_own() -> None:
    stage = Stage()
    writer, reader = stage.peer(1), stage.peer(2)
    writer.add_cell("a", "1")
    writer.add_cell("b", "2")
    reader.join()
    identities = [each.batch_id for each in updates_sent_to(stage, reader.number)]
    assert len(set(identities)) == len(identities) == 3


def test_a_large_change_goes_behind_its_first_operation_to_members_and_to_who_comes_back() -> None:
    stage = Stage()
    writer, member, away = stage.peer(1), stage.peer(2), stage.peer(3)
    writer.add_cell("a", "#")
    away_since = away.replica.version()
    stage.feed(Received(3, Leave(Kind.DOCUMENT, DOCUMENT)))
    stage.log.clear()
    stage.holds_disk = True
    writer.edit(AppendSource("a", stage.random.randbytes(LARGE_OPERATIONS).hex()))
    writer.edit(AppendSource("a", "!"))
    stage.group_commit()
    stage.holds_disk = False
    assert away.replica.version() == away_since
    away.join()
    for peer in (member, away):
        first, *_ = updates_sent_to(stage, peer.number)
        assert len(first.updates[0]) < 1000
    # An empty document takes the whole over as it is, and more slowly behind a first operation.
    assert len(updates_sent_to(stage, stage.peer(4).number)) == 1


def test_a_batch_in_parts_is_merged_when_the_last_one_is_there() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.write(AddCell("a", source="1"))
    update = peer.replica.export(peer.sent)
    header, *parts = split(Kind.DOCUMENT, DOCUMENT, update, b"12345678", fragment_bytes=50)
    assert len(parts) > 1
    for message in (header, *parts[:-1]):
        stage.feed(Received(1, message))
    assert peer.acks == []
    assert stage.room.notebook.order() == []
    stage.feed(Received(1, parts[-1]))
    assert [ack.status for ack in peer.acks] == [UpdateStatus.OK]
    assert stage.room.notebook.order() == ["a"]


def test_parts_that_do_not_add_up_are_refused() -> None:
    stage = Stage()
    peer = stage.peer()
    stage.feed(Received(1, FragmentHeader(Kind.DOCUMENT, DOCUMENT, b"12345678", 1, 1000)))
    stage.feed(Received(1, Fragment(Kind.DOCUMENT, DOCUMENT, b"12345678", 0, b"short")))
    assert [ack.status for ack in peer.acks] == [UpdateStatus.INVALID_UPDATE]


def test_a_join_with_a_version_that_is_none_is_refused_with_ours() -> None:
    stage = Stage()
    peer = stage.peer()
    stage.feed(Received(1, Join(Kind.DOCUMENT, DOCUMENT, b"", b"\xff")))
    (refusal,) = peer.others
    assert isinstance(refusal, JoinError)
    assert refusal.code is JoinErrorCode.VERSION_UNKNOWN
    assert refusal.version is not None
    assert Version.decode(refusal.version) == stage.room.notebook.replica.version()


def test_a_batch_whose_parts_do_not_come_is_refused_when_its_time_is_over() -> None:
    stage = Stage()
    peer = stage.peer()
    stage.show()
    stage.feed(Received(1, FragmentHeader(Kind.DOCUMENT, DOCUMENT, b"12345678", 2, 1000)))
    deadline_s = stage.room.next_deadline()
    assert deadline_s is not None
    stage.wait(deadline_s - stage.now_s)
    assert peer.acks[-1].status is UpdateStatus.FRAGMENT_TIMEOUT
    assert stage.room.next_deadline() is None
