"""The life of a real kernel: restarted, run anew, ended with all it started, ended when idle."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

import headway
from headway.edges.kernels import IDLE_VARIABLE
from headway.errors import KernelNotFound, KernelStartFailed
from headway_daemon import DYING_KERNEL, HeadwayDaemon, bounded, headway_daemon

RUN_S = 30.0

BROOD = """
import os, signal, subprocess, sys
stubborn = "import os, signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; "
stubborn += "print(os.getpid(), flush=True); time.sleep(600)"
far = subprocess.Popen(
    [sys.executable, "-c", stubborn], stdout=subprocess.PIPE, text=True, start_new_session=True
)
print(os.getpid(), far.stdout.readline().strip())
"""
"""Starts a process in a session of its own that heeds no signal but SIGKILL."""

DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_shutdown_returns_when_the_kernel_and_all_it_started_are_gone(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        result = notebook.run(BROOD, timeout=RUN_S)
        pids = [int(word) for word in result.raise_for_error().text.split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        state = notebook.shutdown_kernel()
        assert (state.status, state.reason) == ("absent", "the kernel was shut down")
        assert not any(map(is_alive, pids))


def test_cells_after_one_that_ends_the_kernel_do_not_run_in_what_is_left_of_it(
    daemon: HeadwayDaemon, name: str
) -> None:
    """An ipykernel ends 0.1 s after `exit()`, and runs what it is given until then."""
    with daemon.open(name) as notebook:
        cells = [notebook.add_cell(source) for source in ("x = 1\nexit()", "x", "x")]
        results = notebook.run_all(cells=cells, timeout=RUN_S)
        assert [each.status for each in results] == ["ok", "cancelled", "cancelled"]
        assert results[1].reason == "the kernel was ended by a cell"
        again = notebook.run("'x' in dir()", timeout=RUN_S)
        assert again.raise_for_error().text == "False"


def test_a_kernel_that_heeds_neither_the_request_nor_the_signal_is_killed(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            result = await notebook.run(DEAF + BROOD, timeout=RUN_S)
            pids = [int(word) for word in result.raise_for_error().text.split()]
            job = await notebook.queue_cell(notebook.add_cell("import time\nwhile True: pass"))
            await notebook.wait_until(lambda: job.status == "running", timeout=RUN_S)
            await notebook.shutdown_kernel()
            assert not any(map(is_alive, pids))
            assert await job.wait(RUN_S) == "cancelled"

    bounded(scenario())


def test_a_restart_never_has_two_kernels_at_once_and_forgets_every_name(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        first = int(notebook.run("import os; kept = 1; os.getpid()", timeout=RUN_S).text)
        before = notebook.restart_kernel()
        seen = notebook.run(
            f"import os\nalive = os.path.exists('/proc/{first}')\n'kept' in dir(), alive",
            timeout=RUN_S,
        )
        assert seen.text == "(False, False)"
        assert before.incarnation == 2


def test_everything_is_run_on_a_fresh_kernel_in_one_admission(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        notebook.run("count = globals().get('count', 0) + 1; count", timeout=RUN_S)
        again = notebook.add_cell("count")
        assert [each.text for each in notebook.run_all(timeout=RUN_S)] == ["2", "2"]
        results = notebook.run_all(restart=True, timeout=RUN_S)
        assert [each.text for each in results] == ["1", "1"]
        assert [each.execution_count for each in results] == [1, 2]
        # A run that is refused restarts nothing.
        gone = notebook.add_cell("3")
        notebook.delete_cell(gone)
        with pytest.raises(headway.CellNotFound):
            notebook.run_all(cells=[again, gone], restart=True, timeout=RUN_S)
        assert notebook.execute_cell(again, timeout=RUN_S).execution_count == 3


def test_the_installed_kernels_are_listed_and_a_change_is_in_the_notebook_once_it_runs(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        listed = {each.name: each for each in notebook.list_kernels()}
        assert next(iter(listed)) == "python3"
        assert listed[DYING_KERNEL].display_name == "Dying"
        notebook.start_kernel()
        notebook.wait_until(lambda: "kernelspec" in notebook.metadata, timeout=RUN_S)
        spec = notebook.metadata["kernelspec"]
        assert spec["name"] == "python3"
        assert spec["display_name"] == listed["python3"].display_name
        with pytest.raises(KernelStartFailed):
            notebook.restart_kernel(DYING_KERNEL)
        notebook.wait_until(lambda: notebook.kernel["status"] == "dead", timeout=RUN_S)
        assert notebook.metadata["kernelspec"] == spec


def test_what_a_call_gives_is_what_the_notebook_shows_of_its_kernel_from_then_on(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        for call in (
            notebook.start_kernel,
            notebook.restart_kernel,
            notebook.start_kernel,
            notebook.shutdown_kernel,
            notebook.shutdown_kernel,
        ):
            state = call()
            shown = notebook.kernel
            assert (shown["status"], shown["incarnation"]) == (state.status, state.incarnation)
        with pytest.raises(KernelStartFailed):
            notebook.start_kernel(DYING_KERNEL)
        assert notebook.kernel["status"] == "dead"


def test_a_mistyped_kernel_name_costs_no_variables_and_capitals_are_no_mistake(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        notebook.run("kept = 1", timeout=RUN_S).raise_for_error()
        for ask in notebook.start_kernel, notebook.restart_kernel:
            with pytest.raises(KernelNotFound, match="pyhton3"):
                ask("pyhton3")
        notebook.start_kernel("PYTHON3")
        assert notebook.run("kept", timeout=RUN_S).raise_for_error().text == "1"


@pytest.fixture
def impatient() -> Iterator[HeadwayDaemon]:
    os.environ[IDLE_VARIABLE] = "0.5"
    try:
        with headway_daemon() as running:
            yield running
    finally:
        del os.environ[IDLE_VARIABLE]


def test_an_idle_kernel_ends_only_when_nothing_runs_and_the_next_cell_has_a_new_one(
    impatient: HeadwayDaemon,
) -> None:
    async def scenario() -> None:
        async with impatient.open_async("idle") as notebook:
            result = await notebook.run("import time; time.sleep(1.5); 'slept'", timeout=RUN_S)
            assert result.text == "'slept'"
            await notebook.wait_until(
                lambda: notebook.kernel.get("status") == "absent", timeout=RUN_S
            )
            assert notebook.kernel["reason"] == "the kernel was idle for 0.5 s"
            assert (await notebook.run("'time' in dir()", timeout=RUN_S)).text == "False"

    bounded(scenario())


def test_a_kernel_that_is_asked_something_again_and_again_is_not_idle(
    impatient: HeadwayDaemon,
) -> None:
    async def scenario() -> None:
        async with impatient.open_async("asked") as notebook:
            await notebook.run("kept = 1", timeout=RUN_S)
            loop = asyncio.get_running_loop()
            until_s = loop.time() + 2.0
            while loop.time() < until_s:
                assert "kept" in (await notebook.complete("kep")).matches
            assert notebook.kernel["incarnation"] == 1
            assert (await notebook.run("kept", timeout=RUN_S)).text == "1"

    bounded(scenario())
