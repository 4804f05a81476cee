"""Every planted bug, put in and looked for: `python -m torture.bugs [NAME]...`.

A harness that has never failed proves nothing. Each bug is named with the harness that must find
it; the figure is how many were found.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from torture import calls, kills, links, power
from torture.planted import CLIENT_BUG

__all__ = ["BUGS", "find"]


class _Figures(Protocol):
    bad: list[str]


Hunt = Callable[[str], Awaitable[_Figures]]

_CYCLES = 150
_CUTS = 400
_STATES = 6000
_SHARE = 7


async def _by_kills(bug: str) -> _Figures:
    return await kills.torture(_CYCLES, planted=bug, stop_at=1)


async def _by_links(bug: str) -> _Figures:
    return await links.torture(_CUTS, planted=bug, stop_at=1)


async def _by_power(bug: str) -> _Figures:
    return await power.torture(_STATES, planted=bug, stop_at=1)


async def _by_calls(bug: str) -> _Figures:
    return await calls.torture(_SHARE, planted=bug, stop_at=1)


BUGS: dict[str, Hunt] = {
    "acknowledges_early": _by_kills,
    "forgets_executions": _by_kills,
    "a_restarted_daemon_forgets_which_ids_are_taken": _by_kills,
    "a_restarted_daemon_leaves_the_unfinished": _by_kills,
    CLIENT_BUG: _by_links,
    "a_retried_execute_runs_twice": _by_links,
    "ack_before_fsync": _by_links,
    "what_was_sent_counts_as_held": _by_links,
    "unsynced_store": _by_power,
    "two_step_compaction": _by_power,
    "unsynced_files": _by_power,
    "unsynced_folder_of_blobs": _by_power,
    "unsynced_folder_of_files": _by_power,
    "files_in_place": _by_power,
    "confirms_failures": _by_calls,
    "half_written_files": _by_calls,
}
"""Bug -> the harness that must find it. Those with whole sentences for names are the simulator's,
put into a real daemon or its clients."""


async def find(bug: str) -> str:
    """The first thing that a harness says about a planted bug; nothing if it is not found."""
    try:
        figures = await BUGS[bug](bug)
    except TimeoutError:
        return "it hangs"
    return figures.bad[0] if figures.bad else ""


def main() -> int:
    """Exit status 0 when each was found."""
    began_s = time.monotonic()
    wanted = sys.argv[1:] or list(BUGS)
    missed = 0
    for bug in wanted:
        found = asyncio.run(find(bug))
        missed += not found
        print(f"  {bug}: {found[:100] or 'NOT FOUND'}", flush=True)
    seconds = time.monotonic() - began_s
    print(f"planted bugs: {len(wanted) - missed} of {len(wanted)} found ({seconds:.0f} s)")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
