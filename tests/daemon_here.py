"""A real daemon, with its real store, files and notices, in the test's own process.

For what a test must have in its hand: when rooms are put away, and when one life of the daemon
ends and the next begins. Kernels are there too, but nothing here needs one.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headway
from headway.client import aio
from headway.client.discovery import daemon_dial
from headway.client.opening import AsyncOpening
from headway.client.pump import Pump
from headway.core.session.opening import Target
from headway.core.wire import rpc
from headway.daemon import main
from headway.daemon.room_opening import open_room
from headway.daemon.server import bind_unix, remove_socket
from headway.daemon.service import Service
from headway.edges.lock import HomeLock
from headway.edges.paths import prepare

CALL_S = 20.0


@dataclass
class Place:
    """A home and a folder for notebooks, in which daemons may live one after another."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    def path(self, name: str) -> Path:
        return self.root / "notebooks" / f"{name}.ipynb"

    def open(self, name: str, **options: Any) -> AsyncOpening:
        """A client of whatever daemon lives here now."""
        return headway.open_async(self.path(name), home=self.home, timeout=CALL_S, **options)

    async def open_document(self, document: str) -> headway.AsyncNotebook:
        """A client that asks for a notebook by its id, as one that comes back does."""
        return await aio._begin(
            Target(document=document),
            lambda session: Pump(session, daemon_dial(self.home, "test")),
            "test",
            None,
            CALL_S,
        )

    @contextlib.asynccontextmanager
    async def daemon(self, **options: Any) -> AsyncIterator[Service]:
        """One life of the daemon; it ends as one that was told to stop."""
        places = prepare(self.home)
        with HomeLock.acquire(places.lock):
            async with main._outside(places) as outside:
                unix = bind_unix(places.socket)
                service = Service(outside, open_room, home=self.home, unix=unix, **options)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(service.run())
                    await service.ready.wait()
                    try:
                        yield service
                    finally:
                        service.stop()
                remove_socket(places.socket)

    def lose_store(self) -> None:
        """The disk that held the history is gone."""
        for leftover in self.home.glob("store.db*"):
            leftover.unlink()


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A place with a path short enough for a Unix socket in it."""
    root = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    (root / "notebooks").mkdir()
    try:
        yield Place(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def summary(service: Service, document: str) -> rpc.NotebookSummary:
    """One line about an open notebook."""
    host = service.rooms.find(document)
    assert host is not None, "it is open"
    return host.room.summary()


async def evicted(service: Service, document: str) -> None:
    """Return once the notebook's room was put away."""
    host = service.rooms.find(document)
    if host is not None:
        await host.ended.wait()
