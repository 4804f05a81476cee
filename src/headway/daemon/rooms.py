"""The notebooks that are open: opening, finding, loading once, putting away.

Floor 5. Identity comes from the store: a notebook is known by its document id, and its path is an
attribute. What a file's content means is the room's business; here it is bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from typing import Any

from headway.core.wire import rpc
from headway.daemon.desk import Desk
from headway.daemon.host import IDLE_ROOM_S, OpenedRoom, RoomHost
from headway.daemon.notebook_file import see_file
from headway.daemon.ports import Outlet, Outside
from headway.daemon.returning import Returning
from headway.daemon.storage import Backlog
from headway.daemon.survivors import Survivor, Survivors
from headway.daemon.turns import Turns
from headway.edges.ports import FileContent, StoredNotebook, known_files
from headway.errors import (
    Busy,
    DaemonUnavailable,
    EngineFailure,
    FileError,
    FileWouldEmpty,
    HeadwayError,
    NotebookNotFound,
    NotebookUnreadable,
    StoreDamaged,
)
from headway.ids import DocumentId, Entropy, document_id
from headway.moments import Moment

__all__ = ["MAX_OPEN_NOTEBOOKS", "OpenRoom", "Rooms"]

_LOG = logging.getLogger("headway.rooms")

MAX_OPEN_NOTEBOOKS = 512
"""How many notebooks may be open at a time."""

OpenRoom = Callable[[StoredNotebook, FileContent | None, Entropy, Moment], OpenedRoom]
"""Makes the machine of a notebook from what is stored of it and its file as it is now."""


class Rooms:
    """The registry of open notebooks.

    Args:
        outside: The ports.
        open_room: Makes machines.
        desk: Where requests wait.
        outlets: The connections, by number.
        backlog: The daemon's write backlog.
        tasks: The group that owns the rooms.
        changed: Called whenever something may have become idle.
        idle_room_s: See `host.IDLE_ROOM_S`.
    """

    def __init__(
        self,
        outside: Outside,
        open_room: OpenRoom,
        desk: Desk,
        outlets: dict[int, Outlet],
        backlog: Backlog,
        tasks: asyncio.TaskGroup,
        *,
        changed: Callable[[], None],
        idle_room_s: float = IDLE_ROOM_S,
    ) -> None:
        self._outside = outside
        self._open_room = open_room
        self._desk = desk
        self._outlets = outlets
        self._backlog = backlog
        self._turns = Turns()
        self._tasks = tasks
        self._changed = changed
        self._idle_room_s = idle_room_s
        self._hosts: dict[DocumentId, RoomHost] = {}
        self._loads: dict[str, asyncio.Future[Any]] = {}
        self._claims: dict[str, RoomHost] = {}
        self._closing = False
        self.survivors = Survivors(outside.kernels)
        self._returning = Returning(self.survivors, self.load, tasks)

    def all(self) -> list[RoomHost]:
        """The rooms that are open now."""
        return [host for host in self._hosts.values() if host.is_open]

    @property
    def is_idle(self) -> bool:
        """Whether no room works, loads or ends."""
        settled = self._returning.is_idle and not self._loads
        return settled and all(host.is_idle for host in self._hosts.values())

    def find(self, room_id: str) -> RoomHost | None:
        """The open room that serves a notebook or runtime document."""
        host = self._hosts.get(room_id)
        if host is not None:
            return host if host.is_open else None
        return next((host for host in self.all() if host.serves(room_id)), None)

    def at_path(self, path: str) -> RoomHost | None:
        """The open room whose file is at `path` (resolved)."""
        return next((host for host in self.all() if host.room.path == path), None)

    async def claim(self, path: str, host: RoomHost) -> None:
        """Let `host` save to `path`; until it has, no other notebook gets that path.

        Raises FileError when another notebook is there, or on its way there.
        """
        former = await self._outside.store.find_path(path)
        loading = f"path {path}" in self._loads or f"document {former}" in self._loads
        other = self.at_path(path) or self._claimed(path)
        if loading or other not in (None, host):
            raise FileError(f"{path} is the file of another open notebook.", path=path)
        self._claims[path] = host

    def release(self, path: str, host: RoomHost) -> None:
        """The save of `host` to `path` is done, or will not be."""
        if self._claims.get(path) is host:
            del self._claims[path]

    def _claimed(self, path: str) -> RoomHost | None:
        """Who is saving to a path that is not its own yet."""
        host = self._claims.get(path)
        if host is not None and (not host.is_open or host.is_idle):
            # It is there by now, or has given up.
            del self._claims[path]
            return None
        return host

    async def load(self, room_id: str) -> RoomHost:
        """The room of a notebook, by its id or that of its current runtime document.

        Loaded from the store if it is not open; once, however many ask. Raises NotebookNotFound.
        """
        host = self.find(room_id)
        if host is not None:
            return host
        document = room_id
        if room_id.startswith("rt-"):
            found = await self._outside.store.find_runtime(room_id)
            if found is None:
                raise _not_found(room_id)
            document = found
        loaded = await self._once(f"document {document}", lambda: self._load(document))
        assert isinstance(loaded, RoomHost)
        return loaded

    async def open_path(self, path: str, *, create: bool) -> tuple[RoomHost, bool]:
        """The room of the notebook whose file is at `path`, and whether it is new to Headway.

        Args:
            path: As `resolve_path` gives it.
            create: Make a notebook when there is no file and none is known. Its folder must be
                there then; that of a known notebook need not: what is in it is in the store.
        """
        host = self.at_path(path)
        if host is not None:
            return host, False
        if self._claimed(path) is not None:
            raise _taken(path)
        opened: tuple[RoomHost, bool] = await self._once(
            f"path {path}", lambda: self._open_path(path, create=create)
        )
        return opened

    async def create(self, path: str | None) -> RoomHost:
        """The room of a new notebook, at `path` (where nothing may be) or untitled."""
        if path is None:
            return await self._create(None)
        if f"path {path}" in self._loads:
            raise _exists(path)
        if self._claimed(path) is not None:
            raise _taken(path)
        created, _ = await self._once(f"path {path}", lambda: self._create_at(path))
        assert isinstance(created, RoomHost)
        return created

    async def take_up_survivors(self) -> None:
        """Open the notebooks whose kernels outlived an earlier daemon: what runs there must end."""
        for document in self.survivors.documents:
            try:
                await self.load(document)
            except HeadwayError as error:
                fields = {"document": document, "reason": str(error)}
                _LOG.warning("a kernel's notebook is not opened", extra={"fields": fields})
                await self.survivors.dismiss(document)

    async def is_known(self, document: DocumentId) -> bool:
        """Whether the store has this notebook."""
        known = await self._outside.store.known()
        return any(notebook.document == document for notebook in known)

    def close_doors(self) -> None:
        """Open nothing more: the daemon ends."""
        self._closing = True
        self._returning.give_up()

    async def wait_until_ended(self) -> None:
        """End every room and return once they are gone."""
        for host in self._hosts.values():
            host.end()
        for host in list(self._hosts.values()):
            await host.ended.wait()

    async def _open_path(self, path: str, *, create: bool) -> tuple[RoomHost, bool]:
        document = await self._outside.store.find_path(path)
        lost: StoreDamaged | None = None
        if document is not None:
            try:
                return await self.load(document), False
            except StoreDamaged as error:
                if await self._outside.store.find_path(path) is not None:
                    raise
                # Its history is gone and it has given up its path: the file begins a new one.
                lost = error
        content = await self._see(path)
        if content is None and not create:
            raise NotebookNotFound(f"There is no notebook at {path}.", path=path)
        if lost is not None and content is None:
            raise lost
        if content is None:
            await self._outside.files.check_folder(path)
        host = await self._create(path, content)
        if lost is not None:
            host.notices = (_notice(lost),)
        return host, True

    async def _create_at(self, path: str) -> tuple[RoomHost, bool]:
        if self.at_path(path) is not None or await self._see(path) is not None:
            raise _exists(path)
        await self._outside.files.check_folder(path)
        # The file of a notebook we know was moved or deleted: that notebook loses its path.
        former = await self._outside.store.find_path(path)
        if former is not None:
            if f"document {former}" in self._loads:
                raise _exists(path)
            await self._outside.store.set_path(former, None)
        return await self._create(path), True

    async def _create(self, path: str | None, content: FileContent | None = None) -> RoomHost:
        self._check_room_for_one_more()
        document = document_id("nb", self._outside.entropy)
        empty = StoredNotebook(document, path, None, None, None, (), None, None, ())
        # The machine first: a file that is no notebook must leave no trace in the store.
        opened = await self._make(empty, content)
        await self._outside.store.create(document, path)
        return await self._host(opened)

    async def _load(self, document: DocumentId) -> RoomHost:
        former = self._hosts.get(document)
        if former is not None:
            if former.is_open:
                return former
            await former.ended.wait()
        self._check_room_for_one_more()
        stored = await self._outside.store.load(document)
        if stored is None:
            raise _not_found(document)
        host = await self._revive(stored)
        host.notices = tuple(
            rpc.Notice(code=StoreDamaged.code, message=each) for each in stored.notices
        )
        return host

    async def _revive(self, stored: StoredNotebook) -> RoomHost:
        survivor = await self.survivors.take(stored.document)
        if survivor is None:
            return await self._host(await self._with_file(stored))
        try:
            opened = await self._with_file(replace(stored, kernel=survivor.living))
            host = await self._host(opened, survivor)
        except Exception:
            await survivor.kernel.stop()
            raise
        host.kernels.listen(survivor)
        return host

    async def _with_file(self, stored: StoredNotebook) -> OpenedRoom:
        if stored.path is None:
            return await self._make(stored, None)
        try:
            return await self._make(stored, await self._see(stored.path, known_files(stored)))
        except (NotebookUnreadable, FileWouldEmpty) as error:
            # Its history is sound. Opened as if there were no file, it is usable, and the room
            # will find that a file is there and leave it alone.
            fields = {"document": stored.document, "reason": str(error)}
            _LOG.warning("a notebook is opened without its file", extra={"fields": fields})
            opened = await self._make(stored, None)
            return replace(opened, refused_file=error)

    async def _see(self, path: str, known: Collection[str] = ()) -> FileContent | None:
        return await see_file(path, known, self._outside.files, self._outside.blobs)

    async def _make(self, stored: StoredNotebook, content: FileContent | None) -> OpenedRoom:
        # In a thread: a large notebook takes long to parse, and others must not feel it.
        return await asyncio.to_thread(
            self._open_room, stored, content, self._outside.entropy, self._outside.clock.now()
        )

    async def _host(self, opened: OpenedRoom, survivor: Survivor | None = None) -> RoomHost:
        self._check_doors()  # They may have closed while it was loaded.
        host = RoomHost(
            opened.room,
            opened.first,
            self._outside,
            self._desk,
            self._outlets,
            self._backlog,
            self._turns,
            changed=self._changed,
            idle_room_s=self._idle_room_s,
        )
        host.refused_file = opened.refused_file
        if survivor is not None:
            host.kernels.take_up(survivor)
        self._hosts[host.document] = host
        self._tasks.create_task(self._run(host))
        await host.started.wait()
        _LOG.info("a notebook is open", extra={"fields": {"document": host.document}})
        return host

    async def _run(self, host: RoomHost) -> None:
        try:
            await host.run()
        finally:
            if self._hosts.get(host.document) is host:
                del self._hosts[host.document]
            for path in [path for path, owner in self._claims.items() if owner is host]:
                del self._claims[path]
            if host.orphaned is not None and not self._closing:
                # Before whoever waits for this host's end can load the notebook without it.
                self._returning.begin(host.document, host.orphaned)
            self._changed()

    async def _once(self, key: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        future = self._loads.get(key)
        if future is None:
            self._check_doors()
            future = asyncio.get_running_loop().create_future()
            self._loads[key] = future
            self._tasks.create_task(self._fulfil(key, future, work))
        # Shielded: one impatient caller must not end the load for the others.
        return await asyncio.shield(future)

    async def _fulfil(
        self, key: str, future: asyncio.Future[Any], work: Callable[[], Coroutine[Any, Any, Any]]
    ) -> None:
        try:
            future.set_result(await work())
        except HeadwayError as error:
            future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, and it is logged
            _LOG.exception("a notebook could not be opened")
            failure = EngineFailure(f"The notebook could not be opened: {error}")
            failure.__cause__ = error
            future.set_exception(failure)
        finally:
            del self._loads[key]
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                future.exception()  # Seen, even if every caller has gone.
            self._changed()

    def _check_doors(self) -> None:
        if self._closing:
            raise DaemonUnavailable("The daemon is ending; try again in a moment.")

    def _check_room_for_one_more(self) -> None:
        self._check_doors()
        if len(self._hosts) >= MAX_OPEN_NOTEBOOKS:
            raise Busy(
                f"{MAX_OPEN_NOTEBOOKS} notebooks are open, which is the limit; close one first.",
                limit=MAX_OPEN_NOTEBOOKS,
            )


def _not_found(document: str) -> NotebookNotFound:
    return NotebookNotFound(f"The daemon knows no notebook {document!r}.", document=document)


def _taken(path: str) -> FileError:
    return FileError(f"Another notebook is being saved to {path}; try again soon.", path=path)


def _exists(path: str) -> FileError:
    return FileError(f"There is a notebook at {path} already; open it instead.", path=path)


def _notice(error: HeadwayError) -> rpc.Notice:
    return rpc.Notice(code=error.code, message=error.message, data=error.data)
