"""A daemon that certainly runs, for commands that need its socket and no notebook.

Floor 6. It starts one as the client does, with the same idle time, and connects to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.edges.paths import Paths

__all__ = ["ensure_daemon"]


def ensure_daemon(name: str) -> Paths:
    """The paths of this home, whose daemon listens now. Raises DaemonUnavailable.

    Args:
        name: Who asks, as the daemon shows it.
    """
    from headway.cli.ask import answers
    from headway.edges import paths

    found = paths.Paths.of(paths.home())
    if not answers(found.socket):
        import asyncio

        asyncio.run(_start(found, name))
    return found


async def _start(found: Paths, name: str) -> None:
    from headway.client.discovery import daemon_dial

    connection = await daemon_dial(found.home, name)(True)
    await connection.close()
