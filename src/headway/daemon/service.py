"""A daemon put together: ports below, rooms and connections in the middle, listeners on top.

Floor 5. Everything that runs belongs to the one task group here, so nothing outlives `run`. What
belongs to the process (arguments, signals, the lock) is `main`'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from headway.core.wire import rpc
from headway.daemon.app import Application
from headway.daemon.closing import wind_down
from headway.daemon.desk import Desk
from headway.daemon.guard import Guard
from headway.daemon.host import IDLE_ROOM_S, RoomHost
from headway.daemon.ports import Outlet, Outside
from headway.daemon.pump import PING_INTERVAL_S, Connections
from headway.daemon.requests import Requests
from headway.daemon.rooms import OpenRoom, Rooms
from headway.daemon.server import Listener, own_hosts
from headway.daemon.storage import Backlog
from headway.daemon.upkeep import Upkeep
from headway.errors import DeadlineExceeded, HeadwayError

__all__ = ["DRAIN_S", "SAVE_S", "Service"]

_LOG = logging.getLogger("headway.daemon")

DRAIN_S = 4.0
"""How long saving and stopping kernels may take; then rooms are ended as they are (`FINISH_S`)."""

SAVE_S = 2.0
"""How much of it saving may take. What is not saved by then is in the store."""


class Service:
    """A daemon in this process.

    Args:
        outside: The ports. The caller opens and closes them.
        open_room: Makes machines.
        home: Its home, for the status.
        unix: The bound Unix socket.
        tcp: The bound TCP socket, if any.
        token: What TCP requests must show; needed with `tcp`.
        idle_exit_s: End when nobody was connected and nothing ran for this long.
        idle_room_s: See `host.IDLE_ROOM_S`.
        ping_interval_s: See `pump.PING_INTERVAL_S`.
        pages: Further routes.
    """

    def __init__(
        self,
        outside: Outside,
        open_room: OpenRoom,
        *,
        home: Path,
        unix: socket.socket,
        tcp: socket.socket | None = None,
        token: str = "",
        idle_exit_s: float | None = None,
        idle_room_s: float = IDLE_ROOM_S,
        ping_interval_s: float = PING_INTERVAL_S,
        pages: Sequence[BaseRoute] = (),
    ) -> None:
        assert tcp is None or token, "TCP is served only with a token"
        self.ready = asyncio.Event()
        self.rooms: Rooms
        self.connections: Connections
        self._outside = outside
        self._open_room = open_room
        self._home = home
        self._unix = unix
        self._tcp = tcp
        self._token = token
        self._idle_exit_s = idle_exit_s
        self._idle_room_s = idle_room_s
        self._ping_interval_s = ping_interval_s
        self._pages = pages
        self._socket_path = str(unix.getsockname())
        self._http = None if tcp is None else _url(tcp)
        self._started_s = outside.clock.now().wall_s
        self._outlets: dict[int, Outlet] = {}
        self._in_flight = 0
        self._stopping = asyncio.Event()
        self._wound_down = asyncio.Event()
        self._unsaved: list[rpc.Notice] = []
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def http(self) -> str | None:
        """Where browsers find it, if anywhere."""
        return self._http

    def stop(self) -> None:
        """Begin to end. Idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`, then save, close and end everything."""
        async with asyncio.TaskGroup() as tasks:
            listeners = self._compose(tasks)
            await self.rooms.survivors.find()
            for listener in listeners:
                tasks.create_task(listener.run_until_ended())
            for listener in listeners:
                await listener.ready.wait()
            self._reconsider()
            upkeep = tasks.create_task(Upkeep(self._outside, lambda: self.rooms.is_idle).run())
            self.ready.set()
            _LOG.info("listening", extra={"fields": {"socket": self._socket_path}})
            tasks.create_task(self.rooms.take_up_survivors())
            await self._stopping.wait()
            _LOG.info("ending")
            upkeep.cancel()
            await self._drain(listeners)
        _LOG.info("ended")

    def status(self) -> rpc.DaemonStatus:
        """The daemon as it is now."""
        rooms = self.rooms.all()
        return rpc.DaemonStatus(
            pid=os.getpid(),
            version=metadata.version("headway"),
            home=str(self._home),
            socket=self._socket_path,
            http=self._http,
            started_s=self._started_s,
            notebooks=len(rooms),
            peers=len(self._outlets),
            kernels=sum(host.kernels.count for host in rooms),
            notices=list(self._outside.store.notices()),
        )

    def _compose(self, tasks: asyncio.TaskGroup) -> list[Listener]:
        outside = self._outside
        backlog = Backlog(outside.store)
        desk = Desk(outside.clock)
        self.rooms = Rooms(
            outside,
            self._open_room,
            desk,
            self._outlets,
            backlog,
            tasks,
            changed=self._reconsider,
            idle_room_s=self._idle_room_s,
        )
        requests = Requests(outside, self.rooms, desk, status=self.status, stop=self._end_of_work)
        self.connections = Connections(
            rooms=self.rooms,
            requests=requests,
            backlog=backlog,
            outlets=self._outlets,
            changed=self._reconsider,
            ping_interval_s=self._ping_interval_s,
        )
        application = Application(
            self.connections,
            requests,
            outside.blobs,
            health=self._health,
            in_flight=self._count,
            pages=self._pages,
        )
        listeners = [Listener(application.build(is_remote=False), self._unix)]
        if self._tcp is not None:
            guarded = Guard(application.build(is_remote=True), self._token, own_hosts(self._tcp))
            listeners.append(Listener(guarded, self._tcp))
        return listeners

    async def _end_of_work(self) -> rpc.Stopping:
        self.stop()
        await self._wound_down.wait()
        return rpc.Stopping(pid=os.getpid(), unsaved=self._unsaved)

    def _health(self) -> dict[str, Any]:
        return {"status": "ok", "pid": os.getpid(), "version": metadata.version("headway")}

    async def _drain(self, listeners: Sequence[Listener]) -> None:
        self.rooms.close_doors()
        for listener in listeners:
            listener.stop_accepting()
        try:
            async with asyncio.timeout(DRAIN_S), asyncio.TaskGroup() as closing:
                for host in self.rooms.all():
                    closing.create_task(self._wind_down(host))
        except TimeoutError:
            _LOG.error("the rooms did not end in time")
            late = DeadlineExceeded("Saving it took too long.")
            for host in self.rooms.all():
                summary = host.room.summary()
                if summary.path is not None and not summary.saved:
                    self._note_unsaved(host, late)
        self._wound_down.set()
        # The answers to `stop` go out first: they are put on their way in this turn of the loop.
        await asyncio.sleep(0)
        for listener in listeners:
            listener.end()
        await self.rooms.wait_until_ended()

    async def _wind_down(self, host: RoomHost) -> None:
        deadline_s = self._outside.clock.now().monotonic_s + SAVE_S
        failure = await wind_down(host, deadline_s)
        if failure is not None:
            self._note_unsaved(host, failure)

    def _note_unsaved(self, host: RoomHost, why: HeadwayError) -> None:
        fields = {"document": host.document, "code": why.code, "reason": str(why)}
        _LOG.warning("a notebook was not saved to its file", extra={"fields": fields})
        data = {"document": host.document, "path": host.room.path}
        self._unsaved.append(rpc.Notice(code=why.code, message=str(why), data=data))

    # Ending when idle

    def _count(self, difference: int) -> None:
        self._in_flight += difference
        self._reconsider()

    @property
    def _is_idle(self) -> bool:
        return not self._outlets and not self._in_flight and self.rooms.is_idle

    def _reconsider(self) -> None:
        """Something changed: begin or give up the countdown to an idle exit."""
        if self._idle_exit_s is None or self._stopping.is_set():
            return
        idle = self._is_idle
        if idle and self._idle_timer is None:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._idle_exit_s, self._on_idle)
        elif not idle and self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _on_idle(self) -> None:
        self._idle_timer = None
        if self._is_idle:
            _LOG.info("nothing to do: ending")
            self.stop()


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
