"""`headway ps`, `headway status` and `headway stop`: what runs, and its end.

Floor 6. None of them starts a daemon.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.exit_statuses import EXIT_FAILED
from headway.cli.terminal import complain, plain, say, say_json, short_path, table

if TYPE_CHECKING:
    from headway.core.wire.rpc import NotebookSummary, Notice, Stopping
    from headway.edges.paths import Paths
    from headway.errors import DaemonUnavailable

__all__ = ["STOP_TIMEOUT_S", "ps", "status", "stop"]

STOP_TIMEOUT_S = 15.0
"""How long a daemon may take from the request to its end."""

UNREACHABLE_S = 5.0
"""How long a daemon may be without a socket while it starts or ends by itself."""

_LOOK_TIMEOUT_S = 5.0
_LOOK_EVERY_S = 0.02

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def ps(as_json: Json = False) -> None:
    """List the open notebooks: their file, kernel, cells, queue and peers."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import List
    from headway.edges import paths
    from headway.errors import DaemonUnavailable

    found = paths.Paths.of(paths.home())
    try:
        notebooks = ask(found.socket, List(timeout_s=_LOOK_TIMEOUT_S)).notebooks
    except DaemonUnavailable as error:
        if (pid := _owner(found)) is not None:
            raise _deaf(found, pid) from error
        notebooks = []
    if as_json:
        import msgspec

        say_json(msgspec.to_builtins(notebooks))
    elif not notebooks:
        say("No notebook is open.")
    else:
        titles = ("NOTEBOOK", "KERNEL", "STATUS", "CELLS", "QUEUED", "PEERS", "SAVED", "ID")
        for line in table(titles, map(_row, notebooks)):
            say(line)


def status(as_json: Json = False) -> None:
    """Show whether a daemon runs and how it is; the exit status is 1 if none runs."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import Status
    from headway.edges import paths
    from headway.errors import DaemonUnavailable

    found = paths.Paths.of(paths.home())
    try:
        answer = ask(found.socket, Status(timeout_s=_LOOK_TIMEOUT_S))
    except DaemonUnavailable as error:
        pid = _owner(found)
        if as_json:
            who = {} if pid is None else {"pid": pid}
            say_json({"running": pid is not None, "home": str(found.home), **who})
        elif pid is None:
            say(f"No daemon runs for {found.home}. It starts when a notebook is opened.")
        if pid is not None:
            raise _deaf(found, pid) from error
        raise typer.Exit(EXIT_FAILED) from error
    if as_json:
        import msgspec

        say_json({"running": True, **msgspec.to_builtins(answer)})
        return
    shown: dict[str, Any] = {
        "process": f"{answer.pid}, up {_duration(time.time() - answer.started_s)}",
        "version": answer.version,
        "home": answer.home,
        "socket": answer.socket,
        "http": answer.http or "not served (headway serve --http 127.0.0.1:8000)",
        "notebooks": answer.notebooks,
        "kernels": answer.kernels,
        "peers": answer.peers,
    }
    for name, value in shown.items():
        say(f"{name:<10} {value}")
    for notice in answer.notices:
        say(f"{'notice':<10} {plain(notice)}")


def stop(as_json: Json = False) -> None:
    """Save everything, shut the kernels down and end the daemon; wait until it has ended.

    The exit status is 1 if a notebook could not be saved to its file.
    """
    from headway.edges import paths

    found = paths.Paths.of(paths.home())
    told = _tell_to_end(found)
    if told is not None:
        _wait_for_end(found, told.pid)
        for notice in told.unsaved:
            _complain_of_unsaved(notice)
    if as_json:
        import msgspec

        unsaved = [] if told is None else msgspec.to_builtins(told.unsaved)
        pid = None if told is None else told.pid
        say_json({"stopped": told is not None, "pid": pid, "unsaved": unsaved})
    else:
        say("No daemon runs." if told is None else f"The daemon (process {told.pid}) has ended.")
    if told is not None and told.unsaved:
        raise typer.Exit(EXIT_FAILED)


def _owner(found: Paths) -> int | None:
    from headway.edges.lock import owner_pid

    return owner_pid(found.lock)


def _deaf(found: Paths, pid: int) -> DaemonUnavailable:
    from headway.errors import DaemonUnavailable

    return DaemonUnavailable(
        f"The daemon of {found.home} (process {pid}) runs and does not listen on {found.socket}: "
        "it is starting or ending, or its socket was removed. If that lasts, end it with: "
        "headway stop",
        pid=pid,
    )


def _tell_to_end(found: Paths) -> Stopping | None:
    """Have the daemon end, and give what it says; None when none runs.

    One that listens no more is ending already, because of somebody else's `stop`, or it is just
    starting. One that has no socket for long can be told by a signal only.
    """
    from headway.cli.ask import ask
    from headway.core.wire.rpc import Stop, Stopping
    from headway.errors import ConnectionLost, DaemonUnavailable

    told: Stopping | None = None
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < STOP_TIMEOUT_S:
        try:
            answer: Stopping = ask(found.socket, Stop())
        except (DaemonUnavailable, ConnectionLost):
            pid = _owner(found)
            if pid is None or (told is not None and pid != told.pid):
                return told  # it has ended; another one is not what was to end
            told = Stopping(pid=pid)
        else:
            return answer
        if time.monotonic() - begun_s > UNREACHABLE_S and not found.socket.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            return told
        time.sleep(_LOOK_EVERY_S)
    return told


def _wait_for_end(found: Paths, pid: int) -> None:
    """Wait until it holds the home's lock no more: then the daemon has written all it will."""
    from headway.errors import DeadlineExceeded

    give_up_s = time.monotonic() + STOP_TIMEOUT_S
    while _owner(found) == pid:
        if time.monotonic() > give_up_s:
            raise DeadlineExceeded(
                f"The daemon (process {pid}) was told to end and still runs after "
                f"{STOP_TIMEOUT_S:.0f} s; look at {found.log}.",
                pid=pid,
            )
        time.sleep(_LOOK_EVERY_S)


def _complain_of_unsaved(notice: Notice) -> None:
    path = short_path(notice.data.get("path"))
    complain(f"{path} was not saved; what it lacks is kept in the daemon's store. {notice.message}")


def _row(notebook: NotebookSummary) -> tuple[str, ...]:
    return (
        short_path(notebook.path),
        notebook.kernel.name or "-",
        notebook.kernel.status,
        str(notebook.cells),
        str(notebook.queued),
        str(notebook.peers),
        "yes" if notebook.saved else "no",
        notebook.document,
    )


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    named = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(named[:2]) or "0 s"
