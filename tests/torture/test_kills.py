"""SIGKILL at any instant, the short profile."""

from __future__ import annotations

import asyncio

from torture import kills
from torture.bugs import find


def test_nothing_confirmed_is_lost_or_doubled_and_nothing_runs_twice_when_daemons_are_killed() -> (
    None
):
    figures = asyncio.run(kills.torture(14))
    assert figures.bad == []
    assert figures.confirmations > 14


def test_an_acknowledgement_before_the_write_is_found_by_killing() -> None:
    assert "confirmed and lost" in asyncio.run(find("acknowledges_early"))
