"""Housekeeping while nothing else is to do: what is old is forgotten, what nobody needs removed.

Floor 5. When, and in which order; what may be forgotten is the store's rule. A blob goes only if
it was not put for BLOB_GRACE_S, nothing stored refers to it, in any past state either, and it is
not put again meanwhile. Unless all of that is known, none goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from headway.daemon.ports import Outside
from headway.errors import HeadwayError

__all__ = ["BLOB_GRACE_S", "UPKEEP_FIRST_S", "UPKEEP_INTERVAL_S", "Upkeep"]

BLOB_GRACE_S = 7 * 24 * 3600.0
"""A blob that nothing refers to is kept for this long after it was last put."""

UPKEEP_FIRST_S = 120.0
"""The first round comes this long after the daemon's start, when it is idle."""

UPKEEP_INTERVAL_S = 6 * 3600.0
"""Then one comes every six hours."""

_LOOK_AGAIN_S = 30.0
_LOG = logging.getLogger("headway.upkeep")


class Upkeep:
    """The daemon's housekeeping.

    Args:
        outside: The ports.
        is_idle: Whether no room works.
    """

    def __init__(self, outside: Outside, is_idle: Callable[[], bool]) -> None:
        self._outside = outside
        self._is_idle = is_idle

    async def run(self) -> None:
        """One round after another, until cancelled."""
        wait_s = UPKEEP_FIRST_S
        while True:
            await asyncio.sleep(wait_s)
            if not self._is_idle():
                wait_s = _LOOK_AGAIN_S
                continue
            await self.one_round()
            wait_s = UPKEEP_INTERVAL_S

    async def one_round(self) -> None:
        """Tidy the store, then remove blobs. What fails is logged and tried in the next round."""
        try:
            forgotten = await self._outside.store.tidy()
            removed = await self._remove_blobs()
        except HeadwayError as error:
            fields = {"code": error.code, "reason": str(error)}
            _LOG.warning("the upkeep was not done", extra={"fields": fields})
        except Exception:  # noqa: BLE001 - nobody asked for it, and it is logged
            _LOG.exception("the upkeep failed")
        else:
            fields = {"executions": str(forgotten), "blobs": str(removed)}
            _LOG.info("upkeep: forgotten and removed", extra={"fields": fields})

    async def _remove_blobs(self) -> int:
        before_s = self._outside.clock.now().wall_s - BLOB_GRACE_S
        blobs = self._outside.blobs
        unused = await blobs.unused_since(before_s)
        if not unused:
            return 0
        # In this order: what is referred to from here on was put, or referred to before.
        in_use = await self._outside.store.referenced(unused)
        return await blobs.remove(unused - in_use, before_s)
