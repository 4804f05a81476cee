"""A notebook file's content, whole in memory: written and read as the daemon does it in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from headway.core.document.file_image import named_sha256
from headway.core.document.nbformat import FileScan, FileWriting
from headway.edges.ports import Files

__all__ = ["got", "image", "put", "serialize", "written"]


async def put(files: Files, path: str, content: bytes, expected_sha256: str | None) -> bool:
    """Have a file replaced, whatever its content is; whether it was changed."""

    async def ready(sha256: str) -> bool:
        assert sha256 == hashlib.sha256(content).hexdigest()
        return True

    halves = [content[: len(content) // 2], content[len(content) // 2 :]]
    state = await files.replace(path, halves, expected_sha256, ready)
    assert state.sha256 == hashlib.sha256(content).hexdigest()
    return state.changed


async def got(files: Files, path: str) -> bytes | None:
    """The file's bytes; None if there is none."""
    pieces: list[bytes] = []
    sha256 = await files.read(path, pieces.append)
    assert sha256 in (None, hashlib.sha256(b"".join(pieces)).hexdigest())
    return None if sha256 is None else b"".join(pieces)


def _no_blob(sha256: str) -> bytes:
    raise AssertionError(f"nobody stored {sha256}")


def written(
    notebook: dict[str, Any],
    like: bytes | None = None,
    load: Callable[[str], bytes] = _no_blob,
    there: bytes | None = None,
) -> tuple[bytes, bytes]:
    """The bytes of a file with the notebook in it, and their image.

    They are those that are `there`, if `like` is of them and they say the same.
    """
    writing = FileWriting(notebook, like, load)
    content = b"".join(writing.pieces())
    image = writing.image(hashlib.sha256(content).hexdigest())
    if like is None or there is None or named_sha256(like) != named_sha256(there):
        return content, image
    return (there, like) if writing.says_the_same else (content, image)


def serialize(notebook: dict[str, Any], like: bytes | None = None) -> bytes:
    """The bytes of a file with the notebook in it, `like` if they say the same."""
    return written(notebook, like, there=like)[0]


def image(content: bytes, blobs: dict[str, bytes] | None = None, piece_bytes: int = 2**18) -> bytes:
    """The image of a file; what it refers to goes into `blobs`."""
    scan = FileScan()
    stored = {} if blobs is None else blobs
    for start in range(0, len(content), piece_bytes):
        stored.update(scan.feed(content[start : start + piece_bytes]))
    stored.update(scan.end())
    return scan.image(hashlib.sha256(content).hexdigest())
