"""The background event loop of the synchronous client: one thread for the whole process.

Floor 5. It is a daemon thread and has an exit handler, so a program that forgets to close a
notebook still ends: at exit each open one gets a short time to deliver what it has. What an exit
handler of the program opens after that has a loop of its own, which nobody stops: Python runs no
exit handlers that are registered so late.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Generic, TypeVar

from headway.errors import ConnectionLost, WrongThread

__all__ = ["EXIT_TIMEOUT_S", "Background", "background"]

EXIT_TIMEOUT_S = 3.0
"""How long open notebooks may take to close when the interpreter ends."""

T = TypeVar("T")


class _Call(Generic[T]):
    """One coroutine on the loop, waited for by another thread.

    As `run_coroutine_threadsafe` and `Future.result`, without two futures that tell each other
    what became of them in turns of the loop of their own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        self._running = threading.Lock()
        self._running.acquire()

    def result(self) -> T:
        """Run it and wait for its end; a wait that is interrupted cancels it."""
        try:
            self._loop.call_soon_threadsafe(self._begin)
        except RuntimeError as error:
            self._work.close()
            raise _ending() from error
        try:
            self._running.acquire()
        except BaseException:
            self._loop.call_soon_threadsafe(self._cancel)
            raise
        if isinstance(self._error, asyncio.CancelledError):
            raise CancelledError
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._run())

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            self._outcome.append(await self._work)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        finally:
            self._running.release()


class Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        """Starts the thread; ConnectionLost when Python is too near its end for that."""
        self.process = os.getpid()
        self._loop = _new_loop()
        self._at_exit: dict[object, Callable[[], Awaitable[None]]] = {}
        self._thread = threading.Thread(target=self._run, name="headway", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._loop.close()
            raise _ending() from error

    @property
    def is_here(self) -> bool:
        """Whether its thread serves this process.

        A fork has none; at exit it ends, and in the end Python lets no thread run but its own.
        """
        has_ended = self._loop.is_closed() or sys.is_finalizing()
        return self.process == os.getpid() and not has_ended

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and wait for it here; interrupting the wait cancels it.

        Raises WrongThread on the loop itself, and ConnectionLost in a fork of its process and
        when it has ended.
        """
        if not self.is_here:
            work.close()
            raise _ending() if self.process == os.getpid() else _forked(self.process)
        if threading.current_thread() is self._thread:
            work.close()
            raise WrongThread(
                "This synchronous call was made on Headway's own event loop, and would wait on "
                "itself. Use the asynchronous client (`headway.open_async`) there."
            )
        return _Call(self._loop, work).result()

    def close_at_exit(self, opened: object, close: Callable[[], Awaitable[None]]) -> None:
        """Run `close` when the interpreter ends, unless `forget` comes first; keeps `opened`."""
        self._at_exit[opened] = close

    def forget(self, opened: object) -> None:
        """It was closed in good time."""
        self._at_exit.pop(opened, None)

    def stop(self) -> None:
        """Close what is open, in a bounded time, and end the thread."""
        if not self.is_here or not self._thread.is_alive():
            return
        # At exit there is nobody left to tell; what was not delivered was not confirmed either.
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._close_all(), self._loop).result(EXIT_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(EXIT_TIMEOUT_S)

    async def _close_all(self) -> None:
        closings = [close() for close in self._at_exit.values()]
        self._at_exit.clear()
        await asyncio.gather(*closings, return_exceptions=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


def _ending() -> ConnectionLost:
    return ConnectionLost("The program is ending, and its notebooks were closed. Do this earlier.")


def _forked(process: int) -> ConnectionLost:
    return ConnectionLost(
        f"This notebook was opened by the process {process}, and its connection did not come along "
        "into this fork. Open the notebook here."
    )


def _new_loop() -> asyncio.AbstractEventLoop:
    """The loop of uvloop where that is installed: this thread is ours alone, and calls gain."""
    try:
        import uvloop  # noqa: PLC0415 - an optional dependency: headway[fast]
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_current: Background | None = None
_lock = threading.Lock()


def background() -> Background:
    """The process's background loop, made when it is first needed.

    Made anew after a fork, and for an exit handler that runs after ours. ConnectionLost when
    Python is too near its end for that.
    """
    global _current  # noqa: PLW0603 - one for the process is what it is
    with _lock:
        if _current is None or not _current.is_here:
            if sys.is_finalizing():
                raise _ending()  # a thread that is started now never runs
            _current = Background()
            atexit.register(_current.stop)
        return _current
