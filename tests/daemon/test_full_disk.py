"""A disk that fills up under a real daemon, and has space again."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headway.errors import ConnectionLost, NotConfirmed
from headway_daemon import HeadwayDaemon, headway_daemon

RECOVERS_S = 1.0


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
