"""Opening, joining and the wire under them: whole, in order, and after any loss.

S44, S52, S53, S54.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.core.wire import codec, commands
from headway.core.wire.messages import Join, Joined, Kind
from headway.core.wire.rpc import Status
from headway.edges.paths import Paths
from headway.errors import ExecutionNotFound
from headway_daemon import HeadwayDaemon, bounded
from stalling_relay import Gate, relayed

CALL_S = 20.0
CELLS = 7
LATE_PEERS = 20
CUT_EVERY_BYTES = 5


def write_notebook(path: Path, sources: list[str]) -> None:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook))


def test_a_notebook_is_open_only_once_all_of_it_is_here(daemon: HeadwayDaemon, name: str) -> None:
    """S44: seven large cells, cut into many messages, and a second peer in the midst of it."""
    # Digits that do not compress: what travels is about as large as the text.
    digits = random.Random(44)
    sources = [f"# {number}\n{digits.getrandbits(800_000):x}\n" for number in range(CELLS)]
    write_notebook(daemon.path(name), sources)

    async def scenario() -> None:
        front = daemon.front()
        async with relayed(daemon.socket, Paths.of(front).socket) as relay:
            relay.to_client.allow(300_000)
            opening = asyncio.ensure_future(_opened(daemon, name, front))
            await relay.to_client.until_used()
            for allowed in (100, 1_000, 50_000):
                relay.to_client.allow(allowed)
                await relay.to_client.until_used()
                assert not opening.done()
            # The second joins while the first is still loading, and is not held up by it.
            async with daemon.open_async(name) as second:
                assert [cell.source for cell in second.cells] == sources
                second.append_source("cell-0", "# by the second\n")
                await second.confirm_sync(CALL_S)
                assert not opening.done()
                relay.to_client.release()
                first = await opening
                assert [cell.source for cell in first.cells[1:]] == sources[1:]
                assert first.cells[0].source.startswith(sources[0])
                await first.wait_until(lambda: first.heads == second.heads, timeout=CALL_S)
                assert first.cells == second.cells
                await first.close()

    bounded(scenario())


async def _opened(daemon: HeadwayDaemon, name: str, home: Path) -> headway.AsyncNotebook:
    return await daemon.open_async(name, home=home)


def test_a_peer_that_joins_while_outputs_stream_sees_all_of_them(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S44: joining in the midst of a running cell disturbs nothing and misses nothing."""

    async def scenario() -> None:
        source = "for number in range(3000):\n    print(number, flush=True)"
        expected = "".join(f"{number}\n" for number in range(3000))
        async with daemon.open_async(name) as first:
            job = await first.queue_cell(first.add_cell(source))
            late: list[headway.AsyncNotebook] = []
            async with contextlib.AsyncExitStack() as stack:
                while job.status in {"queued", "running"} and len(late) < LATE_PEERS:
                    late.append(await stack.enter_async_context(daemon.open_async(name)))
                assert late
                for each in late:
                    found = await each.get_execution(job.id)
                    assert (await found.result(CALL_S)).text == expected
            assert (await job.result(CALL_S)).text == expected

    bounded(scenario())


async def let_pass(gate: Gate, count: int) -> None:
    gate.allow(count)
    await gate.until_used()


def test_a_call_cancelled_at_every_byte_of_its_frame_disturbs_nothing(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S52: the frame goes on, only the waiting ends."""

    async def scenario() -> None:
        front = daemon.front()
        async with (
            relayed(daemon.socket, Paths.of(front).socket) as relay,
            daemon.open_async(name, home=front) as notebook,
        ):
            cell = notebook.add_cell("")
            await notebook.confirm_sync(CALL_S)
            gate, typed, reached = relay.to_daemon, "", False
            while not reached:
                gate.hold()
                notebook.append_source(cell, "x")
                confirming = asyncio.create_task(notebook.confirm_sync(CALL_S))
                await gate.until_waiting()
                # One byte further each time, to the frame's last.
                await let_pass(gate, min(len(typed) + 1, gate.waiting))
                typed += "x"
                reached = gate.waiting == 0
                confirming.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await confirming
                gate.release()
                assert (await notebook.confirm_sync(CALL_S)).confirmed
            assert len(typed) > 100
            assert relay.connections == 1
            async with daemon.open_async(name) as fresh:
                assert fresh.source(cell) == typed

    bounded(scenario())


def test_a_request_cancelled_at_every_byte_of_its_frame_disturbs_nothing(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S52."""

    async def scenario() -> None:
        front = daemon.front()
        async with (
            relayed(daemon.socket, Paths.of(front).socket) as relay,
            daemon.open_async(name, home=front) as notebook,
        ):
            job = await notebook.queue_cell(notebook.add_cell("'known'"))
            await job.result(CALL_S)
            await notebook.confirm_sync(CALL_S)
            gate, passed, reached = relay.to_daemon, 0, False
            while not reached:
                passed += 1
                gate.hold()
                asking = asyncio.create_task(notebook.get_execution(job.id, timeout=CALL_S))
                await gate.until_waiting()
                await let_pass(gate, min(passed, gate.waiting))
                reached = gate.waiting == 0
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                gate.release()
                assert (await notebook.get_execution(job.id, timeout=CALL_S)).status == "ok"
            assert passed > 100
            found = await notebook.get_execution(job.id, timeout=CALL_S)
            assert (await found.result(CALL_S)).text == "'known'"
            assert relay.connections == 1

    bounded(scenario())


async def come_back(notebook: headway.AsyncNotebook) -> None:
    """Somebody who asks for something shortens the wait for the next connection."""
    with pytest.raises(ExecutionNotFound):
        await notebook.get_execution("00000000-0000-7000-8000-000000000000", timeout=CALL_S)


@pytest.mark.parametrize("way", ["to_daemon", "to_client"])
def test_a_connection_cut_within_a_frame_loses_and_doubles_nothing(
    daemon: HeadwayDaemon, name: str, way: str
) -> None:
    """S52: the edit is sent again if it must be, whichever byte was the last to pass."""

    async def scenario() -> None:
        front = daemon.front()
        async with (
            relayed(daemon.socket, Paths.of(front).socket) as relay,
            daemon.open_async(name, home=front) as notebook,
        ):
            cell = notebook.add_cell("")
            await notebook.confirm_sync(CALL_S)
            gate: Gate = getattr(relay, way)
            typed, count, reached = "", 0, False
            while not reached:
                gate.hold()
                token = f"{count};"
                notebook.append_source(cell, token)
                typed += token
                await gate.until_waiting()
                await let_pass(gate, min(count, gate.waiting))
                reached = gate.waiting == 0
                relay.cut()
                await notebook.wait_until(lambda: notebook.status != "live", timeout=CALL_S)
                gate.release()
                await come_back(notebook)
                assert (await notebook.confirm_sync(CALL_S)).confirmed
                count += CUT_EVERY_BYTES
            async with daemon.open_async(name) as fresh:
                assert fresh.source(cell) == typed

    bounded(scenario())


def test_an_execution_whose_connection_is_cut_within_its_frame_runs_once(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S52: the request is sent again under the same id."""

    async def scenario() -> None:
        front = daemon.front()
        async with (
            relayed(daemon.socket, Paths.of(front).socket) as relay,
            daemon.open_async(name, home=front) as notebook,
        ):
            await notebook.run("runs = []", timeout=CALL_S)
            done = 0
            for way in (relay.to_daemon, relay.to_client):
                for count in range(0, 600, 60):
                    way.hold()
                    cell = notebook.add_cell(f"runs.append({done}); len(runs)")
                    done += 1
                    running = asyncio.create_task(notebook.execute_cell(cell, timeout=CALL_S))
                    await way.until_waiting()
                    await let_pass(way, min(count, way.waiting))
                    relay.cut()
                    await notebook.wait_until(lambda: notebook.status != "live", timeout=CALL_S)
                    way.release()
                    await come_back(notebook)
                    assert (await running).text == str(done)

    bounded(scenario())


def test_a_client_on_a_pipe_of_single_bytes_works(daemon: HeadwayDaemon, name: str) -> None:
    """S52."""

    async def scenario() -> None:
        front = daemon.front()
        async with relayed(daemon.socket, Paths.of(front).socket) as relay:
            relay.to_daemon.piece = relay.to_client.piece = 1
            async with daemon.open_async(name, home=front) as notebook:
                for number in range(5):
                    result = await notebook.run(f"{number} * 2", timeout=CALL_S)
                    assert result.text == str(number * 2)

    bounded(scenario())


def test_unknown_frames_are_skipped_and_what_follows_is_answered(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S53: other magic bytes, other message types, answers to nothing, text."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook, daemon.raw() as peer:
            room = notebook.id.encode()
            for frame in (
                b"%XYZ" + b"\x03abc" + b"\x00" * 40,
                b"%LOR" + bytes([len(room)]) + room + b"\x55whatever",
                b"%EPH" + bytes([len(room)]) + room + b"\x54",
                b'%RPC{"jsonrpc": "2.0", "id": 7, "result": {}}',
                "hello",
            ):
                await peer.send(frame)
            await peer.send(codec.encode(Join(Kind.DOCUMENT, notebook.id, b"", b"")))
            answer = await peer.recv()
            assert isinstance(answer, bytes)
            assert isinstance(codec.decode(answer), Joined)
            await peer.send(commands.encode_request(1, Status()))
            reply = await until_answer(peer)
            assert isinstance(reply, commands.Response)

    bounded(scenario())


def test_a_request_of_a_later_version_is_a_typed_refusal(daemon: HeadwayDaemon) -> None:
    """S53."""

    async def scenario() -> None:
        async with daemon.raw() as peer:
            await peer.send(b'%RPC{"jsonrpc": "2.0", "id": 1, "method": "levitate", "params": {}}')
            refusal = await until_answer(peer)
            assert isinstance(refusal, commands.ErrorResponse)
            assert refusal.error.code == "UNKNOWN_METHOD"

    bounded(scenario())


def test_a_ping_is_answered_before_anything_else_was_said(daemon: HeadwayDaemon) -> None:
    """S53."""

    async def scenario() -> None:
        async with daemon.raw() as peer:
            await peer.send("ping")
            assert await peer.recv() == "pong"
            await peer.send("pong")
            await peer.send("ping")
            assert await peer.recv() == "pong"

    bounded(scenario())


async def until_answer(peer: Any) -> object:
    while True:
        frame = await peer.recv()
        if isinstance(frame, bytes) and frame.startswith(commands.RPC_MAGIC):
            return commands.decode(frame)


def test_opening_a_path_that_is_not_there_makes_a_notebook(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S54."""
    assert not daemon.path(name).exists()
    with daemon.open(name) as notebook:
        assert notebook.cells == []
        assert notebook.path == str(daemon.path(name).resolve())
        notebook.add_cell("1")
        saved = notebook.save(timeout=CALL_S)
        assert saved.path == notebook.path
    (cell,) = json.loads(daemon.path(name).read_text())["cells"]
    assert "".join(cell["source"]) == "1"


def test_the_suffix_is_added_where_it_is_missing(daemon: HeadwayDaemon, name: str) -> None:
    """S54."""
    with daemon.open(name) as bare, daemon.open(f"{name}.ipynb") as whole:
        assert bare.id == whole.id
        assert bare.path == whole.path == str(daemon.path(name).resolve())


def test_opening_again_joins_the_room_that_is_open(daemon: HeadwayDaemon, name: str) -> None:
    """S54: by the same path, by a detour, and by a symbolic link."""
    (daemon.folder / f"{name}-link.ipynb").symlink_to(daemon.path(name))
    with daemon.open(name) as first:
        cell = first.add_cell("here = 1")
        first.confirm_sync(CALL_S)
        for way in (name, f"../{daemon.folder.name}/{name}", f"{name}-link"):
            with daemon.open(way) as again:
                assert again.id == first.id
                assert again.cell(cell).source == "here = 1"


def test_opening_again_after_everybody_left_continues_the_same_notebook(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S54."""
    with daemon.open(name) as first:
        cell = first.add_cell("kept = 1")
        identity = first.id
    with daemon.open(name) as again:
        assert again.id == identity
        assert [each.id for each in again.cells] == [cell.id]
