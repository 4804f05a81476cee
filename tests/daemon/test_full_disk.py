"""A disk that fills up under a real daemon, and has space again."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headway.errors import ConnectionLost, NotConfirmed
from headway_daemon import HeadwayDaemon, headway_daemon
from held_cell import Blocker

RECOVERS_S = 1.0
RUN_S = 30.0


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of that process may be written."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="module")
def daemon() -> Iterator[HeadwayDaemon]:
    with headway_daemon() as running:
        yield running


@pytest.mark.parametrize("ends_meanwhile", [False, True])
def test_a_kernel_and_what_it_runs_live_through_a_full_disk(
    daemon: HeadwayDaemon, tmp_path: Path, ends_meanwhile: bool
) -> None:
    pid = daemon.post("status").body["pid"]
    held = Blocker(tmp_path / "pipe")
    with daemon.open(f"kernel {ends_meanwhile}") as notebook:
        notebook.run("kept = 41\nprint('hours of work')", timeout=RUN_S).raise_for_error()
        incarnation = notebook.kernel["incarnation"]
        running = notebook.queue_cell(notebook.add_cell(held.source))
        notebook.wait_until(lambda: running.status == "running", timeout=RUN_S)
        with full_disk(pid):
            notebook.add_cell("during")
            with pytest.raises((NotConfirmed, ConnectionLost)):
                notebook.confirm_sync(timeout=1.5)
            if ends_meanwhile:
                held.let_go("unheard")
        if not ends_meanwhile:
            notebook.confirm_sync(timeout=RUN_S)
            notebook.wait_until(lambda: bool(running.outputs), timeout=RUN_S)
            held.let_go("heard")
        result = running.result(timeout=RUN_S)
        assert result.success
        mark, *rest = result.outputs
        assert (mark["output_type"], mark["name"]) == ("stream", "stderr")
        assert [each["text"] for each in rest] == ([] if ends_meanwhile else ["heard\n"])
        assert notebook.run("print(kept + 1)", timeout=RUN_S).text == "42\n"
        assert notebook.kernel["incarnation"] == incarnation
    held.close()


def test_what_a_kernel_runs_through_a_full_disk_ends_though_nobody_comes_back(
    daemon: HeadwayDaemon, tmp_path: Path
) -> None:
    pid = daemon.post("status").body["pid"]
    held = Blocker(tmp_path / "pipe")
    with daemon.open("left") as notebook:
        running = notebook.queue_cell(notebook.add_cell(held.source))
        notebook.wait_until(lambda: running.status == "running", timeout=RUN_S)
        document = notebook.id
        with full_disk(pid):
            notebook.add_cell("during")
            with pytest.raises((NotConfirmed, ConnectionLost)):
                notebook.confirm_sync(timeout=1.5)
            with pytest.raises((NotConfirmed, ConnectionLost)):
                notebook.close(timeout=0.1)
    deadline_s = time.monotonic() + RUN_S
    while document not in [each["document"] for each in daemon.post("list").body["notebooks"]]:
        assert time.monotonic() < deadline_s
    held.let_go()
    asked = {"execution_id": running.id, "document": document, "wait": True, "timeout_s": RUN_S}
    assert daemon.post("get_execution", **asked).body["record"]["status"] == "ok"
    held.close()


def test_nothing_confirmed_is_lost_and_edits_are_taken_within_a_second_of_space_returning(
    daemon: HeadwayDaemon,
) -> None:
    pid = daemon.post("status").body["pid"]
    with daemon.open("full") as notebook, daemon.open("bystander") as bystander:
        bystander.add_cell("untouched")
        bystander.confirm_sync()
        confirmed = [notebook.add_cell(f"before {number}") for number in range(20)]
        notebook.confirm_sync()
        with full_disk(pid):
            unconfirmed = notebook.add_cell("during")
            with pytest.raises((NotConfirmed, ConnectionLost)):
                notebook.confirm_sync(timeout=1.5)
            status = daemon.post("status").body
            assert status["pid"] == pid
            assert "Nothing can be saved now" in status["notices"][0]
        freed_s = time.monotonic()
        notebook.add_cell("after")
        notebook.confirm_sync(timeout=20)
        took_s = time.monotonic() - freed_s
        print(f"confirmed {took_s:.3f} s after space returned")
        assert took_s <= RECOVERS_S
        assert daemon.post("status").body["notices"] == []
        bystander.add_cell("still connected")
        bystander.confirm_sync()
        sources = [cell.source for cell in notebook.cells]
    os.kill(pid, signal.SIGKILL)
    with daemon.open("full") as again:
        assert [cell.source for cell in again.cells] == sources
        assert {each.id for each in (*confirmed, unconfirmed)} <= {cell.id for cell in again.cells}
