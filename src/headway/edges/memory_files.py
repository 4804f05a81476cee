"""Blobs and notebook files in memory, for tests and simulated worlds. Part of `memory`.

Floor 4. Each passes the conformance suite of the real thing (`tests/edges`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path

from headway.edges.blobs import check_blob, is_blob_id
from headway.edges.files_errors import changed_elsewhere, no_folder
from headway.edges.ports import FileState
from headway.errors import FileError

__all__ = ["MemoryBlobs", "MemoryFiles"]


class MemoryBlobs:
    """Blobs in a dictionary, `contents`; a test may damage or remove them there."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    async def put(self, sha256: str, data: bytes) -> None:
        """Store `data`; durable on return."""
        self.put_now(sha256, data)

    def put_now(self, sha256: str, data: bytes) -> None:
        """`put` for a caller that is no coroutine."""
        check_blob(sha256, data)
        self.contents[sha256] = data

    async def get(self, sha256: str) -> bytes | None:
        """The bytes, or None, also when they do not match their name."""
        return self.get_now(sha256)

    def get_now(self, sha256: str) -> bytes | None:
        """`get` for a caller that is no coroutine."""
        data = self.contents.get(sha256) if is_blob_id(sha256) else None
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            return None
        return data

    async def size(self, sha256: str) -> int | None:
        """The length in bytes, or None."""
        return len(self.contents[sha256]) if sha256 in self.contents else None

    async def unused_since(self, before_s: float) -> frozenset[str]:
        """None: all were put by this process."""
        del before_s
        return frozenset()

    async def remove(self, blobs: Collection[str], before_s: float) -> int:
        """None can be removed."""
        del blobs, before_s
        return 0


class MemoryFiles:
    """Files in a dictionary, `contents`; `refusals` maps a path to the error it answers with.

    Every folder is there but those of `missing_folders`.
    """

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.refusals: dict[str, FileError] = {}
        self.missing_folders: set[str] = set()

    async def read(self, path: str, take: Callable[[bytes], None]) -> str | None:
        """Give the file's bytes to `take`, and their SHA-256; None if there is none."""
        self._refuse(path)
        content = self.contents.get(path)
        if content is None:
            return None
        take(content)
        return hashlib.sha256(content).hexdigest()

    async def check_folder(self, path: str) -> None:
        """Raise FolderNotFound when the folder is not there that a file at `path` would be in."""
        if str(Path(path).parent) in self.missing_folders:
            raise no_folder(path)

    async def replace(
        self,
        path: str,
        content: Iterable[bytes],
        expected_sha256: str | None,
        ready: Callable[[str], Awaitable[bool]],
    ) -> FileState:
        """Make the file hold `content`."""
        self._refuse(path)
        new = b"".join(content)
        sha256 = hashlib.sha256(new).hexdigest()
        current = self.contents.get(path)
        if current == new:
            return FileState(sha256, changed=False)
        self._compare(path, expected_sha256)
        if not await ready(sha256):
            assert expected_sha256 is not None, "what is not there says nothing"
            return FileState(expected_sha256, changed=False)
        self._compare(path, expected_sha256)
        self.contents[path] = new
        return FileState(sha256, changed=True)

    def _compare(self, path: str, expected_sha256: str | None) -> None:
        current = self.contents.get(path)
        found = None if current is None else hashlib.sha256(current).hexdigest()
        if found != expected_sha256:
            raise changed_elsewhere(path, found)

    def _refuse(self, path: str) -> None:
        if path in self.refusals:
            error = self.refusals[path]
            raise type(error)(error.message, **error.data)
