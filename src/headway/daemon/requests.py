"""Commands: which go to a room, which the daemon answers itself. Runs off the frame pump.

Floor 5. A request to an open room is given to it at once, in the order of the connection; every
other one is a task of the connection that asked. Each gets exactly one outcome, by its deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

import msgspec

from headway.core.room.inputs import FileAccepted, FileTouched, Requested
from headway.core.wire import rpc
from headway.daemon.closing import close_room
from headway.daemon.desk import Desk, Outcome, Reply
from headway.daemon.host import RoomHost
from headway.daemon.kernels import Spawn
from headway.daemon.ports import Outside
from headway.daemon.rooms import Rooms
from headway.edges.notebook_path import resolve_path
from headway.errors import (
    BadRequest,
    DeadlineExceeded,
    EngineFailure,
    ExecutionNotFound,
    FileWouldEmpty,
    HeadwayError,
    NotebookNotFound,
)

__all__ = ["LOOKED_AT_WITHIN_S", "Caller", "Pending", "Requests"]

_LOG = logging.getLogger("headway.requests")


LOOKED_AT_WITHIN_S = 5.0
"""How long the answer to `open` waits for a file to be read that is accepted, or was not taken."""

# About a notebook, but not for the room alone: the daemon has a part in them.
_INDIRECT = (rpc.GetExecution, rpc.Close)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `peer` is the connection's number, None for plain HTTP."""

    peer: int | None
    name: str


class Pending:
    """A request under way; settles once."""

    def __init__(self, reply: Reply, desk: Desk) -> None:
        self._reply: Reply | None = reply
        self._desk = desk
        self._token: int | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the outcome was given, or nobody wants it."""
        return self._reply is None

    def settle(self, outcome: Outcome) -> None:
        """Give the outcome; only the first counts."""
        reply, self._reply = self._reply, None
        if reply is not None:
            reply(outcome)

    def ask(
        self,
        host: RoomHost,
        params: rpc.RoomParams,
        caller: Caller,
        deadline_s: float,
        reply: Reply | None = None,
    ) -> None:
        """Put the request to the room; its outcome goes to `reply`, if not to `settle`."""
        if self.is_settled:
            return
        self._token = self._desk.open(host.document, reply or self.settle, deadline_s, host.feed)
        host.feed(Requested(self._token, caller.peer, params, deadline_s, caller.name))

    def abandon(self) -> None:
        """Nobody waits any more."""
        self._reply = None
        if self.task is not None:
            self.task.cancel()
        if self._token is not None:
            self._desk.abandon(self._token)


class Requests:
    """The commands of this daemon.

    Args:
        outside: The ports.
        rooms: The registry.
        desk: Where requests to rooms wait.
        status: Gives the daemon's status.
        stop: Ends the daemon's work; gives what came of it.
    """

    def __init__(
        self,
        outside: Outside,
        rooms: Rooms,
        desk: Desk,
        *,
        status: Callable[[], rpc.DaemonStatus],
        stop: Callable[[], Awaitable[rpc.Stopping]],
    ) -> None:
        self._outside = outside
        self._rooms = rooms
        self._desk = desk
        self._status = status
        self._stop = stop

    def begin(self, params: rpc.Params, caller: Caller, reply: Reply, spawn: Spawn) -> Pending:
        """Start a request; `reply` is called exactly once unless it is abandoned.

        Args:
            params: The typed parameters.
            caller: Who asks.
            reply: Takes the outcome.
            spawn: Starts a task in the group of the caller's connection.
        """
        pending = Pending(reply, self._desk)
        deadline_s = self._outside.clock.now().monotonic_s + params.timeout_s
        host = self._direct(params)
        if host is not None:
            assert isinstance(params, rpc.RoomParams)
            pending.ask(host, params, caller, deadline_s)
        else:
            pending.task = spawn(self._run(params, caller, pending, deadline_s))
        return pending

    def _direct(self, params: rpc.Params) -> RoomHost | None:
        if not isinstance(params, rpc.RoomParams) or isinstance(params, _INDIRECT):
            return None
        if isinstance(params, rpc.Save) and params.path is not None:
            return None
        return self._rooms.find(params.document)

    async def _run(
        self, params: rpc.Params, caller: Caller, pending: Pending, deadline_s: float
    ) -> None:
        try:
            async with asyncio.timeout(params.timeout_s):
                outcome = await self._perform(params, caller, pending, deadline_s)
        except TimeoutError:
            outcome = DeadlineExceeded(
                f"The request was not done within {params.timeout_s:g} s.",
                timeout_s=params.timeout_s,
            )
        except HeadwayError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the caller is told, and it is logged
            _LOG.exception("a request failed", extra={"fields": {"method": params.method}})
            outcome = EngineFailure(f"The daemon failed at {params.method}: {error}")
        if outcome is not None:
            pending.settle(outcome)

    async def _perform(
        self, params: rpc.Params, caller: Caller, pending: Pending, deadline_s: float
    ) -> Outcome | None:
        """The outcome; None once a room has the request and will give it."""
        match params:
            case rpc.Open():
                return await self._open(params)
            case rpc.Create():
                path = None if params.path is None else await _resolved(params.path)
                return _opened(await self._rooms.create(path), created=True)
            case rpc.List() | rpc.ListKnown() | rpc.ListKernels() | rpc.Status() | rpc.Stop():
                return await self._about_daemon(params)
            case rpc.GetExecution():
                return await self._get_execution(params, caller, pending, deadline_s)
            case rpc.Close():
                return await self._close(params, deadline_s)
            case rpc.RoomParams():
                return await self._ask_room(params, caller, pending, deadline_s)
        raise BadRequest(f"The daemon cannot do {params.method!r}.")

    async def _about_daemon(
        self, params: rpc.List | rpc.ListKnown | rpc.ListKernels | rpc.Status | rpc.Stop
    ) -> Outcome:
        match params:
            case rpc.List():
                return rpc.Notebooks(notebooks=[host.room.summary() for host in self._rooms.all()])
            case rpc.ListKnown():
                return await self._known()
            case rpc.ListKernels():
                return await _installed(self._outside)
            case rpc.Status():
                return self._status()
            case rpc.Stop():
                return await self._stop()
            case _:
                assert_never(params)

    async def _known(self) -> rpc.KnownNotebooks:
        known = await self._outside.store.known()
        opened = {host.document for host in self._rooms.all()}
        return rpc.KnownNotebooks(
            notebooks=[
                rpc.KnownNotebook(
                    document=each.document, path=each.path, is_open=each.document in opened
                )
                for each in known
            ]
        )

    async def _open(self, params: rpc.Open) -> rpc.Opened:
        if (params.path is None) == (params.document is None):
            raise BadRequest("Open takes a path or a document, and not both.", field="path")
        if params.document is not None:
            return _opened(await self._rooms.load(params.document), created=False)
        assert params.path is not None
        path = await _resolved(params.path)
        host, created = await self._rooms.open_path(path, create=params.create)
        if params.accept_file:
            host.refused_file = None
            host.feed(FileAccepted())
            # The file is merged and durable by then, so whoever joins next sees it.
            await host.wait_until_quiet(LOOKED_AT_WITHIN_S)
        else:
            await _refuse_to_empty(host)
        return _opened(host, created=created)

    async def _ask_room(
        self, params: rpc.RoomParams, caller: Caller, pending: Pending, deadline_s: float
    ) -> Outcome | None:
        if isinstance(params, rpc.Save) and params.path is not None:
            await self._save_to(params.path, params, caller, pending, deadline_s)
        else:
            host = await self._rooms.load(params.document)
            pending.ask(host, params, caller, deadline_s)
        return None

    async def _save_to(
        self, path: str, params: rpc.Save, caller: Caller, pending: Pending, deadline_s: float
    ) -> None:
        path = await _resolved(path)
        host = await self._rooms.load(params.document)
        await self._rooms.claim(path, host)

        def reply(outcome: Outcome) -> None:
            if not isinstance(outcome, DeadlineExceeded):  # then the save may be under way
                self._rooms.release(path, host)
            pending.settle(outcome)

        pending.ask(host, msgspec.structs.replace(params, path=path), caller, deadline_s, reply)

    async def _close(self, params: rpc.Close, deadline_s: float) -> rpc.Closed:
        host = self._rooms.find(params.document)
        if host is not None:
            await close_room(host, deadline_s, required_heads=params.required_heads)
            return rpc.Closed(document=host.document)
        if await self._rooms.is_known(params.document):
            return rpc.Closed(document=params.document)
        raise NotebookNotFound(
            f"The daemon knows no notebook {params.document!r}.", document=params.document
        )

    async def _get_execution(
        self, params: rpc.GetExecution, caller: Caller, pending: Pending, deadline_s: float
    ) -> Outcome | None:
        # The store first: a terminal result outlives the runtime document it was written in.
        finished, document = await self._stored_execution(params)
        if finished is not None:
            return finished
        document = params.document or document
        if not document:
            raise ExecutionNotFound(
                f"The daemon knows no execution {params.execution_id!r}.",
                execution_id=params.execution_id,
            )
        host = await self._rooms.load(document)
        pending.ask(host, msgspec.structs.replace(params, document=document), caller, deadline_s)
        return None

    async def _stored_execution(
        self, asked: rpc.GetExecution
    ) -> tuple[rpc.ExecutionOutcome | None, str]:
        notebook = asked.document if asked.document.startswith("nb-") else None
        stored = await self._outside.store.find_execution(asked.execution_id, notebook)
        if stored is None:
            return None, ""
        notebook = stored.accepted.notebook
        if stored.record is None:
            return None, notebook
        record = msgspec.json.decode(stored.record)
        outcome = rpc.ExecutionOutcome(
            execution_id=stored.accepted.runs_as, document=notebook, record=record
        )
        return outcome, notebook


async def _installed(outside: Outside) -> rpc.InstalledKernels:
    # Reading the kernelspecs reads the disk.
    found = await asyncio.to_thread(outside.kernels.installed)
    return rpc.InstalledKernels(
        kernels=[
            rpc.InstalledKernel(name=name, display_name=spec.display_name, language=spec.language)
            for name, spec in found.kernels.items()
        ],
        unreadable=dict(found.unreadable),
    )


async def _resolved(path: str) -> str:
    return await asyncio.to_thread(resolve_path, path)


def _opened(host: RoomHost, *, created: bool) -> rpc.Opened:
    summary = host.room.summary()
    return rpc.Opened(
        document=host.document,
        runtime=host.room.runtime,
        path=host.room.path,
        created=created,
        kernel=summary.kernel,
        notices=[*host.notices, *summary.notices],
    )


async def _refuse_to_empty(host: RoomHost) -> None:
    """Whoever opens a file by its path must know that the notebook is not what is in it."""
    refused, host.refused_file = host.refused_file, None
    if isinstance(refused, FileWouldEmpty):
        raise FileWouldEmpty(refused.message, **{**refused.data, "document": host.document})
    if _told_to_empty(host):
        # It may have been moved away, or put back, and the system tells a little later.
        host.feed(FileTouched())
        await host.wait_until_quiet(LOOKED_AT_WITHIN_S)
    for notice in _told_to_empty(host):
        raise FileWouldEmpty(notice.message, **{**notice.data, "document": host.document})


def _told_to_empty(host: RoomHost) -> list[rpc.Notice]:
    return [each for each in host.room.summary().notices if each.code == FileWouldEmpty.code]
