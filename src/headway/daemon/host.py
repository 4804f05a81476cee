"""One room and everything around it: its inputs in, its effects out, its timer, its tasks.

Floor 5. The host decides nothing about a notebook; it feeds the machine and performs what it
asks for (`perform`). A machine or store that fails ends the host: its peers are told to come
back, its requests are refused, and the next use loads the notebook from the store again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headway.core.room.effects import Effect
from headway.core.room.inputs import (
    FileTouched,
    Input,
    PeerArrived,
    PeerGone,
    Persisted,
    PersistFailed,
    Tick,
)
from headway.core.wire import rpc
from headway.daemon.desk import Desk
from headway.daemon.kernels import RoomKernels
from headway.daemon.peer import CLOSE_TRY_AGAIN
from headway.daemon.perform import perform
from headway.daemon.ports import Outlet, Outside
from headway.daemon.storage import Backlog, StorageLane
from headway.daemon.survivors import OrphanedKernel
from headway.daemon.trace import trace_effect, trace_input
from headway.daemon.turns import Turns
from headway.edges.ports import Watch
from headway.errors import DaemonUnavailable, EngineFailure, HeadwayError
from headway.ids import DocumentId
from headway.moments import Moment

__all__ = ["FINISH_S", "IDLE_ROOM_S", "STEADY_S", "OpenedRoom", "RoomHost", "RoomMachine", "closed"]

_LOG = logging.getLogger("headway.rooms")

IDLE_ROOM_S = 60.0
"""A room without peers, kernel and work is put away after this long; the store has it all."""

FINISH_S = 4.0
"""How long an ended room may take to stop its kernels and finish its writes."""

STEADY_S = 10.0
"""A room that fails sooner after its opening would fail again: its kernel is not kept for it."""

_SHORTEST_TIMER_S = 0.001


class RoomMachine(Protocol):
    """The face of `core.room.room.Room` that a host needs."""

    @property
    def document(self) -> DocumentId:
        """The notebook's id."""

    @property
    def runtime(self) -> DocumentId:
        """The current runtime document's id; it changes."""

    @property
    def path(self) -> str | None:
        """The notebook's file."""

    @property
    def failure(self) -> HeadwayError | None:
        """Why it does nothing more; None as long as it works."""

    @property
    def is_idle(self) -> bool:
        """No kernel busy, nothing queued, no unsaved or undurable work."""

    def handle(self, event: Input, now: Moment) -> list[Effect]:
        """Take an input, give effects in order."""

    def next_deadline(self) -> float | None:
        """When the next `Tick` is due (monotonic seconds)."""

    def summary(self) -> rpc.NotebookSummary:
        """One line about the notebook."""


@dataclass(frozen=True, slots=True)
class OpenedRoom:
    """A machine, the effects of its opening, and what should be known about that."""

    room: RoomMachine
    first: Sequence[Effect]
    refused_file: HeadwayError | None = None
    """Why its file was not taken in."""


class RoomHost:
    """A room that is open.

    Args:
        room: The machine; this host is its only owner.
        first: The effects of its opening.
        outside: The ports.
        desk: Where requests wait for their answers.
        outlets: The connections, by number.
        backlog: The daemon's write backlog.
        turns: Where autosaves wait for each other.
        changed: Called after each input: something may have become idle.
        idle_room_s: See `IDLE_ROOM_S`.
    """

    def __init__(
        self,
        room: RoomMachine,
        first: Sequence[Effect],
        outside: Outside,
        desk: Desk,
        outlets: dict[int, Outlet],
        backlog: Backlog,
        turns: Turns,
        *,
        changed: Callable[[], None],
        idle_room_s: float = IDLE_ROOM_S,
    ) -> None:
        self.room = room
        self.outside = outside
        self.desk = desk
        self.outlets = outlets
        self.turns = turns
        self.kernels = RoomKernels(
            room.document, outside.kernels, outside.environments, self.feed, self.spawn
        )
        self.storage = StorageLane(
            outside.store, outside.blobs, backlog, self._on_stored, self.kernels.hold
        )
        self.peers: dict[int, None] = {}
        self.notices: tuple[rpc.Notice, ...] = ()
        self.refused_file: HeadwayError | None = None
        self.orphaned: OrphanedKernel | None = None
        """The kernel that lives on, once this host has failed."""
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self._begun_s = outside.clock.now().monotonic_s
        self._first = first
        self._changed = changed
        self._idle_room_s = idle_room_s
        self._tasks: asyncio.TaskGroup | None = None
        self._inbox: deque[Input] = deque()
        self._feeding = False
        self._ending = asyncio.Event()
        self._jobs: dict[asyncio.Task[None], None] = {}
        self._no_jobs = asyncio.Event()
        self._no_jobs.set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_deadline_s: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._watched: str | None = None
        self._watch: Watch | None = None

    @property
    def document(self) -> DocumentId:
        """The notebook's document id."""
        return self.room.document

    @property
    def is_open(self) -> bool:
        """Whether inputs are still taken."""
        return not self._ending.is_set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is going on: no work in the room, none on its way to the disk."""
        return self.room.is_idle and not self._jobs

    @property
    def folder(self) -> str:
        """Where its kernels run: the file's folder, or the home folder of an untitled one."""
        path = self.room.path
        return os.path.dirname(path) if path else os.path.expanduser("~")  # noqa: PTH111, PTH120

    def serves(self, room_id: str) -> bool:
        """Whether this id names the notebook or its current runtime document."""
        return room_id in (self.room.document, self.room.runtime)

    def arrive(self, peer: int, name: str, kind: str) -> None:
        """Make a connection known to the room, once."""
        if peer not in self.peers:
            self.peers[peer] = None
            self.feed(PeerArrived(peer, name, kind))

    def depart(self, peer: int) -> None:
        """The connection is gone."""
        if peer in self.peers:
            del self.peers[peer]
            self.feed(PeerGone(peer))

    def feed(self, event: Input) -> None:
        """Give the room an input and perform what comes of it; never blocks.

        An input that arises while another is being handled waits its turn.
        """
        if not self.is_open:
            return
        self._inbox.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._inbox and self.is_open:
                self._handle(self._inbox.popleft())
        finally:
            self._feeding = False
        self._settle()

    def end(self, why: HeadwayError | None = None) -> None:
        """Take no more inputs, and refuse what waits; what is under way is finished (`FINISH_S`).

        `why` is what those who wait are told: that the notebook was closed, if None.
        """
        self._inbox.clear()
        self._cancel_timers()
        self._end_watch()
        self._ending.set()
        self.desk.refuse_room(self.document, why or closed())
        self._changed()

    def fail(self, error: HeadwayError, *, is_of_store: bool = False) -> None:
        """The machine or the store failed: end, refuse what waits, tell the peers to come back.

        It is not the kernel's failure, and hours of work may be in its memory: it lives on.
        """
        if not self.is_open:
            return
        now = self.outside.clock.now()
        if is_of_store or now.monotonic_s - self._begun_s >= STEADY_S:
            self.orphaned = self.kernels.orphan(now)
        fields = {"document": self.document, "code": error.code, "reason": str(error)}
        _LOG.error("a room failed", extra={"fields": fields})
        self.end(error)
        for peer in list(self.peers):
            outlet = self.outlets.get(peer)
            if outlet is not None:
                outlet.close(CLOSE_TRY_AGAIN, "the notebook must be loaded again")

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a job in this room's group."""
        assert self._tasks is not None, "a host performs nothing before it runs"
        task = self._tasks.create_task(self._job(work))
        self._jobs[task] = None
        self._no_jobs.clear()
        task.add_done_callback(self._on_job_done)
        return task

    async def wait_until_quiet(self, limit_s: float) -> None:
        """Return once no job and no write is under way, at the latest after `limit_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._no_jobs.wait()
                await self.storage.wait_until_empty()

    async def run(self) -> None:
        """Own the room's tasks until it ends. Raises nothing but cancellation."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                lane = tasks.create_task(self.storage.run())
                self._perform_first()
                self.started.set()
                await self._ending.wait()
                await self._finish()
                lane.cancel()
        except* Exception as group:  # noqa: BLE001 - the room ends, and it is logged
            _LOG.exception("a room's tasks failed", extra={"fields": {"document": self.document}})
            self.fail(_as_failure(group.exceptions[0]))
        finally:
            self._cancel_timers()
            self._end_watch()
            self._ending.set()
            self.started.set()
            self.ended.set()
            self._changed()

    def _perform_first(self) -> None:
        self._feeding = True
        self._perform_all(self._first)
        self._first = ()
        while self._inbox and self.is_open:
            self._handle(self._inbox.popleft())
        self._feeding = False
        self._settle()

    async def _finish(self) -> None:
        self.kernels.stop_all()
        try:
            async with asyncio.timeout(FINISH_S):
                await self._no_jobs.wait()
                await self.storage.wait_until_empty()
        except TimeoutError:
            _LOG.error("a room did not end in time", extra={"fields": {"document": self.document}})
            for job in self._jobs:
                job.cancel()

    async def _job(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the room ends, and it is logged
            _LOG.exception("a job failed", extra={"fields": {"document": self.document}})
            self.fail(_as_failure(error))

    def _on_job_done(self, task: asyncio.Task[None]) -> None:
        self._jobs.pop(task, None)
        if not self._jobs:
            self._no_jobs.set()
        self._settle()

    def _handle(self, event: Input) -> None:
        trace_input(self.document, event)
        try:
            effects = self.room.handle(event, self.outside.clock.now())
        except Exception as error:  # noqa: BLE001 - the room ends, and it is logged
            _LOG.exception("a room's machine failed", extra={"fields": {"document": self.document}})
            self.fail(_as_failure(error))
            return
        self._perform_all(effects)
        if self.room.failure is not None:
            self.fail(self.room.failure, is_of_store=isinstance(event, PersistFailed))

    def _perform_all(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            trace_effect(self.document, effect)
            try:
                perform(effect, self)
            except Exception as error:  # noqa: BLE001 - the room ends, and it is logged
                _LOG.exception("an effect failed", extra={"fields": {"document": self.document}})
                self.fail(_as_failure(error))
                return

    def _on_stored(self, event: Persisted | PersistFailed) -> None:
        if self.is_open:
            self.feed(event)
        self._changed()

    def _settle(self) -> None:
        if self.is_open:
            self._follow_path()
            self._arm_timer()
            self._arm_idle_timer()
        self._changed()

    def _follow_path(self) -> None:
        """Watch the file that is the notebook's now."""
        path = self.room.path
        if path == self._watched:
            return
        self._end_watch()
        self._watched = path
        if path is not None:
            self._watch = self.outside.watching.watch(path, lambda: self.feed(FileTouched()))

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _arm_timer(self) -> None:
        deadline_s = self.room.next_deadline()
        if self._timer is not None:
            armed_s = self._timer_deadline_s
            if deadline_s is None or (armed_s is not None and armed_s <= deadline_s):
                return  # It comes in good time, finds that it is early, and is armed anew.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_deadline_s = deadline_s
        if deadline_s is not None:
            wait_s = max(_SHORTEST_TIMER_S, deadline_s - self.outside.clock.now().monotonic_s)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        deadline_s = self.room.next_deadline()
        # The loop's clock may be coarser than the room's: too early means wait again.
        if deadline_s is not None and deadline_s <= self.outside.clock.now().monotonic_s:
            self.feed(Tick())
        else:
            self._arm_timer()

    def _arm_idle_timer(self) -> None:
        removable = not self.peers and not self.kernels.count and self.is_idle
        if removable and self._idle_timer is None:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._idle_room_s, self._on_idle)
        elif not removable and self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _on_idle(self) -> None:
        self._idle_timer = None
        if not self.peers and not self.kernels.count and self.is_idle:
            _LOG.info("a room is put away", extra={"fields": {"document": self.document}})
            self.end()

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._idle_timer = None


def closed() -> DaemonUnavailable:
    """What somebody is told whose request came too late."""
    return DaemonUnavailable("The notebook was closed meanwhile.")


def _as_failure(error: Exception) -> HeadwayError:
    if isinstance(error, HeadwayError):
        return error
    return EngineFailure(
        f"The notebook's machinery failed ({type(error).__name__}); it is loaded again at the "
        "next use. Everything confirmed is kept. Please try again."
    )
