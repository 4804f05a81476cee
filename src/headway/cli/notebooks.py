"""`headway notebooks`: what the daemon keeps, with what has no file any more.

Floor 6.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.terminal import say, say_json, short_path, table

if TYPE_CHECKING:
    from headway.core.wire.rpc import KnownNotebook

__all__ = ["notebooks"]


def notebooks(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List every notebook that was ever opened, the oldest first; some have no file any more."""
    from headway.cli.ask import ask
    from headway.cli.start import ensure_daemon
    from headway.core.wire.rpc import ListKnown

    known = ask(ensure_daemon("headway notebooks").socket, ListKnown()).notebooks
    found = [(each, each.path is not None and Path(each.path).exists()) for each in known]
    if as_json:
        say_json([_object(notebook, has_file=has_file) for notebook, has_file in found])
    elif not found:
        say("No notebook was ever opened here.")
    else:
        rows = [_row(notebook, has_file=has_file) for notebook, has_file in found]
        for line in table(("NOTEBOOK", "FILE", "OPEN", "ID"), rows):
            say(line)


def _object(notebook: KnownNotebook, *, has_file: bool) -> dict[str, Any]:
    return {
        "id": notebook.document,
        "path": notebook.path,
        "has_file": has_file,
        "is_open": notebook.is_open,
    }


def _row(notebook: KnownNotebook, *, has_file: bool) -> tuple[str, ...]:
    return (
        short_path(notebook.path),
        "yes" if has_file else "no",
        "yes" if notebook.is_open else "no",
        notebook.document,
    )
