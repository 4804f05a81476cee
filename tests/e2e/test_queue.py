"""Executions: asked for once, run in order, ended once, and found again by their id.

S3, S12, S13, S14, S15, S16, S17, S18.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import headway
from headway.errors import ExecutionNotFound
from headway_daemon import HeadwayDaemon, bounded
from held_cell import Blocker

RUN_S = 20.0


@pytest.fixture
def held(daemon: HeadwayDaemon, name: str) -> Iterator[Blocker]:
    made = Blocker(daemon.folder / f"{name}.pipe")
    yield made
    made.close()


async def until_running(notebook: headway.AsyncNotebook, job: headway.AsyncExecution) -> None:
    await notebook.wait_until(lambda: job.status == "running", timeout=RUN_S)
    # Running is what the daemon says; the count is what the kernel says: it has begun.
    await notebook.wait_until(
        lambda: notebook.cell(job.cell_id).execution_count is not None, timeout=RUN_S
    )


def test_queueing_gives_an_id_at_once_and_a_queued_cell_queued_again_gives_the_same(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S3."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            first = await notebook.queue_cell(notebook.add_cell(held.source))
            await until_running(notebook, first)
            cell = notebook.add_cell("6 * 7")
            queued = await notebook.queue_cell(cell)
            again = await notebook.queue_cell(cell)
            assert queued.id == again.id
            assert queued.id != first.id
            await notebook.wait_until(lambda: queued.status == "queued", timeout=RUN_S)
            assert notebook.queue == [first.id, queued.id]
            held.let_go()
            assert (await first.result(RUN_S)).text == "go\n"
            assert (await queued.result(RUN_S)).text == "42"
            assert (await again.result(RUN_S)).execution_id == queued.id
            later = await notebook.queue_cell(cell)
            assert later.id != queued.id
            assert (await later.result(RUN_S)).text == "42"

    bounded(scenario())


def test_a_queued_cell_that_was_edited_is_another_execution(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S3: the same id would say that the new text ran."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            await notebook.queue_cell(notebook.add_cell(held.source))
            cell = notebook.add_cell("'old'")
            old = await notebook.queue_cell(cell)
            notebook.update_source(cell, "'new'")
            new = await notebook.queue_cell(cell)
            assert old.id != new.id
            held.let_go()
            assert (await old.result(RUN_S)).text == "'old'"
            assert (await new.result(RUN_S)).text == "'new'"

    bounded(scenario())


def test_names_of_one_cell_are_there_in_the_next_and_counts_go_up_by_one(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S12."""
    with daemon.open(name) as notebook:
        sources = ["x = 20", "y = x + 1", "x + y"]
        results = [notebook.run(source, timeout=RUN_S) for source in sources]
        assert [result.execution_count for result in results] == [1, 2, 3]
        assert results[-1].text == "41"
        again = notebook.run_all(timeout=RUN_S)
        assert [result.execution_count for result in again] == [4, 5, 6]
        assert [cell.execution_count for cell in notebook.cells] == [4, 5, 6]


def test_executions_queued_together_run_in_the_order_they_were_asked_for(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S12."""
    with daemon.open(name) as notebook:
        notebook.run("seen = []", timeout=RUN_S)
        cells = [notebook.add_cell(f"seen.append({number}); seen") for number in range(20)]
        jobs = [notebook.queue_cell(cell) for cell in cells]
        results = [job.result(RUN_S) for job in jobs]
        assert [result.execution_count for result in results] == list(range(2, 22))
        assert results[-1].text == str(list(range(20)))


@pytest.mark.parametrize(
    ("source", "ename", "evalue"),
    [
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("def broken(:", "SyntaxError", ""),
        ("raise ValueError('it says why')", "ValueError", "it says why"),
    ],
)
def test_an_error_in_a_cell_is_a_result_and_stays_in_the_document(
    daemon: HeadwayDaemon, name: str, source: str, ename: str, evalue: str
) -> None:
    """S13."""
    with daemon.open(name) as notebook:
        cell = notebook.add_cell(source)
        result = notebook.execute_cell(cell, timeout=RUN_S)
        assert result.status == "error"
        assert not result.success
        assert result.error is not None
        assert result.error.ename == ename
        assert evalue in result.error.evalue
        assert ename in "".join(result.error.traceback)
        with daemon.open(name) as other:
            (output,) = other.cell(cell).outputs
            assert (output["output_type"], output["ename"]) == ("error", ename)
            assert other.cell(cell).status == "error"
        assert notebook.run("'still alive'", timeout=RUN_S).text == "'still alive'"


def test_a_new_client_gets_a_result_by_the_execution_id_alone(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S14."""
    with daemon.open(name) as notebook:
        cell = notebook.add_cell("print('kept'); 99")
        job = notebook.queue_cell(cell)
        identity = job.id
        expected = job.result(RUN_S)
        for number in range(3):
            notebook.run(f"'later {number}'", timeout=RUN_S)
    with daemon.open(name) as later:
        result = later.get_execution(identity).result(RUN_S)
        assert result == expected
        assert result.text == "kept\n99"
        with pytest.raises(ExecutionNotFound):
            later.get_execution("00000000-0000-7000-8000-000000000000")
    # Over HTTP not even the notebook need be named.
    reply = daemon.post("get_execution", execution_id=identity)
    assert reply.body["record"]["status"] == "ok"
    assert reply.body["record"]["cell_id"] == cell.id


def test_a_new_client_can_wait_for_an_execution_that_another_began(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S14."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            job = await notebook.queue_cell(notebook.add_cell(held.source))
            await until_running(notebook, job)
        async with daemon.open_async(name) as later:
            found = await later.get_execution(job.id)
            waiting = asyncio.create_task(found.result(RUN_S))
            await later.wait_until(lambda: found.status == "running", timeout=RUN_S)
            assert not waiting.done()
            held.let_go("for the other")
            assert (await waiting).text == "for the other\n"

    bounded(scenario())


def test_a_markdown_cell_or_a_cell_that_is_not_there_is_refused_at_once(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S15: even while the kernel is busy, for nothing is queued."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            job = await notebook.queue_cell(notebook.add_cell(held.source))
            text = notebook.add_cell("# Words", cell_type="markdown")
            with pytest.raises(headway.NotExecutable) as refused:
                await notebook.execute_cell(text, timeout=RUN_S)
            assert refused.value.data == {"cell_id": text.id, "cell_type": "markdown"}
            gone = notebook.add_cell("1")
            notebook.delete_cell(gone)
            for cell in (gone.id, "0123456789ab"):
                with pytest.raises(headway.CellNotFound) as missing:
                    await notebook.execute_cell(cell, timeout=RUN_S)
                assert missing.value.data["cell_id"] == cell
            assert notebook.queue == [job.id]
            held.let_go()
            assert (await job.result(RUN_S)).success

    bounded(scenario())


def test_an_interrupt_ends_what_runs_and_what_waits_and_the_kernel_is_usable(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S16."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            running = await notebook.queue_cell(notebook.add_cell(held.source))
            await until_running(notebook, running)
            waiting = [
                await notebook.queue_cell(notebook.add_cell(f"ran = {number}"))
                for number in range(3)
            ]
            answer = await notebook.interrupt(timeout=RUN_S)
            assert (answer.cancelled, answer.interrupted) == (3, True)
            ended = await running.result(RUN_S)
            assert ended.status == "error"
            assert ended.error is not None
            assert ended.error.ename == "KeyboardInterrupt"
            assert [await job.wait(RUN_S) for job in waiting] == ["cancelled"] * 3
            assert (await notebook.run("'ran' in dir()", timeout=RUN_S)).text == "False"

    bounded(scenario())


def test_an_interrupt_never_ends_a_cell_that_is_asked_for_after_it(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S17."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            await notebook.run("1", timeout=RUN_S)
            for number in range(40):
                busy = await notebook.queue_cell(notebook.add_cell("while True: pass"))
                interrupt = asyncio.create_task(notebook.interrupt(timeout=RUN_S))
                # The requests leave in the order of their calls: let the interrupt's go first.
                await asyncio.wait({interrupt}, timeout=0)
                result = await notebook.run(f"{number} + 1", timeout=RUN_S)
                assert (result.status, result.text) == ("ok", str(number + 1))
                await interrupt
                assert await busy.wait(RUN_S) in {"error", "cancelled"}

    bounded(scenario())


def test_when_the_kernel_is_killed_every_execution_ends_and_the_next_has_a_new_kernel(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S18."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            deadly = await notebook.queue_cell(
                notebook.add_cell("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
            )
            waiting = await notebook.queue_cell(notebook.add_cell("'never'"))
            lost = await deadly.result(RUN_S)
            assert lost.status == "lost"
            assert lost.reason
            assert await waiting.wait(RUN_S) in {"cancelled", "lost"}
            with pytest.raises(headway.CellFailed):
                lost.raise_for_error()
            assert (await notebook.run("'again'", timeout=RUN_S)).text == "'again'"

    bounded(scenario())
