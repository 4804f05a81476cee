"""The kernels of one room, as the daemon's shell keeps them: by incarnation."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from headway.core.kernel.events import KernelEvent, KernelInfo
from headway.core.room.effects import AskKernel, Environment, ExecuteRequest, InputReply
from headway.core.room.inputs import (
    EnvironmentSeen,
    Input,
    KernelEnded,
    KernelFailed,
    KernelReady,
    KernelSaid,
    KernelStopped,
)
from headway.errors import KernelStartFailed
from sim.kernel import FakeKernel

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["Kernels"]

Lives = Callable[[Callable[..., None]], Callable[..., None]]


class Kernels:
    """Started, asked and stopped as the room says; `feed` takes what comes of it."""

    def __init__(self, world: World, feed: Callable[[Input], None], lives: Lives) -> None:
        self.world = world
        self.dice = world.split("kernels")
        self._feed = feed
        self._lives = lives
        self._running: dict[int, FakeKernel] = {}
        self._ready: dict[int, None] = {}

    def start(self, incarnation: int) -> None:
        world, options = self.world, self.world.options
        kernel = FakeKernel(
            world.timeline,
            random.Random(self.dice.random()),
            options.kernel_s,
            noise=options.kernel_noise,
            mortal=options.kernel_deaths and world.is_chaos,
            asks=world.split(f"kernel {world.daemon.life} {incarnation} asks"),
            say=self._lives(lambda events: self._heard(incarnation, events)),
            ended=self._lives(lambda reason: self._ended(incarnation, reason)),
        )
        self._running[incarnation] = kernel
        fails = options.kernel_start_failures and world.is_chaos and self.dice.random() < 0.3
        ready = self._lives(lambda: self._started(incarnation, kernel, fails=fails))
        world.timeline.after(options.kernel_s * self.dice.uniform(1, 10), ready)

    def look(self, environment: Environment | None) -> None:
        """Every environment is there, and the one kernel."""
        found = EnvironmentSeen(environment, is_ready=True, kernels={"python3": "python"})
        seen = self._lives(lambda: self._feed(found))
        delay_s = self.world.options.kernel_s * self.dice.uniform(0, 3)
        self.world.timeline.after(delay_s, seen)

    def ask(self, effect: AskKernel) -> None:
        if isinstance(effect.request, ExecuteRequest):
            request = effect.request
            self.world.oracle.kernel_given(request.execution_id, request.code)
        kernel = self._running.get(effect.incarnation)
        if isinstance(effect.request, InputReply):
            lives = kernel is not None and not kernel.is_dead
            asking = (kernel.asking or "") if kernel is not None and lives else None
            self.world.oracle.answer_given(effect.request, asking)
        if kernel is not None:
            kernel.ask(effect.request)

    def interrupt(self, incarnation: int) -> None:
        if incarnation in self._running:
            if self._running[incarnation].asking is not None:
                self.world.hit("interrupt of a cell that asks")
            self._running[incarnation].interrupt()

    def stop(self, incarnation: int) -> None:
        if incarnation in self._running:
            self._running.pop(incarnation).stop()
        delay_s = self.world.options.kernel_s * self.dice.uniform(0, 3)
        stopped = self._lives(lambda: self._feed(KernelStopped(incarnation)))
        self.world.timeline.after(delay_s, stopped)

    def leave(self) -> tuple[int, FakeKernel] | None:
        """The daemon, or its room, is gone; gives the kernel that lives on, if one does."""
        left: tuple[int, FakeKernel] | None = None
        for incarnation, kernel in self._running.items():
            is_ready = incarnation in self._ready and not kernel.is_dead
            if is_ready and self.world.options.kernels_survive:
                kernel.be_orphaned()
                left = incarnation, kernel
                if self.world.options.kernel_deaths and self.dice.random() < 0.6:
                    when_s = self.dice.uniform(0, 0.1)
                    self.world.timeline.after(when_s, partial(kernel.die, "it was killed"))
            else:
                kernel.stop()
        self._running.clear()
        return left

    def take_up(self, incarnation: int, kernel: FakeKernel) -> None:
        """A kernel that was left is the room's."""
        self.world.hit("kernel that outlived its daemon")
        self._running[incarnation] = kernel
        kernel.be_adopted(
            self._lives(lambda events: self._heard(incarnation, events)),
            self._lives(lambda reason: self._ended(incarnation, reason)),
        )

    @property
    def is_doomed(self) -> bool:
        """Whether one of them will die by itself."""
        return any(kernel.is_doomed for kernel in self._running.values())

    def _started(self, incarnation: int, kernel: FakeKernel, *, fails: bool) -> None:
        if self._running.get(incarnation) is not kernel:
            return
        if fails:
            self.world.hit("kernel that does not start")
            del self._running[incarnation]
            self._feed(KernelFailed(incarnation, KernelStartFailed("It ended.", stderr="")))
        else:
            self._ready[incarnation] = None
            self._feed(KernelReady(incarnation, KernelInfo("python"), "python3"))

    def _heard(self, incarnation: int, events: tuple[KernelEvent, ...]) -> None:
        if incarnation not in self._running:
            self.world.hit("words of a kernel that was stopped")
        else:
            self.world.oracle.kernel_said(events)
        self._feed(KernelSaid(incarnation, events))

    def _ended(self, incarnation: int, reason: str) -> None:
        if self._running.pop(incarnation, None) is not None:
            self.world.hit("kernel death")
            self._feed(KernelEnded(incarnation, reason))
