"""`headway open`: have the daemon open a notebook, and say what it is.

Floor 6.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headway.cli.terminal import complain_of, plain, say, say_json

__all__ = ["AcceptFile", "open_notebook"]

AcceptFile = Annotated[
    bool,
    typer.Option(
        "--accept-file", help="Take the file's version, even if most of the notebook goes."
    ),
]


def open_notebook(
    notebook: Annotated[
        str, typer.Argument(metavar="NOTEBOOK", help="The .ipynb to open; made if absent.")
    ],
    kernel: Annotated[
        str | None, typer.Option("--kernel", metavar="NAME", help="Start this kernel too.")
    ] = None,
    accept_file: AcceptFile = False,
    document: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="Write the notebook of this id there first; `headway notebooks` has the ids.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Open a notebook in the daemon, which is started if needed, and print what it is."""
    from headway.client.sync import open as open_sync

    if document is not None:
        _write_to(notebook, document)
    with open_sync(notebook, kernel=kernel, name="headway open", accept_file=accept_file) as opened:
        complain_of(opened)
        if opened.path is not None and not Path(opened.path).exists():
            opened.save()
        found = {
            "id": opened.id,
            "path": opened.path,
            "cells": len(opened.cells),
            "kernel": opened.kernel.get("name"),
            "status": opened.kernel.get("status"),
        }
    if as_json:
        say_json(found)
        return
    for name, value in found.items():
        say(f"{name:<7} {'-' if value is None else plain(str(value))}")


def _write_to(named: str, document: str) -> None:
    """Make `named` the file of a notebook that the daemon keeps."""
    from headway.cli.ask import ask
    from headway.cli.start import ensure_daemon
    from headway.core.wire.rpc import Save
    from headway.edges.notebook_path import notebook_path

    socket = ensure_daemon("headway open").socket
    ask(socket, Save(document=document, path=notebook_path(named)))
