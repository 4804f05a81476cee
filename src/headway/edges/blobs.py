"""Content-addressed files: bytes kept under the SHA-256 of themselves.

Floor 4, implements `ports.Blobs`. The blob `abcd...` is the file `ab/cd...`; what is being
written is in `incoming`, in the same file system, and what a crash left there is removed when
the folder is opened (one process owns it: see `lock`). A blob whose bytes do not match its name
is moved into `quarantine` when it is read. A media type is no part of a blob: it
belongs to the reference, so nobody can change how somebody else's bytes are shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import string
import tempfile
import threading
from collections.abc import Collection
from pathlib import Path

from headway.edges.folders import sync_folder
from headway.errors import StoreError, StoreFailed

__all__ = ["FileBlobs", "check_blob", "is_blob_id", "quarantined_blobs", "read_blob"]

ID_CHARACTERS = 64
"""A SHA-256 in hexadecimal digits."""

_SHARD_CHARACTERS = 2
_REMEMBERED = 100_000
_QUARANTINE = "quarantine"

_log = logging.getLogger("headway.blobs")

_DIGITS = frozenset(string.digits + "abcdef")


def is_blob_id(text: str) -> bool:
    """Whether `text` is 64 lower-case hexadecimal digits, and so safe in a path or a URL."""
    return len(text) == ID_CHARACTERS and _DIGITS.issuperset(text)


def check_blob(sha256: str, data: bytes) -> None:
    """Raise StoreError unless `sha256` is the name of `data`."""
    if not is_blob_id(sha256) or hashlib.sha256(data).hexdigest() != sha256:
        raise StoreError(
            f"{sha256[:80]!a} is not the SHA-256 of the {len(data)} bytes it was given for.",
            sha256=ascii(sha256[:80]),
        )


def quarantined_blobs(root: Path) -> int:
    """How many blobs in the folder `root` were ever found damaged and put aside."""
    try:
        return sum(1 for _ in (root / _QUARANTINE).iterdir())
    except OSError:
        return 0


def read_blob(root: Path, sha256: str, max_bytes: int) -> bytes | None:
    """A blob of the folder `root`, for whoever is not its process. May block.

    None for one that is not there, is longer than `max_bytes`, or is not what its name says.
    """
    if not is_blob_id(sha256):
        return None
    try:
        with _path(root, sha256).open("rb") as file:
            if os.fstat(file.fileno()).st_size > max_bytes:
                return None
            data = file.read()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


class FileBlobs:
    """The blobs in the folder `root`, which is made if need be. One process at a time.

    Opening it is quick but touches the disk. Raises StoreFailed when the folder cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._durable_folders: set[Path] = set()
        self._using = threading.Lock()
        self._put_here: dict[str, None] = {}
        try:
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            for leftover in self._incoming.iterdir():
                leftover.unlink()
            sync_folder(root.parent)
        except OSError as error:
            raise self._failure(error, "be opened") from error

    async def put(self, sha256: str, data: bytes) -> None:
        """Store `data`; durable on return. Putting the same again is a no-op.

        Raises StoreError when `sha256` is not that of `data`, StoreFailed when the disk refuses.
        """
        await asyncio.to_thread(self.put_now, sha256, data)

    def put_now(self, sha256: str, data: bytes) -> None:
        """`put` for a thread that may block. A damaged blob of that name is replaced."""
        check_blob(sha256, data)
        path = self._path(sha256)
        try:
            self._make_folder(path.parent)
            self._mark_used(sha256)
            if _read(path) != data:
                self._write(path, data)
            # Also for a blob that was there: the process that renamed it may have died before
            # it could say so to the disk.
            sync_folder(path.parent)
        except OSError as error:
            raise self._failure(error, f"store {sha256}") from error

    async def get(self, sha256: str) -> bytes | None:
        """The bytes, or None. A blob whose bytes do not match its name is None."""
        return await asyncio.to_thread(self.get_now, sha256)

    async def unused_since(self, before_s: float) -> frozenset[str]:
        """The blobs last put before that time (seconds since 1970), and not by this process."""
        return await asyncio.to_thread(self._unused_since, before_s)

    async def remove(self, blobs: Collection[str], before_s: float) -> int:
        """Remove those of `blobs` that `unused_since(before_s)` would still give."""
        return await asyncio.to_thread(self._remove_now, blobs, before_s)

    def _unused_since(self, before_s: float) -> frozenset[str]:
        try:
            names = [
                folder.name + file.name
                for folder in self._root.iterdir()
                if len(folder.name) == _SHARD_CHARACTERS
                for file in folder.iterdir()
            ]
        except OSError as error:
            raise self._failure(error, "be listed") from error
        return frozenset(name for name in names if self._is_unused(name, before_s))

    def _remove_now(self, blobs: Collection[str], before_s: float) -> int:
        removed = 0
        for sha256 in blobs:
            # Who puts the same blob now either comes before, and it stays, or finds it gone.
            with self._using:
                if self._is_unused(sha256, before_s):
                    try:
                        self._path(sha256).unlink()
                    except OSError as error:
                        raise self._failure(error, "be removed") from error
                    removed += 1
        return removed

    def _is_unused(self, sha256: str, before_s: float) -> bool:
        if not is_blob_id(sha256) or sha256 in self._put_here:
            return False
        try:
            return self._path(sha256).stat().st_mtime < before_s
        except OSError:
            return False

    def _mark_used(self, sha256: str) -> None:
        with self._using:
            # Remembered too, because the clock of the file system may jump.
            self._put_here[sha256] = None
            if len(self._put_here) > _REMEMBERED:
                del self._put_here[next(iter(self._put_here))]
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._path(sha256))

    async def size(self, sha256: str) -> int | None:
        """The length in bytes, or None. The bytes are not read, so not verified either."""
        return await asyncio.to_thread(self._size_now, sha256)

    def get_now(self, sha256: str) -> bytes | None:
        """`get` for a thread that may block."""
        if not is_blob_id(sha256):
            return None
        try:
            data = _read(self._path(sha256))
        except OSError as error:
            raise self._failure(error, f"read {sha256}") from error
        if data is None:
            return None
        if hashlib.sha256(data).hexdigest() != sha256:
            self._put_aside(sha256)
            return None
        return data

    def _put_aside(self, sha256: str) -> None:
        """Keep the bytes of a damaged blob, but no longer under a name that is not theirs."""
        _log.error("a blob was damaged and put aside", extra={"fields": {"sha256": sha256}})
        with contextlib.suppress(OSError):
            folder = self._root / _QUARANTINE
            folder.mkdir(mode=0o700, exist_ok=True)
            self._path(sha256).rename(folder / sha256)

    def _size_now(self, sha256: str) -> int | None:
        if not is_blob_id(sha256):
            return None
        try:
            return self._path(sha256).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure(error, f"look at {sha256}") from error

    def _path(self, sha256: str) -> Path:
        return _path(self._root, sha256)

    def _make_folder(self, folder: Path) -> None:
        """Make a shard, its name on the disk. Two threads may do so at once."""
        if folder in self._durable_folders:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._root)
        self._durable_folders.add(folder)

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def _failure(self, error: OSError, doing: str) -> StoreFailed:
        return StoreFailed(
            f"The blob folder {self._root} could not {doing}: {error.strerror}. Free some space "
            "or check the disk.",
            path=str(self._root),
            reason=error.strerror,
        )


def _path(root: Path, sha256: str) -> Path:
    return root / sha256[:2] / sha256[2:]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
