"""Until one kernel may be used: it answers, it is heard, and it is prepared. No sockets.

An ipykernel that cannot be prepared, as one of a version that is not known yet, works as it comes,
and is taken as kernels of other kinds are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from headway.core.kernel.events import KernelInfo
from headway.core.kernel.ipykernel import is_ipykernel, prepare_request
from headway.core.kernel.jupyter import parent_id, read_message
from headway.edges.kernel_wire import ChannelName
from headway.errors import HeadwayError
from headway.in_kernel import (
    asking,
    belonging,
    descriptors,
    economies,
    interrupting,
    packing,
    plain,
    publishing,
    restoring,
    streams,
    waking,
)

__all__ = ["LISTEN_TIMEOUT_S", "PROGRAMS", "READY_RETRY_S", "Meeting"]

LISTEN_TIMEOUT_S: Final = 1.0
"""How long an adopted kernel may take to show that its publications reach us."""

READY_RETRY_S: Final = 0.05
"""How long an answer may come without its status before kernel_info is asked again."""

_LOG = logging.getLogger("headway.kernels")

PROGRAMS: Final[tuple[ModuleType, ...]] = (
    packing,
    economies,
    plain,
    publishing,
    descriptors,
    streams,
    restoring,
    belonging,
    asking,
    interrupting,
    waking,
)
"""What an ipykernel is prepared with, in this order."""

_PREPARATION: Final = prepare_request(*PROGRAMS)
"""Read once: the files may be those of another version when a kernel starts."""


class Meeting:
    """The beginning with one kernel, started or adopted.

    Args:
        ask: Sends a request of our own, by channel, type and content; gives its id.
    """

    def __init__(self, ask: Callable[[ChannelName, str, dict[str, Any]], str]) -> None:
        self.info: KernelInfo | None = None
        """What it said of itself."""
        self.is_ipykernel = False
        self.is_prepared = False
        """Whether it is an ipykernel that does all that it was prepared for."""
        self._ask = ask
        self._heard = asyncio.Event()
        self._answer: dict[str, Any] | None = None
        self._preparation: dict[str, Any] | None = None
        self._behind = ""
        """What it was asked behind its preparation."""
        self._went_on: dict[str, Any] | None = None
        self._failure: HeadwayError | None = None
        self._changed = asyncio.Event()

    def hear(self) -> None:
        """Something that it published has come."""
        self._heard.set()

    def take(self, message: dict[str, Any]) -> None:
        """It answered a request of our own."""
        match message.get("msg_type"):
            case "kernel_info_reply" if parent_id(message) == self._behind:
                self._went_on = message
            case "kernel_info_reply":
                self._answer = self._answer or message
            case "execute_reply":
                self._preparation = message
            case _:
                return
        self._changed.set()

    def fail(self, error: HeadwayError) -> None:
        """It has ended; whoever waits for it is told so."""
        self._failure = error
        self._heard.set()
        self._changed.set()

    async def begin(self) -> None:
        """Wait until it may be used. Raises the error that `fail` is given."""
        self._ask("shell", "kernel_info_request", {})
        answer = await self._until(lambda: self._answer)
        while not await self._is_heard_soon():
            self._ask("shell", "kernel_info_request", {})
        for event in read_message(answer):
            if isinstance(event, KernelInfo):
                self.info = event
        self.is_ipykernel = is_ipykernel(answer)
        if self.is_ipykernel:
            await self._prepare()
        self._raise_if_failed()

    async def _prepare(self) -> None:
        self._ask("shell", "execute_request", _PREPARATION)
        # It answers in order: what has not answered when this is answered never will.
        self._behind = self._ask("shell", "kernel_info_request", {})
        await self._until(lambda: self._preparation or self._went_on)
        said = {} if self._preparation is None else self._preparation["content"]
        self.is_prepared = said.get("status") == "ok"
        if not self.is_prepared:
            _LOG.warning("an ipykernel was not prepared: %s", said.get("evalue", "no answer"))

    async def listen(self) -> None:
        """Wait until what it publishes surely reaches us, it has ended, or it cannot be known."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_TIMEOUT_S):
                while not self._heard.is_set():
                    self._ask("control", "kernel_info_request", {})
                    await self._is_heard_soon()

    async def _is_heard_soon(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_RETRY_S):
                await self._heard.wait()
        return self._heard.is_set()

    async def _until(self, found: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        while (message := found()) is None:
            self._raise_if_failed()
            self._changed.clear()
            await self._changed.wait()
        return message

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise self._failure
