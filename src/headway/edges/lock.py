"""One daemon for one home, by a lock that cannot be left behind.

Floor 4. The lock is the system's (flock), held as long as the file is open in the owning process:
it ends with that process, however that ends. The file itself is never removed, because a lock on
a removed file is no lock. The process id in it is for people and error messages; it proves
nothing. The descriptor is closed on exec, so a kernel does not inherit the lock; a fork without
exec would share it.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from headway.errors import AlreadyRunning, StoreError

__all__ = ["HomeLock", "owner_pid"]

_MAX_PID_BYTES = 32

LOOKERS_WAIT_S = 0.005
LOOKERS_ATTEMPTS = 20
"""How often to try again when only an `owner_pid` is in the way, and how long apart."""


class HomeLock:
    """The lock, held. Made by `acquire`; a context manager that releases it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> HomeLock:
        """Take the lock file at `path`, at once or not at all.

        Raises AlreadyRunning with `data["pid"]` (None when it cannot be told), StoreError when
        there can be no such file.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise StoreError(
                f"The lock file {path} cannot be opened: {error.strerror}. Check its folder, or "
                "set HEADWAY_HOME to another one.",
                path=str(path),
            ) from error
        try:
            if not _lock(descriptor):
                raise _already_running(path, _read_pid(descriptor))
        except OSError as error:
            os.close(descriptor)
            raise StoreError(
                f"{path} cannot be locked: {error.strerror}. Set HEADWAY_HOME to a folder on a "
                "local disk.",
                path=str(path),
            ) from error
        except AlreadyRunning:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let go of the lock; the file stays. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def owner_pid(path: Path) -> int | None:
    """The process that holds the lock at `path`; None when nobody does, or it cannot be told.

    It looks by taking the lock for an instant, shared: two lookers do not see each other, and
    `HomeLock.acquire` knows them from an owner.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    """Take the lock for its owner; False when another process owns it. Raises OSError."""
    for _ in range(LOOKERS_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(LOOKERS_WAIT_S)
        else:
            return True
    return False


def _already_running(path: Path, pid: int | None) -> AlreadyRunning:
    who = "Another process" if pid is None else f"Process {pid}"
    return AlreadyRunning(
        f"{who} is the Headway daemon of {path.parent} already. Use that one, or stop it first.",
        pid=pid,
        path=str(path),
    )


def _read_pid(descriptor: int) -> int | None:
    """The number in the file, if it is that of a living process.

    A number left by a killed owner is there until the next owner has written its own.
    """
    text = os.pread(descriptor, _MAX_PID_BYTES, 0).strip()
    if not text.isdigit():
        return None
    pid = int(text)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OverflowError:
        return None
    except PermissionError:
        pass
    return pid
