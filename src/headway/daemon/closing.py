"""Closing a notebook: save it, shut its kernel down, tell its peers, end its room.

Floor 5. Each step is an ordinary request to the room, so it is bound by the same rules.
"""

from __future__ import annotations

import asyncio

from headway.core.room.file_errors import is_removed
from headway.core.room.inputs import Requested
from headway.core.wire import rpc
from headway.core.wire.codec import encode
from headway.core.wire.messages import Kind, RoomError, RoomErrorCode
from headway.daemon.desk import Outcome
from headway.daemon.host import RoomHost, closed
from headway.errors import FileWouldEmpty, HeadwayError

__all__ = ["ask", "close_room", "wind_down"]

_DAEMON = "daemon"


async def ask(host: RoomHost, params: rpc.RoomParams, deadline_s: float) -> Outcome:
    """Put a request to a room on the daemon's own account; the outcome, error or not."""
    if not host.is_open:
        return closed()
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def reply(outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    token = host.desk.open(host.document, reply, deadline_s, host.feed)
    host.feed(Requested(token, None, params, deadline_s, _DAEMON, is_daemons=True))
    try:
        return await future
    finally:
        host.desk.abandon(token)


async def close_room(host: RoomHost, deadline_s: float, *, required_heads: str | None) -> None:
    """Save, shut the kernel down, put the peers out, end the room.

    A file that somebody removed is not brought back by this. Raises what the save raised, and
    FileWouldEmpty where only a person can decide; then nothing is closed.
    """
    failure = await _save(host, deadline_s, required_heads)
    if failure is not None:
        raise failure
    shutdown = rpc.ShutdownKernel(document=host.document, required_heads=required_heads)
    outcome = await ask(host, shutdown, deadline_s)
    if isinstance(outcome, HeadwayError):
        raise outcome
    _put_out(host)
    host.end()
    await host.ended.wait()


async def wind_down(host: RoomHost, deadline_s: float) -> HeadwayError | None:
    """End a room because the daemon ends: save if possible, then stop, whatever the save said.

    What could not be saved is in the store. Peers are not put out: they are to come back.
    """
    failure = await _save(host, deadline_s, None)
    await ask(host, rpc.ShutdownKernel(document=host.document), deadline_s)
    host.end()
    await host.ended.wait()
    return failure


async def _save(
    host: RoomHost, deadline_s: float, required_heads: str | None
) -> HeadwayError | None:
    """Save on the daemon's own account; why that failed, None if the file is as it should be.

    It should stay away when somebody removed it, also if nobody was told of that yet.
    """
    if host.room.path is None:
        return None
    save = rpc.Save(document=host.document, required_heads=required_heads)
    outcome = await ask(host, save, deadline_s)
    if not isinstance(outcome, HeadwayError) or is_removed(outcome):
        return None
    if isinstance(outcome, FileWouldEmpty):
        return FileWouldEmpty(outcome.message, **{**outcome.data, "document": host.document})
    return outcome


def _put_out(host: RoomHost) -> None:
    frames = tuple(
        encode(
            RoomError(Kind.DOCUMENT, room, RoomErrorCode.EVICTED, "The notebook has been closed.")
        )
        for room in (host.room.document, host.room.runtime)
    )
    for peer in host.peers:
        outlet = host.outlets.get(peer)
        if outlet is not None:
            outlet.send(frames)
