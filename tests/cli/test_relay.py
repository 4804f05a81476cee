"""`headway relay`: bytes in, bytes out, and nothing of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from command_line import LIMIT_S, Shell
from headway.cli.relay import forward
from headway.client.aio import open_async
from headway.edges.paths import Paths
from headway.errors import DaemonUnavailable


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="headway-relay-") as folder:
        yield Path(folder)


def serve_once(path: Path, serve: Callable[[socket.socket], None]) -> threading.Thread:
    """Take one connection at `path` and serve it in a thread."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)

    def taken() -> None:
        with listening:
            connection, _ = listening.accept()
            with connection:
                serve(connection)

    thread = threading.Thread(target=taken)
    thread.start()
    return thread


def read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def test_what_comes_after_the_end_of_the_input_still_arrives(short_folder: Path) -> None:
    received = bytearray()

    def answer_at_the_end(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            received.extend(data)
        connection.sendall(b"all of it: " + bytes(received))

    path = short_folder / "s"
    far = serve_once(path, answer_at_the_end)
    incoming, feed = os.pipe()
    drain, outgoing = os.pipe()
    os.write(feed, b"one, two")
    os.close(feed)
    forward(path, incoming, outgoing)
    os.close(outgoing)
    far.join(LIMIT_S)
    assert read_all(drain) == b"all of it: one, two"


def test_a_byte_goes_on_before_the_next_one_comes(short_folder: Path) -> None:
    def echo(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            connection.sendall(data)

    path = short_folder / "s"
    far = serve_once(path, echo)
    incoming, feed = os.pipe()
    drain, outgoing = os.pipe()
    relay = threading.Thread(target=forward, args=(path, incoming, outgoing))
    relay.start()
    for byte in b"byte by byte":
        os.write(feed, bytes([byte]))
        assert os.read(drain, 10) == bytes([byte])
    os.close(feed)
    relay.join(LIMIT_S)
    assert not relay.is_alive()
    os.close(outgoing)
    assert read_all(drain) == b""
    far.join(LIMIT_S)


def test_it_ends_when_the_far_end_closes_though_the_input_stays_open(short_folder: Path) -> None:
    path = short_folder / "s"
    far = serve_once(path, lambda connection: connection.sendall(b"bye"))
    incoming, feed = os.pipe()
    drain, outgoing = os.pipe()
    forward(path, incoming, outgoing)
    os.close(outgoing)
    assert read_all(drain) == b"bye"
    os.close(feed)
    far.join(LIMIT_S)


def test_it_ends_when_nobody_reads_its_output(short_folder: Path) -> None:
    path = short_folder / "s"
    far = serve_once(path, lambda connection: connection.sendall(b"x" * 10))
    incoming, feed = os.pipe()
    drain, outgoing = os.pipe()
    os.close(drain)
    forward(path, incoming, outgoing)
    os.close(outgoing)
    os.close(feed)
    far.join(LIMIT_S)


def test_nobody_to_relay_to_is_a_typed_error(short_folder: Path) -> None:
    with pytest.raises(DaemonUnavailable, match="No daemon listens"):
        forward(short_folder / "nobody", 0, 1)


def test_it_starts_the_daemon_and_says_nothing_of_its_own(lonely_shell: Shell) -> None:
    request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    done = lonely_shell.run("relay", stdin=request)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("HTTP/1.1 200")
    assert done.stdout.endswith("}")


@pytest.mark.parametrize("chunk_bytes", [1, 65_536])
def test_a_client_works_through_a_relay_whatever_the_size_of_its_pieces(
    shell: Shell, short_folder: Path, chunk_bytes: int
) -> None:
    async def scenario() -> None:
        # The client takes this socket for its daemon's; behind it is a relay process.
        async with relayed(shell, Paths.of(short_folder).socket, chunk_bytes):
            path = shell.folder / "through.ipynb"
            async with open_async(path, home=short_folder) as notebook:
                cell = notebook.add_cell("print('👩‍👩‍👧‍👦', 6 * 7)")
                await notebook.confirm_sync()
                result = await notebook.execute_cell(cell, timeout=LIMIT_S)
                assert result.text == "👩‍👩‍👧‍👦 42\n"
                await notebook.shutdown_kernel()

    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario()

    asyncio.run(bounded())


@asynccontextmanager
async def relayed(shell: Shell, path: Path, chunk_bytes: int) -> AsyncIterator[None]:
    """A socket at `path`, each of whose connections goes through a `headway relay` of its own."""
    relays: list[asyncio.Task[None]] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(asyncio.create_task(join(reader, writer)))

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process = await asyncio.create_subprocess_exec(
            *shell.command("relay"),
            env=shell.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(copy(reader, process.stdin))
            tasks.create_task(copy(process.stdout, writer))
        await process.wait()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                for start in range(0, len(data), chunk_bytes):
                    target.write(data[start : start + chunk_bytes])
                    await target.drain()
        except ConnectionError:
            pass
        finally:
            target.close()

    server = await asyncio.start_unix_server(connected, path)
    async with server:
        yield
        await asyncio.gather(*relays)
