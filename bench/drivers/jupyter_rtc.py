"""Jupyter's collaboration, as a contender: a server, and jupyter-nbmodel-client as the client.

`collaboration`: jupyter-collaboration; the client runs the cell through jupyter-kernel-client and
writes the outputs into the document itself. `documents`: jupyter-server-documents; the server
runs the cell of its own copy, asked over HTTP with the hash of the source that is expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from jupyter_nbmodel_client import NbModelClient

from jupyter_process import JupyterServer, room_address
from jupyter_runners import Refused, ThroughTheClient, ThroughTheServer, until
from serving import (
    WireBytes,
    block_of,
    peak_bytes,
    reset_peak,
    resident_bytes,
    rest_of,
    serve,
)

CODE = "1+1"
WARM_UP = 20
LIMIT_S = 120.0
SYNC_LIMIT_S = 20.0
MAX_BODY_BYTES = 1 << 30
A_TURN_S = 0.003
"""Between two executions the client's loop is given time to send what it has: the documented call
blocks it."""

LOOK_EVERY_S = 0.0005
LONGEST = 400
END_S = 2.0
"""A client that has not let go by then is left."""


class JupyterNotebook:
    """One notebook at one server; further clients where a question wants them."""

    def __init__(self, kind: str, nodelay: bool) -> None:
        self._kind = kind
        self._nodelay = nodelay
        self._server: JupyterServer | None = None
        self._clients: list[NbModelClient] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._seen: dict[str, float] = {}
        self._made = 0
        self._received = WireBytes()
        logging.disable(logging.CRITICAL)

    async def start(self) -> None:
        self._server = await asyncio.to_thread(JupyterServer, self._nodelay)
        self._address, self._room = self._new("a.ipynb")
        self._notebook = await self._client(self._address)
        self._runner = await self._new_runner("a.ipynb", self._room)
        await self.execute(WARM_UP)

    def _new(self, name: str, source: str | None = None) -> tuple[str, str]:
        assert self._server is not None, "it was started"
        return room_address(self._server, self._server.new_notebook(name, source))

    async def _client(self, address: str) -> NbModelClient:
        client = NbModelClient(address, ws_max_body_size=MAX_BODY_BYTES)
        await client.start()
        async with asyncio.timeout(SYNC_LIMIT_S):
            while not client.synced:
                await asyncio.sleep(LOOK_EVERY_S)
        self._clients.append(client)
        return client

    async def _new_runner(self, path: str, room: str) -> ThroughTheClient | ThroughTheServer:
        assert self._server is not None, "it was started"
        if self._kind == "collaboration":
            return await asyncio.to_thread(ThroughTheClient, self._server)
        return await asyncio.to_thread(ThroughTheServer, self._server, path, room)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.gather(*(each.stop() for each in self._clients)), END_S)
        if self._server is not None:
            await asyncio.to_thread(self._server.close)

    # Executing

    async def execute(self, count: int, code: str = CODE) -> Any:
        """Add a cell and run it."""
        return await block_of(count, lambda: self._add_and_run(code), A_TURN_S)

    async def _add_and_run(self, code: str) -> None:
        index = self._notebook.add_code_cell(code)
        _ended_well(await self._runner.run(self._notebook, index))

    async def race(self, kind: str, tries: int, limit_s: float) -> Any:
        """Add or change a cell and have it run at once; is what ran what was asked for?"""
        notebook = self._notebook
        other = await self._client(self._address)
        await asyncio.sleep(1)  # the cells of those who type have arrived, and no index moves more
        await self._run_apart("import builtins; builtins.ran = []")
        victim = notebook.add_code_cell("0")
        await until(lambda: len(other) > victim)
        counts = {"tries": 0, "missed": 0, "wrong": 0, "refused": 0}
        until_s = time.monotonic() + limit_s
        for number in range(tries):
            if time.monotonic() > until_s:
                break
            counts["tries"] += 1
            code = f"builtins.ran.append({number}); print({number})"
            index = victim
            if kind == "edit, other":
                notebook.set_cell_source(victim, code)
            else:
                index = notebook.add_code_cell(code)
            by = notebook if kind == "create, same" else other
            try:
                outputs = await self._runner.run(by, index, patient=False)
            except (Refused, IndexError):  # the server's copy, or the other's, has not got it
                counts["refused"] += 1
                await asyncio.sleep(A_TURN_S)
                continue
            text = "".join("".join(each.get("text", "")) for each in outputs).strip()
            counts["missed"] += text == ""
            counts["wrong"] += text not in {"", str(number)}
            await asyncio.sleep(A_TURN_S)
        said = await self._run_apart("print(len(builtins.ran), len(set(builtins.ran)))")
        times, different = (int(word) for word in said.split())
        counts |= {"twice": times - different, "never": counts["tries"] - different}
        return counts

    async def _run_apart(self, code: str) -> str:
        """Run a cell after it has certainly arrived everywhere."""
        index = self._notebook.add_code_cell(code)
        await asyncio.sleep(0.5)
        outputs = await self._runner.run(self._notebook, index)
        return "".join("".join(each.get("text", "")) for each in outputs).strip()

    # Several clients

    async def place(self) -> Any:
        """Where another process finds the notebook."""
        return {"address": self._address}

    async def join(self, place: Any, clients: int, writing_per_s: float = 0.0) -> None:
        """Be `clients` clients of the notebook at a place; they may type."""
        for _ in range(clients):
            client = await self._client(place["address"])
            if writing_per_s:
                self._tasks.append(asyncio.create_task(_type(client, writing_per_s)))

    async def watch(self, cell: int) -> None:
        """From now on note when the first client sees each length of a cell."""
        first = self._clients[0]

        def look(now: float) -> None:
            if len(first) > cell:
                length = len(first._doc.ycells[cell]["source"])
                self._seen.setdefault(f"length {length}", now)

        self._watch(look)

    async def watch_outputs(self) -> None:
        """From now on note when the first client sees each cell's execution ended."""
        first = self._clients[0]

        def look(now: float) -> None:
            for index in range(max(0, len(first) - 3), len(first)):
                cell = first._doc.ycells[index]
                if cell.get("execution_count") is not None and len(cell["outputs"]):
                    self._seen.setdefault(str(index), now)

        self._watch(look)

    def _watch(self, look: Callable[[float], None]) -> None:
        self._seen = {}
        changed = asyncio.Event()
        self._subscription = self._clients[0]._doc.ydoc.observe(lambda _: changed.set())

        async def watching() -> None:
            while True:
                await changed.wait()
                changed.clear()
                look(time.perf_counter())

        self._tasks.append(asyncio.create_task(watching()))

    async def seen(self) -> Any:
        return self._seen

    async def new_cell(self) -> Any:
        """A cell to type into, that has arrived."""
        cell = self._notebook.add_markdown_cell("")
        await asyncio.sleep(0.5)
        return cell

    async def type(self, cell: int, count: int, pause_s: float) -> Any:
        """Type characters one by one; when was each there?"""
        sent = {}
        for _ in range(count):
            begun = time.perf_counter()
            text = self._notebook._doc.ycells[cell]["source"]
            text += "x"
            sent[f"length {len(text)}"] = begun
            await asyncio.sleep(pause_s)
        return sent

    async def run_marked(self, count: int, pause_s: float) -> Any:
        """Add and run cells; when was each asked for?"""
        sent = {}
        for _ in range(count):
            begun = time.perf_counter()
            index = self._notebook.add_code_cell(CODE)
            sent[str(index)] = begun
            _ended_well(await self._runner.run(self._notebook, index))
            await asyncio.sleep(pause_s)
        return sent

    async def prepare(self, number: int) -> Any:
        """Make a notebook that others will watch being filled; gives its place."""
        address, _ = self._new(f"filled-{number}.ipynb")
        self._filled = await self._client(address)
        return {"address": address}

    async def add_cells(self, count: int) -> Any:
        """Add cells one by one to it."""
        begun = time.perf_counter()
        for number in range(count):
            self._filled.add_code_cell(f"x = {number}")
        return {"begun": begun}

    async def await_cells(self, count: int) -> None:
        """From now on note when the first client has so many cells."""
        client = self._clients[0]
        self._arrived = asyncio.create_task(_when(lambda: len(client) >= count))

    async def arrived(self) -> Any:
        """When it had them."""
        return await self._arrived

    # Size

    async def open(self, path: str, cells: int, again: bool) -> Any:
        """Open a notebook: seconds until all its cells are here, and bytes received for that."""
        if not again:
            self._made += 1
            self._file = f"opened-{self._made}.ipynb"
            assert self._server is not None, "it was started"
            self._server.new_notebook(self._file, path)
        before = self._received.count
        begun = time.perf_counter()
        assert self._server is not None, "it was started"
        address, _ = await asyncio.to_thread(room_address, self._server, self._file)
        notebook = await self._client(address)
        await until(lambda: len(notebook) >= cells)
        return {"s": time.perf_counter() - begun, "bytes": self._received.count - before}

    async def hold(self, paths: list[str]) -> None:
        """Open notebooks and keep them open."""
        for path in paths:
            self._made += 1
            address, _ = self._new(f"held-{self._made}.ipynb", path)
            await self._client(address)

    async def rest(self, seconds: float) -> Any:
        """What the server does while nobody wants anything."""
        assert self._server is not None, "it was started"
        return await rest_of(self._server.pid, seconds)

    async def memory(self) -> Any:
        """Bytes of the server."""
        assert self._server is not None, "it was started"
        return resident_bytes(self._server.pid)

    # Floods

    async def flood(self, code: str) -> Any:
        """Add and run a cell with much output in a notebook of its own."""
        assert self._server is not None, "it was started"
        self._made += 1
        name = f"flood-{self._made}.ipynb"
        address, room = self._new(name)
        notebook = await self._client(address)
        runner = self._runner
        if self._kind == "documents":
            runner = await self._new_runner(name, room)
        reset_peak(self._server.pid)
        before = resident_bytes(self._server.pid)
        begun = time.perf_counter()
        outputs = await runner.run(notebook, notebook.add_code_cell(code))
        taken = time.perf_counter() - begun
        peak = peak_bytes(self._server.pid) - before
        return {"s": taken, "bytes": peak, "characters": sum(map(_length, outputs))}


async def _when(is_true: Callable[[], bool]) -> float:
    await until(is_true)
    return time.perf_counter()


async def _type(client: NbModelClient, per_s: float) -> None:
    """Type into a cell of one's own, at a pace."""
    cell = client._doc.ycells[client.add_markdown_cell("")]
    while True:
        text = cell["source"]
        if len(text) > LONGEST:
            text.clear()
        text += "y"
        await asyncio.sleep(1 / per_s)


def _ended_well(outputs: list[Any]) -> None:
    assert outputs, "it ran and left no output"


def _length(output: dict[str, Any]) -> int:
    if "text" in output:
        return len("".join(output["text"]))
    return sum(len("".join(map(str, value))) for value in output.get("data", {}).values())


if __name__ == "__main__":
    serve(JupyterNotebook(sys.argv[1], nodelay="nodelay" in sys.argv[2:]))
