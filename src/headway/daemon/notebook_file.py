"""A notebook's file on the disk: written (blobs in their places, then bytes), and read.

Floor 5. What the notebook holds and when it is written is the room's decision.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from headway.core.document import mime, nbformat
from headway.core.room.effects import ReadFile, WriteFile
from headway.core.room.inputs import FileSeen, FileUnseen, FileWriteFailed, FileWritten
from headway.edges.ports import Blobs, Files
from headway.errors import FileError, FileNotWritable, HeadwayError

__all__ = ["Note", "read_notebook", "write_notebook"]

Note = Callable[[str, bytes], Awaitable[None]]


async def write_notebook(
    effect: WriteFile, files: Files, blobs: Blobs, note: Note
) -> FileWritten | FileWriteFailed:
    """Do what the effect says; the answer is the input for the room. Raises nothing of ours.

    `note` makes the SHA-256 and the bytes that the file is about to hold durable.
    """
    try:
        found = await _collect_blobs(effect, blobs)
        current = await files.read(effect.path)
        like = None if current is None else current.content
        content = await asyncio.to_thread(_render, effect.notebook, found, like)
        sha256 = hashlib.sha256(content).hexdigest()
        if content != like:
            await note(sha256, content)
        changed = await files.replace(effect.path, content, effect.expected_sha256)
    except HeadwayError as error:
        return FileWriteFailed(effect.token, error)
    except (OSError, ValueError, RecursionError) as error:
        sentence = f"The notebook could not be written to {effect.path}: {error}"
        return FileWriteFailed(effect.token, FileNotWritable(sentence, path=effect.path))
    return FileWritten(effect.token, effect.path, sha256, changed, content)


async def read_notebook(effect: ReadFile, files: Files) -> FileSeen | FileUnseen:
    """Do what the effect says; the answer is the input for the room. Raises nothing of ours."""
    try:
        found = await files.read(effect.path)
    except HeadwayError as error:
        return FileUnseen(effect.token, error)
    if found is None:
        return FileSeen(effect.token, None, None)
    return FileSeen(effect.token, found.content, found.sha256)


async def _collect_blobs(effect: WriteFile, blobs: Blobs) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for sha256 in _blobs_in(effect.notebook):
        if sha256 in found:
            continue
        data = await blobs.get(sha256)
        if data is None:
            raise FileError(
                f"The file {effect.path} was not written: an output of the notebook "
                f"(blob {sha256[:12]}) is missing from the store. Run its cell again.",
                path=effect.path,
                sha256=sha256,
            )
        found[sha256] = data
    return found


def _blobs_in(notebook: dict[str, Any]) -> list[str]:
    names: list[str] = []
    pending: list[Any] = [notebook]
    while pending:
        match pending.pop():
            case mime.BlobPart(sha256):
                names.append(sha256)
            case mime.JoinedText(parts):
                pending.extend(parts)
            case dict() as members:
                pending.extend(members.values())
            case list() | tuple() as items:
                pending.extend(items)
            case _:
                pass
    return names


def _render(notebook: dict[str, Any], found: dict[str, bytes], like: bytes | None) -> bytes:
    return nbformat.serialize(mime.resolve(notebook, found.__getitem__), like)
