"""A WebSocket server on a Unix socket that sends back what it gets: the floor of a round trip.

As the daemon's socket: no compression, and uvloop where that is installed.

    python bench/echo_server.py SOCKET
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, unix_serve


async def echo(peer: ServerConnection) -> None:
    async for message in peer:
        await peer.send(message)


async def serve(path: str) -> None:
    async with unix_serve(echo, path, compression=None, max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()


def main() -> None:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        asyncio.run(serve(sys.argv[1]))
    else:
        uvloop.run(serve(sys.argv[1]))


if __name__ == "__main__":
    main()
