"""Kernels without processes, behind the port: the fake of the daemon's tests.

They pass the same conformance suite as real kernels. What their code may be, `scripted_kernel`
says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from headway.core.kernel.events import ExecuteReply, Idle, KernelEvent, KernelInfo, ReplyLost
from headway.core.room.effects import ExecuteRequest, KernelRequest
from headway.core.wire.rpc import KernelEnvironment
from headway.edges.kernelspecs import DEFAULT_KERNEL, Kernelspec, Kernelspecs, choose
from headway.edges.ports import AdoptableKernel, AdoptedKernel, KernelOwner, KernelSink
from headway.edges.scripted_kernel import (
    DEFAULT_REASON,
    ScriptedKernel,
    StdinNotImplementedError,
)
from headway.errors import HeadwayError, KernelDied, KernelStartFailed
from headway.ids import ExecutionId

__all__ = ["MemoryKernel", "MemoryKernels", "ScriptedKernel", "StdinNotImplementedError"]


class MemoryKernel:
    """A `ScriptedKernel` behind the port. It runs by itself on the event loop.

    With `by_hand` it does nothing until the test calls `step`.
    """

    def __init__(
        self,
        name: str,
        folder: str,
        events: KernelSink,
        ended: Callable[[str], None],
        *,
        by_hand: bool = False,
        idle_first: bool = False,
        owner: KernelOwner | None = None,
        environment: KernelEnvironment | None = None,
    ) -> None:
        self.name = self.display_name = name
        self.owner = owner
        self.environment = environment
        self.asked: ExecutionId | None = None
        self.replied: ExecuteReply | None = None
        self.folder = folder
        self.info = KernelInfo("python", {"name": "python", "file_extension": ".py"}, "5.3")
        self.script = ScriptedKernel(idle_first=idle_first)
        self.interrupts = 0
        self.is_stopped = False
        self._loop = asyncio.get_running_loop()
        self._sink = events
        self._ended = ended
        self._by_hand = by_hand
        self._said_ended = False
        self._held: list[tuple[KernelEvent, ...]] | None = None

    @property
    def requests(self) -> list[KernelRequest]:
        """Everything asked, in order."""
        return self.script.requests

    def ask(self, request: KernelRequest) -> None:
        """Send a request; never blocks."""
        if isinstance(request, ExecuteRequest):
            self.asked, self.replied = request.execution_id, None
        self.script.ask(request)
        self._go_on()

    def step(self) -> bool:
        """Do the next thing and hand its events on; False when there was nothing to do."""
        events = self.script.step()
        self._say(events or ())
        return events is not None

    def release(self) -> None:
        """End the `sleep` that the running code is in."""
        self.script.release()
        self._go_on()

    def die(self, reason: str = DEFAULT_REASON) -> None:
        """End, as if the process had been killed."""
        self.script.die(reason)
        self._say(())

    def say(self, *events: KernelEvent) -> None:
        """Hand on events as if the kernel had sent them."""
        self._say(events)

    def hold(self, *, holds: bool) -> None:
        """Keep what it says until told otherwise."""
        if holds:
            self._held = [] if self._held is None else self._held
            return
        held, self._held = self._held, None
        for events in held or ():
            self._say(events)

    async def interrupt(self, execution_id: ExecutionId | None = None) -> None:
        """Raise KeyboardInterrupt in what runs, if that is what is meant."""
        if execution_id not in {None, self.script.running}:
            return
        self.interrupts += 1
        self._say(self.script.interrupt())
        self._go_on()

    async def stop(self) -> None:
        """End; `ended` is not called."""
        self.is_stopped = self._said_ended = True
        self.script.die("it was stopped")

    def abandon(self) -> None:
        """Its daemon is killed: nobody hears it, and it goes on."""
        self._sink, self._ended = lambda _: None, lambda _: None

    def adopt(self, events: KernelSink, ended: Callable[[str], None]) -> None:
        """Somebody hears it again."""
        self._sink, self._ended = events, ended
        if self.script.death is not None:
            self._loop.call_soon(ended, self.script.death)
        elif self.script.asking is not None:
            self._loop.call_soon(events, (self.script.asking,))
        elif self.asked is not None and (self.replied is not None or not self.script.is_busy):
            self._loop.call_soon(self._recall, self.asked)

    def hear_anew(self, events: KernelSink, ended: Callable[[str], None]) -> ExecutionId | None:
        """Have somebody else hear it; see `ports.Kernel`."""
        if self.script.death is not None:
            reason = self.script.death
            raise KernelDied(f"The kernel ended: {reason}.", reason=reason)
        self.adopt(events, ended)
        return self.asked

    def _recall(self, asked: ExecutionId) -> None:
        lost = ReplyLost(asked, "the daemon ended before it did, and how it ended is not known")
        self._sink((lost if self.replied is None else self.replied, Idle(asked)))

    def _go_on(self) -> None:
        if not self._by_hand and self.script.can_step:
            self._loop.call_soon(self._step_and_go_on)

    def _step_and_go_on(self) -> None:
        if self.step():
            self._go_on()

    def _say(self, events: tuple[KernelEvent, ...]) -> None:
        for event in events:
            if isinstance(event, ExecuteReply) and event.execution_id == self.asked:
                self.replied = event
        if self._held is not None:
            self._held.append(events)
            return
        if events and not self.is_stopped:
            self._sink(events)
        if self.script.death is not None and not self._said_ended:
            self._said_ended = True
            self._ended(self.script.death)


class MemoryKernels:
    """Implements `Kernels`. `languages` maps the names of the installed kernels to languages."""

    def __init__(self, languages: Mapping[str, str] | None = None) -> None:
        self.started: list[MemoryKernel] = []
        """Every kernel, in the order of starting."""
        self.left: dict[str, MemoryKernel] = {}
        """Kernels of an earlier daemon."""
        self.failure: HeadwayError | None = None
        """While set, every start fails with it."""
        self.gate: asyncio.Event | None = None
        """While set, starts wait for it."""
        self.by_hand = False
        """Whether kernels started from here on wait for `step`."""
        self.idle_first = False
        """Whether they send the idle status before the reply."""
        self._closed = False
        self._specs = Kernelspecs(
            {
                name: Kernelspec(name, name, language, (), {}, "signal", "ipc", "")
                for name, language in (languages or {DEFAULT_KERNEL: "python"}).items()
            }
        )

    def installed(self) -> Kernelspecs:
        """What it was made with."""
        return self._specs

    async def start(
        self,
        name: str | None,
        language: str | None,
        folder: str,
        events: KernelSink,
        ended: Callable[[str], None],
        owner: KernelOwner | None = None,
        environment: KernelEnvironment | None = None,
    ) -> MemoryKernel:
        """Start a kernel, once the gate lets it. Raises KernelNotFound, or `failure`."""
        spec = choose(self._specs, name, language)
        if self.gate is not None:
            await self.gate.wait()
        if self._closed:
            raise KernelStartFailed("No kernel starts any more: Headway is closing.", stderr="")
        if self.failure is not None:
            raise self.failure
        kernel = MemoryKernel(
            spec.name,
            folder,
            events,
            ended,
            by_hand=self.by_hand,
            idle_first=self.idle_first,
            owner=owner,
            environment=environment,
        )
        self.started.append(kernel)
        return kernel

    def successor(self) -> MemoryKernels:
        """What the next daemon finds after this one was killed."""
        following = MemoryKernels()
        following._specs = self._specs
        for kernel in self.started:
            kernel.abandon()
            if kernel.owner is not None and not kernel.is_stopped:
                following.left[f"kernel-{len(following.left)}"] = kernel
        self.started.clear()
        return following

    async def adoptable(self) -> tuple[AdoptableKernel, ...]:
        """Those that the former daemon left."""
        return tuple(
            AdoptableKernel(kernel_id, kernel.owner)
            for kernel_id, kernel in self.left.items()
            if kernel.owner is not None
        )

    async def adopt(
        self, found: AdoptableKernel, events: KernelSink, ended: Callable[[str], None]
    ) -> AdoptedKernel:
        """Take one up again."""
        kernel = self.left.pop(found.kernel_id, None)
        if kernel is None:
            raise KernelDied("The kernel is gone.", reason="nothing is left of it")
        self.started.append(kernel)
        kernel.adopt(events, ended)
        return AdoptedKernel(kernel, kernel.asked, time.time())

    async def close(self) -> None:
        """Stop every kernel."""
        self._closed = True
        for kernel in self.started:
            await kernel.stop()
