"""Finding the daemon of a home, and starting it when there is none.

Floor 5. Two clients that start one at the same time end with one daemon: its own lock decides,
the loser's process ends, and both clients connect to the winner.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from websockets.asyncio.client import ClientConnection

from headway.client import starting
from headway.client.connection import Dial, connect_socket
from headway.edges import paths
from headway.errors import DaemonUnavailable

__all__ = ["START_POLL_S", "START_TIMEOUT_S", "daemon_dial"]

START_TIMEOUT_S = 30.0
"""How long a daemon may take from its start to its first answer."""

START_POLL_S = 0.02
"""How often a daemon that starts is asked whether it answers yet: as long as nobody listens, the
system says so at once."""

_LOSER_GRACE_S = 3.0
"""After our daemon ended with an error, how long another's may still take to answer."""

_LOG_TAIL_BYTES = 4096


def daemon_dial(home: Path, name: str) -> Dial:
    """A dial for the daemon of `home`; it starts one only where the session says so."""
    found = paths.Paths.of(home)

    async def dial(start: bool) -> ClientConnection:
        try:
            return await connect_socket(found.socket, name=name)
        except DaemonUnavailable:
            if not start:
                raise
        return await _start_and_connect(home, name)

    return dial


async def _start_and_connect(home: Path, name: str) -> ClientConnection:
    found = paths.prepare(home)
    process = starting.start(found)
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while True:
        ended = process.poll()
        if ended:
            give_up_s = min(give_up_s, time.monotonic() + _LOSER_GRACE_S)
        try:
            return await connect_socket(found.socket, name=name)
        except DaemonUnavailable as error:
            if time.monotonic() >= give_up_s:
                raise _unavailable(found, ended) from error
        await asyncio.sleep(START_POLL_S)


def _unavailable(found: paths.Paths, ended: int | None) -> DaemonUnavailable:
    if ended:
        last = _last_line(found.log)
        return DaemonUnavailable(
            f"The daemon could not be started (exit status {ended}): {last} "
            f"The whole log is in {found.log}.",
            log=str(found.log),
            exit_status=ended,
        )
    return DaemonUnavailable(
        f"The daemon did not answer on {found.socket} within {START_TIMEOUT_S:.0f} s of its "
        f"start; look at {found.log}.",
        log=str(found.log),
    )


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError as error:
        return f"its log cannot be read ({error})."
    return next((line for line in reversed(lines) if line.strip()), "it wrote nothing.")
