"""The daemon's HTTP interface, as a program uses it that was told a cell's id and the heads."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import time
from pathlib import Path

import headway
from headway.ids import execution_id

__all__ = ["Api"]


class Api:
    """One kept connection over the daemon's socket."""

    def __init__(self, path: Path) -> None:
        self._connection = http.client.HTTPConnection("localhost")
        self._connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.sock.connect(str(path))

    async def execute(self, document: str, cell: str, heads: str) -> str:
        identity = execution_id(time.time(), os.urandom)
        body = {
            "document": document,
            "required_heads": heads,
            "cell_id": cell,
            "execution_id": identity,
        }
        await asyncio.to_thread(self._post, "execute", body)
        return identity

    def _post(self, method: str, body: dict[str, str]) -> None:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", f"/api/v1/{method}", json.dumps(body), headers)
        response = self._connection.getresponse()
        said = response.read()
        if response.status != 200:
            raise headway.RequestFailed(said.decode())

    def close(self) -> None:
        self._connection.close()
