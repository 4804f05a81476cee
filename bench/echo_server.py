"""A WebSocket server on a Unix socket that sends back what it gets: the floor of a round trip.

As the daemon's socket: no compression, and uvloop where that is installed.

    python bench/echo_server.py SOCKET
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from websockets.asyncio.server import ServerConnection, unix_serve

Answering = Callable[[ServerConnection], Awaitable[None]]


async def echo(peer: ServerConnection) -> None:
    async for message in peer:
        await peer.send(message)


async def serve(answering: Answering, path: str) -> None:
    async with unix_serve(answering, path, compression=None, max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()


def run(answering: Answering, path: str) -> None:
    """Serve each connection with `answering` until the process is ended."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        asyncio.run(serve(answering, path))
    else:
        uvloop.run(serve(answering, path))


if __name__ == "__main__":
    run(echo, sys.argv[1])
