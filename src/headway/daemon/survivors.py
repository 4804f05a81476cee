"""Kernels that outlived an earlier daemon, or their room's store, until their rooms have them.

Floor 5. A survivor is adopted when its room is about to open, so that the room begins with it.
In between it is held; what it has said all the same is kept and given to the room once that runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from headway.core.kernel.events import KernelEvent
from headway.core.room.opening import LivingKernel
from headway.edges.ports import AdoptableKernel, Kernel, Kernels
from headway.errors import HeadwayError
from headway.ids import DocumentId

__all__ = ["Ear", "OrphanedKernel", "Survivor", "Survivors"]

_LOG = logging.getLogger("headway.kernels")


class Ear:
    """Keeps what a kernel says until somebody listens."""

    def __init__(self) -> None:
        self._kept: list[tuple[KernelEvent, ...]] = []
        self._end: str | None = None
        self._listener: tuple[Callable[[tuple[KernelEvent, ...]], None], Callable[[str], None]]
        self._is_heard = False

    def said(self, events: tuple[KernelEvent, ...]) -> None:
        """The kernel said this."""
        if self._is_heard:
            self._listener[0](events)
        else:
            self._kept.append(events)

    def ended(self, reason: str) -> None:
        """The kernel ended."""
        if self._is_heard:
            self._listener[1](reason)
        else:
            self._end = reason

    def listen(
        self, said: Callable[[tuple[KernelEvent, ...]], None], ended: Callable[[str], None]
    ) -> None:
        """Hear everything, in order: first what was kept."""
        self._listener, self._is_heard = (said, ended), True
        for events in self._kept:
            said(events)
        self._kept.clear()
        if self._end is not None:
            ended(self._end)


@dataclass(frozen=True, slots=True)
class Survivor:
    """A kernel taken up again, on its way into its room."""

    living: LivingKernel
    kernel: Kernel
    ear: Ear


@dataclass(frozen=True, slots=True)
class OrphanedKernel:
    """A kernel of this daemon whose room has failed. It runs on, and nobody hears it."""

    incarnation: int
    kernel: Kernel
    since_s: float
    """Since when nobody does (wall clock)."""


class Survivors:
    """The kernels that nobody has taken up yet.

    Args:
        kernels: The port.
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._waiting: dict[DocumentId, AdoptableKernel] = {}
        self._orphaned: dict[DocumentId, OrphanedKernel] = {}

    def keep(self, document: DocumentId, orphaned: OrphanedKernel) -> None:
        """Its room has failed; the next one takes it up."""
        self._orphaned[document] = orphaned

    @property
    def documents(self) -> tuple[DocumentId, ...]:
        """The notebooks whose kernels wait."""
        return tuple(self._waiting)

    async def find(self) -> None:
        """Look for them, once, before anything opens."""
        for found in await self._kernels.adoptable():
            self._waiting[found.owner.document] = found

    async def take(self, document: DocumentId) -> Survivor | None:
        """Adopt the kernel of a notebook; None if none waits, or it has gone meanwhile."""
        orphaned = self._orphaned.pop(document, None)
        if orphaned is not None:
            return _heard_anew(document, orphaned)
        found = self._waiting.pop(document, None)
        if found is None:
            return None
        ear = Ear()
        fields = {"document": document, "kernel": found.kernel_id}
        try:
            adopted = await self._kernels.adopt(found, ear.said, ear.ended)
        except HeadwayError as error:
            _LOG.warning("a kernel was not found again", extra={"fields": fields | error.data})
            return None
        adopted.kernel.hold(holds=True)
        _LOG.info("a kernel was taken up again", extra={"fields": fields})
        living = LivingKernel(
            found.owner.incarnation,
            adopted.kernel.name,
            adopted.kernel.info,
            adopted.asked,
            adopted.away_since_s,
            adopted.kernel.environment,
        )
        return Survivor(living, adopted.kernel, ear)

    async def dismiss(self, document: DocumentId) -> None:
        """End the kernel of a notebook that cannot be opened."""
        survivor = await self.take(document)
        if survivor is None:
            return
        try:
            await survivor.kernel.stop()
        except HeadwayError as error:
            fields = {"document": document, "reason": str(error)}
            _LOG.warning("a kernel did not stop cleanly", extra={"fields": fields})


def _heard_anew(document: DocumentId, orphaned: OrphanedKernel) -> Survivor | None:
    ear, kernel = Ear(), orphaned.kernel
    fields: dict[str, object] = {"document": document}
    try:
        asked = kernel.hear_anew(ear.said, ear.ended)
    except HeadwayError as error:
        _LOG.warning("a kernel ended while nobody heard it", extra={"fields": fields | error.data})
        return None
    kernel.hold(holds=True)
    _LOG.info("a kernel was taken up by its notebook again", extra={"fields": fields})
    living = LivingKernel(
        orphaned.incarnation,
        kernel.name,
        kernel.info,
        asked,
        orphaned.since_s,
        kernel.environment,
    )
    return Survivor(living, kernel, ear)
