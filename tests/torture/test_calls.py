"""Storage system calls that fail, the short profile."""

from __future__ import annotations

import asyncio

from torture import calls
from torture.bugs import find
from torture.tracing import NEEDS_STRACE

pytestmark = NEEDS_STRACE

SHARE = 37
"""Prime, so that every kind of fault and call comes up."""


def test_no_failing_storage_call_breaks_a_promise() -> None:
    figures = asyncio.run(calls.torture(SHARE))
    assert figures.bad == []
    assert figures.killed > 0
    assert figures.refusals > 0
    assert len(figures.runs) >= 4


def test_a_failed_write_that_is_confirmed_is_found_by_failing_calls() -> None:
    assert "confirmed was" in asyncio.run(find("confirms_failures"))
