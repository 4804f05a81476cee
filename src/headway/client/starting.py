"""A home's daemon as a process that is started here: it has a session of its own and outlasts us.

Floor 5. It imports little, so that a command can have the daemon start while it still imports what
it needs to talk to it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from headway.edges import paths
from headway.edges.private_file import open_to_append
from headway.errors import DaemonUnavailable, HeadwayError

__all__ = ["IDLE_EXIT_S", "launch", "start", "start_ahead"]

IDLE_EXIT_S = 600
"""A daemon that was started by a client ends after so long without work or clients."""

_started: list[subprocess.Popen[bytes]] = []
"""Daemons started by this process, kept so that their ends are noticed."""

_ahead: dict[Path, subprocess.Popen[bytes]] = {}
"""Those of them that nobody has asked for yet, by their homes."""


def start(found: paths.Paths) -> subprocess.Popen[bytes]:
    """Start a daemon, or take the one that was started ahead. Raises DaemonUnavailable."""
    ahead = _ahead.pop(found.home, None)
    if ahead is not None and ahead.poll() is None:
        return ahead
    _started[:] = [process for process in _started if process.poll() is None]
    process = launch(found, "--idle-exit", str(IDLE_EXIT_S))
    if not _started:
        atexit.register(_let_go)
    _started.append(process)
    return process


def launch(found: paths.Paths, *options: str) -> subprocess.Popen[bytes]:
    """A daemon of this home as a process of its own. Raises DaemonUnavailable."""
    command = [sys.executable, "-m", "headway.daemon.main", "--home", str(found.home), *options]
    try:
        with os.fdopen(open_to_append(found.log), "ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=found.home,
                start_new_session=True,
            )
    except OSError as error:
        raise DaemonUnavailable(
            f"The daemon could not be started: {error}.", log=str(found.log)
        ) from error


def start_ahead(home: Path) -> None:
    """Start the daemon of a home, if nobody answers there, for who will want it in a moment.

    Never raises: what is wrong is found out, and said, by whoever wants it.
    """
    try:
        with socket.socket(socket.AF_UNIX) as listens:
            listens.connect(str(paths.socket_path(home)))
    except OSError:
        with contextlib.suppress(HeadwayError):
            _ahead[home] = start(paths.prepare(home))


def _let_go() -> None:
    """The daemons outlast us on purpose: the interpreter is not to warn of children left behind."""
    for process in _started:
        if process.returncode is None:
            process.returncode = 0
