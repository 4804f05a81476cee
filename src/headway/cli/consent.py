"""Consent to an installation: asked of a person at a terminal, or given with `--install`.

Floor 6.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headway.errors import InstallationNeeded

__all__ = ["INSTALL_TIMEOUT_S", "Environment", "Install", "with_consent"]

INSTALL_TIMEOUT_S = 1900.0
"""How long a command waits for a kernel when something may be installed first."""

Environment = Annotated[
    str | None,
    typer.Option("--environment", metavar="PATH", help="Run in the virtual environment there."),
]
Install = Annotated[
    bool, typer.Option("--install", help="Install what the environment lacks, without a question.")
]


async def with_consent(start: Callable[[bool], Awaitable[Any]], *, install: bool) -> Any:
    """`start(install)`; if something must be installed, a person is asked, and it is done again.

    Raises InstallationNeeded when nobody consents.
    """
    from headway.errors import InstallationNeeded

    try:
        return await start(install)
    except InstallationNeeded as error:
        if install or not _is_consented_to(error):
            raise
    return await start(True)


def _is_consented_to(needed: InstallationNeeded) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from headway.cli.terminal import plain

    where = needed.data.get("into") or "an environment of its own"
    lines = [f"This would be installed into {plain(str(where))}:"]
    lines += [f"  {plain(str(each))}" for each in needed.data.get("requirements", ())]
    if python := needed.data.get("requires_python"):
        lines.append(f"  Python {plain(str(python))}, if none that fits is here")
    typer.echo("\n".join(lines), err=True)
    return typer.confirm("Install it?", err=True)
