"""Tells when something happens to notebook files, from the system's own notices.

Floor 4, implements `ports.Watching`. It reads no file and compares nothing; what is told is a hint
to look. Folders are watched, not files: a file that is replaced is another file of the same name.

One thread serves all folders through one handle of the system's (inotify has few), which is made
anew when the folders change: the new one first, then the old one is emptied, so no notice falls
between them. A folder that is not there, or is another one now (removed and made again), is looked
for every CHECK_S. Where the system has no notices the library compares times by polling. When
anything of that fails, it is logged and all of it begun anew, and everybody is told to look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from watchfiles._rust_notify import RustNotify

__all__ = ["CHECK_S", "FolderWatching"]

STEP_S = 0.2
"""How long after a notice further ones are awaited, and so how often the thread wakes up."""

GATHER_S = 0.25
"""Notices are told after this long at the latest, however many follow."""

CHECK_S = 2.0
"""How often folders that are not there, or were replaced, are looked for."""

_POLL_MS = 2_000
_LOG = logging.getLogger("headway.watch")


@dataclass(eq=False, slots=True)
class _Watch:
    path: str
    touched: Callable[[], None]
    owner: FolderWatching

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)  # noqa: PTH120 - text in, text out

    def close(self) -> None:
        """Tell no more. Idempotent."""
        self.owner._remove(self)  # noqa: SLF001 - one of two parts


class FolderWatching:
    """Watches the folders of files. Made and used on one event loop."""

    def __init__(self) -> None:
        """Nothing is watched; the thread starts with the first watch."""
        self._loop = asyncio.get_running_loop()
        self._watches: list[_Watch] = []
        self._fresh: list[_Watch] = []
        self._lock = threading.Lock()
        self._added = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, path: str, touched: Callable[[], None]) -> _Watch:
        """Call `touched` when something happens to `path`, and once when that begins."""
        watch = _Watch(path, touched, self)
        with self._lock:
            self._watches.append(watch)
            self._fresh.append(watch)
        self._added.set()
        if self._thread is None and not self._ending.is_set():
            # A daemon thread: a notice of the system must never keep the process.
            self._thread = threading.Thread(target=self._run, name="headway-watch", daemon=True)
            self._thread.start()
        return watch

    async def close(self) -> None:
        """Tell nobody anything any more; the thread is gone on return."""
        self._ending.set()
        with self._lock:
            self._watches.clear()
        self._added.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _remove(self, watch: _Watch) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._watches.remove(watch)

    # In the thread

    def _run(self) -> None:
        failure = ""
        while not self._ending.is_set():
            try:
                self._watch_all()
            except BaseException as error:  # noqa: BLE001 - a panic of the library is no Exception
                if repr(error) != failure:
                    failure = repr(error)
                    _LOG.exception("watching files failed, and is begun anew")
                with self._lock:
                    self._fresh = list(self._watches)  # what happened meanwhile nobody knows
                self._ending.wait(CHECK_S)

    def _watch_all(self) -> None:
        """Tell what happens, until the end."""
        notifier: RustNotify | None = None
        there: dict[str, tuple[int, int]] = {}
        try:
            while not self._ending.is_set():
                self._added.clear()
                folders, fresh = self._wanted()
                now = _identities(folders)
                if now != there or (notifier is None and now):
                    former, notifier = notifier, _notifier(now) if now else None
                    self._tell_of_folders(now.items() ^ there.items(), fresh)
                    there = now
                    if former is not None:
                        self._empty(former)
                self._announce(fresh)
                if notifier is None:
                    self._added.wait(CHECK_S if folders else None)
                else:
                    self._wait(notifier, there)
        finally:
            if notifier is not None:
                notifier.close()

    def _empty(self, notifier: RustNotify) -> None:
        """Tell what it has gathered, and let go of it."""
        try:
            self._tell(notifier.watch(1, 1, 1, None))
        finally:
            notifier.close()

    def _wait(self, notifier: RustNotify, there: dict[str, tuple[int, int]]) -> None:
        """Tell what happens, for a while.

        To stop it early would make it forget what it has gathered: only the end may do that.
        """
        until_s = time.monotonic() + CHECK_S
        while not self._added.is_set() and time.monotonic() < until_s:
            happened = notifier.watch(
                round(GATHER_S * 1000),
                round(STEP_S * 1000),
                round(GATHER_S * 1000),
                self._ending,
            )
            self._tell(happened)
            if isinstance(happened, set) and (lost := there.keys() & {p for _, p in happened}):
                # Something happened to a folder itself. If it was removed and made again, it is
                # not watched any more, and may have the same number as before.
                for folder in lost:
                    del there[folder]
                break

    def _wanted(self) -> tuple[list[str], list[_Watch]]:
        with self._lock:
            fresh, self._fresh = self._fresh, []
            return sorted({watch.folder for watch in self._watches}), fresh

    def _tell(self, happened: set[tuple[int, str]] | str) -> None:
        if isinstance(happened, str):
            return
        paths = {path for _, path in happened}
        with self._lock:
            told = [each for each in self._watches if each.path in paths or each.folder in paths]
        self._announce(told)

    def _tell_of_folders(
        self, changed: Iterable[tuple[str, tuple[int, int]]], fresh: list[_Watch]
    ) -> None:
        folders = {folder for folder, _ in changed}
        with self._lock:
            told = [each for each in self._watches if each.folder in folders and each not in fresh]
        self._announce(told)

    def _announce(self, told: list[_Watch]) -> None:
        if told:
            # The loop may have ended meanwhile: then there is nobody to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver, told)

    # On the loop

    def _deliver(self, told: list[_Watch]) -> None:
        for watch in told:
            if watch in self._watches:
                watch.touched()


def _identities(folders: Iterable[str]) -> dict[str, tuple[int, int]]:
    """The folders that are there, with what tells one from another of the same name."""
    found = {}
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(folder)  # noqa: PTH116 - text in
            found[folder] = (status.st_dev, status.st_ino)
    return found


def _notifier(folders: Iterable[str]) -> RustNotify | None:
    chosen = list(folders)
    for polls in (False, True):
        with contextlib.suppress(OSError, RuntimeError):
            return RustNotify(
                chosen,
                debug=False,
                force_polling=polls,
                poll_delay_ms=_POLL_MS,
                recursive=False,
                ignore_permission_denied=True,
            )
    return None
