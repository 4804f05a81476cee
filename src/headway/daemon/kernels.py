"""One room's kernels: started, asked, interrupted and stopped as the room says.

Floor 5. Each incarnation is one kernel process. What a kernel says before it is ready is kept and
given to the room after `KernelReady`, so that a room never hears of a kernel it does not have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headway.core.kernel.events import KernelEvent
from headway.core.room.effects import (
    AskKernel,
    Environment,
    FolderEnvironment,
    InterruptKernel,
    LookAtEnvironment,
    NotebookEnvironment,
    StartKernel,
    StopKernel,
)
from headway.core.room.inputs import (
    EnvironmentSeen,
    Input,
    KernelEnded,
    KernelFailed,
    KernelProgress,
    KernelReady,
    KernelSaid,
    KernelStopped,
)
from headway.core.wire import rpc
from headway.daemon.survivors import OrphanedKernel, Survivor
from headway.edges.kernelspecs import Kernelspecs, find_in
from headway.edges.ports import Environments, Kernel, KernelOwner, Kernels
from headway.errors import HeadwayError, KernelStartFailed
from headway.ids import DocumentId
from headway.moments import Moment

__all__ = ["RoomKernels", "Spawn"]

_LOG = logging.getLogger("headway.kernels")

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a task in a group that outlives the call."""


@dataclass(slots=True)
class _Slot:
    """One incarnation."""

    kernel: Kernel | None = None
    starting: asyncio.Task[None] | None = None
    stopping: bool = False
    ready: bool = False
    early_events: list[tuple[KernelEvent, ...]] = field(default_factory=list)
    early_end: str | None = None


class RoomKernels:
    """The kernels of one room, by incarnation.

    Args:
        document: The room's notebook.
        kernels: The port.
        environments: The port.
        feed: Takes the inputs that come of it.
        spawn: Starts jobs.
    """

    def __init__(
        self,
        document: DocumentId,
        kernels: Kernels,
        environments: Environments,
        feed: Callable[[Input], None],
        spawn: Spawn,
    ) -> None:
        self._document = document
        self._kernels = kernels
        self._environments = environments
        self._feed = feed
        self._spawn = spawn
        self._slots: dict[int, _Slot] = {}
        self._holds = False

    @property
    def count(self) -> int:
        """How many kernels run or start."""
        return len(self._slots)

    def start(self, effect: StartKernel, folder: str) -> None:
        """Start a kernel in `folder`; answers with `KernelReady` or `KernelFailed`."""
        slot = _Slot()
        self._slots[effect.incarnation] = slot
        slot.starting = self._spawn(self._start(effect, folder, slot))

    def look(self, effect: LookAtEnvironment) -> None:
        """See whether and which kernels can run there; answers with `EnvironmentSeen`."""
        self._spawn(self._look(effect.environment))

    async def _look(self, environment: Environment | None) -> None:
        try:
            is_ready = environment is None or await self._environments.is_ready(environment)
        except HeadwayError as error:
            self._feed(EnvironmentSeen(environment, error=error))
        else:
            found = await asyncio.to_thread(self._kernels_in, environment)
            if found is None:
                self._feed(EnvironmentSeen(environment, is_ready))
                return
            languages = {name: spec.language for name, spec in found.kernels.items()}
            seen = EnvironmentSeen(
                environment, is_ready, kernels=languages, unreadable=found.unreadable
            )
            self._feed(seen)

    def _kernels_in(self, environment: Environment | None) -> Kernelspecs | None:
        match environment:
            case None:
                return self._kernels.installed()
            case FolderEnvironment(path):
                return find_in(Path(path))
            case NotebookEnvironment():
                return None

    async def _prepare(self, effect: StartKernel) -> rpc.KernelEnvironment | None:
        """The environment that the kernel runs in, with everything in it."""
        environment = effect.environment
        if environment is None:
            return None
        path = await self._environments.prepare(
            environment, effect.installation, self._progress_of(effect.incarnation)
        )
        is_declared = isinstance(environment, NotebookEnvironment)
        return rpc.KernelEnvironment(path=path, source="notebook" if is_declared else "path")

    async def _is_repaired(self, effect: StartKernel) -> bool:
        """Whether its kernel did not start because the environment was damaged, and is anew."""
        progress = self._progress_of(effect.incarnation)
        where = effect.environment
        return where is not None and await self._environments.repair(where, progress)

    def _progress_of(self, incarnation: int) -> Callable[[str], None]:
        return lambda text: self._feed(KernelProgress(incarnation, text))

    def take_up(self, survivor: Survivor) -> None:
        """A kernel of an earlier daemon is this room's; heard from `listen` on."""
        slot = _Slot(kernel=survivor.kernel, ready=True)
        self._slots[survivor.living.incarnation] = slot

    def listen(self, survivor: Survivor) -> None:
        """The room runs: let it hear the kernel."""
        incarnation = survivor.living.incarnation
        slot = self._slots.get(incarnation)
        if slot is None:
            return

        def said(events: tuple[KernelEvent, ...]) -> None:
            if not slot.stopping:
                self._feed(KernelSaid(incarnation, events))

        survivor.ear.listen(said, lambda reason: self._on_ended(incarnation, slot, reason))
        survivor.kernel.hold(holds=self._holds)  # whatever it was told before

    def hold(self, holds: bool) -> None:
        """Let the kernels' events wait until told otherwise: the disk is slower than they are."""
        self._holds = holds
        for slot in self._slots.values():
            if slot.kernel is not None:
                slot.kernel.hold(holds=holds)

    def ask(self, effect: AskKernel) -> None:
        """Send a request; a kernel that is gone is not asked (its end was or will be told)."""
        slot = self._slots.get(effect.incarnation)
        if slot is not None and slot.kernel is not None:
            slot.kernel.ask(effect.request)

    def interrupt(self, effect: InterruptKernel) -> None:
        """Interrupt what the kernel runs, if it still runs that."""
        slot = self._slots.get(effect.incarnation)
        if slot is not None and slot.kernel is not None:
            self._spawn(self._interrupt(slot.kernel, effect))

    def stop(self, effect: StopKernel) -> None:
        """End the kernel; nothing more is heard of it but `KernelStopped`."""
        if not self._begin_stop(effect.incarnation):
            self._feed(KernelStopped(effect.incarnation))

    def orphan(self, now: Moment) -> OrphanedKernel | None:
        """Let the kernel live on without this room; None if none is ready."""
        for incarnation, slot in list(self._slots.items()):
            if slot.ready and not slot.stopping and slot.kernel is not None:
                slot.stopping = True  # nothing it says is for this room any more
                del self._slots[incarnation]
                return OrphanedKernel(incarnation, slot.kernel, now.wall_s)
        return None

    def stop_all(self) -> None:
        """End every kernel of this room."""
        for incarnation in list(self._slots):
            self._begin_stop(incarnation)

    def _begin_stop(self, incarnation: int) -> bool:
        """Whether there is something to end, and `KernelStopped` will follow."""
        slot = self._slots.get(incarnation)
        if slot is None:
            return False
        if not slot.stopping:
            slot.stopping = True
            self._spawn(self._stop(incarnation, slot))
        return True

    async def _start(self, effect: StartKernel, folder: str, slot: _Slot) -> None:
        incarnation = effect.incarnation

        def said(events: tuple[KernelEvent, ...]) -> None:
            if slot.ready and not slot.stopping:
                self._feed(KernelSaid(incarnation, events))
            elif not slot.ready:
                slot.early_events.append(events)

        def ended(reason: str) -> None:
            if slot.ready:
                self._on_ended(incarnation, slot, reason)
            else:
                slot.early_end = reason

        owner = KernelOwner(self._document, incarnation)

        async def start() -> Kernel:
            environment = await self._prepare(effect)
            slot.early_events, slot.early_end = [], None
            return await self._kernels.start(
                effect.name, effect.language, folder, said, ended, owner, environment
            )

        try:
            try:
                slot.kernel = await start()
            except KernelStartFailed:
                if not await self._is_repaired(effect):
                    raise
                slot.kernel = await start()
        except HeadwayError as error:
            if not slot.stopping:
                self._slots.pop(incarnation, None)
                self._feed(KernelFailed(incarnation, error))
            return
        if not slot.stopping:
            self._greet(incarnation, slot, slot.kernel)

    def _greet(self, incarnation: int, slot: _Slot, kernel: Kernel) -> None:
        self._feed(
            KernelReady(
                incarnation, kernel.info, kernel.name, kernel.display_name, kernel.environment
            )
        )
        slot.ready = True
        kernel.hold(holds=self._holds)
        for events in slot.early_events:
            self._feed(KernelSaid(incarnation, events))
        slot.early_events.clear()
        if slot.early_end is not None:
            self._on_ended(incarnation, slot, slot.early_end)

    def _on_ended(self, incarnation: int, slot: _Slot, reason: str) -> None:
        if slot.stopping:
            return
        self._slots.pop(incarnation, None)
        self._feed(KernelEnded(incarnation, reason))

    async def _interrupt(self, kernel: Kernel, effect: InterruptKernel) -> None:
        try:
            await kernel.interrupt(effect.execution_id)
        except HeadwayError as error:
            _LOG.warning("an interrupt failed", extra={"fields": {"reason": error.code}})

    async def _stop(self, incarnation: int, slot: _Slot) -> None:
        try:
            if slot.kernel is None and slot.starting is not None:
                slot.starting.cancel()
                await asyncio.wait([slot.starting])
            if slot.kernel is not None:
                await slot.kernel.stop()
        except HeadwayError as error:
            _LOG.warning("a kernel did not stop cleanly", extra={"fields": {"reason": error.code}})
        finally:
            self._slots.pop(incarnation, None)
            self._feed(KernelStopped(incarnation))
