"""`headway serve`: a daemon that stays, and listens for browsers when asked to.

Floor 6, and the one command that stands on the daemon. Programs need no `serve`: their client
starts a daemon by itself. This one does not end when idle.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.exit_statuses import EXIT_FAILED
from headway.cli.terminal import complain, say

if TYPE_CHECKING:
    import subprocess

    from headway.core.wire.rpc import DaemonStatus
    from headway.edges.paths import Paths

__all__ = ["START_TIMEOUT_S", "serve"]

START_TIMEOUT_S = 30.0
"""How long a daemon may take from its start to its first answer."""

_LOOK_EVERY_S = 0.02


def serve(
    http: Annotated[
        str | None,
        typer.Option(
            "--http", metavar="[HOST:]PORT", help="Listen for browsers too, on this machine only."
        ),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay in this terminal; Ctrl-C ends the daemon.")
    ] = False,
) -> None:
    """Start a daemon that stays until `headway stop`, and print where it listens."""
    from headway.edges import paths
    from headway.edges.lock import owner_pid
    from headway.errors import AlreadyRunning

    if http is not None:
        _check_address(http)
    _check_log_level()
    found = paths.prepare(paths.home())
    pid = owner_pid(found.lock)
    if pid is not None:
        raise AlreadyRunning(
            f"A daemon runs for {found.home} already (process {pid}). "
            "Use it, or end it first with: headway stop",
            pid=pid,
        )
    options = [] if http is None else ["--http", http]
    if foreground:
        raise typer.Exit(_here(found, options))
    for line in _where(found, _start(found, options)):
        say(line)


def _check_address(http: str) -> None:
    """Find out before a daemon is started. Raises BadRequest; DaemonUnavailable: it is taken."""
    from headway.daemon.server import bind_tcp
    from headway.errors import BadRequest, DaemonUnavailable

    try:
        bind_tcp(http).close()
    except DaemonUnavailable as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise BadRequest(str(error)) from error


def _check_log_level() -> None:
    from headway.daemon.log import LEVELS, LOG_LEVEL_VARIABLE
    from headway.errors import BadRequest

    level = os.environ.get(LOG_LEVEL_VARIABLE, "").strip().lower()
    if level and level not in LEVELS:
        raise BadRequest(f"{LOG_LEVEL_VARIABLE} must be one of {', '.join(LEVELS)}; it is {level}.")


def _here(found: Paths, options: list[str]) -> int:
    from headway.daemon.main import main

    say(f"Serving {found.home}; Ctrl-C ends it, `headway logs -f` shows its log.")
    # What it says on its end is said as every command says it; the rest goes to the log.
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = main(["--home", str(found.home), *options])
    for line in said.getvalue().splitlines():
        complain(line)
    return min(status, EXIT_FAILED)


def _start(found: Paths, options: list[str]) -> DaemonStatus:
    from headway.cli.ask import ask
    from headway.client.starting import launch
    from headway.core.wire.rpc import Status
    from headway.errors import DaemonUnavailable

    begun_at = found.log.stat().st_size if found.log.exists() else 0
    process = launch(found, *options)
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            answer: DaemonStatus = ask(found.socket, Status())
        except DaemonUnavailable:
            if process.poll() is not None:
                raise _failed(found, process, begun_at) from None
            if time.monotonic() > give_up_s:
                raise
        else:
            return answer
        time.sleep(_LOOK_EVERY_S)


def _failed(found: Paths, process: subprocess.Popen[bytes], begun_at: int) -> Exception:
    from headway.errors import DaemonUnavailable

    said = found.log.read_bytes()[begun_at:].decode("utf-8", "replace").strip()
    last = said.rpartition("\n")[2] or f"exit status {process.returncode}."
    return DaemonUnavailable(
        f"The daemon could not be started: {last} Its log is {found.log}.", log=str(found.log)
    )


def _where(found: Paths, status: DaemonStatus) -> list[str]:
    from headway.daemon.main import TOKEN_FILE

    lines = [f"The daemon runs (process {status.pid}) and listens on {status.socket}"]
    if status.http is not None:
        lines.append(f"and on {status.http}; its token is in {found.home / TOKEN_FILE}")
    return lines
