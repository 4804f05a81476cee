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
from headway.client.connection import CONNECT_TIMEOUT_S, Dial, connect_socket
from headway.edges import paths
from headway.edges.lock import owner_pid
from headway.errors import DaemonUnavailable, DeadlineExceeded

__all__ = ["START_POLL_S", "START_TIMEOUT_S", "daemon_dial", "silent_daemon"]

START_TIMEOUT_S = 30.0
"""How long a daemon may take from its start to its first answer."""

START_POLL_S = 0.02
"""How often a daemon that starts is asked whether it answers yet: as long as nobody listens, the
system says so at once."""

_LOSER_GRACE_S = 3.0
"""After our daemon ended with an error, how long another's may still take to answer."""

_ENDED_FOR_ANOTHER = frozenset({0, 3})
"""How our daemon ends when another has the home, or when somebody stopped it right away."""

_MAX_STARTS = 5
"""How often a daemon is started for one connection, when another had the home each time."""

_LOG_TAIL_BYTES = 4096


def daemon_dial(home: Path, name: str) -> Dial:
    """A dial for the daemon of `home`; it starts one only where the session says so."""
    found = paths.Paths.of(home)

    async def dial(start: bool) -> ClientConnection:
        try:
            return await _connect(found, name)
        except DaemonUnavailable:
            if not start:
                raise
        return await _start_and_connect(home, name)

    return dial


def silent_daemon(found: paths.Paths, waited_s: float) -> DeadlineExceeded:
    """The error for a daemon that listens and does not answer: it is stopped, or stuck."""
    pid = owner_pid(found.lock)
    who, number = ("The daemon", "PID") if pid is None else (f"The daemon (process {pid})", pid)
    return DeadlineExceeded(
        f"{who} listens on {found.socket} and did not answer within {waited_s:.0f} s. Try again, "
        f"look at {found.log}, or end it with: kill -9 {number} (what was confirmed is kept).",
        pid=pid,
        log=str(found.log),
    )


async def _connect(found: paths.Paths, name: str) -> ClientConnection:
    """Raises DaemonUnavailable when nobody listens, DeadlineExceeded when nobody answers."""
    try:
        return await connect_socket(found.socket, name=name)
    except DaemonUnavailable as error:
        if isinstance(error.__cause__, TimeoutError | BlockingIOError):
            raise silent_daemon(found, CONNECT_TIMEOUT_S) from error
        raise


async def _start_and_connect(home: Path, name: str) -> ClientConnection:
    found = paths.prepare(home)
    begun_at, process = _log_bytes(found.log), starting.start(found)
    give_up_s = time.monotonic() + START_TIMEOUT_S
    starts = 1
    while True:
        ended = process.poll()
        if ended in _ENDED_FOR_ANOTHER and starts < _MAX_STARTS:
            # Whoever has the home answers in a moment, or is ending and never will.
            if owner_pid(found.lock) is None:
                begun_at, process = _log_bytes(found.log), starting.start(found)
                starts += 1
        elif ended is not None:
            give_up_s = min(give_up_s, time.monotonic() + _LOSER_GRACE_S)
        try:
            return await _connect(found, name)
        except DaemonUnavailable as error:
            if time.monotonic() >= give_up_s:
                raise _unavailable(found, ended, begun_at) from error
        await asyncio.sleep(START_POLL_S)


def _unavailable(found: paths.Paths, ended: int | None, begun_at: int) -> DaemonUnavailable:
    owner = owner_pid(found.lock)
    if ended in _ENDED_FOR_ANOTHER and owner is not None:
        return DaemonUnavailable(
            f"The daemon of {found.home} (process {owner}) does not listen on {found.socket}: it "
            "takes long to end, or its socket was removed. End it with: headway stop",
            log=str(found.log),
            pid=owner,
        )
    if ended is not None:
        return DaemonUnavailable(
            f"The daemon could not be started (exit status {ended}): "
            f"{_last_words(found.log, begun_at)} The whole log is in {found.log}.",
            log=str(found.log),
            exit_status=ended,
        )
    return DaemonUnavailable(
        f"The daemon did not answer on {found.socket} within {START_TIMEOUT_S:.0f} s of its "
        f"start; look at {found.log}.",
        log=str(found.log),
    )


def _log_bytes(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _last_words(log: Path, begun_at: int) -> str:
    """What a daemon that did not start said last. Lines of the log itself are no sentences."""
    try:
        with log.open("rb") as file:
            file.seek(max(begun_at, log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError as error:
        return f"its log cannot be read ({error.strerror})."
    said = (line for line in reversed(lines) if line.strip() and not line.startswith("{"))
    return next(said, "it did not say why.")
