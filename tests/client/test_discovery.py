from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import headway
from command_line import lock_holder
from headway.client import discovery, starting
from headway.core.wire.rpc import DaemonStatus, Status
from headway.daemon.main import EXIT_ALREADY_RUNNING
from headway.edges.kernels import ORPHAN_VARIABLE
from headway.edges.paths import Paths, prepare
from headway.errors import StoreError

LIMIT_S = 60


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario

    asyncio.run(bounded())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home; the daemons that the test starts in it are ended with it."""
    before = list(starting._started)
    yield tmp_path / "home"
    ours = [process for process in starting._started if process not in before]
    for process in ours:
        process.terminate()
    for process in ours:
        process.wait(30)
        starting._started.remove(process)


async def who(nb: headway.AsyncNotebook) -> int:
    status: DaemonStatus = await nb._pump.request(Status(), 10)
    return status.pid


def test_a_daemon_is_started_and_found_again(home: Path) -> None:
    async def scenario() -> None:
        async with headway.open_async(home.parent / "a", home=home) as first:
            pid = await who(first)
        async with headway.open_async(home.parent / "a", home=home) as second:
            assert await who(second) == pid

    run(scenario())


def test_the_log_is_private_before_the_daemon_writes_to_it(home: Path) -> None:
    found = prepare(home)
    with starting.launch(found) as process:
        mode = found.log.stat().st_mode
        process.terminate()
    assert mode & 0o777 == 0o600


def test_clients_that_start_at_once_end_with_one_daemon(home: Path) -> None:
    async def scenario() -> None:
        notebooks = await asyncio.gather(
            *(headway.open_async(home.parent / f"{n}", home=home) for n in range(3))
        )
        assert len({await who(nb) for nb in notebooks}) == 1
        for nb in notebooks:
            await nb.close()

    run(scenario())


def test_a_daemon_that_cannot_start_says_why(home: Path) -> None:
    async def scenario() -> None:
        found = prepare(home)
        found.store.mkdir()  # a folder where the database belongs
        with pytest.raises(headway.DaemonUnavailable) as caught:
            await headway.open_async(home.parent / "a", home=home, timeout=30)
        assert caught.value.data["log"] == str(found.log)
        assert "exit status" in str(caught.value)

    run(scenario())


def test_a_home_whose_log_cannot_be_written_is_told_at_once(home: Path) -> None:
    prepare(home).log.mkdir()

    async def scenario() -> None:
        with pytest.raises(headway.DaemonUnavailable, match=r"daemon\.log"):
            await headway.open_async(home.parent / "a", home=home)

    run(scenario())


def test_no_daemon_starts_in_a_home_whose_lock_is_a_folder(home: Path) -> None:
    """That home leads to another machine: docs/howto/reach-a-daemon-elsewhere.md."""
    prepare(home).lock.mkdir()

    async def scenario() -> None:
        with pytest.raises(headway.DaemonUnavailable, match=r"daemon\.lock"):
            await headway.open_async(home.parent / "a", home=home)

    run(scenario())


def test_after_the_daemon_is_killed_unsent_edits_arrive_once_at_the_next_one(home: Path) -> None:
    async def scenario() -> None:
        async with headway.open_async(home.parent / "a", home=home) as nb:
            nb.add_cell("before")
            await nb.confirm_sync()
            first = await who(nb)
            os.kill(first, signal.SIGKILL)
            nb.add_cell("meanwhile")
            await nb.confirm_sync(timeout=30)
            assert await who(nb) != first
            assert [cell.source for cell in nb.cells] == ["before", "meanwhile"]
            async with headway.open_async(home.parent / "a", home=home) as other:
                assert [cell.source for cell in other.cells] == ["before", "meanwhile"]

    run(scenario())


def test_nobody_starts_a_daemon_that_nobody_waits_for(home: Path) -> None:
    async def scenario() -> None:
        async with headway.open_async(home.parent / "a", home=home) as nb:
            os.kill(await who(nb), signal.SIGKILL)
            await nb.wait_until(lambda: nb.status == "reconnecting")
            started = len(starting._started)
            give_up_s = time.monotonic() + 1.0
            with pytest.raises(headway.DeadlineExceeded):
                await nb.wait_until(lambda: nb.status == "live", timeout=1.0)
            assert time.monotonic() >= give_up_s
            assert len(starting._started) == started

    run(scenario())


def test_cells_run_without_a_pause_between_making_and_running_them(home: Path) -> None:
    async def scenario() -> None:
        async with headway.open_async(home.parent / "a", home=home) as nb:
            for number in range(30):
                result = await nb.run(f"print({number} + 1)", timeout=30)
                assert result.text == f"{number + 1}\n"
                assert result.execution_count == number + 1
            large = await nb.run("print('x' * 200_000)\n'y' * 5000", timeout=30)
            assert large.text == "x" * 200_000 + "\n" + repr("y" * 5000)
            failed = await nb.run("1/0", timeout=30)
            assert failed.error is not None
            assert failed.error.ename == "ZeroDivisionError"
            saved = await nb.save()
            assert saved.path == str((home.parent / "a.ipynb").resolve())
            assert Paths.of(home).socket.exists()

    run(scenario())


def test_who_waits_for_a_cell_when_daemon_and_kernel_are_killed_learns_that_it_was_lost(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ORPHAN_VARIABLE, "0")

    async def scenario() -> None:
        async with headway.open_async(home.parent / "a", home=home) as nb:
            await nb.run("x = 1", timeout=30)
            job = await nb.queue_cell(nb.add_cell("import time; time.sleep(60)"))
            await nb.wait_until(lambda: job.status == "running")
            os.kill(await who(nb), signal.SIGKILL)
            assert await job.wait(timeout=30) == "lost"
            assert (await nb.run("2 + 2", timeout=30)).text == "4"

    run(scenario())


def test_a_daemon_that_was_started_ahead_is_the_one_that_is_used(home: Path) -> None:
    async def scenario() -> None:
        starting.start_ahead(home)
        (process,) = starting._started[-1:]
        async with headway.open_async(home.parent / "a", home=home) as nb:
            assert await who(nb) == process.pid
            starting.start_ahead(home)
            assert starting._started[-1] is process, "one that answers is not started again"

    run(scenario())


def test_a_daemon_that_was_started_ahead_and_has_ended_is_started_again(home: Path) -> None:
    async def scenario() -> None:
        starting.start_ahead(home)
        (process,) = starting._started[-1:]
        process.kill()
        process.wait(30)
        async with headway.open_async(home.parent / "a", home=home) as nb:
            assert await who(nb) != process.pid

    run(scenario())


def test_a_home_that_cannot_be_used_is_told_by_whoever_opens_something_there(home: Path) -> None:
    home.write_text("not a folder")
    starting.start_ahead(home)

    async def scenario() -> None:
        with pytest.raises(StoreError):
            await headway.open_async(home.parent / "a", home=home)

    run(scenario())


def test_who_comes_while_a_daemon_is_ending_starts_the_next_one(home: Path) -> None:
    async def scenario() -> None:
        prepare(home)
        with lock_holder(home) as ending:
            opening = asyncio.ensure_future(_open(home.parent / "a", home))
            before = len(starting._started)
            while len(starting._started) == before or starting._started[-1].poll() is None:
                await asyncio.sleep(0)
            assert starting._started[-1].poll() == EXIT_ALREADY_RUNNING
            ending.kill()
            async with await opening as nb:
                assert await who(nb) == starting._started[-1].pid

    run(scenario())


async def _open(path: Path, home: Path) -> headway.AsyncNotebook:
    return await headway.open_async(path, home=home)


def test_a_daemon_that_listens_and_does_not_answer_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headway.client.connection.CONNECT_TIMEOUT_S", 0.05)

    async def scenario() -> None:
        found = prepare(home)
        with lock_holder(home) as stuck, socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(found.socket))
            listening.listen(1)
            with pytest.raises(headway.DeadlineExceeded, match=f"process {stuck.pid}.*kill -9"):
                await headway.open_async(home.parent / "a", home=home)

    run(scenario())


def test_why_a_daemon_did_not_start_is_told_in_its_words_and_not_in_lines_of_a_log(
    tmp_path: Path,
) -> None:
    log = tmp_path / "daemon.log"
    log.write_text('Something old.\n{"event": "ended"}\n')
    begun_at = log.stat().st_size
    assert discovery._last_words(log, begun_at) == "it did not say why."
    with log.open("a") as file:
        file.write('The store is broken.\n{"event": "ended"}\n\n')
    assert discovery._last_words(log, begun_at) == "The store is broken."
