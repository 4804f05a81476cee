"""A cell asks for input: every peer sees it, the first answer wins, and nothing waits in vain."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

import headway
from headway.core.document.prompts import END_OF_INPUT
from headway.errors import InputNotAwaited
from headway_daemon import HeadwayDaemon, bounded

RUN_S = 20.0


async def asked(
    notebook: headway.AsyncNotebook, job: headway.AsyncExecution, text: str
) -> headway.Prompt:
    """The prompt with this text, once this peer sees it."""
    await notebook.wait_until(
        lambda: job.prompt is not None and job.prompt.text == text, timeout=RUN_S
    )
    assert job.prompt is not None
    return job.prompt


def is_other(job: headway.AsyncExecution, prompt: headway.Prompt) -> bool:
    return job.prompt != prompt


async def seen_by(
    notebook: headway.AsyncNotebook, job: headway.AsyncExecution
) -> headway.AsyncExecution:
    """The same execution as another peer has it."""
    await notebook.wait_until(lambda: job.id in notebook.latest_executions.values(), timeout=RUN_S)
    return await notebook.get_execution(job.id)


def texts(result: headway.ExecutionResult) -> list[tuple[str, str]]:
    return [(str(each.get("name")), str(each.get("text"))) for each in result.outputs]


def test_two_peers_and_an_http_caller_see_the_prompt_and_the_first_answer_wins(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as ada, daemon.open_async(name) as bob:
            cell = ada.add_cell("print('hello', input('Name? '))")
            job = await ada.queue_cell(cell, allow_stdin=True)
            prompt = await asked(ada, job, "Name? ")
            other = await seen_by(bob, job)
            assert await asked(bob, other, "Name? ") == prompt
            told = await daemon.post_async("get_execution", execution_id=job.id, document=ada.id)
            assert told.body["record"]["status"] == "running"
            assert told.body["record"]["prompt"] == {
                "id": prompt.id,
                "text": "Name? ",
                "password": False,
            }

            async def by_http() -> str:
                reply = await daemon.post_async(
                    "answer_input",
                    document=ada.id,
                    execution_id=job.id,
                    prompt_id=prompt.id,
                    value="http",
                )
                assert reply.status in {200, 409}, reply
                return "http" if reply.status == 200 else reply.code

            async def by(peer: headway.AsyncExecution, value: str) -> str:
                try:
                    await peer.answer(value, prompt=prompt, timeout=RUN_S)
                except InputNotAwaited as error:
                    return error.code
                return value

            told_each = await asyncio.gather(by(job, "ada"), by(other, "bob"), by_http())
            (winner,) = [each for each in told_each if each != "INPUT_NOT_AWAITED"]
            result = await job.result(RUN_S)
            assert result.success
            assert texts(result) == [
                ("stdin", f"Name? {winner}\n"),
                ("stdout", f"hello {winner}\n"),
            ]
            assert result.text == f"hello {winner}\n", "what was typed is not what was printed"
            assert (await other.result(RUN_S)).outputs == result.outputs
            assert job.prompt is other.prompt is None

    bounded(scenario())


def test_a_password_reaches_the_kernel_and_is_nowhere_else(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            cell = notebook.add_cell(
                "from getpass import getpass\n"
                "import hashlib\n"
                "hashlib.sha256(getpass('Key: ').encode()).hexdigest()[:8]"
            )
            job = await notebook.queue_cell(cell, allow_stdin=True)
            prompt = await asked(notebook, job, "Key: ")
            assert prompt.password
            await job.answer("correct-horse-battery")
            result = await job.result(RUN_S)
            assert result.success, result
            assert result.text == "'62249369'", "the kernel got it whole"
            assert texts(result)[0] == ("stdin", "Key: ········\n")
            await notebook.save()

    bounded(scenario())
    needle = b"correct-horse"
    written = [path for path in daemon.home.rglob("*") if path.is_file()]
    assert any(path.suffix in {".db", ".sqlite"} or "store" in path.name for path in written)
    holding = [path for path in written if needle in path.read_bytes()]
    assert holding == []
    assert needle not in daemon.path(name).read_bytes()


def test_a_headless_run_fails_at_once_and_says_why(daemon: HeadwayDaemon, name: str) -> None:
    with daemon.open(name) as notebook:
        result = notebook.run("input('Name? ')", timeout=RUN_S)
        assert result.status == "error"
        assert result.error is not None
        assert result.error.ename == "StdinNotImplementedError"
        assert "does not support input requests" in result.error.evalue
        assert notebook.run("1 + 1", timeout=RUN_S).text == "2"


def test_a_blocking_program_answers_the_events_of_its_own_run(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        cell = notebook.add_cell(
            "total = 0\nfor number in range(5):\n    total += int(input(f'{number}? '))\ntotal"
        )
        asked_for, closed = [], []
        for event in notebook.stream_execute(cell, allow_stdin=True, timeout=RUN_S):
            if isinstance(event, headway.InputRequested):
                asked_for.append(event.prompt.text)
                event.answer("10")
            elif isinstance(event, headway.InputClosed):
                closed.append(event.prompt.text)
            elif isinstance(event, headway.Finished):
                result = event.result
        assert asked_for == closed == [f"{number}? " for number in range(5)]
        assert result.text == "50"
        assert texts(result)[0] == ("stdin", "".join(f"{each}? 10\n" for each in range(5)))


def test_a_breakpoint_asks_what_to_do_where_somebody_can_be_asked(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            cell = notebook.add_cell("def f(it):\n    breakpoint()\n    return it\nf(7)")
            job = await notebook.queue_cell(cell, allow_stdin=True)
            for command in "p it + 1", "it = 40", "c":
                prompt = await asked(notebook, job, "ipdb> ")
                await job.answer(command)
                await notebook.wait_until(partial(is_other, job, prompt), timeout=RUN_S)
            result = await job.result(RUN_S)
            assert "ipdb> p it + 1\n8\n" in "".join(text for _, text in texts(result))
            assert result.outputs[-1]["data"] == {"text/plain": "40"}
            assert (await notebook.execute_cell(cell, timeout=RUN_S)).text == "7"

    bounded(scenario())


@pytest.mark.parametrize("value", ["", "ß 漢 \U0001f600", "  two words  "])
def test_the_kernel_gets_exactly_what_was_answered(
    daemon: HeadwayDaemon, name: str, value: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            job = await notebook.queue_cell(notebook.add_cell("input()"), allow_stdin=True)
            await asked(notebook, job, "")
            await job.answer(value)
            assert (await job.result(RUN_S)).text == repr(value)

    bounded(scenario())


def test_the_end_of_the_input_can_be_answered_to_ipykernel(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            job = await notebook.queue_cell(notebook.add_cell("input('? ')"), allow_stdin=True)
            await asked(notebook, job, "? ")
            await job.answer(END_OF_INPUT)
            result = await job.result(RUN_S)
            assert result.error is not None
            assert result.error.ename == "EOFError"
            assert texts(result)[0] == ("stdin", "? ^D\n")

    bounded(scenario())


def test_an_interrupt_by_another_peer_ends_the_waiting_and_later_answers_are_refused(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as ada, daemon.open_async(name) as bob:
            job = await ada.queue_cell(ada.add_cell("input('1? ')"), allow_stdin=True)
            prompt = await asked(ada, job, "1? ")
            await bob.interrupt()
            with pytest.raises(InputNotAwaited) as refused:
                await job.answer("late", prompt=prompt, timeout=RUN_S)
            assert refused.value.data["answered"] is False
            result = await job.result(RUN_S)
            assert result.error is not None
            assert result.error.ename == "KeyboardInterrupt"
            assert job.prompt is None
            # What was refused is not lying about for the next one that asks.
            again = await ada.queue_cell(ada.add_cell("input('2? ')"), allow_stdin=True)
            await asked(ada, again, "2? ")
            await again.answer("right")
            assert (await again.result(RUN_S)).text == "'right'"

    bounded(scenario())


def test_a_cell_that_asks_holds_the_next_one_and_both_get_their_own_answers(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            cells = [notebook.add_cell(f"input('{number}? ')") for number in range(2)]
            jobs = await notebook.queue_all(cells=cells, allow_stdin=True)
            for number, job in enumerate(jobs):
                await asked(notebook, job, f"{number}? ")
                assert [each.prompt is not None for each in jobs] == [number == 0, number == 1]
                await job.answer(f"answer {number}")
            assert [(await job.result(RUN_S)).text for job in jobs] == [
                "'answer 0'",
                "'answer 1'",
            ]

    bounded(scenario())


@pytest.mark.parametrize("how", ["restart", "death", "shutdown"])
def test_a_kernel_that_goes_takes_its_prompt_with_it(
    daemon: HeadwayDaemon, name: str, how: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            source = "import os, threading, time\n"
            if how == "death":
                go = str(daemon.folder / f"{name}.go")
                source += (
                    f"os.mkfifo({go!r})\n"
                    "def wait():\n"
                    f"    open({go!r}).read()\n    os._exit(3)\n"
                    "threading.Thread(target=wait).start()\n"
                )
            job = await notebook.queue_cell(
                notebook.add_cell(source + "input('? ')"), allow_stdin=True
            )
            prompt = await asked(notebook, job, "? ")
            if how == "restart":
                await notebook.restart_kernel()
            elif how == "shutdown":
                await notebook.shutdown_kernel()
            else:
                await asyncio.to_thread(Path(go).write_text, "")
            assert await job.wait(RUN_S) == ("lost" if how == "death" else "cancelled")
            assert job.prompt is None
            with pytest.raises(InputNotAwaited):
                await job.answer("late", prompt=prompt, timeout=RUN_S)

    bounded(scenario())


def test_nothing_is_left_unanswered_here(daemon: HeadwayDaemon) -> None:
    """The scenarios above share a daemon: none of them leaves a cell that waits."""
    for summary in daemon.post("list").body["notebooks"]:
        assert summary["queued"] == 0, summary


def test_what_was_printed_before_a_question_is_shown_before_it(
    daemon: HeadwayDaemon, name: str
) -> None:
    source = "for number in range(200):\n    print(number)\n    input(f'{number}? ')"

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            job = await notebook.queue_cell(notebook.add_cell(source), allow_stdin=True)
            late, shown = [], ""
            async for event in job.events(RUN_S, resolve=False):
                if isinstance(event, headway.Output) and event.output["name"] == "stdout":
                    shown += event.output["text"]
                if isinstance(event, headway.InputRequested):
                    number = event.prompt.text.removesuffix("? ")
                    if not shown.endswith(f"{number}\n"):
                        late.append(number)
                    await event.answer("")
            assert late == []

    bounded(scenario())
