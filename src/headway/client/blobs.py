"""Fetching blobs: the large parts of outputs, by the SHA-256 of their bytes.

Floor 5. A blob never changes, so it is read from the home's own folder where that is on this
machine; else (the daemon is reached by a relay) it is one HTTP GET on the daemon's Unix socket.
Either way it is bounded in size and checked against the hash that names it. What the bytes mean
and where they belong `mime` says.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h11

from headway.client.arguments import checked_text
from headway.core.document.forms import blobs_of, file_form
from headway.core.document.mime import resolve
from headway.edges.blobs import is_blob_id, read_blob
from headway.edges.paths import Paths
from headway.errors import (
    BadRequest,
    ConnectionFailed,
    ConnectionLost,
    DaemonUnavailable,
    RequestFailed,
)

__all__ = [
    "BLOB_TIMEOUT_S",
    "FETCH_LIMIT_BYTES",
    "MAX_BLOB_BYTES",
    "fetch_blob",
    "resolve_outputs",
]

MAX_BLOB_BYTES = 256 * 1024 * 1024
"""The largest blob that is fetched."""

BLOB_TIMEOUT_S = 30.0
"""How long one blob may take when the caller names no time-out."""

FETCH_LIMIT_BYTES = 64 * 1024 * 1024
"""Blobs put into one result; what is beyond stays as references."""

_READ_BYTES = 256 * 1024


async def fetch_blob(home: Paths, sha256: str) -> bytes:
    """The bytes of a blob of the daemon of this home.

    Raises DaemonUnavailable, ConnectionLost, BadRequest for what is no SHA-256, or RequestFailed
    for one that is absent, larger than `MAX_BLOB_BYTES`, or not what its name says.
    """
    if not is_blob_id(checked_text("sha256", sha256)):
        raise BadRequest(
            "`sha256` is the SHA-256 of the blob's bytes, in 64 hexadecimal digits (0-9, a-f).",
            field="sha256",
        )
    here = await asyncio.to_thread(read_blob, home.blobs, sha256, MAX_BLOB_BYTES)
    return here if here is not None else await _fetch(home.socket, sha256, MAX_BLOB_BYTES)


async def _fetch(socket: Path, sha256: str, max_bytes: int) -> bytes:
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError as error:
        raise DaemonUnavailable(f"No daemon answers on {socket}: {error}.") from error
    try:
        data = await _get(reader, writer, f"/blob/{sha256}", max_bytes)
    except (OSError, h11.ProtocolError) as error:
        raise ConnectionLost(f"The blob {sha256} did not arrive whole: {error}.") from error
    finally:
        writer.transport.abort()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RequestFailed(f"The blob {sha256} arrived damaged.", sha256=sha256)
    return data


async def resolve_outputs(
    home: Paths | None, outputs: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Outputs as nbformat writes them, with their blobs; what cannot be had stays a reference."""
    wanted = dict.fromkeys(filter(is_blob_id, blobs_of(outputs)))
    blobs: dict[str, bytes] = {}
    if home is not None and wanted:
        blobs = await asyncio.to_thread(_read, home.blobs, wanted, FETCH_LIMIT_BYTES)
        left = FETCH_LIMIT_BYTES - sum(map(len, blobs.values()))
        for sha256 in [each for each in wanted if each not in blobs]:
            if left <= 0:
                break
            try:
                blobs[sha256] = await _fetch(home.socket, sha256, left)
            except (RequestFailed, ConnectionFailed):
                continue
            left -= len(blobs[sha256])
    resolved: list[dict[str, Any]] = []
    for output in outputs:
        whole = all(sha256 in blobs for sha256 in blobs_of((output,)))
        resolved.append(resolve(file_form(output), blobs.__getitem__) if whole else output)
    return resolved


def _read(folder: Path, wanted: Iterable[str], max_bytes: int) -> dict[str, bytes]:
    """Those of the blobs that are whole in this folder, up to `max_bytes` of them together."""
    blobs: dict[str, bytes] = {}
    for sha256 in wanted:
        data = read_blob(folder, sha256, max_bytes)
        if data is not None:
            blobs[sha256] = data
            max_bytes -= len(data)
    return blobs


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, max_bytes: int
) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "localhost"), ("Connection", "close")]
    request = h11.Request(method="GET", target=target, headers=headers)
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    status = 0
    data = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            data += event.data
            if len(data) > max_bytes:
                raise RequestFailed(f"{target} is larger than {max_bytes} bytes.", limit=max_bytes)
        elif isinstance(event, h11.EndOfMessage):
            break
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionLost(f"The connection ended before {target} had arrived.")
    if status != 200:
        raise RequestFailed(f"The daemon has no {target} (HTTP status {status}).", status=status)
    return bytes(data)
