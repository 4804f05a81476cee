"""A WebSocket server on a Unix socket that merges what it gets and exports it again, then answers.

What an acknowledged edit costs at the least with this engine: one document, nothing checked,
nothing stored, nobody else told. As `echo_server` otherwise.

    python bench/merging_server.py SOCKET
"""

from __future__ import annotations

import sys

import loro
from websockets.asyncio.server import ServerConnection

from echo_server import run

ACKNOWLEDGEMENT = bytes(64)
"""About what one is as a frame."""


async def merge(peer: ServerConnection) -> None:
    document = loro.LoroDoc()  # type: ignore[no-untyped-call]
    async for message in peer:
        assert isinstance(message, bytes), "an update"
        before = document.oplog_vv
        document.import_(message)
        document.export(loro.ExportMode.Updates(before))
        await peer.send(ACKNOWLEDGEMENT)


if __name__ == "__main__":
    run(merge, sys.argv[1])
