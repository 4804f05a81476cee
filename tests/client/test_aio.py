from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

import headway
from headway.client import executions, fetching
from headway.core.document.runtime import ExecutionRecord
from headway.core.session import inputs
from headway.core.session.effects import Effect
from headway.core.wire.codec import encode
from headway.core.wire.commands import encode_result
from headway.core.wire.messages import Kind, RoomError, RoomErrorCode, UpdateStatus
from headway.core.wire.rpc import ExecutionOutcome, GetExecution, Status
from headway.edges.paths import Paths, prepare
from headway.errors import BadRequest
from headway.moments import Moment
from mini_daemon import MiniDaemon, Relay, daemon_at
from session_world import NOTEBOOK

LIMIT_S = 30


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario

    asyncio.run(bounded())


def test_create_then_execute_runs_exactly_that_source_every_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            for number in range(100):
                result = await nb.execute_cell(nb.add_cell(f"print {number}"), timeout=10)
                assert result.success
                assert result.text == f"print {number}"

    run(scenario())


def test_an_edit_just_before_executing_is_what_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            cell = nb.add_cell("x=1")
            nb.update_source(cell, "x=2")
            assert (await nb.execute_cell(cell)).text == "x=2"
            for token in ("a", "b", "c"):
                nb.append_source(cell, token)
            assert (await nb.execute_cell(cell)).text == "x=2abc"

    run(scenario())


def test_confirm_sync_waits_for_a_stalled_daemon_and_is_typed_when_it_never_answers(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            daemon.hold_updates = True
            nb.add_cell("x")
            assert not nb.is_synced
            with pytest.raises(headway.ConfirmTimeout) as caught:
                await nb.confirm_sync(timeout=0.2)
            assert caught.value.data["missing"] == headway.heads_to_text(nb.heads)
            forgiving = await nb.confirm_sync(timeout=0.05, required=False)
            assert not forgiving.confirmed
            assert isinstance(forgiving.error, headway.ConfirmTimeout)
            waiting = asyncio.create_task(nb.confirm_sync(timeout=10))
            await asyncio.sleep(0)
            for frame in daemon.release():
                await daemon.connections[0].send(frame)
            daemon.hold_updates = False
            confirmation = await waiting
            assert confirmation.heads == nb.heads == nb.remote_heads
            assert nb.is_synced

    run(scenario())


def test_two_clients_see_each_others_cells_with_their_sources(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            daemon_at(tmp_path),
            headway.open_async("a", home=tmp_path) as first,
            headway.open_async("a", home=tmp_path) as second,
        ):
            cell = first.add_cell("hello")
            await second.wait_until(lambda: len(second.cells) == 1)
            assert second.cell(cell).source == "hello"
            second.append_source(cell, " world")
            await first.wait_until(lambda: first.source(cell) == "hello world")

    run(scenario())


def test_an_error_in_a_cell_is_a_result(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            result = await nb.run("raise ValueError")
            assert result.status == "error"
            assert result.error is not None
            assert result.error.ename == "ValueError"
            with pytest.raises(headway.CellFailed, match="ValueError"):
                result.raise_for_error()

    run(scenario())


def test_a_large_result_is_fetched_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            result = await nb.run("large x")
            assert result.text == "large x" * 1000
            (reference,) = nb.cells[0].outputs
            whole = await nb.fetch_output(reference)
            assert whole["data"]["text/plain"] == result.text
            with pytest.raises(headway.RequestFailed):
                await nb.fetch_blob("0" * 64)

    run(scenario())


def test_a_blob_in_the_home_is_read_there_if_it_is_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        data = b"of an earlier run"
        sha256 = hashlib.sha256(data).hexdigest()
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            with pytest.raises(headway.RequestFailed):
                await nb.fetch_blob(sha256)
            file = Paths.of(tmp_path).blobs / sha256[:2] / sha256[2:]
            file.parent.mkdir()
            file.write_bytes(data)
            assert await nb.fetch_blob(sha256) == data
            file.write_bytes(b"something else")
            with pytest.raises(headway.RequestFailed):
                await nb.fetch_blob(sha256)

    run(scenario())


def test_events_come_in_order_and_end_with_the_result(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            events = [event async for event in nb.stream_execute(nb.add_cell("hi"))]
            assert isinstance(events[0], headway.Started)
            assert isinstance(events[1], headway.Output)
            assert isinstance(events[-1], headway.Finished)
            assert events[-1].result.text == "hi"

    run(scenario())


async def output_and_end(
    events: AsyncIterator[headway.Event],
) -> tuple[dict[str, Any], headway.Finished]:
    _, told, end = [event async for event in events]
    assert isinstance(told, headway.Output)
    assert isinstance(end, headway.Finished)
    return told.output, end


def test_an_execution_that_only_the_daemon_knows_is_there_when_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "0191d0a0-0000-7000-8000-000000000001"
    output = {"output_type": "stream", "name": "stdout", "text": "long ago"}
    record = ExecutionRecord(
        execution_id=old, cell_id="c", source_sha256="", status="ok", outputs=(output,)
    )

    class Remembering(MiniDaemon):
        def find(self, identity: Any, asked: GetExecution) -> bytes:
            outcome = ExecutionOutcome(
                execution_id=old, document=NOTEBOOK, record=msgspec.to_builtins(record)
            )
            return encode_result(identity, outcome)

    async def scenario() -> None:
        monkeypatch.setattr(executions, "ASK_AFTER_S", LIMIT_S)
        async with daemon_at(tmp_path, Remembering()), headway.open_async("a", home=tmp_path) as nb:
            job = await nb.get_execution(old)
            assert (job.status, job.outputs) == ("ok", (output,))
            assert (await job.result()).text == "long ago"
            found = [event async for event in job.events()]
            assert [type(event).__name__ for event in found] == ["Started", "Output", "Finished"]
            assert isinstance(found[-1], headway.Finished)
            assert found[-1].result.text == "long ago"

    run(scenario())


def test_the_output_of_an_event_is_as_nbformat_writes_it_or_a_reference(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            cell = nb.add_cell("large x")
            output, end = await output_and_end(nb.stream_execute(cell))
            assert output["data"]["text/plain"] == "large x" * 1000
            assert output == end.result.outputs[0]
            output, end = await output_and_end(nb.stream_execute(cell, resolve=False))
            assert "blob" in output["data"]["text/plain"]
            assert await nb.fetch_output(output) == end.result.outputs[0]

    run(scenario())


def test_run_all_gives_a_result_for_each_cell_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            for number in range(5):
                nb.add_cell(f"{number}")
            assert [result.text for result in await nb.run_all()] == list("01234")

    run(scenario())


def test_a_time_out_ends_the_wait_and_not_the_execution(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            with pytest.raises(headway.DeadlineExceeded) as caught:
                await nb.run("hang", timeout=0.2)
            identity = caught.value.data["execution_id"]
            execution = await nb.get_execution(identity)
            assert execution.status == "running"
            await daemon.change(lambda: daemon.runtime.finish(identity, "ok", None, 2.0))
            assert await execution.wait(timeout=5) == "ok"

    run(scenario())


def test_a_refused_request_is_the_daemons_typed_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            with pytest.raises(headway.CellNotFound):
                await nb.execute_cell("0123456789ab")

    run(scenario())


def test_edits_go_on_through_a_lost_connection_and_arrive_after_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            nb.add_cell("before")
            await nb.confirm_sync()
            await daemon.cut()
            await nb.wait_until(lambda: nb.status == "reconnecting")
            nb.add_cell("during")
            await nb.confirm_sync(timeout=10)
            assert nb.status == "live"
            sources = [cell.source for cell in daemon.notebook.cells()]
            assert sources == ["before", "during"]

    run(scenario())


def test_executing_right_after_a_lost_connection_runs_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            await daemon.cut()
            result = await nb.run("once", timeout=10)
            assert result.text == "once"
            assert len(daemon.accepted) == 1

    run(scenario())


def test_ten_confirmations_on_a_pipe_of_a_few_bytes_do_not_starve_each_other(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        behind = tmp_path / "behind"
        front = tmp_path / "front"
        prepare(front)
        async with (
            daemon_at(behind) as daemon,
            Relay(Paths.of(behind).socket, piece=128).serve(Paths.of(front).socket),
            headway.open_async("a", home=front) as nb,
        ):

            async def edit_and_confirm(number: int) -> None:
                nb.add_cell(f"cell {number}")
                await nb.confirm_sync(timeout=15)

            async with asyncio.TaskGroup() as tasks:
                for number in range(10):
                    tasks.create_task(edit_and_confirm(number))
                for number in range(8):
                    tasks.create_task(daemon.others_write(f"other {number}"))
                    tasks.create_task(nb.interrupt(timeout=15))
            await nb.wait_until(lambda: len(nb.cells) == 18)
            assert len(daemon.notebook) == 18

    run(scenario())


def test_parallel_executions_each_get_their_own_result(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            results = await asyncio.gather(*(nb.run(f"{n}") for n in range(24)))
            assert [result.text for result in results] == [f"{n}" for n in range(24)]

    run(scenario())


def test_cancelling_a_call_changes_nothing_but_that_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            waiting = asyncio.create_task(nb._pump.request(Status(), 10))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert nb._pump._waiting == {}
            assert (await nb.run("still here")).text == "still here"

    run(scenario())


def test_closing_tells_of_refused_edits_if_nobody_was_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon:
            nb = await headway.open_async("a", home=tmp_path)
            daemon.refuse_with = UpdateStatus.INVALID_UPDATE
            nb.add_cell("bad")
            await nb.wait_until(lambda: bool(nb.rejected))
            daemon.refuse_with = None
            await nb.wait_until(lambda: nb.status == "live")
            assert nb.is_synced
            with pytest.raises(headway.UpdateRejected):
                await nb.close()

    run(scenario())


def test_refused_edits_are_kept_for_the_person_and_work_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            nb.add_cell("good")
            await nb.confirm_sync()
            daemon.refuse_with = UpdateStatus.INVALID_UPDATE
            nb.add_cell("bad")
            with pytest.raises(headway.UpdateRejected):
                await nb.confirm_sync()
            daemon.refuse_with = None
            (kept,) = nb.rejected
            assert [cell.source for cell in kept.cells] == ["good", "bad"]
            await nb.wait_until(lambda: nb.status == "live")
            nb.add_cell("after")
            assert nb.undo()
            nb.add_cell("again")
            await nb.confirm_sync()
            assert [cell.source for cell in daemon.notebook.cells()] == ["good", "again"]

    run(scenario())


def test_undo_takes_back_own_edits_and_redo_makes_them_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon, headway.open_async("a", home=tmp_path) as nb:
            nb.add_cell("mine")
            await daemon.others_write("theirs")
            await nb.wait_until(lambda: len(nb.cells) == 2)
            assert nb.undo()
            assert [cell.source for cell in nb.cells] == ["theirs"]
            assert nb.redo()
            assert {cell.source for cell in nb.cells} == {"mine", "theirs"}

    run(scenario())


def test_leaving_the_context_delivers_what_was_just_edited(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon:
            async with headway.open_async("a", home=tmp_path) as nb:
                nb.add_cell("last words")
            assert [cell.source for cell in daemon.notebook.cells()] == ["last words"]
            assert nb.status == "closed"
            with pytest.raises(headway.HeadwayError):
                nb.add_cell("too late")

    run(scenario())


def test_closing_says_so_when_something_was_not_delivered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon:
            nb = await headway.open_async("a", home=tmp_path)
            daemon.hold_updates = True
            nb.add_cell("lost")
            with pytest.raises(headway.ConfirmTimeout):
                await nb.close(timeout=0.1)
            assert nb.status == "closed"
            await nb.close(timeout=0.1)

    run(scenario())


def test_waiting_for_something_ends_when_the_notebook_is_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path):
            nb = await headway.open_async("a", home=tmp_path)
            waiting = asyncio.create_task(nb.wait_until(lambda: False, timeout=None))
            await asyncio.sleep(0)
            await nb.close()
            with pytest.raises(headway.ConnectionLost, match="closed"):
                await waiting
            with pytest.raises(headway.ConnectionLost, match="closed"):
                await nb.wait_until(lambda: False, timeout=None)
            await nb.wait_until(lambda: nb.status == "closed", timeout=None)

    run(scenario())


def test_waiting_for_something_ends_with_the_reason_when_the_daemon_puts_the_client_out(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path) as daemon:
            nb = await headway.open_async("a", home=tmp_path)
            waiting = asyncio.create_task(nb.wait_until(lambda: False, timeout=None))
            await asyncio.sleep(0)
            out = RoomError(Kind.DOCUMENT, NOTEBOOK, RoomErrorCode.EVICTED, "for a test")
            await daemon.connections[0].send(encode(out))
            with pytest.raises(headway.ConnectionLost, match="for a test"):
                await waiting

    run(scenario())


def test_a_daemon_that_never_answers_ends_the_opening_in_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        daemon = MiniDaemon()
        daemon.mute = True
        async with daemon_at(tmp_path, daemon):
            with pytest.raises(headway.DeadlineExceeded):
                await headway.open_async("a", home=tmp_path, timeout=0.2)

    run(scenario())


def test_what_cannot_be_shown_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            for value in {"cursor": object()}, {"name": "x" * 1_000_000}:
                with pytest.raises(headway.InvalidEdit):
                    nb.set_presence(value)
            nb.add_cell("1")
            await nb.confirm_sync()

    run(scenario())


def test_a_failure_inside_where_nobody_waits_ends_whoever_waits_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
        async with daemon_at(tmp_path):
            nb = await headway.open_async("a", home=tmp_path)
            handle = nb._pump.session.handle

            def failing(happened: inputs.Input, now: Moment) -> list[Effect]:
                assert not isinstance(happened, inputs.Edited), "a mistake of ours"
                return handle(happened, now)

            monkeypatch.setattr(nb._pump.session, "handle", failing)
            nb.add_cell("1")
            await nb.wait_until(lambda: nb.status == "closed")
            with pytest.raises(headway.ConnectionFailed, match="a mistake of ours"):
                await nb.confirm_sync()
            assert [type(what["exception"]) for what in reported] == [AssertionError]
            await nb.close()

    run(scenario())


def test_an_error_reads_as_python_prints_it() -> None:
    assert str(headway.CellError("KeyError", "'a'", ())) == "KeyError: 'a'"
    assert str(headway.CellError("MemoryError", "", ())) == "MemoryError"


def test_an_error_that_its_kernel_gives_no_name_has_one_to_be_read_by() -> None:
    assert str(headway.CellError("", "1", ())) == "Error: 1"
    assert str(headway.CellError("", "", ())) == "Error"


def test_no_task_is_left_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with daemon_at(tmp_path):
            async with headway.open_async("a", home=tmp_path) as nb:
                await nb.run("1")
            await asyncio.sleep(0)
            left = [t for t in asyncio.all_tasks() if "headway" in repr(t.get_coro())]
            assert left == []
            assert nb._pump._timer is None

    run(scenario())


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/..", "a\0b"])
def test_what_can_be_no_file_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(BadRequest):
        headway.open(name)


def test_values_that_do_not_come_in_time_are_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with daemon_at(tmp_path), headway.open_async("a", home=tmp_path) as nb:
            monkeypatch.setattr(fetching, "resolve_outputs", never)
            with pytest.raises(headway.DeadlineExceeded):
                await nb.fetch_output({}, timeout=0.01)

    run(scenario())
