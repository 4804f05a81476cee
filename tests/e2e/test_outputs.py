"""Outputs of a real kernel: as a terminal shows them, complete when done, large ones beside.

S60, S61, S62, S63, S64, S65. The floods are in test_output_floods.py.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest

import headway
from headway_daemon import HeadwayDaemon, bounded
from held_cell import Blocker

RUN_S = 30.0

BAR = """
import sys
for done in range(0, 1001):
    filled = "#" * (done // 50)
    sys.stderr.write(f"\\r{done // 10:3d}%|{filled:20}| {done}/1000 [00:00<00:00, 99it/s]")
    sys.stderr.flush()
_ = sys.stderr.write("\\n")
"""


@pytest.fixture
def held(daemon: HeadwayDaemon, name: str) -> Iterator[Blocker]:
    made = Blocker(daemon.folder / f"{name}.pipe")
    yield made
    made.close()


def streams(outputs: tuple[dict[str, Any], ...]) -> list[tuple[str, str]]:
    return [(output["name"], output["text"]) for output in outputs]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"print('  0%\r 50%\r100%')", "100%\n"),
        (r"print('long line\rshort')", "shortline\n"),
        (r"print('one\r\ntwo\r\n', end='')", "one\ntwo\n"),
        (r"print('abc\b\bX')", "aXc\n"),
        (r"print('abc\b\b\b\b\b', end=''); print('Z')", "Zbc\n"),
        (r"print('\x1b[31mred\x1b[0m\r\x1b[Kplain')", "plain\n"),
        (r"print('old\r\x1b[32mnew\x1b[0m')", "\x1b[32mnew\x1b[0m\n"),
        (r"print('a'); print('b'); print('c', end='')", "a\nb\nc"),
        (r"for i in range(500): print(f'\r{i}', end='', flush=True)", "499"),
        (r"print('first'); print('one', end='\r'); print('two')", "first\ntwo\n"),
    ],
)
def test_text_is_what_a_terminal_would_show(
    shared: headway.Notebook, source: str, shown: str
) -> None:
    """S60."""
    assert streams(shared.run(source, timeout=RUN_S).outputs) == [("stdout", shown)]


@pytest.fixture(scope="module")
def shared(daemon: HeadwayDaemon) -> Iterator[headway.Notebook]:
    """One kernel for the scenarios that leave nothing behind."""
    with daemon.open("shared") as notebook:
        yield notebook


def test_a_progress_bar_ends_as_one_line(shared: headway.Notebook) -> None:
    """S60."""
    result = shared.run(BAR, timeout=RUN_S)
    bar = "100%|####################| 1000/1000 [00:00<00:00, 99it/s]\n"
    assert streams(result.outputs) == [("stderr", bar)]


def test_stdout_and_stderr_stay_in_the_order_in_which_they_were_written(
    shared: headway.Notebook,
) -> None:
    """S60."""
    source = (
        "import sys\n"
        "for i in range(50):\n"
        "    print('o', i, flush=True)\n"
        "    print('e', i, file=sys.stderr, flush=True)"
    )
    expected = [
        (name, f"{name[3]} {number}\n") for number in range(50) for name in ("stdout", "stderr")
    ]
    shown = streams(shared.run(source, timeout=RUN_S).outputs)
    assert shown == expected


MIXED = """
import os, threading, warnings
for step in range(50):
    print(f"text {step}")
    display({"text/plain": f"display {step}"}, raw=True)
    if step % 10 == 0:
        writer = threading.Thread(target=print, args=(f"thread {step}",))
        writer.start()
        writer.join()
        display({"text/plain": f"after the thread {step}"}, raw=True)
with warnings.catch_warnings(action="ignore"):  # since 3.12 of a fork beside threads
    child = os.fork()
if child == 0:
    print("from a child", flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("the end")
"""


def lines_and_displays(outputs: tuple[dict[str, Any], ...]) -> list[str]:
    told: list[str] = []
    for output in outputs:
        if output["output_type"] == "stream":
            told += output["text"].splitlines()
        else:
            told.append(output["data"]["text/plain"])
    return told


def test_text_and_displays_keep_the_order_in_which_they_were_made(
    shared: headway.Notebook,
) -> None:
    job = shared.queue_cell(shared.add_cell(MIXED))
    result = job.result(RUN_S)
    assert result.status == "ok", result.error
    expected: list[str] = []
    for step in range(50):
        expected += [f"text {step}", f"display {step}"]
        if step % 10 == 0:
            expected += [f"thread {step}", f"after the thread {step}"]
    # A child sends through a pipe, which the kernel may look into when the cell has ended.
    shared.wait_until(lambda: "from a child" in lines_and_displays(job.outputs), timeout=RUN_S)
    told = lines_and_displays(job.outputs)
    assert [line for line in told if line != "from a child"] == [*expected, "the end"]


def test_a_bundle_keeps_every_media_type_and_its_metadata(shared: headway.Notebook) -> None:
    """S61."""
    data = {
        "text/plain": "plain",
        "text/html": "<b>x</b>",
        "image/png": base64.b64encode(bytes(range(256)) * 20).decode(),
        "image/svg+xml": "<svg/>",
        "application/json": {"a": [1, None, {"b": 2.5}]},
        "application/vnd.x.v1+json": [1, 2],
        "application/x-unknown": "AAEC",
    }
    metadata = {"image/png": {"width": 9}, "isolated": True}
    source = (
        f"from IPython.display import display\ndisplay({data!r}, raw=True, metadata={metadata!r})"
    )
    (output,) = shared.run(source, timeout=RUN_S).outputs
    assert output["output_type"] == "display_data"
    assert output["data"] == data
    assert output["metadata"] == metadata


def test_an_update_of_a_display_is_seen_in_all_places_also_from_later_cells(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S61."""
    with daemon.open(name) as notebook, daemon.open(name) as other:
        first = notebook.add_cell(
            "from IPython.display import display, update_display\n"
            "display('one', display_id='here'); display('one', display_id='here'); print('x')"
        )
        second = notebook.add_cell(
            "display('one', display_id='here'); _ = display('not', display_id='o')"
        )
        for cell in (first, second):
            assert notebook.execute_cell(cell, timeout=RUN_S).success
        notebook.run("for i in range(100): update_display(i, display_id='here')", timeout=RUN_S)

        def texts() -> list[Any]:
            return [
                output.get("data", {}).get("text/plain")
                for cell in (first, second)
                for output in other.cell(cell).outputs
            ]

        other.wait_until(lambda: texts()[:1] == ["99"], timeout=RUN_S)
        assert texts() == ["99", "99", None, "99", "'not'"]


def test_whoever_sees_that_it_is_done_has_all_outputs(daemon: HeadwayDaemon, name: str) -> None:
    """S62: also when the outputs come to the last moment, for the one who asked and for others."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook, daemon.open_async(name) as other:
            cell = notebook.add_cell("for i in range(300): print(i)\ndisplay(1)\n'end'")
            for _ in range(20):
                job = await notebook.queue_cell(cell)
                seen = await other.get_execution(job.id)
                assert await seen.wait(RUN_S) == "ok"
                text, shown, end = seen.outputs
                assert text["text"] == "".join(f"{number}\n" for number in range(300))
                assert shown["data"] == {"text/plain": "1"}
                assert end["data"] == {"text/plain": "'end'"}

    bounded(scenario())


def test_the_events_of_a_long_stream_are_its_text_in_pieces(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S63: what has gone into blobs meanwhile comes as text all the same, each piece once."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            source = "for n in range(40):\n    print(str(n % 10) * 9999, flush=True)"
            cell = notebook.add_cell(source)
            pieces: list[str] = []
            async for event in notebook.stream_execute(cell, timeout=RUN_S):
                if isinstance(event, headway.Output):
                    assert set(event.output) == {"output_type", "name", "text"}
                    pieces.append(event.output["text"])
                elif isinstance(event, headway.Finished):
                    assert "".join(pieces) == event.result.text
                    assert len(event.result.text) == 400_000
                else:
                    assert isinstance(event, headway.Started)

    bounded(scenario())


def test_whoever_is_slow_to_take_the_events_of_an_execution_gets_the_last_one_too(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S62: everything happens while the first event is looked at."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            cell = notebook.add_cell(f"print('before', flush=True)\n{held.source}")
            job = await notebook.queue_cell(cell)
            await notebook.wait_until(lambda: job.status == "running", timeout=RUN_S)
            events = job.events(RUN_S)
            assert isinstance(await anext(events), headway.Started)
            held.let_go("after")
            assert await job.wait(RUN_S) == "ok"
            *_, last = [event async for event in events]
            assert isinstance(last, headway.Finished)
            assert last.result.text == "before\nafter\n"

    bounded(scenario())


def test_a_status_goes_one_way_and_a_time_limit_of_the_caller_loses_nothing(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S62: transition and timeout."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            await notebook.run("1", timeout=RUN_S)
            cell = notebook.add_cell("print('before', flush=True)\n" + held.source)
            job = await notebook.queue_cell(cell)
            seen: list[str] = []

            def note() -> bool:
                if not seen or seen[-1] != job.status:
                    seen.append(job.status)
                return bool(job.outputs)

            await notebook.wait_until(note, timeout=RUN_S)
            with pytest.raises(headway.DeadlineExceeded) as late:
                await job.result(0.05)
            assert late.value.data["execution_id"] == job.id
            assert late.value.data["status"] == "running"
            held.let_go("after")
            result = await (await notebook.get_execution(job.id)).result(RUN_S)
            assert result.text == "before\nafter\n"
            note()
            order = ["queued", "running", "ok"]
            assert seen[-1] == "ok"
            assert seen == [status for status in order if status in seen]

    bounded(scenario())


def test_what_was_shown_before_the_kernel_died_is_kept(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S62: kernel error."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            source = f"for i in range(50): print(i)\n{held.source}\nimport os; os._exit(7)"
            job = await notebook.queue_cell(notebook.add_cell(source))
            printed = "".join(f"{number}\n" for number in range(50))
            await notebook.wait_until(
                lambda: [each["text"] for each in job.outputs] == [printed], timeout=RUN_S
            )
            held.let_go()
            result = await job.result(RUN_S)
            assert result.status == "lost"
            assert "7" in (result.reason or "")
            assert result.text.startswith(printed)

    bounded(scenario())


def test_a_cell_that_was_done_stays_done_when_the_kernel_dies_after_it(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S62: done beats kernel error."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            good = notebook.add_cell("print('good')")
            deadly = notebook.add_cell("import os; os._exit(1)")
            for _ in range(3):
                jobs = await notebook.queue_all(cells=[good, deadly])
                ended = [await job.result(RUN_S) for job in jobs]
                assert [result.status for result in ended] == ["ok", "lost"]
                assert ended[0].text == "good\n"

    bounded(scenario())


def test_output_after_the_end_belongs_to_the_cell_that_made_it(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S62: late outputs, of a thread that outlives its cell.

    The kernel says whose they are. ipykernel 7 knows it of a thread that took its cell's context
    along; the output of others it gives to the cell that began last.
    """

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            threaded = "def work():\n    " + held.source.replace("\n", "\n    ")
            cell = notebook.add_cell(
                f"import contextvars, threading\n{threaded}\n"
                "thread = threading.Thread(target=contextvars.copy_context().run, args=[work])\n"
                "thread.start(); print('started')"
            )
            assert (await notebook.execute_cell(cell, timeout=RUN_S)).text == "started\n"
            later = notebook.add_cell("print('later')")
            assert (await notebook.execute_cell(later, timeout=RUN_S)).text == "later\n"
            held.let_go("late")

            def text() -> str:
                return "".join(output["text"] for output in notebook.cell(cell).outputs)

            await notebook.wait_until(lambda: "late" in text(), timeout=RUN_S)
            assert text() == "started\nlate\n"
            assert [output["text"] for output in notebook.cell(later).outputs] == ["later\n"]

    bounded(scenario())


def test_ten_megabytes_go_beside_the_document(daemon: HeadwayDaemon, name: str) -> None:
    """S63: as text, and as a value."""
    size = 10_000_000
    with daemon.open(name) as notebook, daemon.open(name) as other:
        printed = notebook.run(
            f"print('x' * 99 + '\\n', end='')\nprint(('y' * 99 + '\\n') * {size // 100}, end='')",
            timeout=RUN_S,
        )
        assert printed.text == "x" * 99 + "\n" + ("y" * 99 + "\n") * (size // 100)
        source = (
            f"from IPython.display import display\ndisplay({{'text/html': 'z' * {size}}}, raw=True)"
        )
        (shown,) = notebook.run(source, timeout=RUN_S).outputs
        assert shown["data"]["text/html"] == "z" * size
        cells = notebook.cells
        other.wait_until(
            lambda: [each.status for each in other.cells] == ["ok", "ok"], timeout=RUN_S
        )
        references = other.cell(cells[1].id).outputs[0]["data"]["text/html"]
        assert references["size"] == size
        runtime = other._pump.session.runtime
        assert runtime is not None
        assert len(runtime.replica.export()) < 200_000


def test_an_execution_again_and_again_never_shows_blank_or_stale_outputs(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S64."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook, daemon.open_async(name) as other:
            await notebook.run("count = 0", timeout=RUN_S)
            cell = notebook.add_cell("count += 1\nprint(count)")
            faults: list[Any] = []
            last = 0

            def look() -> bool:
                nonlocal last
                try:
                    seen = other.cell(cell.id)
                except headway.CellNotFound:
                    return False
                texts = [output["text"] for output in seen.outputs]
                if seen.status == "ok":
                    # The kernel's counter is one behind its own number of executions.
                    expected = [f"{(seen.execution_count or 0) - 1}\n"]
                    if texts != expected or (seen.execution_count or 0) < last:
                        faults.append((seen.execution_count, texts))
                    last = seen.execution_count or 0
                elif seen.status == "error" or len(texts) > 1:
                    faults.append((seen.status, texts))
                return texts == ["60\n"] and seen.status == "ok"

            watching = asyncio.create_task(other.wait_until(look, timeout=RUN_S))
            for number in range(1, 61):
                result = await notebook.execute_cell(cell, timeout=RUN_S)
                assert result.text == f"{number}\n"
                assert [output["text"] for output in notebook.cell(cell).outputs] == [result.text]
            await watching
            assert faults == []

    bounded(scenario())


def test_help_is_given_while_a_cell_runs_and_holds_up_nothing(
    daemon: HeadwayDaemon, name: str, held: Blocker
) -> None:
    """S65: completions, documentation and history in the midst of a long cell, for each peer."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook, daemon.open_async(name) as other:
            await notebook.run("remembered_name = 1", timeout=RUN_S)
            busy = await notebook.queue_cell(notebook.add_cell(held.source))
            await notebook.wait_until(lambda: busy.status == "running", timeout=RUN_S)
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(peer.complete("remembered_n", timeout=RUN_S))
                    for peer in (notebook, other)
                    for _ in range(20)
                ]
                wholeness = group.create_task(other.is_complete("if x:", timeout=RUN_S))
                inspected = group.create_task(other.inspect("print", timeout=RUN_S))
                history = group.create_task(other.kernel_history(session=0, timeout=RUN_S))
            assert busy.status == "running"
            for answer in asked:
                (found,) = answer.result().completions
                assert (found.text, found.kind) == ("remembered_name", "instance")
            assert wholeness.result().status == "incomplete"
            assert "print" in inspected.result().data["text/plain"]
            assert "remembered_name = 1" in [each.source for each in history.result().inputs]
            held.let_go()
            assert (await busy.result(RUN_S)).text == "go\n"

    bounded(scenario())


def test_help_that_a_kernel_cannot_give_ends_in_its_deadline_and_disturbs_nothing(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S65: code that lets nothing else of its process run. A late answer is nobody's."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook, daemon.open_async(name) as other:
            await notebook.run("first_name = second_name = 1", timeout=RUN_S)
            await other.complete("first_n", timeout=RUN_S)
            deaf = "import re\nre.match('(a+)+b', 'a' * 60)"
            busy = await notebook.queue_cell(notebook.add_cell(deaf))
            await notebook.wait_until(lambda: busy.status == "running", timeout=RUN_S)
            with pytest.raises(headway.DeadlineExceeded):
                await other.complete("first_n", timeout=0.3)
            waiting = asyncio.create_task(other.complete("second_n", timeout=RUN_S))
            other.add_cell("# typed meanwhile")
            assert (await other.confirm_sync(5.0)).confirmed
            await notebook.interrupt()
            assert (await busy.result(RUN_S)).status == "error"
            assert (await waiting).matches == ["second_name"]
            assert (await notebook.run("print(first_name)", timeout=RUN_S)).text == "1\n"

    bounded(scenario())


def test_many_callers_get_each_their_own_outputs(daemon: HeadwayDaemon, name: str) -> None:
    """S65: 100 executions asked for by four clients at once."""

    async def scenario() -> None:
        async with (
            daemon.open_async(name) as one,
            daemon.open_async(name) as two,
            daemon.open_async(name) as three,
            daemon.open_async(name) as four,
        ):

            async def work(notebook: headway.AsyncNotebook, letter: str) -> None:
                for number in range(25):
                    result = await notebook.run(f"print('{letter}', {number})", timeout=RUN_S)
                    assert result.text == f"{letter} {number}\n"

            async with asyncio.TaskGroup() as group:
                for notebook, letter in ((one, "a"), (two, "b"), (three, "c"), (four, "d")):
                    group.create_task(work(notebook, letter))
            assert len(one.cells) == 100

    bounded(scenario())
