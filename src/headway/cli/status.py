"""`headway ps`, `headway status` and `headway stop`: what runs, and its end.

Floor 6. None of them starts a daemon.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.terminal import plain, say, say_json, short_path, table

if TYPE_CHECKING:
    from headway.core.wire.rpc import NotebookSummary

__all__ = ["STOP_TIMEOUT_S", "ps", "status", "stop"]

STOP_TIMEOUT_S = 15.0
"""How long a daemon may take from the request to its end."""

_LOOK_EVERY_S = 0.02

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def ps(as_json: Json = False) -> None:
    """List the open notebooks: their file, kernel, cells, queue and peers."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import List
    from headway.edges import paths
    from headway.errors import DaemonUnavailable

    try:
        notebooks = ask(paths.socket_path(paths.home()), List()).notebooks
    except DaemonUnavailable:
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

    home = paths.home()
    try:
        found = ask(paths.socket_path(home), Status())
    except DaemonUnavailable as error:
        if as_json:
            say_json({"running": False, "home": str(home)})
        else:
            say(f"No daemon runs for {home}. It starts when a notebook is opened.")
        raise typer.Exit(1) from error
    if as_json:
        import msgspec

        say_json({"running": True, **msgspec.to_builtins(found)})
        return
    shown: dict[str, Any] = {
        "process": f"{found.pid}, up {_duration(time.time() - found.started_s)}",
        "version": found.version,
        "home": found.home,
        "socket": found.socket,
        "http": found.http or "not served (headway serve --http 127.0.0.1:8000)",
        "notebooks": found.notebooks,
        "kernels": found.kernels,
        "peers": found.peers,
    }
    for name, value in shown.items():
        say(f"{name:<10} {value}")
    for notice in found.notices:
        say(f"{'notice':<10} {plain(notice)}")


def stop(as_json: Json = False) -> None:
    """Save everything, shut the kernels down and end the daemon; wait until it has ended."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import Stop
    from headway.edges import paths
    from headway.errors import DaemonUnavailable

    found = paths.Paths.of(paths.home())
    try:
        pid = ask(found.socket, Stop()).pid
    except DaemonUnavailable:
        pid = None
    else:
        _wait_for_end(found)
    if as_json:
        say_json({"stopped": pid is not None, "pid": pid})
    else:
        say("No daemon runs." if pid is None else f"The daemon (process {pid}) has ended.")


def _wait_for_end(found: Any) -> None:
    """Wait until nobody holds the home's lock: then the daemon has written all it will."""
    from headway.edges.lock import owner_pid
    from headway.errors import DeadlineExceeded

    give_up_s = time.monotonic() + STOP_TIMEOUT_S
    while (owner := owner_pid(found.lock)) is not None:
        if time.monotonic() > give_up_s:
            raise DeadlineExceeded(
                f"The daemon (process {owner}) was told to end and still runs after "
                f"{STOP_TIMEOUT_S:.0f} s; look at {found.log}.",
                pid=owner,
            )
        time.sleep(_LOOK_EVERY_S)


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
