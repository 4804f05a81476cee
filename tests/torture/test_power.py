"""Power cuts, the short profile, and the model of the disk."""

from __future__ import annotations

import asyncio
import random

import pytest

from torture import power
from torture.bugs import find
from torture.planes import Disk, Tree
from torture.trace import Event
from torture.tracing import NEEDS_STRACE


@NEEDS_STRACE
def test_no_state_that_a_power_cut_leaves_lacks_what_was_confirmed() -> None:
    figures = asyncio.run(power.torture(400))
    assert figures.bad == []
    assert figures.states == 400
    assert figures.promises > 0


@NEEDS_STRACE
@pytest.mark.parametrize("bug", ["unsynced_store", "unsynced_files"])
def test_a_sync_that_is_left_out_is_found_by_power_cuts(bug: str) -> None:
    assert asyncio.run(find(bug))


def states(*events: Event) -> list[Tree]:
    """Many of the states that a power cut after these events may leave."""
    disk = Disk()
    for number, event in enumerate(events):
        disk.apply(event, number)
    return [disk.cut(random.Random(way), way) for way in range(200)]


MADE = Event("create", path="a", file=1)
WRITTEN = Event("write", file=1, content=b"x" * 1024)
SYNCED = Event("sync", file=1, began=2)
ROOT = Event("open", path="", file=2)


def test_what_was_synced_with_its_name_is_in_every_state() -> None:
    found = states(MADE, WRITTEN, SYNCED, ROOT, Event("sync", file=2, began=4))
    assert all(state == {"a": b"x" * 1024} for state in found)


def test_a_name_that_was_not_synced_is_missing_in_some_states_whatever_its_file_holds() -> None:
    found = states(MADE, WRITTEN, SYNCED)
    assert {} in found
    assert {"a": b"x" * 1024} in found


def test_a_write_that_was_not_synced_is_lost_or_torn_in_some_states() -> None:
    contents = {state["a"] for state in states(MADE, WRITTEN) if "a" in state}
    assert {b"", b"x" * 512, b"x" * 1024, bytes(512) + b"x" * 512, bytes(1024)} <= contents


def test_a_sync_does_not_reach_what_was_written_while_it_ran() -> None:
    found = states(MADE, WRITTEN, Event("sync", file=1, began=1))
    assert b"" in {state.get("a") for state in found}


def test_files_that_change_names_do_so_together() -> None:
    other = (Event("create", path="b", file=3), Event("write", file=3, content=b"y" * 1024))
    named = (ROOT, Event("sync", file=3, began=5), Event("sync", file=2, began=5))
    exchanged = Event("exchange", path="a", other="b")
    found = states(MADE, WRITTEN, SYNCED, *other, *named, exchanged)
    kept = [sorted(str(content)[:3] for content in state.values()) for state in found]
    assert all(contents == ["b'x", "b'y"] for contents in kept)
