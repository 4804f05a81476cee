"""The asynchronous client, the source of truth: what crosses the network is awaited.

Floor 5. Below it are the pump (one for each open notebook) and the session that decides;
`sync` is its twin for programs without an event loop. A call that is cancelled or times out
changes nothing but that call: what it asked for goes on. Every wait has one deadline, for the
whole of what the caller asked for.
"""

# ruff: noqa: ASYNC109 - `timeout` is the face: one deadline for the whole of a call

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from headway.client.arguments import (
    checked_home,
    checked_limit,
    checked_name,
    checked_notebook,
    checked_path,
    checked_room,
    checked_timeout,
    checked_url,
)
from headway.client.connection import connect_url
from headway.client.discovery import daemon_dial
from headway.client.executions import time_left
from headway.client.kernels import KERNEL_TIMEOUT_S
from headway.client.opening import AsyncOpening
from headway.client.pump import Pump
from headway.client.running import RunningNotebook
from headway.core.session.opening import Target
from headway.core.session.session import Session
from headway.core.sync.confirm import CONFIRM_TIMEOUT_S, Confirmation
from headway.core.wire import rpc
from headway.edges import paths
from headway.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HeadwayError,
    NotConfirmed,
)

__all__ = [
    "CLOSE_TIMEOUT_S",
    "KERNEL_TIMEOUT_S",
    "OPEN_TIMEOUT_S",
    "AsyncNotebook",
    "connect_async",
    "open_async",
]

OPEN_TIMEOUT_S = 60.0
"""How long opening may take, the start of a daemon included."""

CLOSE_TIMEOUT_S = 10.0
"""How long `close` waits for what was not acknowledged yet."""


class AsyncNotebook(RunningNotebook):
    """An open notebook: a replica that is edited at once, and the daemon that runs its cells."""

    def __init__(self, pump: Pump, author: str, home: paths.Paths | None) -> None:
        """Not for callers: use `open_async` or `connect_async`."""
        super().__init__(pump, author, home)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # An error on its way out is what the caller must see, not that closing failed as well.
        await self._end(CLOSE_TIMEOUT_S, strict=error is None)

    async def confirm_sync(
        self, timeout: float = CONFIRM_TIMEOUT_S, *, required: bool = True
    ) -> Confirmation:
        """Wait until the daemon has merged and stored every change that is here now.

        Raises ConfirmTimeout (`data["missing"]` are the heads), UpdateRejected or ConnectionLost;
        with `required=False` these come in the Confirmation, whose `confirmed` is False then.
        """
        heads = self.heads
        began_s = time.monotonic()
        try:
            return await self._pump.confirm(timeout)
        except (NotConfirmed, ConnectionLost) as error:
            if required:
                raise
            elapsed_s = time.monotonic() - began_s
            return Confirmation(heads, elapsed_s, confirmed=False, error=error)

    async def interrupt(self, *, timeout: float = rpc.REQUEST_TIMEOUT_S) -> rpc.Interrupted:
        """End every execution that was asked for before this call, and none after."""
        answer: rpc.Interrupted = await self._pump.request(rpc.Interrupt(document=self.id), timeout)
        return answer

    async def save(
        self, path: str | os.PathLike[str] | None = None, *, timeout: float = rpc.REQUEST_TIMEOUT_S
    ) -> rpc.Saved:
        """Write what is here now to the notebook's file, or to `path`, which becomes its file."""
        chosen = None if path is None else checked_path(path)
        params = rpc.Save(document=self.id, required_heads=self._ticket(), path=chosen)
        answer: rpc.Saved = await self._pump.request(params, timeout)
        return answer

    async def wait_until(
        self, is_true: Callable[[], bool], *, timeout: float | None = CONFIRM_TIMEOUT_S
    ) -> None:
        """Wait until `is_true()`, looked at again whenever anything about the notebook changes.

        Raises DeadlineExceeded when `timeout` passes first (None is no limit), and what the
        notebook ended with, as a rule ConnectionLost, when it is closed first.
        """
        try:
            async with asyncio.timeout(checked_limit(timeout)):
                while not is_true():
                    self._check_open()
                    await self._pump.changed.next()
        except TimeoutError as error:
            raise DeadlineExceeded(f"It did not come true within {timeout} s.") from error

    async def close(self, *, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """Wait until everything here is acknowledged, then let go; the kernel lives on.

        Closes in any case; raises as `confirm_sync` if something was not acknowledged.
        """
        await self._end(timeout, strict=True)

    # Inside

    def _check_open(self) -> None:
        if self._session.is_closed:
            raise self._session.error or ConnectionLost(
                "This notebook is closed, so nothing about it changes any more."
            )

    async def _end(self, timeout_s: float, *, strict: bool) -> None:
        try:
            timeout_s = checked_timeout(timeout_s)
            is_held = self.is_synced and not self._session.owes_an_error
            if not (self._session.is_closed or is_held or self._session.is_read_only):
                await self.confirm_sync(timeout_s, required=strict)
        finally:
            await self._pump.close()


def open_async(
    path: str | os.PathLike[str],
    *,
    kernel: str | None = None,
    home: str | os.PathLike[str] | None = None,
    name: str | None = None,
    accept_file: bool = False,
    timeout: float = OPEN_TIMEOUT_S,
) -> AsyncOpening:
    """Open the notebook at `path` (made if absent) with the daemon of `home`, started if need be.

    `kernel` names a kernel to start; `name` is what others see of you, 64 characters of it. A file
    that would take most of the notebook away raises FileWouldEmpty, unless you `accept_file`.
    """
    timeout = checked_timeout(timeout)
    target = Target(path=checked_notebook(path), accept_file=accept_file)
    chosen = checked_home(home) if home is not None else paths.home()
    author = checked_name(name)

    async def begin() -> AsyncNotebook:
        deadline_s = asyncio.get_running_loop().time() + timeout
        notebook = await _begin(
            target,
            lambda session: Pump(session, daemon_dial(chosen, author)),
            author,
            paths.Paths.of(chosen),
            timeout,
        )
        if kernel is not None:
            try:
                await notebook.start_kernel(kernel, timeout=time_left(deadline_s) or 0.0)
            except BaseException:
                await notebook._pump.close()  # noqa: SLF001 - it is ours, and nobody has it yet
                raise
        return notebook

    return AsyncOpening(begin)


def connect_async(
    url: str, room: str, *, name: str | None = None, timeout: float = OPEN_TIMEOUT_S
) -> AsyncOpening:
    """Join the notebook document `room` on any server of the Loro protocol at `url`.

    Such a server keeps documents and runs nothing: executing raises UnknownMethod.
    """
    target = Target(document=checked_room(room), commands=False)
    url, author, timeout = checked_url(url), checked_name(name), checked_timeout(timeout)

    async def begin() -> AsyncNotebook:
        return await _begin(
            target,
            lambda session: Pump(session, lambda _start: connect_url(url)),
            author,
            None,
            timeout,
        )

    return AsyncOpening(begin)


async def _begin(
    target: Target,
    make_pump: Callable[[Session], Pump],
    author: str,
    home: paths.Paths | None,
    timeout_s: float,
) -> AsyncNotebook:
    session = Session(target, entropy=os.urandom, presence_key=os.urandom(8).hex())
    pump = make_pump(session)
    try:
        pump.start()
        async with asyncio.timeout(timeout_s):
            await pump.changed.until(lambda: session.status in {"live", "closed"})
    except TimeoutError as error:
        last = f" The last attempt: {pump.trouble.rstrip('.')}." if pump.trouble else ""
        await pump.close()
        raise DeadlineExceeded(
            f"The notebook was not open within {timeout_s:g} s.{last}"
        ) from error
    except BaseException:
        await pump.close()
        raise
    if session.status == "closed":
        await pump.close()
        raise session.error or HeadwayError("The notebook was closed while it was opened.")
    return AsyncNotebook(pump, author, home)
