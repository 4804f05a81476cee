"""The two ways to run a cell of a Jupyter document: by its client, or by its server."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any

from jupyter_nbmodel_client import NbModelClient

from jupyter_process import JupyterServer

__all__ = ["Refused", "ThroughTheClient", "ThroughTheServer", "until"]

LIMIT_S = 120.0
LOOK_EVERY_S = 0.0005


class Refused(Exception):
    """The server's copy of the cell was another one than the hash said, or none."""


class ThroughTheClient:
    """The documented call of jupyter-nbmodel-client: it blocks the loop until the cell ended."""

    def __init__(self, server: JupyterServer) -> None:
        from jupyter_kernel_client import JupyterKernelClient  # noqa: PLC0415 - only this kind

        self._kernel = JupyterKernelClient(server_url=server.url, token=server.token)
        self._kernel.start()

    async def run(self, notebook: NbModelClient, index: int, *, patient: bool = True) -> list[Any]:
        """Run a cell as that client sees it; gives its outputs."""
        del patient  # it never asks the server for the cell
        outputs: list[Any] = notebook.execute_cell(index, self._kernel, timeout=LIMIT_S)["outputs"]
        return outputs


class ThroughTheServer:
    """`POST /api/kernels/ID/execute`: the server checks the hash of its own copy."""

    def __init__(self, server: JupyterServer, path: str, room: str) -> None:
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        _, session = server.request("POST", "/api/sessions", body)
        self._path = f"/api/kernels/{session['kernel']['id']}/execute"
        self._server, self._room = server, room
        self._connection = server.connect()

    async def run(self, notebook: NbModelClient, index: int, *, patient: bool = True) -> list[Any]:
        """Run a cell as that client sees it; gives its outputs.

        A patient caller asks again until the server has the source. Raises Refused.
        """
        cell = notebook._doc.ycells[index]
        before = cell.get("execution_count")
        wanted = {"cell_id": str(cell["id"]), "source_hash": murmur_hash(str(cell["source"]))}
        body = {"document_id": self._room, "cells": [wanted]}
        until_s = time.monotonic() + LIMIT_S
        while True:
            status, _ = await asyncio.to_thread(
                self._server.request, "POST", self._path, body, self._connection
            )
            if status == 200:
                break
            if not patient or time.monotonic() > until_s:
                raise Refused(str(status))
            await asyncio.sleep(0.001)
        await until(
            lambda: (
                cell.get("execution_state") == "idle"
                and cell.get("execution_count") not in {None, before}
            )
        )
        return [each.to_py() if hasattr(each, "to_py") else each for each in cell["outputs"]]


def murmur_hash(source: str) -> str:
    """MurmurHash2 with seed 0, which jupyter-server-documents wants of a source."""
    data, factor = source.encode(), 0x5BD1E995
    whole = len(data) // 4
    value = len(data)
    for (word,) in struct.iter_unpack("<I", data[: whole * 4]):
        mixed = word * factor & 0xFFFFFFFF
        mixed = (mixed ^ mixed >> 24) * factor & 0xFFFFFFFF
        value = (value * factor & 0xFFFFFFFF) ^ mixed
    rest = data[whole * 4 :]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * factor & 0xFFFFFFFF
    value = (value ^ value >> 13) * factor & 0xFFFFFFFF
    return str(value ^ value >> 15)


async def until(is_true: Callable[[], bool]) -> None:
    """Wait until something is true; TimeoutError if it never becomes so."""
    until_s = time.monotonic() + LIMIT_S
    while not is_true():
        if time.monotonic() > until_s:
            raise TimeoutError(f"it did not come true within {LIMIT_S:.0f} s")
        await asyncio.sleep(LOOK_EVERY_S)
