"""Large values of outputs and widgets, fetched from the daemon when somebody wants them.

Floor 5. A part of `aio.AsyncNotebook`.
"""

# ruff: noqa: ASYNC109 - `timeout` is the face: one deadline for the whole of a call

from __future__ import annotations

import asyncio
from typing import Any

from headway.client.arguments import checked_object, checked_timeout
from headway.client.blobs import BLOB_TIMEOUT_S, fetch_blob, resolve_outputs
from headway.client.local import LocalNotebook
from headway.edges.paths import Paths
from headway.errors import DeadlineExceeded, UnknownMethod

__all__ = ["AsyncFetching"]


class AsyncFetching(LocalNotebook):
    """An open notebook whose documents refer to blobs."""

    _home: Paths | None

    async def fetch_output(
        self, output: dict[str, Any], *, timeout: float = BLOB_TIMEOUT_S
    ) -> dict[str, Any]:
        """An output of a cell or event as nbformat writes it, with its large values.

        What cannot be had stays a reference. Raises DeadlineExceeded.
        """
        form = checked_object("output", output)
        try:
            async with asyncio.timeout(checked_timeout(timeout)):
                return (await resolve_outputs(self._home, [form]))[0]
        except TimeoutError as error:
            raise DeadlineExceeded("The values of an output did not arrive in time.") from error

    async def fetch_blob(self, sha256: str, *, timeout: float = BLOB_TIMEOUT_S) -> bytes:
        """The bytes that a reference `{"blob": sha256, ...}` stands for."""
        if self._home is None:
            raise UnknownMethod("This server only synchronises documents; it has no blobs.")
        try:
            async with asyncio.timeout(checked_timeout(timeout)):
                return await fetch_blob(self._home, sha256)
        except TimeoutError as error:
            raise DeadlineExceeded(f"The blob {sha256} did not arrive in time.") from error
