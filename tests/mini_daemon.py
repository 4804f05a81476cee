"""A daemon in miniature: the scripted server on a Unix socket, with cells that answer by rule.

A cell's source is what it prints; `raise X` ends it as an error; `hang` does not end. A `Relay` in
front of it passes bytes on slowly, or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from headway.core.document.forms import stream_form
from headway.core.document.operations import AppendOutput
from headway.core.document.runtime import ExecutionRecord, RuntimeReader
from headway.core.wire import commands, rpc
from headway.edges.paths import Paths, prepare
from headway.errors import CellNotFound, ExecutionNotFound
from headway.ids import derived_execution_id
from headway.moments import Moment
from session_world import NOTEBOOK, Server

NOW = Moment(0, 1.0)


class MiniDaemon(Server):
    def __init__(self) -> None:
        super().__init__()
        self.connections: list[ServerConnection] = []
        self.accepted: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self.mute = False
        self.opens = 0

    @contextlib.asynccontextmanager
    async def serve(self, socket: Path) -> AsyncIterator[None]:
        async with unix_serve(
            self.talk, str(socket), compression=None, process_request=self.http, close_timeout=0.1
        ):
            yield
        self.connections.clear()

    def http(self, _connection: ServerConnection, request: Request) -> Response | None:
        if not request.path.startswith("/blob/"):
            return None
        data = self.blobs.get(request.path.removeprefix("/blob/"))
        status = HTTPStatus.OK if data is not None else HTTPStatus.NOT_FOUND
        headers = Headers({"Content-Length": str(len(data or b"")), "Connection": "close"})
        return Response(status.value, status.phrase, headers, data or b"")

    async def talk(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            async for frame in connection:
                await self.take(connection, frame)
        except ConnectionClosed:
            pass
        finally:
            self.connections.remove(connection)

    async def take(self, connection: ServerConnection, frame: bytes | str) -> None:
        before = self.notebook.replica.version()
        answers = self.receive(frame)
        if self.mute:
            return
        for answer in answers:
            await connection.send(answer)
        if self.notebook.replica.version() != before:
            update = self.notebook.replica.export(before)
            await self.broadcast(NOTEBOOK, update, but=connection)
        while self.requests:
            request = self.requests.pop(0)
            done = await self.do(request)
            if done is not None:
                await connection.send(done)

    async def broadcast(
        self, room: str, update: bytes, but: ServerConnection | None = None
    ) -> None:
        for other in list(self.connections):
            if other is not but:
                for each in self.update_frames(room, update):
                    await other.send(each)

    async def do(self, request: commands.Request) -> bytes | None:
        match request.params:
            case rpc.Execute() as asked:
                return await self.execute(request.id, asked)
            case rpc.ExecuteAll() as asked:
                ids = [derived_execution_id(asked.batch_id, c) for c in self.notebook.order()]
                accepted = [
                    await self.accept(each, cell)
                    for each, cell in zip(ids, self.notebook.order(), strict=True)
                ]
                all_of_them = rpc.AcceptedAll(batch_id=asked.batch_id, executions=accepted)
                return commands.encode_result(request.id, all_of_them)
            case rpc.GetExecution() as asked:
                return self.find(request.id, asked)
            case rpc.Interrupt():
                result = rpc.Interrupted(cancelled=0, interrupted=False)
                return commands.encode_result(request.id, result)
            case rpc.Status():
                return None  # never answered
            case other:
                raise AssertionError(other)

    async def execute(self, identity: Any, asked: rpc.Execute) -> bytes:
        if asked.cell_id not in self.notebook:
            return commands.encode_error(identity, CellNotFound("No such cell."))
        accepted = await self.accept(asked.execution_id, asked.cell_id)
        return commands.encode_result(identity, accepted)

    def find(self, identity: Any, asked: rpc.GetExecution) -> bytes:
        record = RuntimeReader(self.runtime.replica).execution(asked.execution_id)
        if record is None:
            return commands.encode_error(identity, ExecutionNotFound("No such execution."))
        outcome = rpc.ExecutionOutcome(
            execution_id=asked.execution_id,
            document=NOTEBOOK,
            record=msgspec.to_builtins(record),
        )
        return commands.encode_result(identity, outcome)

    async def accept(self, execution_id: str, cell_id: str) -> rpc.Accepted:
        source = self.notebook.source(cell_id)
        digest = hashlib.sha256(source.encode()).hexdigest()
        if execution_id not in self.accepted:
            self.accepted.append(execution_id)
            await self.play(execution_id, cell_id, source, digest)
        return rpc.Accepted(
            execution_id=execution_id, cell_id=cell_id, source_sha256=digest, heads=""
        )

    async def play(self, execution_id: str, cell_id: str, source: str, digest: str) -> None:
        count = len(self.accepted)
        record = ExecutionRecord(
            execution_id=execution_id, cell_id=cell_id, source_sha256=digest, execution_count=count
        )
        await self.change(lambda: self.runtime.add_execution(record))
        await self.change(lambda: self.runtime.set_running(execution_id, 1.0))
        if source == "hang":
            return
        output = stream_form("stdout", source)
        status = "ok"
        if source.startswith("raise "):
            output, status = _error(source[6:]), "error"
        if source.startswith("large "):
            data = source.encode() * 1000
            sha256 = hashlib.sha256(data).hexdigest()
            self.blobs[sha256] = data
            output = {
                "output_type": "execute_result",
                "data": {"text/plain": {"blob": sha256, "size": len(data)}},
                "metadata": {},
                "execution_count": count,
            }
        await self.change(lambda: self.runtime.apply_outputs(execution_id, (AppendOutput(output),)))
        await self.change(lambda: self.runtime.finish(execution_id, status, None, 2.0))

    async def change(self, write: Any) -> None:
        before = self.runtime.replica.version()
        write()
        self.runtime.commit(NOW)
        await self.broadcast(self.runtime_id, self.runtime.replica.export(before))

    async def others_write(self, text: str) -> None:
        before = self.notebook.replica.version()
        self.write(text)
        await self.broadcast(NOTEBOOK, self.notebook.replica.export(before))

    async def cut(self) -> None:
        for connection in list(self.connections):
            connection.transport.abort()


def _error(name: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": "it broke", "traceback": ["line"]}


class Relay:
    """Raw bytes between two sockets, `piece` at a time."""

    def __init__(self, behind: Path, piece: int) -> None:
        self.behind = behind
        self.piece = piece

    @contextlib.asynccontextmanager
    async def serve(self, front: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self.connect, str(front))
        async with server:
            yield
            server.close_clients() if hasattr(server, "close_clients") else None

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_unix_connection(str(self.behind))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.copy(reader, behind_writer))
                tasks.create_task(self.copy(behind_reader, writer))
        finally:
            writer.transport.abort()
            behind_writer.transport.abort()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(self.piece):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def daemon_at(home: Path, daemon: MiniDaemon | None = None) -> AsyncIterator[MiniDaemon]:
    prepare(home)
    daemon = daemon or MiniDaemon()
    async with daemon.serve(Paths.of(home).socket):
        yield daemon


__all__ = ["MiniDaemon", "Relay", "daemon_at"]
