"""Cut and stalled connections, the short profile."""

from __future__ import annotations

import asyncio

from torture import links
from torture.bugs import find
from torture.planted import CLIENT_BUG


def test_no_confirmation_is_false_and_nothing_runs_twice_when_connections_are_cut() -> None:
    figures = asyncio.run(links.torture(60))
    assert figures.bad == []
    assert figures.cuts >= 60
    assert figures.executions > 0


def test_a_confirmation_by_time_is_found_by_cutting() -> None:
    assert "is not in the store" in asyncio.run(find(CLIENT_BUG))
