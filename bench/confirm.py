"""One edit, confirmed: ours over a raw WebSocket echo of as many bytes, and over a raw fsync.

Aim: twice the echo plus one fsync. With the store in memory it is merging and acknowledging
alone; with the store on the disk an fsync comes on top, on the same file system as the raw one.
A second floor is that echo with the engine at both its ends: what nobody can go below with it.

    python bench/confirm.py [--quick] [--json FILE]
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import loro
from websockets.asyncio.client import ClientConnection, unix_connect

import headway
from headway.edges.paths import Paths
from measure import Options, own_home, publish, take_turns_async, timed_async
from results import Aim, Figure, Rounds

MESSAGE_BYTES = 200
"""About what one keystroke is as a frame."""

PAGES_BYTES = 2 * 4096
"""About what one commit writes to the log."""

START_LIMIT_S = 20.0
WARM_UP = 50
HERE = Path(__file__).parent


async def measured(rounds: int, count: int) -> Rounds:
    """All contenders, in turns."""
    with ExitStack() as folders:
        home, memory_home = (folders.enter_context(own_home()) for _ in range(2))
        async with AsyncExitStack() as stack:
            in_memory = await _in_memory(stack, memory_home)
            on_disk = await stack.enter_async_context(
                headway.open_async(home.parent / "a.ipynb", home=home)
            )
            echo = await _connected(stack, "echo_server.py")
            merging = await _connected(stack, "merging_server.py")
            descriptor = os.open(home / "fsync", os.O_RDWR | os.O_CREAT)
            stack.callback(os.close, descriptor)
            os.write(descriptor, bytes(64 * PAGES_BYTES))
            message = os.urandom(MESSAGE_BYTES)
            document = loro.LoroDoc()  # type: ignore[no-untyped-call]
            text, sent = document.get_text("source"), [document.oplog_vv]
            cells = {each: each.add_cell("") for each in (in_memory, on_disk)}

            async def confirm(notebook: headway.AsyncNotebook) -> None:
                notebook.append_source(cells[notebook], "x")
                await notebook.confirm_sync()

            async def round_trip() -> None:
                await echo.send(message)
                await echo.recv()

            async def merge() -> None:
                text.push_str("x")
                document.commit()
                update = document.export(loro.ExportMode.Updates(sent[-1]))
                sent[:] = [document.oplog_vv]
                await merging.send(update)
                await merging.recv()

            async def sync_disk() -> None:
                os.pwrite(descriptor, os.urandom(PAGES_BYTES), 0)
                os.fsync(descriptor)

            works: dict[str, Callable[[], Awaitable[None]]] = {
                "confirm_sync, store in memory": partial(confirm, in_memory),
                "confirm_sync": partial(confirm, on_disk),
                "websockets echo": round_trip,
                "websockets and the engine": merge,
                "fsync": sync_disk,
            }
            for work in works.values():
                await timed_async(work, WARM_UP)
            blocks: dict[str, Callable[[], Awaitable[Sequence[float]]]] = {
                name: partial(timed_async, work, count) for name, work in works.items()
            }
            return await take_turns_async(blocks, rounds)


async def _in_memory(stack: AsyncExitStack, home: Path) -> headway.AsyncNotebook:
    """A notebook at a daemon that keeps everything in memory."""
    daemon = subprocess.Popen([sys.executable, HERE / "daemon_in_memory.py", home])
    stack.callback(_end, daemon)
    socket = Paths.of(home).socket
    async with asyncio.timeout(START_LIMIT_S):
        while not socket.exists():
            await asyncio.sleep(0.05)
    return await stack.enter_async_context(headway.open_async(home.parent / "a.ipynb", home=home))


async def _connected(stack: AsyncExitStack, program: str) -> ClientConnection:
    """A connection to a server of its own, one of the programs beside this file."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hw-echo-"))
    path = str(Path(folder) / "socket")
    server = subprocess.Popen([sys.executable, HERE / program, path], stdout=subprocess.PIPE)
    stack.callback(_end, server)
    assert server.stdout is not None, "its output is a pipe"
    await asyncio.to_thread(server.stdout.readline)
    connecting = unix_connect(path, "ws://localhost/", compression=None, max_size=None)
    return await stack.enter_async_context(connecting)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def main() -> None:
    options = Options(__doc__)
    taken = asyncio.run(measured(options.of(20, 2), options.of(50, 10)))
    memory, echo = taken.pop("confirm_sync, store in memory"), taken["websockets echo"]
    engine = taken.pop("websockets and the engine")
    taken["2 echoes + 1 fsync"] = [
        [2 * one + other for one, other in zip(echoes, syncs, strict=True)]
        for echoes, syncs in zip(echo, taken["fsync"], strict=True)
    ]
    publish(
        [
            Figure(
                name="One edit confirmed: merged, with the store in memory",
                unit="ms",
                ours=["confirm_sync, store in memory"],
                rounds={
                    "confirm_sync, store in memory": memory,
                    "websockets echo": echo,
                    "websockets and the engine": engine,
                },
                aims=[Aim(2.0, "websockets echo")],
                note="The echo does nothing with what it gets. With the engine the client edits, "
                "commits and exports and the server merges and exports, and nothing else.",
            ),
            Figure(
                name="One edit confirmed: merged and on the disk",
                unit="ms",
                ours=["confirm_sync"],
                rounds=taken,
                aims=[Aim(1.0, "2 echoes + 1 fsync")],
                note="The floors are an echo of 200 bytes on a Unix socket and an fsync of two "
                "pages on the same file system.",
            ),
        ],
        options,
    )


if __name__ == "__main__":
    main()
