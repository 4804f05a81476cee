from __future__ import annotations

import pytest

from headway.core.document.notices import OUTPUT_QUOTA_BYTES
from headway.core.kernel.events import Busy, DisplayData, ExecuteInput, ExecuteReply, Idle, Stream
from headway.core.room.effects import Persist, StoreBlob, WriteFile
from headway.core.room.inputs import FileWritten
from headway.core.room.opening import Opening
from headway.core.room.recorder import COALESCE_S, LEFT_OUT_S
from headway.core.wire import rpc
from room_stage import DOCUMENT, Stage


def running_cell(stage: Stage) -> str:
    """A cell that runs, with its first output shown; gives the execution's id."""
    heads = stage.peer().add_cell("aaa", "work()")
    identity = stage.new_id()
    stage.ask(
        rpc.Execute(document=DOCUMENT, required_heads=heads, cell_id="aaa", execution_id=identity)
    )
    stage.kernel_ready()
    stage.wait(1.0)
    stage.kernel_says(Busy(identity), ExecuteInput(identity, 1), Stream(identity, "stdout", "a"))
    stage.wait(1.0)
    return identity


def shown(stage: Stage, identity: str) -> str:
    """The text in the document; what is gathered for the next commit is not there yet."""
    record = stage.room.runtime_reader.execution(identity)
    assert record is not None
    return "".join(output["text"] for output in record.outputs)


def test_a_peer_may_join_while_outputs_gather_for_the_next_commit() -> None:
    stage = Stage()
    identity = running_cell(stage)
    stage.kernel_says(Stream(identity, "stdout", "b"))
    assert stage.room.next_deadline() is not None, "the second output waits to be committed"
    late = stage.peer(2)
    late.join_runtime()
    record = late.runtime.execution(identity)
    assert record is not None
    assert [output["text"] for output in record.outputs] == ["ab"]


def test_what_the_program_flushed_is_committed_at_once_and_what_was_not_a_little_later() -> None:
    stage = Stage()
    identity = running_cell(stage)
    stage.kernel_says(Stream(identity, "stdout", "b"))
    assert shown(stage, identity) == "a"
    stage.wait(1.0)
    assert shown(stage, identity) == "ab"
    stage.wait(1.0)
    stage.kernel_says(Stream(identity, "stdout", "c", is_flushed=True))
    assert shown(stage, identity) == "abc"
    stage.kernel_says(Stream(identity, "stdout", "d", is_flushed=True))
    assert shown(stage, identity) == "abc", "many flushes are one commit in COALESCE_S"
    stage.wait(COALESCE_S)
    assert shown(stage, identity) == "abcd"


def test_what_is_left_out_is_told_now_and_then_and_the_file_at_the_end() -> None:
    stage = Stage(opening=Opening(document=DOCUMENT, path="/notebooks/a.ipynb"))
    identity = running_cell(stage)
    stage.kernel_says(Stream(identity, "stdout", "x" * OUTPUT_QUOTA_BYTES + "\n"))
    stage.wait(COALESCE_S)
    assert "left out 2 bytes" in left_out(stage, identity)
    save(stage)
    stage.kernel_says(Stream(identity, "stdout", "x\n"), Stream(identity, "stderr", "x" * 99))
    deadline_s = stage.room.next_deadline()
    assert deadline_s == pytest.approx(stage.now_s + LEFT_OUT_S)
    stage.wait(LEFT_OUT_S)
    assert "left out 103 bytes" in left_out(stage, identity)
    assert stage.room.summary().saved, "nothing of it is shown in the file but the number"
    stage.kernel_says(ExecuteReply(identity, "ok", 1), Idle(identity))
    assert not stage.room.summary().saved
    assert "left out 103 bytes" in str(save(stage).notebook["cells"][0]["outputs"][-1])


def save(stage: Stage) -> WriteFile:
    stage.ask(rpc.Save(document=DOCUMENT))
    for autosave in stage.of(WriteFile):
        written(stage, autosave)
    ours: WriteFile = stage.of(WriteFile)[-1]
    written(stage, ours)
    assert stage.room.summary().saved
    return ours


def written(stage: Stage, write: WriteFile) -> None:
    stage.feed(FileWritten(write.token, write.path, "0" * 64, changed=True, content=b""))


def left_out(stage: Stage, identity: str) -> str:
    record = stage.room.runtime_reader.execution(identity)
    assert record is not None
    return str(record.outputs[-1]["text"])


def test_a_peer_that_joins_meanwhile_is_shown_outputs_only_once_they_are_durable() -> None:
    stage = Stage()
    identity = running_cell(stage)
    stage.holds_disk = True
    stage.kernel_says(Stream(identity, "stdout", "b"))
    late = stage.peer(2)
    late.join_runtime()
    record = late.runtime.execution(identity)
    assert record is not None
    assert [output["text"] for output in record.outputs] == ["a"]
    stage.disk()
    record = late.runtime.execution(identity)
    assert record is not None
    assert [output["text"] for output in record.outputs] == ["ab"]


def test_outputs_that_a_joining_peer_brought_out_early_are_saved_as_well() -> None:
    stage = Stage(opening=Opening(document=DOCUMENT, path="/notebooks/a.ipynb"))
    identity = running_cell(stage)
    for write in stage.of(WriteFile):
        stage.feed(FileWritten(write.token, write.path, "0" * 64, changed=True, content=b""))
    stage.kernel_says(Stream(identity, "stdout", "b"))
    stage.ask(rpc.Save(document=DOCUMENT))
    write = stage.of(WriteFile)[-1]
    stage.feed(FileWritten(write.token, write.path, "1" * 64, changed=True, content=b""))
    stage.kernel_says(Stream(identity, "stdout", "c"))
    assert stage.room.summary().saved, "the third output waits to be committed"
    stage.peer(2).join_runtime()
    assert not stage.room.summary().saved


def test_a_file_is_written_after_the_blobs_of_its_outputs_are_on_the_disk() -> None:
    stage = Stage(opening=Opening(document=DOCUMENT, path="/notebooks/a.ipynb"))
    identity = running_cell(stage)
    for write in stage.of(WriteFile):
        stage.feed(FileWritten(write.token, write.path, "0" * 64, changed=True, content=b""))
    stage.kernel_says(Stream(identity, "stdout", "at once"))
    seen = len(stage.log)
    stage.kernel_says(DisplayData(identity, {"text/plain": "x" * 5000}, {}))
    stage.kernel_says(ExecuteReply(identity, "ok", 1))  # applied, and recorded a moment later
    stage.ask(rpc.Save(document=DOCUMENT))

    kinds = [type(effect) for effect in stage.log[seen:]]
    blob = kinds.index(StoreBlob)
    assert Persist in kinds[blob : kinds.index(WriteFile)]
