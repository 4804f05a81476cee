from __future__ import annotations

import itertools
import random
from dataclasses import replace
from time import perf_counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.crdt import TRUSTED, Replica, Version
from headway.core.document.operations import (
    AppendOutput,
    ClearOutputs,
    ExtendText,
    ReplaceOutput,
    SealText,
)
from headway.core.document.outputs import OutputAssembler
from headway.core.document.runtime import TERMINAL, ExecutionRecord, RuntimeReader
from headway.core.document.runtime_writing import RuntimeDocument
from headway.moments import Moment

NOW = Moment(1.0, 1_700_000_000.0)
peers = itertools.count(100)


def fresh() -> RuntimeDocument:
    return RuntimeDocument(Replica(next(peers)))


def record(execution_id: str, cell_id: str = "c", **fields: Any) -> ExecutionRecord:
    return ExecutionRecord(execution_id=execution_id, cell_id=cell_id, **fields)


def stream(text: str, sealed: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text, "sealed": sealed or []}


def outputs(runtime: RuntimeDocument, execution_id: str = "e") -> list[dict[str, Any]]:
    found = runtime.reader.execution(execution_id)
    assert found is not None
    return list(found.outputs)


def test_a_record_is_read_as_it_was_written() -> None:
    runtime = fresh()
    written = record(
        "e",
        source_sha256="ab",
        heads="aGVhZHM=",
        requested_by="me",
        status="error",
        reason="why",
        execution_count=3,
        queued_s=1.5,
        started_s=2.5,
        finished_s=3.5,
        batch_id="b",
        outputs=(
            stream("text", [{"blob": "aa", "size": 4}]),
            {
                "output_type": "execute_result",
                "data": {"text/plain": "1", "image/png": {"blob": "cc", "size": 9}},
                "metadata": {"image/png": {"width": 3}},
                "execution_count": None,
                "transient": {"display_id": "d"},
            },
            {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["a", "b"]},
        ),
    )
    runtime.add_execution(written)
    assert runtime.commit(NOW)
    assert runtime.reader.execution("e") == written
    assert runtime.reader.execution("e", outputs=False) == replace(written, outputs=())
    assert runtime.reader.latest("c") == "e"
    assert msgspec.json.decode(msgspec.json.encode(written), type=ExecutionRecord) == written


def test_what_is_not_there_is_none() -> None:
    reader = RuntimeReader.empty()
    assert reader.kernel() == {}
    assert reader.queue() == []
    assert reader.executions() == []
    assert [reader.status("e"), reader.execution("e"), reader.latest("c")] == [None] * 3


def test_the_life_of_an_execution() -> None:
    runtime = fresh()
    runtime.add_execution(record("e", queued_s=1))
    assert runtime.reader.status("e") == "queued"
    runtime.set_running("e", 2)
    runtime.set_execution_count("e", 7)
    assert runtime.reader.status("e") == "running"
    runtime.finish("e", "cancelled", "it was interrupted", 3)
    found = runtime.reader.execution("e")
    assert found == record(
        "e",
        queued_s=1.0,
        started_s=2.0,
        finished_s=3.0,
        execution_count=7,
        status="cancelled",
        reason="it was interrupted",
    )
    assert runtime.commit(NOW)
    assert not runtime.commit(NOW)
    assert runtime.commits_count == 1


def test_a_status_that_is_not_terminal_ends_nothing() -> None:
    runtime = fresh()
    runtime.add_execution(record("e"))
    with pytest.raises(AssertionError):
        runtime.finish("e", "running", None, 3)


def test_every_operation_changes_the_outputs_as_it_says() -> None:
    runtime = fresh()
    runtime.add_execution(record("e"))
    display = {"output_type": "display_data", "data": {"text/plain": "a"}, "metadata": {"m": 1}}
    runtime.apply_outputs("e", [AppendOutput(stream("héllo")), AppendOutput(display)])
    runtime.apply_outputs("e", [ExtendText(0, 4, "漢x")])
    assert outputs(runtime) == [stream("h漢x"), display]
    blob = {"blob": "aa", "size": 2}
    runtime.apply_outputs("e", [SealText(0, (blob,), "rest"), SealText(0, (blob,), "more")])
    assert outputs(runtime)[0] == stream("more", [blob, blob])
    other = {"output_type": "display_data", "data": {"text/plain": "b"}}
    runtime.apply_outputs("e", [ReplaceOutput(1, other)])
    assert outputs(runtime)[1] == other
    runtime.apply_outputs("e", [ClearOutputs(), AppendOutput(display)])
    assert outputs(runtime) == [display]


def test_operations_on_what_is_not_there_do_nothing() -> None:
    runtime = fresh()
    runtime.apply_outputs("gone", [ClearOutputs()])
    runtime.finish("gone", "ok", None, 1)
    assert not runtime.commit(NOW)
    runtime.add_execution(record("e"))
    runtime.apply_outputs(
        "e", [ExtendText(5, 0, "x"), SealText(5, (), "x"), ReplaceOutput(5, stream("x"))]
    )
    assert outputs(runtime) == []


@given(queues=st.lists(st.lists(st.sampled_from("abcdef"), unique=True), max_size=6))
def test_a_queue_is_what_it_was_set_to_last(queues: list[list[str]]) -> None:
    runtime = fresh()
    for ids in queues:
        runtime.set_queue(ids)
        assert runtime.reader.queue() == ids


def test_a_long_queue_that_loses_its_first_is_not_written_whole() -> None:
    runtime = fresh()
    ids = [f"execution-{number}" for number in range(1000)]
    runtime.set_queue(ids)
    runtime.commit(NOW)
    before = runtime.replica.version()
    runtime.set_queue(ids[1:])
    runtime.commit(NOW)
    assert len(runtime.replica.export(before)) < 300


def test_the_queue_of_an_earlier_version_is_read() -> None:
    replica = Replica(9)
    replica.map("queue").set_json("ids", ["a", "b"])
    assert RuntimeReader(replica).queue() == ["a", "b"]


def test_kernel_and_queue_are_replaced_by_what_they_are_now() -> None:
    runtime = fresh()
    runtime.set_kernel({"name": "python3", "status": "idle", "reason": "x"})
    runtime.set_queue(["a", "b"])
    runtime.commit(NOW)
    runtime.set_kernel({"name": "python3", "status": "dead"})
    runtime.set_queue(["b"])
    assert runtime.reader.kernel() == {"name": "python3", "status": "dead"}
    assert runtime.reader.queue() == ["b"]
    assert runtime.commit(NOW)
    runtime.set_queue(["b"])
    runtime.set_kernel({"name": "python3", "status": "dead"})
    assert not runtime.commit(NOW)


def test_outputs_come_before_the_terminal_status_in_every_replica() -> None:
    chance = random.Random(7)
    for _ in range(20):
        runtime, assembler = fresh(), OutputAssembler()
        updates: list[bytes] = []
        sent = Version.EMPTY

        def commit(runtime: RuntimeDocument = runtime, updates: list[bytes] = updates) -> None:
            nonlocal sent
            if runtime.commit(NOW):
                updates.append(runtime.replica.export(sent))
                sent = runtime.replica.version()

        def apply(
            runtime: RuntimeDocument = runtime, assembler: OutputAssembler = assembler
        ) -> None:
            for execution_id, operations in assembler.take().operations.items():
                runtime.apply_outputs(execution_id, operations)

        wanted: dict[str, str] = {}
        for number in range(3):
            execution_id = f"e{number}"
            runtime.add_execution(record(execution_id))
            for step in range(chance.randrange(1, 30)):
                text = f"line {step}\n" * chance.choice([1, 20_000])
                assembler.stream(execution_id, "stdout", text)
                if chance.random() < 0.3:
                    apply()
                    commit()
            assembler.finish(execution_id)
            apply()
            runtime.finish(execution_id, "ok", None, 1)
            commit()
            wanted[execution_id] = str(outputs(runtime, execution_id))

        replica = Replica(next(peers))
        reader = RuntimeReader(replica)
        for update in updates:
            replica.import_update(update, TRUSTED)
            for execution_id in reader.executions():
                if reader.status(execution_id) in TERMINAL:
                    found = reader.execution(execution_id)
                    assert found is not None
                    assert str(list(found.outputs)) == wanted[execution_id]
        assert len(reader.executions()) == 3


def test_a_fresh_document_keeps_the_newest_the_latest_and_the_unfinished() -> None:
    old = fresh()
    old.add_execution(record("first of a", "a", status="ok", queued_s=1))
    old.add_execution(record("only of b", "b", status="ok", queued_s=2, outputs=(stream("b"),)))
    old.add_execution(record("unfinished", "a", status="running", queued_s=3))
    for i in range(10):
        old.add_execution(record(f"a{i}", "a", status="ok", queued_s=10 + i))
    old.set_kernel({"status": "busy"})
    old.set_queue(["unfinished"])
    old.commit(NOW)
    new = fresh()
    new.carry_over(old.reader, keep=3)
    new.commit(NOW)
    reader = new.reader
    assert reader.executions() == ["only of b", "unfinished", "a7", "a8", "a9"]
    assert reader.latest("a") == "a9"
    assert reader.latest("b") == "only of b"
    assert reader.execution("only of b") == old.reader.execution("only of b")
    assert reader.kernel() == {"status": "busy"}
    assert reader.queue() == ["unfinished"]


def test_nothing_to_carry_over_leaves_the_document_usable() -> None:
    new = fresh()
    new.carry_over(RuntimeReader.empty())
    new.add_execution(record("e"))
    assert new.reader.executions() == ["e"]


def test_outputs_go_on_where_they_were_after_they_were_carried_over() -> None:
    old, assembler = fresh(), OutputAssembler()
    old.add_execution(record("e", status="running"))
    assembler.stream("e", "stdout", "abc")
    for execution_id, operations in assembler.take().operations.items():
        old.apply_outputs(execution_id, operations)
    new = fresh()
    new.carry_over(old.reader)
    assembler.stream("e", "stdout", "\rX\n")
    for execution_id, operations in assembler.take().operations.items():
        new.apply_outputs(execution_id, operations)
    assert outputs(new) == [stream("Xbc\n")]


def test_junk_is_left_out_and_nothing_raises() -> None:
    replica = Replica(next(peers))
    executions = replica.map("executions")
    executions.set("text", "junk")
    wrong = executions.new_map("wrong")
    wrong.set("status", 5)
    wrong.set("cell_id", None)
    wrong.set("execution_count", "three")
    wrong.set("queued_s", "now")
    wrong.set("unknown", {"a": [1]})
    wrong.new_list("outputs").append("junk")
    replica.map("queue").set("ids", "junk")
    replica.list("queue").append(7)
    replica.map("latest").set("c", 5)
    replica.commit(1.0, "junk")
    reader = RuntimeReader(replica)
    assert [reader.status("text"), reader.status("wrong"), reader.execution("text")] == [None] * 3
    assert reader.execution("wrong") == record("wrong", "", status="")
    assert reader.queue() == []
    assert reader.latest("c") is None
    new = fresh()
    new.carry_over(reader)
    assert "wrong" in new.reader.executions()


def test_a_status_is_cheap_to_read() -> None:
    runtime = fresh()
    for i in range(500):
        runtime.add_execution(record(f"e{i}"))
    runtime.commit(NOW)
    started = perf_counter()
    for i in range(1000):
        assert runtime.reader.status(f"e{i % 500}") == "queued"
    spent_us = (perf_counter() - started) * 1000
    print(f"{spent_us:.1f} us")
    assert spent_us < 100
