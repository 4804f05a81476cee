"""Notebook files on the user's disk, replaced whole or not at all.

Floor 4, implements `ports.Files`. A file is written beside its target under a temporary name,
fsynced, renamed over it, and its folder fsynced: a reader, or a crash at any instant, finds the
old bytes or the new ones, never a part. It watches nothing and parses nothing.

What a replacement keeps: symbolic links (the file they lead to is replaced), permission bits, and
the owner where the system lets us. What it cannot keep: other hard links to the file, which stay
with the old bytes, and access control lists.

How safe "replace only what I know" is: a file that must not exist yet is put in place by link(2),
which fails if a name appeared meanwhile. A file that exists is read and compared, and left to
whoever has it open for writing (told by asking for a lease). Then it is exchanged with ours by
renameat2(2), and what came out is compared and asked about once more: if another program wrote in
between, or is about to, theirs is put back and nothing is lost. Where the system cannot exchange,
what another program writes between the comparison and rename(2), some tens of microseconds, is
lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import itertools
import os
import secrets
import signal
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from headway.edges.files_errors import (
    SENTENCES,
    changed_elsewhere,
    explanation,
    no_folder,
    open_elsewhere,
)
from headway.edges.folders import sync_folder
from headway.edges.leftover import Leftover
from headway.edges.ports import FileState
from headway.errors import FileNotWritable, NotebookUnreadable

__all__ = ["MAX_FILE_BYTES", "TEMPORARY_PREFIX", "DiskFiles", "exchange"]

MAX_FILE_BYTES = 8 * 1024 * 1024 * 1024
"""A larger file is not read. None that we write is: `MAX_FILE_OUTPUT_BYTES` of outputs, of which a
byte is at most six characters of JSON, and `strict_json.MAX_FILE_BYTES` besides."""

READ_BYTES = 256 * 1024
"""How much of a file is read at a time."""

SYNC_BYTES = 8 * 1024 * 1024
"""A large file is synced each time so much of it was written. All at the end, that would hold up
every other sync on the disk, the store's among them."""

TEMPORARY_PREFIX = ".headway-"
"""How the name of a file begins that is being written and not yet in place."""

_NEW_FILE_MODE = 0o666
"""Before the umask, like any editor's new file."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_renameat2: Any = None
with contextlib.suppress(OSError, AttributeError):
    _renameat2 = ctypes.CDLL(None, use_errno=True).renameat2

_READING_SENTENCES = {
    errno.EACCES: "you have no permission. Change the permissions and open it again",
    errno.EPERM: "you have no permission. Change the permissions and open it again",
    errno.EFBIG: f"it is larger than {MAX_FILE_BYTES >> 20} MiB. Make it smaller first",
}


class DiskFiles:
    """The files of this machine's disks."""

    def __init__(self) -> None:
        self._tidied: set[Path] = set()

    async def read(self, path: str, take: Callable[[bytes], None]) -> str | None:
        """Give the file's bytes to `take`, in another thread, and their SHA-256; None: no file."""
        return await asyncio.to_thread(_read_now, path, take)

    async def check_folder(self, path: str) -> None:
        """Raise FolderNotFound when the folder is not there that a file at `path` would be in."""
        # Path.is_dir raises for a folder in one that is closed to us.
        if not await asyncio.to_thread(os.path.isdir, Path(path).parent):
            raise no_folder(path)

    async def replace(
        self,
        path: str,
        content: Iterable[bytes],
        expected_sha256: str | None,
        ready: Callable[[str], Awaitable[bool]],
    ) -> FileState:
        """Make the file hold `content`, whole or not at all, durable on return.

        Nothing is touched when `ready`, asked with the SHA-256 of `content`, gives False, nor
        when the file's bytes are `content` already. Raises FileChanged when they are neither
        `content` nor those of `expected_sha256` (None: there must be no file), and
        FileNotWritable with a sentence that says what to do; its `data["transient"]` is True when
        trying again later may help.
        """
        left = Leftover(_Temporary.remove)
        try:
            temporary = await asyncio.to_thread(self._prepare, path, content, left)
            found = await asyncio.to_thread(_found, path)
            if found == temporary.sha256:
                return FileState(temporary.sha256, changed=False)
            if found != expected_sha256:
                raise changed_elsewhere(path, found)
            if not await ready(temporary.sha256):
                assert expected_sha256 is not None, "what is not there says nothing"
                return FileState(expected_sha256, changed=False)
            return await asyncio.to_thread(_put_in_place, path, temporary, expected_sha256, left)
        finally:
            await asyncio.shield(asyncio.to_thread(left.give_up))

    def _prepare(
        self, path: str, content: Iterable[bytes], left: Leftover[_Temporary]
    ) -> _Temporary:
        """The file under its temporary name, on the disk."""
        with _explained(path), left.in_use():
            target = Path(os.path.realpath(path))
            like = _status_to_keep(target)
            self._tidy(target.parent)
            temporary = _Temporary(target.parent, like)
            left.keep(temporary)
            temporary.fill(itertools.takewhile(lambda _: not left.is_unwanted, content))
            return temporary

    def _tidy(self, folder: Path) -> None:
        """Remove, once for each folder, what a crash of an earlier process left in it."""
        if folder in self._tidied:
            return
        with contextlib.suppress(OSError):
            for leftover in folder.glob(f"{TEMPORARY_PREFIX}*.tmp"):
                _remove_if_abandoned(leftover)
        self._tidied.add(folder)


def _found(path: str) -> str | None:
    with _explained(path):
        return _hash_now(path)


def _put_in_place(
    path: str, temporary: _Temporary, expected_sha256: str | None, left: Leftover[_Temporary]
) -> FileState:
    with _explained(path), left.in_use():
        target = Path(os.path.realpath(path))
        try:
            # Asked before anything is moved, which a reader would see, and before the comparison:
            # nothing comes between that and the exchange.
            is_open = _is_being_written(target)
            found = _hash_now(path)
            if found == temporary.sha256:
                return FileState(temporary.sha256, changed=False)
            if found != expected_sha256:
                raise changed_elsewhere(path, found)
            if expected_sha256 is None:
                temporary.appear_as(target)
            elif is_open:
                raise open_elsewhere(path, expected_sha256)
            else:
                temporary.take_the_place_of(target, expected_sha256)
        except FileExistsError as error:
            raise changed_elsewhere(path, _hash_now(path)) from error
        sync_folder(target.parent)
    return FileState(temporary.sha256, changed=True)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """What the system refuses becomes FileNotWritable."""
    try:
        yield
    except (OSError, ValueError) as error:
        sentence, data = explanation(path, "written", error, SENTENCES)
        raise FileNotWritable(sentence, **data) from error


class _Temporary:
    """A new file in `folder`, locked until it is removed; only its name is, if it was moved.

    `like` is the status whose mode and owner it shall have; None: as any new file.
    """

    def __init__(self, folder: Path, like: os.stat_result | None) -> None:
        self.sha256 = ""
        self._like = like
        while True:
            self.path = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o600 if like else _NEW_FILE_MODE)
            # The lock tells `_remove_if_abandoned` of another daemon that somebody is at work
            # here. It may have come before the lock: then the file is gone, and a new one is made.
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if os.fstat(self._descriptor).st_nlink:
                return
            os.close(self._descriptor)

    def remove(self) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)

    def fill(self, content: Iterable[bytes]) -> None:
        """Write all of `content`, give the file the mode it shall have, and fsync it."""
        digest = hashlib.sha256()
        unsynced = 0
        for piece in content:
            digest.update(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            unsynced += len(piece)
            if unsynced >= SYNC_BYTES:
                os.fsync(self._descriptor)
                unsynced = 0
        self.sha256 = digest.hexdigest()
        if self._like is not None:
            with contextlib.suppress(OSError):
                os.fchown(self._descriptor, self._like.st_uid, self._like.st_gid)
            os.fchmod(self._descriptor, stat.S_IMODE(self._like.st_mode))
        os.fsync(self._descriptor)

    def appear_as(self, target: Path) -> None:
        """Take the name `target` if no file has it; else FileExistsError."""
        try:
            target.hardlink_to(self.path)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
                raise
            # A file system without hard links: only the check before is between us and others.
            self.path.rename(target)

    def take_the_place_of(self, target: Path, expected_sha256: str) -> None:
        """Become `target`, which holds what `expected_sha256` names; else FileChanged."""
        try:
            if not exchange(self.path, target):
                self.path.rename(target)
                return
        except FileNotFoundError as error:
            if not target.parent.is_dir():
                raise
            raise changed_elsewhere(str(target), None) from error
        found = _hash_now(str(self.path))
        if found != expected_sha256:
            refused = changed_elsewhere(str(target), found)
        elif _is_being_written(self.path):
            refused = open_elsewhere(str(target), expected_sha256)
        else:
            return
        # Theirs back in its place. Whatever is there by then instead of ours is newer still.
        exchange(self.path, target)
        if _hash_now(str(self.path)) != self.sha256:
            exchange(self.path, target)
        raise refused


def _read_now(path: str, take: Callable[[bytes], None]) -> str | None:
    try:
        return _read_pieces(path, take)
    except (OSError, ValueError) as error:
        sentence, data = explanation(path, "read", error, SENTENCES | _READING_SENTENCES)
        raise NotebookUnreadable(sentence, **data) from error


def _hash_now(path: str) -> str | None:
    """The SHA-256 of a file's bytes; None if there is none."""
    return _read_pieces(path, lambda _: None)


def _read_pieces(path: str, take: Callable[[bytes], None]) -> str | None:
    """Give all bytes of a regular file to `take`; gives their SHA-256, None if there is none."""
    try:
        # A FIFO must not block the thread until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    digest = hashlib.sha256()
    try:
        _check_regular(os.fstat(descriptor))
        while piece := os.read(descriptor, READ_BYTES):
            digest.update(piece)
            take(piece)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is no ordinary file")
    if status.st_size > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MAX_FILE_BYTES} bytes")


def exchange(one: Path, other: Path) -> bool:
    """Let two files take each other's name in one step; False where the system cannot.

    Raises OSError when one of them is not there, or the folder refuses.
    """
    if _renameat2 is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if _renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _is_being_written(path: Path) -> bool:
    """Whether another program has the file open for writing; False where that cannot be known.

    A read lease is granted only on a file that nobody may be writing (fcntl(2)).
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Who opens it while we hold the lease makes the system signal us: with one that does
            # nothing.
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def _status_to_keep(target: Path) -> os.stat_result | None:
    """The status of the file that is there, None if there is none; PermissionError if read-only.

    Renaming over a file asks nobody for leave to write it, but who made it read-only meant it.
    """
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    _check_regular(status)
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return status


def _remove_if_abandoned(leftover: Path) -> None:
    """Remove a temporary file whose writer is gone: nobody holds its lock."""
    with contextlib.suppress(OSError):
        descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()
        finally:
            os.close(descriptor)
