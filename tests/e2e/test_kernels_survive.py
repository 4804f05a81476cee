"""Kernels and their daemon: who outlives whom, and what everybody is told.

The long profiles (200 kernels killed, 100 daemons killed) run with HEADWAY_TORTURE=1.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.client import starting
from headway.daemon.main import NOTIFY_VARIABLE
from headway.edges.kernels import ORPHAN_VARIABLE
from headway.edges.paths import Paths, prepare
from headway_daemon import END_S, LIMIT_S, HeadwayDaemon, bounded

IS_LONG = os.environ.get("HEADWAY_TORTURE") == "1"
KERNEL_KILLS = 200 if IS_LONG else 12
DAEMON_KILLS = 100 if IS_LONG else 3
LONG_LIMIT_S = 1_200.0 if IS_LONG else LIMIT_S
SEEN_WITHIN_S = 0.250
GONE_WITHIN_S = 2.0
RUN_S = 30.0
GAP = "[Output may be missing here: the Headway daemon was away from "

BROOD = """\
import os, subprocess, sys
code = "import time, os; os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
line = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
grandchild = subprocess.run(["sh", "-c", line], capture_output=True, text=True).stdout
print(os.getppid(), os.getpid(), int(child.stdout.readline()), int(grandchild))
"""
"""Warden, kernel, a child in a session of its own, and a grandchild that lost its parent."""

CAUSES = {
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "killed by signal 9 (SIGKILL)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "killed by signal 11 (SIGSEGV)",
    "import os; os._exit(3)": "exited with status 3",
}


@contextlib.contextmanager
def home_with(orphan_s: float) -> Iterator[HeadwayDaemon]:
    """A home whose kernels outlive their daemon for so long; its daemons end with it."""
    root = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    (root / "notebooks").mkdir()
    before = list(starting._started)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as locks:
        patch.setenv(ORPHAN_VARIABLE, str(orphan_s))
        try:
            yield HeadwayDaemon(root / "home", root / "notebooks", locks)
        finally:
            ours = [process for process in starting._started if process not in before]
            for process in ours:
                process.terminate()
            for process in ours:
                process.wait(END_S)
            shutil.rmtree(root, ignore_errors=True)


class Blocker:
    """A cell that says that it runs, and goes on when the test lets it."""

    def __init__(self, folder: Path) -> None:
        self.begun_path, self.go_on_path = here, there = folder / "begun", folder / "go-on"
        self.source = (
            f"print('begun', flush=True)\nopen({str(here)!r}, 'w').write('.')\n"
            f"open({str(there)!r}).read(1)\nprint('ended with', x, flush=True)"
        )
        os.mkfifo(here)
        os.mkfifo(there)
        # Open at both ends: neither side's opening blocks.
        self._begun, self._go_on = os.open(here, os.O_RDWR), os.open(there, os.O_RDWR)

    async def begun(self) -> None:
        await asyncio.to_thread(os.read, self._begun, 1)

    def let_go(self) -> None:
        os.write(self._go_on, b".")

    def close(self) -> None:
        os.close(self._begun)
        os.close(self._go_on)


@pytest.fixture
def lasting() -> Iterator[HeadwayDaemon]:
    with home_with(60) as daemon:
        yield daemon


@pytest.fixture
def held(lasting: HeadwayDaemon) -> Iterator[Blocker]:
    made = Blocker(lasting.folder)
    yield made
    made.close()


def kill_daemon(daemon: HeadwayDaemon) -> int:
    """SIGKILL; gone on return."""
    pid = int(daemon.post("status").body["pid"])
    (process,) = (each for each in starting._started if each.pid == pid)
    process.kill()
    process.wait(END_S)
    return pid


def shows(job: headway.AsyncExecution, text: str) -> Callable[[], bool]:
    return lambda: any(text in str(output.get("text")) for output in job.outputs)


async def begin(notebook: headway.AsyncNotebook, held: Blocker) -> headway.AsyncExecution:
    """A variable, and a cell that runs and has shown something."""
    await notebook.run("x = 42", timeout=RUN_S)
    job = await notebook.queue_cell(notebook.add_cell(held.source))
    await held.begun()
    await notebook.wait_until(shows(job, "begun"), timeout=RUN_S)
    return job


def ends_within(pids: list[int], limit_s: float) -> float:
    """Wait until all these processes have ended; how long it took. Fails after `limit_s`."""
    begun = time.monotonic()
    poll = select.poll()
    descriptors = set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptors.add(os.pidfd_open(pid))
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    try:
        while descriptors:
            left_s = begun + limit_s - time.monotonic()
            ready = poll.poll(max(0.0, left_s) * 1000)
            assert ready, f"{len(descriptors)} of {len(pids)} processes live after {limit_s} s"
            for descriptor, _ in ready:
                poll.unregister(descriptor)
                descriptors.discard(descriptor)
                os.close(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return time.monotonic() - begun


def kernel_folders(daemon: HeadwayDaemon) -> list[Path]:
    return list((daemon.home / "kernels").iterdir())


async def brood(notebook: headway.AsyncNotebook) -> list[int]:
    result = await notebook.run(BROOD, timeout=RUN_S)
    assert result.success, result
    return [int(word) for word in result.text.split()]


def test_a_running_cell_outlives_its_daemon_and_ends_behind_a_mark(
    lasting: HeadwayDaemon, held: Blocker
) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            job = await begin(notebook, held)
            first = kill_daemon(lasting)
            result = asyncio.create_task(job.result(RUN_S))
            await notebook.wait_until(shows(job, GAP), timeout=RUN_S)
            assert job.status == "running"
            held.let_go()
            ended = await result
            assert ended.status == "ok"
            assert [output["text"][: len(GAP)] for output in ended.outputs] == [
                "begun\n",
                GAP,
                "ended with 42\n",
            ]
            assert lasting.post("status").body["pid"] != first
            again = await notebook.run("x + 1", timeout=RUN_S)
            assert again.text == "43"

    bounded(scenario())


def test_what_waited_for_a_running_cell_runs_after_it_though_the_daemon_was_killed(
    lasting: HeadwayDaemon, held: Blocker
) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            running = await begin(notebook, held)
            cells = [notebook.add_cell(f"x += {number}\nprint(x)") for number in (1, 10, 100)]
            waiting = await notebook.queue_all(cells=cells)
            kill_daemon(lasting)
            notebook.update_source(cells[1], "print('edited meanwhile')")
            held.let_go()
            results = [await job.result(RUN_S) for job in waiting]
            assert [each.text for each in results] == ["43\n", "53\n", "153\n"]
            assert (await running.result(RUN_S)).status == "ok"

    bounded(scenario())


def test_a_cell_that_ended_while_there_was_no_daemon_ends_as_it_did(
    lasting: HeadwayDaemon, held: Blocker
) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            job = await begin(notebook, held)
            kill_daemon(lasting)
            held.let_go()
            ended = await job.result(RUN_S)
            assert ended.status == "ok"
            assert GAP in "".join(output["text"] for output in ended.outputs)

    bounded(scenario())


def test_a_kernel_that_died_while_there_was_no_daemon_is_dead_with_its_cause(
    lasting: HeadwayDaemon, held: Blocker
) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            pid = int((await notebook.run("import os\nprint(os.getpid())", timeout=RUN_S)).text)
            job = await begin(notebook, held)
            kill_daemon(lasting)
            os.kill(pid, signal.SIGKILL)
            ended = await job.result(RUN_S)
            assert ended.status == "lost"
            assert ended.reason is not None
            assert "killed by signal 9 (SIGKILL)" in ended.reason
            await notebook.wait_until(lambda: notebook.kernel["status"] == "dead", timeout=RUN_S)
            assert (await notebook.run("1 + 1", timeout=RUN_S)).text == "2"

    bounded(scenario())


def test_what_runs_ends_though_nobody_opens_its_notebook_again(
    lasting: HeadwayDaemon, held: Blocker
) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            job = await begin(notebook, held)
            document = notebook.id
        kill_daemon(lasting)
        async with lasting.open_async("other") as other:
            held.let_go()

            def ran() -> bool:
                return any(
                    each["document"] == document and each["kernel"]["status"] == "idle"
                    for each in lasting.post("list").body["notebooks"]
                )

            # Each look is a request and an edit of the notebook that is open: no clock in it.
            while not ran():
                other.add_cell("")
                await other.confirm_sync()
            found = lasting.post("get_execution", document=document, execution_id=job.id)
            assert found.body["record"]["status"] == "ok"

    bounded(scenario())


def test_a_kernel_whose_daemon_does_not_come_back_ends_after_its_time() -> None:
    async def scenario() -> None:
        with home_with(1.0) as daemon:
            async with daemon.open_async("a") as notebook:
                pids = await brood(notebook)
            kill_daemon(daemon)
            assert all(is_alive(pid) for pid in pids)
            took_s = await asyncio.to_thread(ends_within, pids, 1.0 + GONE_WITHIN_S)
            assert took_s >= 0.5
            assert kernel_folders(daemon) == []

    bounded(scenario())


@pytest.mark.parametrize("how", ["stop", "signal", "shutdown", "restart", "killed"])
def test_nothing_that_a_kernel_started_outlives_it(lasting: HeadwayDaemon, how: str) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            pids = await brood(notebook)
            ending = asyncio.to_thread(ends_within, pids, END_S)
            match how:
                case "stop":
                    assert lasting.post("stop").status == 200
                case "signal":
                    os.kill(int(lasting.post("status").body["pid"]), signal.SIGTERM)
                case "shutdown":
                    await notebook.shutdown_kernel()
                case "restart":
                    await notebook.restart_kernel()
                case _:
                    os.kill(pids[1], signal.SIGKILL)
            await ending
            kept = 1 if how == "restart" else 0
            assert len(kernel_folders(lasting)) == kept

    bounded(scenario())


def test_where_orphans_are_not_wanted_there_are_none() -> None:
    slowest = 0.0

    async def cycle() -> None:
        nonlocal slowest
        with home_with(0) as daemon:
            async with daemon.open_async("a") as notebook:
                pids = await brood(notebook)
            kill_daemon(daemon)
            slowest = max(slowest, await asyncio.to_thread(ends_within, pids, GONE_WITHIN_S))
            assert kernel_folders(daemon) == []

    for _ in range(DAEMON_KILLS):
        bounded(cycle())
    print(f"{DAEMON_KILLS} daemons killed, 0 orphans; the slowest were gone after {slowest:.3f} s")


def test_every_client_sees_a_kernels_death_at_once_with_its_cause(lasting: HeadwayDaemon) -> None:
    delays: list[float] = []

    async def idle(notebook: headway.AsyncNotebook) -> None:
        await notebook.wait_until(lambda: notebook.kernel["status"] == "idle", timeout=RUN_S)

    async def seen(notebook: headway.AsyncNotebook) -> float:
        await notebook.wait_until(lambda: notebook.kernel.get("status") == "dead", timeout=RUN_S)
        return time.monotonic()

    async def once(clients: list[headway.AsyncNotebook], code: str, cause: str) -> None:
        first = clients[0]
        await first.start_kernel()
        await asyncio.gather(*map(idle, clients))
        mark = lasting.folder / "dying"
        noted = f"import time; open({str(mark)!r}, 'w').write(str(time.monotonic())); "
        job = await first.queue_cell(first.add_cell(noted + code))
        ends = await asyncio.gather(*map(seen, clients))
        died_s = float(mark.read_text())
        delays.extend(end - died_s for end in ends)
        assert cause in str(clients[-1].kernel["reason"])
        result = await job.result(RUN_S)
        assert result.status == "lost"
        assert cause in str(result.reason)

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(lasting.open_async("a")) for _ in range(3)]
            for number in range(KERNEL_KILLS):
                code, cause = list(CAUSES.items())[number % len(CAUSES)]
                await once(opened, code, cause)

    run_long(scenario())
    delays.sort()
    p99 = delays[max(0, int(len(delays) * 0.99) - 1)]
    print(f"{KERNEL_KILLS} kernels killed, seen by 3 clients: p99 {p99 * 1000:.1f} ms")
    assert p99 <= SEEN_WITHIN_S


def run_long(scenario: Coroutine[Any, Any, None]) -> None:
    bounded(scenario, LONG_LIMIT_S)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_widgets_that_changed_while_no_daemon_was_there_are_as_the_kernel_has_them(
    lasting: HeadwayDaemon, held: Blocker
) -> None:
    made = f"""
import ipywidgets as widgets, threading
slider = widgets.IntSlider(description="stays", value=3)
gone = widgets.IntText(description="closed")
image = widgets.Image(value=b"before", format="raw")
def later():
    open({str(held.go_on_path)!r}).read(1)
    global late
    slider.value = 88
    image.value = b"after" * 1000
    gone.close()
    late = widgets.IntText(value=5, description="late")
    open({str(held.begun_path)!r}, "w").write(".")
threading.Thread(target=later).start()
"""

    async def scenario() -> None:
        async with lasting.open_async("widgets") as notebook:
            assert (await notebook.run(made, timeout=RUN_S)).status == "ok"
            assert by_description(notebook)["stays"].state["value"] == 3
            kill_daemon(lasting)
            held.let_go()
            await held.begun()
        async with lasting.open_async("widgets") as notebook:

            def is_told() -> bool:
                return set(by_description(notebook)) == {"stays", "late"}

            await notebook.wait_until(is_told, timeout=RUN_S)
            slider = by_description(notebook)["stays"]
            assert (slider.state["value"], slider.is_open) == (88, True)
            assert by_description(notebook)["late"].state["value"] == 5
            (image,) = (w for w in notebook.widgets.values() if "format" in w.state)
            assert (await notebook.fetch_state(image))["value"] == b"after" * 1000
            await notebook.update_widget(slider, {"value": 90})
            assert (await notebook.run("slider.value", timeout=RUN_S)).text == "90"

    bounded(scenario())


def by_description(notebook: headway.AsyncNotebook) -> dict[str, Any]:
    found = {each.state.get("description"): each for each in notebook.widgets.values()}
    return {each: record for each, record in found.items() if each}


def test_what_a_cell_asks_outlives_the_daemon_and_is_answered_at_the_next(
    lasting: HeadwayDaemon,
) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            source = "first = input('1? ')\nsecond = input('2? ')\nprint(first, second)"
            job = await notebook.queue_cell(notebook.add_cell(source), allow_stdin=True)
            await notebook.wait_until(lambda: job.prompt is not None, timeout=RUN_S)
            first = job.prompt
            assert first is not None
            kill_daemon(lasting)
            result = asyncio.create_task(job.result(RUN_S))
            await notebook.wait_until(shows(job, GAP), timeout=RUN_S)
            assert job.prompt == first, "it is the same prompt, and its id is good still"
            await job.answer("one", prompt=first, timeout=RUN_S)
            await notebook.wait_until(
                lambda: job.prompt is not None and job.prompt.text == "2? ", timeout=RUN_S
            )
            kill_daemon(lasting)
            async with lasting.open_async("a") as other:
                seen = await other.get_execution(job.id)
                await other.wait_until(lambda: seen.prompt is not None, timeout=RUN_S)
                await seen.answer("two")
            ended = await result
            assert ended.status == "ok"
            assert ended.text == "one two\n"

    bounded(scenario())


def test_what_a_cell_asks_while_there_is_no_daemon_is_seen_when_there_is_one(
    lasting: HeadwayDaemon, held: Blocker
) -> None:
    async def scenario() -> None:
        async with lasting.open_async("a") as notebook:
            await notebook.run("x = 42", timeout=RUN_S)
            source = f"{held.source}\nprint(input('Name? '))"
            job = await notebook.queue_cell(notebook.add_cell(source), allow_stdin=True)
            await held.begun()
            await notebook.wait_until(shows(job, "begun"), timeout=RUN_S)
            kill_daemon(lasting)
            held.let_go()
            result = asyncio.create_task(job.result(RUN_S))
            await notebook.wait_until(lambda: job.prompt is not None, timeout=RUN_S)
            await job.answer("Ada")
            ended = await result
            assert ended.status == "ok"
            assert ended.text.endswith("Ada\n")

    bounded(scenario())


FAILING = """\
import sys
from headway.daemon import main, service

async def fails(*arguments):
    raise RuntimeError("a bug of ours")

service.Service._drain = fails
main.main(["--home", sys.argv[1]])
"""
"""A daemon with a bug that shows when it is told to end."""


def test_a_daemon_that_fails_leaves_its_kernels_to_the_next(lasting: HeadwayDaemon) -> None:
    async def scenario() -> None:
        notice = prepare(lasting.home).home / "ready"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(notice))
            ready.settimeout(LIMIT_S)
            failing = subprocess.Popen(
                [sys.executable, "-c", FAILING, str(lasting.home)],
                env={**os.environ, NOTIFY_VARIABLE: str(notice)},
                stderr=subprocess.PIPE,
            )
            assert b"READY=1" in await asyncio.to_thread(ready.recv, 1024)
        with failing:
            async with lasting.open_async("a") as notebook:
                await notebook.run("x = 6", timeout=RUN_S)
                failing.terminate()
                await asyncio.to_thread(failing.wait, END_S)
                result = await notebook.run("print(x * 7)", timeout=RUN_S)
                assert result.text == "42\n"
        assert failing.returncode == 1
        assert "the daemon failed; its kernels wait" in Paths.of(lasting.home).log.read_text()

    bounded(scenario())
