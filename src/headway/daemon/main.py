"""The daemon's process: arguments, the lock, the sockets, signals, exit statuses.

Floor 5. `python -m headway.daemon.main --home DIR`. What a daemon is, `service` says.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from headway.daemon.guard import load_token
from headway.daemon.log import LEVELS, level_from, open_log
from headway.daemon.ports import Outside
from headway.daemon.room_opening import open_room
from headway.daemon.server import bind_tcp, bind_unix, remove_socket
from headway.daemon.service import Service
from headway.edges import paths
from headway.edges.blobs import FileBlobs
from headway.edges.clock import SystemClock
from headway.edges.environments import UvEnvironments
from headway.edges.files import DiskFiles
from headway.edges.kernels import JupyterKernels, idle_s_from, orphan_s_from
from headway.edges.lock import HomeLock
from headway.edges.store import SqliteStore
from headway.edges.store_reopening import ReopeningStore
from headway.edges.watch import FolderWatching
from headway.errors import AlreadyRunning, HeadwayError

__all__ = ["EXIT_ALREADY_RUNNING", "EXIT_FAILED", "NOTIFY_VARIABLE", "TOKEN_FILE", "main", "serve"]

EXIT_FAILED = 1
EXIT_ALREADY_RUNNING = 3
"""Another daemon has this home."""

TOKEN_FILE = "token"  # noqa: S105 - the name of the file, not what is in it
"""In the home: the secret that requests over TCP must show."""

NOTIFY_VARIABLE = "NOTIFY_SOCKET"
"""The environment variable that names the datagram socket of systemd's readiness protocol."""

_KERNELS_END_S = 3.0
_SIGNAL_BASE = 128
_LOG = logging.getLogger("headway.daemon")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a daemon until it is told to end; gives the exit status."""
    options = _parser().parse_args(arguments)
    home = paths.named_path(options.home) if options.home else paths.home()
    try:
        places = paths.prepare(home)
        with HomeLock.acquire(places.lock):
            close_log = open_log(places.log, level_from(options.log_level))
            try:
                with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                    runner.run(serve(places, http=options.http, idle_exit_s=options.idle_exit))
            finally:
                close_log()
    except AlreadyRunning as error:
        print(error, file=sys.stderr)  # noqa: T201 - said to whoever started it
        return EXIT_ALREADY_RUNNING
    except HeadwayError as error:
        print(error, file=sys.stderr)  # noqa: T201 - said to whoever started it
        return EXIT_FAILED
    return 0


async def serve(
    places: paths.Paths,
    *,
    http: str | None = None,
    idle_exit_s: float | None = None,
    begun: Callable[[Service], None] | None = None,
) -> None:
    """Be the daemon of a home, whose lock the caller holds, until it is stopped.

    Args:
        places: The home's paths.
        http: `[HOST:]PORT` to listen on too.
        idle_exit_s: End after this long without work.
        begun: Takes the service once it listens.
    """
    token = load_token(places.home / TOKEN_FILE)
    opening = functools.partial(open_room, kernel_idle_s=idle_s_from(os.environ))
    async with _outside(places) as outside:
        with contextlib.ExitStack() as sockets:
            tcp = None if http is None else sockets.enter_context(bind_tcp(http))
            unix = sockets.enter_context(bind_unix(places.socket))
            sockets.callback(remove_socket, places.socket)
            service = Service(
                outside,
                opening,
                home=places.home,
                unix=unix,
                tcp=tcp,
                token=token,
                idle_exit_s=idle_exit_s,
            )
            async with asyncio.TaskGroup() as tasks:
                announcing = tasks.create_task(_announce(service, begun))
                with _signals(service):
                    await service.run()
                announcing.cancel()


async def _announce(service: Service, begun: Callable[[Service], None] | None) -> None:
    await service.ready.wait()
    # What start-up made lives as long as the process: no collection need look at it again.
    gc.freeze()
    _tell_supervisor("READY=1")
    if begun is not None:
        begun(service)


def _tell_supervisor(state: str) -> None:
    """Say so to whoever started this process and wants to know: sd_notify(3)."""
    address = os.environ.get(NOTIFY_VARIABLE, "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice:
        notice.connect("\0" + address[1:] if address.startswith("@") else address)
        notice.send(state.encode())


@contextlib.asynccontextmanager
async def _outside(places: paths.Paths) -> AsyncIterator[Outside]:
    clock = SystemClock()
    store = ReopeningStore(await SqliteStore.open(places.store, clock), SqliteStore.reopened)
    kernels = JupyterKernels(places.kernels, orphan_s=orphan_s_from(os.environ))
    watching = FolderWatching()
    let_go = kernels.close
    try:
        yield Outside(
            store=store,
            blobs=FileBlobs(places.blobs),
            files=DiskFiles(),
            watching=watching,
            kernels=kernels,
            environments=UvEnvironments(places.environments),
            clock=clock,
            entropy=os.urandom,
        )
    except Exception as error:
        if not isinstance(error, HeadwayError):
            _LOG.exception("the daemon failed; its kernels wait for the next one")
        # As if this process had been killed: what runs in them is not to blame.
        let_go = kernels.abandon
        raise
    finally:
        try:
            async with asyncio.timeout(_KERNELS_END_S):
                await let_go()
        except TimeoutError:
            _LOG.error("kernels did not end in time")
        await watching.close()
        await store.close()


@contextlib.contextmanager
def _signals(service: Service) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP end the daemon cleanly; a second one ends it at once."""
    loop = asyncio.get_running_loop()
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    seen: list[int] = []

    def on_signal(number: int) -> None:
        if seen:
            # Everything confirmed is durable already; the next daemon removes the socket.
            os._exit(_SIGNAL_BASE + number)
        seen.append(number)
        service.stop()

    for number in handled:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - an optional dependency: headway[fast]
    except ImportError:
        return None
    return uvloop.new_event_loop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m headway.daemon.main",
        description="Run the Headway daemon in the foreground.",
    )
    parser.add_argument("--home", metavar="DIR", help="its home (default: HEADWAY_HOME)")
    parser.add_argument(
        "--idle-exit", metavar="SECONDS", type=float, help="end after this long without work"
    )
    parser.add_argument("--http", metavar="[HOST:]PORT", help="listen for browsers too")
    parser.add_argument("--log-level", choices=LEVELS, help="default: HEADWAY_LOG, else info")
    return parser


if __name__ == "__main__":
    sys.exit(main())
