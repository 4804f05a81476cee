from __future__ import annotations

import pytest

from headway.core.document.crdt import Replica
from headway.core.document.edits import AddCell, AppendSource
from headway.core.document.notebook import NotebookDocument
from headway.core.room import compaction
from headway.core.room.effects import Compact, Persist, RuntimeReplaced, UpdateStored
from headway.core.room.inputs import PersistFailed
from headway.core.room.opening import Opening
from headway.core.wire import rpc
from headway.errors import StoreFailed
from room_stage import DOCUMENT, Stage


@pytest.fixture(autouse=True)
def short_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "COMPACT_UPDATES", 10)


def compacted(stage: Stage) -> list[Compact]:
    return [each for each in stage.of(Compact) if each.document == DOCUMENT]


def type_in(stage: Stage, count: int) -> None:
    peer = stage.peers.get(1) or stage.peer()
    if "c" not in peer.notebook:
        peer.edit(AddCell("c"))
    for _ in range(count):
        peer.edit(AppendSource("c", "x"))


def test_a_short_tail_is_left_alone() -> None:
    stage = Stage()
    type_in(stage, 5)
    assert compacted(stage) == []


def test_a_long_tail_becomes_a_snapshot_of_everything_stored() -> None:
    stage = Stage()
    type_in(stage, 12)
    (snapshot,) = compacted(stage)
    notebook = NotebookDocument(Replica.load(9, snapshot.snapshot, ()))
    later = stage.log[stage.log.index(snapshot) :]
    typed_after = [each for each in later if isinstance(each, Persist)]
    assert len(notebook.source("c")) == 12 - len(typed_after)


def test_the_count_begins_anew_with_each_snapshot() -> None:
    stage = Stage()
    type_in(stage, 40)
    assert 3 <= len(compacted(stage)) <= 4


def test_nothing_is_compacted_while_anything_is_on_its_way_to_the_disk() -> None:
    stage = Stage()
    type_in(stage, 5)
    stage.holds_disk = True
    type_in(stage, 20)
    while stage.answered < len(stage.persists):
        assert compacted(stage) == []
        stage.disk(1)
    (snapshot,) = compacted(stage)
    stored = [record for persist in stage.persists for record in persist.records]
    updates = [
        each.update
        for each in stored
        if isinstance(each, UpdateStored) and each.document == DOCUMENT
    ]
    whole = Replica.load(9, None, updates)
    assert Replica.load(8, snapshot.snapshot, ()).version() == whole.version()


def test_the_tail_that_was_loaded_counts() -> None:
    stage = Stage()
    type_in(stage, 8)
    stored = [record for persist in stage.persists for record in persist.records]
    updates = tuple(
        each.update
        for each in stored
        if isinstance(each, UpdateStored) and each.document == DOCUMENT
    )
    again = Stage(seed=1, opening=Opening(document=DOCUMENT, path=None, updates=updates))
    assert len(compacted(again)) == 1


def test_a_tail_of_many_bytes_is_compacted_however_few_its_updates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compaction, "COMPACT_BYTES", 20_000)
    stage = Stage()
    type_in(stage, 1)
    assert compacted(stage) == []
    stage.peers[1].edit(AppendSource("c", "".join(map(str, range(10_000)))))
    assert len(compacted(stage)) == 1


def test_a_large_document_may_have_a_longer_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SNAPSHOT_BYTES_PER_UPDATE", 10)
    stage = Stage()
    type_in(stage, 30)
    # A snapshot of some 500 bytes allows some 50 updates after it.
    assert len(compacted(stage)) == 1


def test_the_runtime_document_is_compacted_too_and_its_successor_begins_with_a_short_tail() -> None:
    stage = Stage()
    for number in range(12):
        stage.room._recorder.queue([f"e{number}"], stage.moment())
        stage.wait(0.05)
    (snapshot,) = [each for each in stage.of(Compact) if each.document != DOCUMENT]
    assert snapshot.document == stage.room.runtime
    runtimes = [
        record.runtime
        for persist in stage.persists
        for record in persist.records
        if isinstance(record, RuntimeReplaced)
    ]
    assert runtimes == [stage.room.runtime]


@pytest.mark.parametrize("limit", [5, 6, 7])
def test_a_snapshot_of_the_runtime_document_is_what_the_store_has_whatever_runs(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run of two cells is three updates: the tail is long when it begins, or when a cell ends.
    monkeypatch.setattr(compaction, "COMPACT_UPDATES", limit)
    stage = Stage()
    stage.peer().edit(AddCell("a", source="1"), AddCell("b", source="2"))
    for _ in range(12):
        stage.ask(rpc.ExecuteAll(document=DOCUMENT, batch_id=stage.new_id()))
        if len(stage.ran()) == 0:
            stage.kernel_ready()
        stage.kernel_finishes()
        stage.kernel_finishes()
    snapshots = [each for each in stage.of(Compact) if each.document == stage.room.runtime]
    assert len(snapshots) > 1
    for snapshot in snapshots:
        stored = Replica(9)
        for each in stage.log[: stage.log.index(snapshot)]:
            for record in each.records if isinstance(each, Persist) else ():
                if isinstance(record, RuntimeReplaced):
                    stored.import_update(record.snapshot)
                elif isinstance(record, UpdateStored) and record.document == stage.room.runtime:
                    stored.import_update(record.update)
        assert Replica.load(8, snapshot.snapshot, ()).version() == stored.version()


def test_a_room_whose_store_failed_compacts_nothing() -> None:
    stage = Stage()
    type_in(stage, 5)
    stage.holds_disk = True
    type_in(stage, 20)
    stage.feed(PersistFailed(stage.persists[-1].token, StoreFailed("The disk is full.")))
    stage.disk()
    assert compacted(stage) == []
