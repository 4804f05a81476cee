"""Notebooks whose kernels live on though their rooms have failed: opened again once that works.

Floor 5. What such a kernel runs must end, whether or not anybody asks for the notebook again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from headway.daemon.survivors import OrphanedKernel, Survivors
from headway.errors import Busy, HeadwayError, StoreFailed
from headway.ids import DocumentId

__all__ = ["RETURN_RETRY_S", "Returning"]

_LOG = logging.getLogger("headway.rooms")

RETURN_RETRY_S: Final = 0.4
"""Between two attempts to open a notebook again."""


class Returning:
    """The notebooks that come back by themselves.

    Args:
        survivors: Where their kernels wait.
        load: Opens a notebook by its document id.
        tasks: The group that owns the attempts.
    """

    def __init__(
        self,
        survivors: Survivors,
        load: Callable[[DocumentId], Awaitable[Any]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._survivors = survivors
        self._load = load
        self._group = tasks
        self._attempts: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether no notebook is to come back."""
        return not self._attempts

    def begin(self, document: DocumentId, orphaned: OrphanedKernel) -> None:
        """Open the notebook as soon as the store lets it, with this kernel."""
        self._survivors.keep(document, orphaned)
        attempt = self._group.create_task(self._bring_back(document))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)

    def give_up(self) -> None:
        """Nothing opens any more: the daemon ends, and its kernels with it."""
        for attempt in self._attempts:
            attempt.cancel()

    async def _bring_back(self, document: DocumentId) -> None:
        while True:
            try:
                await self._load(document)
            except (StoreFailed, Busy):
                await asyncio.sleep(RETURN_RETRY_S)
                continue
            except HeadwayError as error:
                fields = {"document": document, "reason": str(error)}
                _LOG.warning("a kernel's notebook is not opened", extra={"fields": fields})
                await self._survivors.dismiss(document)
            return
