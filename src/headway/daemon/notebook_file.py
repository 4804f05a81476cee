"""Writing a notebook's file: blobs put in their places, then bytes, then the disk.

Floor 5. What the notebook holds and when it is written is the room's decision.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from headway.core.document import mime, nbformat
from headway.core.room.effects import BlobReference, WriteFile
from headway.core.room.inputs import FileWriteFailed, FileWritten
from headway.edges.ports import Blobs, Files
from headway.errors import FileError, FileNotWritable, HeadwayError

__all__ = ["write_notebook"]


async def write_notebook(
    effect: WriteFile, files: Files, blobs: Blobs
) -> FileWritten | FileWriteFailed:
    """Do what the effect says; the answer is the input for the room. Raises nothing of ours."""
    try:
        found = await _collect_blobs(effect, blobs)
        current = await files.read(effect.path)
        like = None if current is None else current.content
        content = await asyncio.to_thread(_render, effect.notebook, found, like)
        changed = await files.replace(effect.path, content, effect.expected_sha256)
    except HeadwayError as error:
        return FileWriteFailed(effect.token, error)
    except (OSError, ValueError, RecursionError) as error:
        sentence = f"The notebook could not be written to {effect.path}: {error}"
        return FileWriteFailed(effect.token, FileNotWritable(sentence, path=effect.path))
    sha256 = hashlib.sha256(content).hexdigest()
    return FileWritten(effect.token, effect.path, sha256, changed, content)


async def _collect_blobs(effect: WriteFile, blobs: Blobs) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for reference in _references(effect.notebook):
        if reference.sha256 in found:
            continue
        data = await blobs.get(reference.sha256)
        if data is None:
            raise FileError(
                f"The file {effect.path} was not written: an output of the notebook "
                f"(blob {reference.sha256[:12]}) is missing from the store. Run its cell again.",
                path=effect.path,
                sha256=reference.sha256,
            )
        found[reference.sha256] = data
    return found


def _references(notebook: dict[str, Any]) -> list[BlobReference]:
    references: list[BlobReference] = []
    pending: list[Any] = [notebook]
    while pending:
        value = pending.pop()
        if isinstance(value, BlobReference):
            references.append(value)
        elif isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
    return references


def _render(notebook: dict[str, Any], found: dict[str, bytes], like: bytes | None) -> bytes:
    return nbformat.serialize(_resolved(notebook, found), like)


def _resolved(value: Any, found: dict[str, bytes]) -> Any:
    if isinstance(value, BlobReference):
        return mime.decode_blob(value.media_type, found[value.sha256])
    if isinstance(value, dict):
        return {key: _resolved(part, found) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(part, found) for part in value]
    return value
