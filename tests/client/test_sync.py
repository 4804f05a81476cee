from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import headway
from headway.client import aio
from headway.client.background import background
from mini_daemon import MiniDaemon, daemon_at


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[MiniDaemon]:
    """A daemon in a thread of its own."""
    found = MiniDaemon()
    ready = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with daemon_at(tmp_path, found):
            ended = asyncio.Event()
            stop.append((asyncio.get_running_loop(), ended))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield found
    loop, ended = stop[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
    assert not thread.is_alive()


def test_create_then_execute_without_a_pause(tmp_path: Path, daemon: MiniDaemon) -> None:
    with headway.open("a", home=tmp_path) as nb:
        for number in range(100):
            assert nb.execute_cell(nb.add_cell(f"{number}"), timeout=10).text == f"{number}"
        assert nb.confirm_sync().confirmed
        assert nb.is_synced
    assert len(daemon.accepted) == 100


FORKING = """\
import os, sys
import headway

with headway.open("a", home=sys.argv[1]) as nb:
    if (child := os.fork()) == 0:
        try:
            nb.confirm_sync(timeout=5)
        except headway.ConnectionLost as error:
            print(error, flush=True)
        sys.exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
    print(nb.confirm_sync().confirmed, flush=True)
"""


def test_a_fork_is_told_that_it_has_no_connection_and_closes_nothing(
    tmp_path: Path, daemon: MiniDaemon
) -> None:
    # Since 3.12 Python warns of every fork beside threads, and the connection is in one.
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", FORKING, tmp_path],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    told, status, confirmed = done.stdout.splitlines()
    assert "did not come along into this fork" in told
    assert (status, confirmed) == ("0", "True")


def test_edits_from_many_threads_all_arrive(tmp_path: Path, daemon: MiniDaemon) -> None:
    with headway.open("a", home=tmp_path) as nb, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: nb.run(f"{n}", timeout=20), range(20)))
        assert [result.text for result in results] == [f"{n}" for n in range(20)]
    assert len(daemon.notebook) == 20


def test_a_queued_cell_is_a_handle(tmp_path: Path, daemon: MiniDaemon) -> None:
    with headway.open("a", home=tmp_path) as nb:
        job = nb.queue_cell(nb.add_cell("later"))
        assert job.wait(timeout=10) == "ok"
        assert job.status == "ok"
        assert job.result().text == "later"
        assert job.outputs[0]["text"] == "later"
        assert nb.get_execution(job.id).result(timeout=10).text == "later"


def test_events_can_be_left_early(tmp_path: Path, daemon: MiniDaemon) -> None:
    with headway.open("a", home=tmp_path) as nb:
        for event in nb.stream_execute(nb.add_cell("hi")):
            assert isinstance(event, headway.Started)
            break
        kinds = [type(event).__name__ for event in nb.stream_execute(nb.add_cell("hi"))]
        assert kinds == ["Started", "Output", "Finished"]


def test_a_synchronous_call_on_the_loops_own_thread_is_refused(
    tmp_path: Path, daemon: MiniDaemon
) -> None:
    with headway.open("a", home=tmp_path) as nb:

        async def mistaken() -> None:
            nb.confirm_sync()

        with pytest.raises(headway.WrongThread):
            background().call(mistaken())


def test_an_error_inside_the_context_is_not_hidden_by_closing(
    tmp_path: Path, daemon: MiniDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "CLOSE_TIMEOUT_S", 0.1)
    nb = headway.open("a", home=tmp_path)
    daemon.hold_updates = True

    def fail() -> None:
        with nb:
            nb.add_cell("undelivered")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert nb.status == "closed"


def test_a_program_that_forgets_to_close_still_ends_and_delivers(
    tmp_path: Path, daemon: MiniDaemon
) -> None:
    program = (
        "import headway, sys\n"
        f"nb = headway.open('a', home={str(tmp_path)!r})\n"
        "nb.add_cell('forgotten')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, timeout=20, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [cell.source for cell in daemon.notebook.cells()] == ["forgotten"]


def ended(program: str, home: Path) -> list[str]:
    """What a program prints that ends by itself and without a word of complaint."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, home],
        capture_output=True,
        timeout=30,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


OPENING_AT_EXIT = """\
import atexit, sys

@atexit.register  # before Headway's own, so it runs after that
def report():
    with headway.open("a", home=sys.argv[1]) as nb:
        print([cell.source for cell in nb.cells], flush=True)
        nb.add_cell("at exit")

import headway

nb = headway.open("a", home=sys.argv[1])
nb.add_cell("forgotten")
"""


def test_an_exit_handler_that_runs_after_ours_opens_notebooks(
    tmp_path: Path, daemon: MiniDaemon
) -> None:
    assert ended(OPENING_AT_EXIT, tmp_path) == ["['forgotten']"]
    assert [cell.source for cell in daemon.notebook.cells()] == ["forgotten", "at exit"]


USING_TOO_LATE = """\
import atexit, builtins, sys

HOME = sys.argv[1]

def told(call):
    try:
        print(call(), flush=True)
    except headway.HeadwayError as error:
        print(error.code, flush=True)

class Keeper:
    def __init__(self):
        self.nb = headway.open("a", home=HOME)

    def use(self):
        told(lambda: self.nb.confirm_sync(5).confirmed)
        told(self.nb.close)

    def __del__(self):
        self.use()
        told(lambda: headway.open("a", home=HOME, timeout=5))

@atexit.register  # before Headway's own, so it runs after that
def use():
    first.use()
    builtins.opened_at_exit = Keeper()

import headway

first = builtins.opened_before = Keeper()
"""


def test_a_notebook_that_is_used_after_the_end_says_so_and_can_be_closed(
    tmp_path: Path, daemon: MiniDaemon
) -> None:
    at_exit = ["CONNECTION_LOST", "None"]
    in_the_end = ["CONNECTION_LOST", "None", "CONNECTION_LOST"]
    assert ended(USING_TOO_LATE, tmp_path) == at_exit + 2 * in_the_end
