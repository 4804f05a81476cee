from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect, unix_connect

from daemon_world import LIMIT_S, Reply, call, exchange, short_folder
from headway.core.document.crdt import Replica
from headway.core.document.edits import AddCell
from headway.core.document.notebook import NotebookDocument
from headway.core.wire import commands, rpc
from headway.core.wire.codec import decode, encode
from headway.core.wire.messages import Ack, Join, Kind, Update, UpdateStatus
from headway.daemon.main import EXIT_ALREADY_RUNNING, EXIT_FAILED, NOTIFY_VARIABLE, main
from headway.edges.paths import Paths
from headway.ids import execution_id, heads_to_text
from headway.moments import Moment


class Daemon:
    """A daemon in a process of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.socket = Paths.of(home).socket
        self.log = Paths.of(home).log
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.bind(str(home / "notices"))
        notices.settimeout(LIMIT_S)
        command = [sys.executable, "-m", "headway.daemon.main", "--home", str(home), *arguments]
        environment = {**os.environ, NOTIFY_VARIABLE: str(home / "notices")}
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            with notices:
                assert notices.recv(100) == b"READY=1"
        finally:
            (home / "notices").unlink()

    def ends(self) -> int:
        return self.process.wait(LIMIT_S)

    async def post(self, method: str, body: bytes = b"{}") -> Reply:
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        return await exchange(reader, writer, "POST", f"/api/v1/{method}", body, {})

    def status(self) -> rpc.DaemonStatus:
        reply = asyncio.run(asyncio.wait_for(self.post("status"), LIMIT_S))
        return commands.decode_result(rpc.Status, reply.body)  # type: ignore[no-any-return]


@contextmanager
def daemon(home: Path, *arguments: str) -> Iterator[Daemon]:
    running = Daemon(home, *arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait(LIMIT_S)


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(3 * LIMIT_S):
            await scenario()

    asyncio.run(bounded())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_daemon_cleanly_and_removes_its_socket(
    home: Path, number: signal.Signals
) -> None:
    with daemon(home) as running:
        assert running.socket.stat().st_mode & 0o777 == 0o600
        assert running.status().pid == running.process.pid
        running.process.send_signal(number)
        assert running.ends() == 0
        assert not running.socket.exists()
        assert '"ended"' in running.log.read_text()


def test_a_second_daemon_of_a_home_is_refused_with_its_own_status_and_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with daemon(home) as running:
        assert main(["--home", str(home)]) == EXIT_ALREADY_RUNNING
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert str(running.process.pid) in said
        assert running.status().pid == running.process.pid


def test_what_a_killed_daemon_left_behind_is_taken_over(home: Path) -> None:
    with daemon(home) as killed:
        killed.process.kill()
        killed.ends()
        assert killed.socket.is_socket()
    with daemon(home) as running:
        assert running.status().pid == running.process.pid


def test_a_daemon_with_nothing_to_do_ends_by_itself(home: Path) -> None:
    with daemon(home, "--idle-exit", "0.05") as running:
        assert running.ends() == 0
        assert not running.socket.exists()


def test_an_address_that_is_not_of_this_machine_is_refused_with_a_sentence(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(home), "--http", "0.0.0.0:0"]) == EXIT_FAILED
    assert "listens on this machine only" in capsys.readouterr().err
    assert not Paths.of(home).socket.exists()


def test_the_token_of_the_home_opens_tcp_and_is_never_logged(home: Path) -> None:
    with daemon(home, "--http", "0", "--log-level", "debug") as running:
        token = (home / "token").read_text().strip()
        address = running.status().http
        assert address is not None

        async def scenario() -> None:
            target = f"{address.replace('http', 'ws')}/sync?token={token}"
            async with connect(target, compression=None) as peer:
                await peer.send("ping")
                assert await peer.recv() == "pong"

        run(scenario)
        running.process.terminate()
        assert running.ends() == 0
        assert token not in running.log.read_text()


async def add_and_execute(running: Daemon, path: Path, identity: str, code: str) -> rpc.Accepted:
    """What a client does, by hand: open, join, add a cell, execute it, wait for its end."""
    dial = unix_connect(str(running.socket), "ws://localhost/sync?name=t", compression=None)
    async with dial as peer:
        opened = await result(peer, rpc.Open(path=str(path)))
        replica = Replica(1234)
        await peer.send(encode(Join(Kind.DOCUMENT, opened.document, b"", b"")))
        notebook = NotebookDocument(replica)
        heads = notebook.apply([AddCell("cell", source=code)], Moment(0.0, 1.0), "test")
        batch = (1).to_bytes(8, "big")
        await peer.send(encode(Update(Kind.DOCUMENT, opened.document, (replica.export(),), batch)))
        while True:
            frame = await peer.recv(decode=False)
            message = decode(frame) if not frame.startswith(commands.RPC_MAGIC) else None
            if isinstance(message, Ack):
                assert message.status is UpdateStatus.OK
                break
        execute = rpc.Execute(
            document=opened.document,
            cell_id="cell",
            execution_id=identity,
            required_heads=heads_to_text(heads),
        )
        accepted = await result(peer, execute)
        outcome = await result(peer, rpc.GetExecution(execution_id=identity, wait=True))
        assert outcome.record["status"] == "ok", outcome
        assert isinstance(accepted, rpc.Accepted)
        # Asked again, an id gives the first answer again and runs nothing.
        assert await result(peer, execute) == accepted
        return accepted


async def result(peer: ClientConnection, params: rpc.Params) -> Any:
    reply = await call(peer, params)
    assert isinstance(reply, commands.Response), reply
    return commands.decode_result(type(params), reply.result)


def test_a_cell_runs_is_saved_and_its_result_is_found_by_id_after_a_restart(home: Path) -> None:
    path = home / "a.ipynb"
    identity = execution_id(1.0, os.urandom)

    async def first() -> None:
        await add_and_execute(running, path, identity, "print(6 * 7)")

    async def second() -> None:
        body = json.dumps({"execution_id": identity}).encode()
        reply = await running.post("get_execution", body)
        assert reply.status == 200
        outcome = json.loads(reply.body)
        assert outcome["record"]["status"] == "ok"
        # The same id again, at a daemon that never saw it: the first answer, not a second run.
        opened = json.loads(
            (await running.post("open", json.dumps({"path": str(path)}).encode())).body
        )
        assert opened["document"] == outcome["document"]
        again = {"document": opened["document"], "cell_id": "cell", "execution_id": identity}
        reply = await running.post("execute", json.dumps({**again, "source": "latest"}).encode())
        assert reply.status == 200, reply.body
        assert json.loads(reply.body)["execution_id"] == identity
        assert json.loads((await running.post("status")).body)["kernels"] == 0

    with daemon(home) as running:
        run(first)
        running.process.terminate()
        assert running.ends() == 0
    saved = json.loads(path.read_text())
    assert "".join(saved["cells"][0]["outputs"][0]["text"]) == "42\n"
    with daemon(home) as running:
        run(second)


def test_the_end_of_the_daemon_is_the_end_of_its_kernels(home: Path) -> None:
    identity = execution_id(1.0, os.urandom)
    told = home / "pid"

    async def scenario() -> None:
        code = f"import os, pathlib; pathlib.Path({str(told)!r}).write_text(str(os.getpid()))"
        await add_and_execute(running, home / "a.ipynb", identity, code)

    with daemon(home) as running:
        run(scenario)
        kernel = int(told.read_text())
        os.kill(kernel, 0)
        running.process.terminate()
        assert running.ends() == 0
        with pytest.raises(ProcessLookupError):
            os.kill(kernel, 0)
