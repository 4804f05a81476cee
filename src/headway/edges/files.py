"""Notebook files on the user's disk, replaced whole or not at all.

Floor 4, implements `ports.Files`. A file is written beside its target under a temporary name,
fsynced, renamed over it, and its folder fsynced: a reader, or a crash at any instant, finds the
old bytes or the new ones, never a part. It watches nothing and parses nothing.

What a replacement keeps: symbolic links (the file they lead to is replaced), permission bits, and
the owner where the system lets us. What it cannot keep: other hard links to the file, which stay
with the old bytes, and access control lists.

How safe "replace only what I know" is: a file that must not exist yet is put in place by link(2),
which fails if a name appeared meanwhile. A file that exists is read and compared, then exchanged
with ours by renameat2(2), and what came out is compared once more: if another program wrote in
between, or has it open for writing still (told by asking for a lease), theirs is put back and
nothing is lost. Where the system cannot exchange, what another program writes between the
comparison and rename(2), some tens of microseconds, is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from headway.edges.folders import sync_folder
from headway.edges.ports import FileContent
from headway.errors import FileChanged, FileNotWritable, NotebookUnreadable

__all__ = ["MAX_FILE_BYTES", "TEMPORARY_PREFIX", "DiskFiles", "changed_elsewhere", "exchange"]

MAX_FILE_BYTES = 1024 * 1024 * 1024
"""A larger file is refused rather than read into memory."""

TEMPORARY_PREFIX = ".headway-"
"""How the name of a file begins that is being written and not yet in place."""

_NEW_FILE_MODE = 0o666
"""Before the umask, like any editor's new file."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_renameat2: Any = None
with contextlib.suppress(OSError, AttributeError):
    _renameat2 = ctypes.CDLL(None, use_errno=True).renameat2

_TRANSIENT = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.EAGAIN}
)
_SENTENCES = {
    errno.ENOSPC: "its disk is full. Free some space there and save again",
    errno.EDQUOT: "your quota on its disk is used up. Free some space there and save again",
    errno.EFBIG: "it would be larger than the system allows. Raise that limit, or save elsewhere",
    errno.EACCES: "you have no permission. Change the permissions, or save elsewhere",
    errno.EPERM: "you have no permission. Change the permissions, or save elsewhere",
    errno.EROFS: "its disk is read-only. Save elsewhere",
    errno.ENOENT: "its folder does not exist. Make the folder, or save elsewhere",
    errno.ENOTDIR: "a part of its path is a file, not a folder. Correct the path",
    errno.EISDIR: "it is a folder. Choose the path of a file",
    errno.ENAMETOOLONG: "its path is too long. Choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle. Correct them",
    errno.EINVAL: "it is no ordinary file, or has no valid path. Choose another",
    errno.EBUSY: "the system holds it in place (a mount point?). Save elsewhere",
}
_READING_SENTENCES = {
    errno.EACCES: "you have no permission. Change the permissions and open it again",
    errno.EPERM: "you have no permission. Change the permissions and open it again",
    errno.EFBIG: f"it is larger than {MAX_FILE_BYTES >> 20} MiB. Make it smaller first",
}


def changed_elsewhere(path: str, found_sha256: str | None) -> FileChanged:
    """The FileChanged for a file that holds other bytes than we know; None: it is gone."""
    what = "was removed or renamed" if found_sha256 is None else "was written"
    return FileChanged(
        f"{path} {what} by another program since Headway last read or wrote it. It was left as "
        "it is. Open it again to merge the two, or save elsewhere.",
        path=path,
        found_sha256=found_sha256,
    )


class DiskFiles:
    """The files of this machine's disks."""

    def __init__(self) -> None:
        self._tidied: set[Path] = set()

    async def read(self, path: str) -> FileContent | None:
        """The file's bytes; None if there is none; NotebookUnreadable if it cannot be read."""
        return await asyncio.to_thread(_read_now, path)

    async def replace(self, path: str, content: bytes, expected_sha256: str | None) -> bool:
        """Make the file hold `content`, whole or not at all, durable on return.

        Gives False, and touches nothing, when its bytes are `content` already. Raises
        FileChanged when they are neither `content` nor those of `expected_sha256` (None: there
        must be no file), and FileNotWritable with a sentence that says what to do; its
        `data["transient"]` is True when trying again later may help.
        """
        return await asyncio.to_thread(self._replace_now, path, content, expected_sha256)

    def _replace_now(self, path: str, content: bytes, expected_sha256: str | None) -> bool:
        try:
            if not _may_replace(path, content, expected_sha256):
                return False
            target = Path(os.path.realpath(path))
            self._tidy(target.parent)
            like = _status_to_keep(target)
            with _Temporary(target.parent, like) as temporary:
                temporary.fill(content)
                if not _may_replace(path, content, expected_sha256):
                    return False
                if expected_sha256 is None:
                    temporary.appear_as(target)
                else:
                    temporary.take_the_place_of(target, content, expected_sha256)
            sync_folder(target.parent)
        except FileExistsError as error:
            found = _read_now(path)
            raise changed_elsewhere(path, None if found is None else found.sha256) from error
        except (OSError, ValueError) as error:
            sentence, data = _explanation(path, "written", error, _SENTENCES)
            raise FileNotWritable(sentence, **data) from error
        return True

    def _tidy(self, folder: Path) -> None:
        """Remove, once for each folder, what a crash of an earlier process left in it."""
        if folder in self._tidied:
            return
        with contextlib.suppress(OSError):
            for leftover in folder.glob(f"{TEMPORARY_PREFIX}*.tmp"):
                _remove_if_abandoned(leftover)
        self._tidied.add(folder)


class _Temporary:
    """A new file in `folder`, locked while it is written; gone on leaving unless it was moved.

    `like` is the status whose mode and owner it shall have; None: as any new file.
    """

    def __init__(self, folder: Path, like: os.stat_result | None) -> None:
        self.path = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
        self._like = like

    def __enter__(self) -> Self:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600 if self._like else _NEW_FILE_MODE)
        # The lock tells `_remove_if_abandoned` of another daemon that somebody is at work here.
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)

    def fill(self, content: bytes) -> None:
        """Write all of `content`, give the file the mode it shall have, and fsync it."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
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

    def take_the_place_of(self, target: Path, content: bytes, expected_sha256: str) -> None:
        """Become `target`, which holds what `expected_sha256` names; else FileChanged."""
        try:
            if not exchange(self.path, target):
                self.path.rename(target)
                return
        except FileNotFoundError as error:
            if not target.parent.is_dir():
                raise
            raise changed_elsewhere(str(target), None) from error
        displaced = _read_bytes(str(self.path))
        found = None if displaced is None else hashlib.sha256(displaced).hexdigest()
        if found == expected_sha256 and not _is_being_written(self.path):
            return
        # Theirs back in its place. Whatever is there by then instead of ours is newer still.
        exchange(self.path, target)
        if _read_bytes(str(self.path)) != content:
            exchange(self.path, target)
        raise changed_elsewhere(str(target), found)


def _read_now(path: str) -> FileContent | None:
    try:
        content = _read_bytes(path)
    except (OSError, ValueError) as error:
        sentence, data = _explanation(path, "read", error, _SENTENCES | _READING_SENTENCES)
        raise NotebookUnreadable(sentence, **data) from error
    if content is None:
        return None
    return FileContent(content, hashlib.sha256(content).hexdigest())


def _read_bytes(path: str) -> bytes | None:
    """All bytes of a regular file; None if there is none."""
    try:
        # A FIFO must not block the thread until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no ordinary file")
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"is larger than {MAX_FILE_BYTES} bytes")
        return file.read()


def _may_replace(path: str, content: bytes, expected_sha256: str | None) -> bool:
    """True when the file is what we know; False when it is `content`; else FileChanged."""
    current = _read_bytes(path)
    if current == content:
        return False
    found = None if current is None else hashlib.sha256(current).hexdigest()
    if found != expected_sha256:
        raise changed_elsewhere(path, found)
    return True


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


def _explanation(
    path: str, done: str, error: OSError | ValueError, sentences: Mapping[int, str]
) -> tuple[str, dict[str, Any]]:
    """The sentence and the data of the error that `error` becomes; `done` is "read", "written"."""
    number = (error.errno if isinstance(error, OSError) else None) or errno.EINVAL
    clause = sentences.get(number, f"the system says: {error}. Check the disk")
    data = {
        "path": path,
        "reason": errno.errorcode.get(number, str(number)),
        "transient": number in _TRANSIENT,
    }
    return f"{path!r} cannot be {done}: {clause}.", data
