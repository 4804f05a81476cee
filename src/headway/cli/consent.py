"""Consent to an installation: asked of a person at a terminal, or given with `--install`.

Floor 6.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headway.errors import InstallationNeeded

__all__ = ["INSTALL_TIMEOUT_S", "Environment", "Install", "with_consent"]

_QUESTION = "Install it? [y/N]: "
_YES = frozenset({"y", "yes"})

INSTALL_TIMEOUT_S = 1900.0
"""How long a command waits for a kernel when something may be installed first."""

Environment = Annotated[
    str | None,
    typer.Option("--environment", metavar="PATH", help="Run in the virtual environment there."),
]
Install = Annotated[
    bool, typer.Option("--install", help="Install what the environment lacks, without a question.")
]


async def with_consent(
    start: Callable[[bool], Awaitable[Any]],
    *,
    install: bool,
    aside: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Any:
    """`start(install)`; if something must be installed, a person is asked, and it is done again.

    `aside` is entered while the person is asked. Raises InstallationNeeded when nobody consents.
    """
    from headway.errors import InstallationNeeded

    try:
        return await start(install)
    except InstallationNeeded as error:
        if install or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        with aside():
            is_consented_to = await _is_consented_to(error)
        if not is_consented_to:
            raise
    return await start(True)


async def _is_consented_to(needed: InstallationNeeded) -> bool:
    from headway.cli.answering import read_line
    from headway.cli.terminal import plain

    where = needed.data.get("into") or "an environment of its own"
    lines = [f"This would be installed into {plain(str(where))}:"]
    lines += [f"  {plain(str(each))}" for each in needed.data.get("requirements", ())]
    if python := needed.data.get("requires_python"):
        lines.append(f"  Python {plain(str(python))}, if none that fits is here")
    sys.stderr.write("\n".join(lines) + "\n")
    import asyncio

    try:
        answer = await read_line(sys.stdin.fileno(), _QUESTION, sys.stderr)
    except asyncio.CancelledError:
        sys.stderr.write("\n")  # whatever was typed stands on the line
        raise
    return answer.strip().casefold() in _YES
