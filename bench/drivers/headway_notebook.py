"""Headway, as a contender: its Python client, and a daemon in a home of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import headway
from headway.edges.paths import Paths
from headway.ids import heads_to_text
from headway_api import Api
from headway_home import HeadwayHome
from serving import (
    WireBytes,
    block_of,
    peak_bytes,
    processor_s,
    reset_peak,
    resident_bytes,
    serve,
)

CODE = "1+1"
WARM_UP = 20
LIMIT_S = 120.0
LONGEST = 400
CONFIRM_EVERY = 500
PAUSE_S = 0.005
SEEN = "import builtins; builtins.ran = []"


class HeadwayNotebook(HeadwayHome):
    """One open notebook `a.ipynb`, and further ones where a question wants them."""

    def __init__(self, blocking: bool) -> None:
        super().__init__()
        self._blocking = blocking
        self._seen: dict[str, float] = {}
        self._filled: headway.AsyncNotebook | None = None
        self._grown: dict[str, tuple[headway.AsyncNotebook, str]] = {}
        self._received = WireBytes()

    async def start(self) -> None:
        path = self._folder / "a.ipynb"
        if self._blocking:
            self._sync = headway.open(path, home=self._home, name="blocking")
        else:
            self._notebook = await headway.open_async(path, home=self._home, name="first")
        await self.execute(WARM_UP)

    # Executing

    async def execute(self, count: int, code: str = CODE) -> Any:
        """Add a cell and run it."""
        if not self._blocking:
            notebook = self._notebook
            return await block_of(
                count, lambda: notebook.execute_cell(notebook.add_cell(code), timeout=LIMIT_S)
            )
        taken = []
        for _ in range(count):
            begun = time.perf_counter()
            self._sync.execute_cell(self._sync.add_cell(code), timeout=LIMIT_S)
            taken.append(time.perf_counter() - begun)
        return taken

    async def first_output(self, count: int, code: str) -> Any:
        """Run a cell that shows something and goes on; seconds until it is here."""
        cell = self._notebook.add_cell(code)
        taken = []
        for _ in range(count):
            begun = time.perf_counter()
            async for event in self._notebook.stream_execute(cell, timeout=LIMIT_S):
                if isinstance(event, headway.Output):
                    taken.append(time.perf_counter() - begun)
        return taken

    async def race(self, kind: str, tries: int, limit_s: float) -> Any:
        """Add or change a cell and have it run at once; is what ran what was asked for?"""
        notebook = self._notebook
        await notebook.run(SEEN, timeout=LIMIT_S)
        other = Api(Paths.of(self._home).socket)
        victim = notebook.add_cell("0")
        counts = {"tries": 0, "missed": 0, "wrong": 0, "refused": 0}
        until_s = time.monotonic() + limit_s
        for number in range(tries):
            if time.monotonic() > until_s:
                break
            counts["tries"] += 1
            code = f"builtins.ran.append({number}); print({number})"
            if kind == "edit, other":
                notebook.update_source(victim, code)
                cell = victim
            else:
                cell = notebook.add_cell(code)
            try:
                if kind == "create, same":
                    result = await notebook.execute_cell(cell, timeout=LIMIT_S)
                else:
                    heads = heads_to_text(notebook.heads)
                    identity = await other.execute(notebook.id, cell.id, heads)
                    execution = await notebook.get_execution(identity)
                    result = await execution.result(LIMIT_S)
            except headway.HeadwayError:
                counts["refused"] += 1
                continue
            text = result.text.strip()
            counts["missed"] += text == ""
            counts["wrong"] += text not in {"", str(number)}
        counts |= await self._ran(counts["tries"])
        other.close()
        return counts

    async def _ran(self, tries: int) -> dict[str, int]:
        said = await self._notebook.run("print(len(builtins.ran), len(set(builtins.ran)))")
        times, different = (int(word) for word in said.text.split())
        return {"twice": times - different, "never": tries - different}

    # Several clients

    async def place(self) -> Any:
        """Where another process finds the notebook."""
        return {"home": str(self._home), "path": str(self._folder / "a.ipynb")}

    async def join(self, place: Any, clients: int, writing_per_s: float = 0.0) -> None:
        """Be `clients` clients of the notebook at a place, instead of having one; they may type."""
        self._leave_for(Path(place["home"]))
        for number in range(clients):
            reader = await self._readers.enter_async_context(
                headway.open_async(place["path"], home=self._home, name=f"reader {number}")
            )
            if number == 0:
                self._first = reader
            if writing_per_s:
                self._tasks.append(asyncio.create_task(_type(reader, writing_per_s)))

    async def watch(self, cell: str) -> None:
        """From now on note when the first client sees each length and each output of a cell."""
        self._seen = {}

        def look() -> bool:
            now = time.perf_counter()
            try:
                length = len(self._first.source(cell))
            except headway.CellNotFound:
                return False
            self._seen.setdefault(f"length {length}", now)
            return False

        self._tasks.append(asyncio.create_task(self._first.wait_until(look, timeout=LIMIT_S * 10)))

    async def watch_outputs(self) -> None:
        """From now on note when the first client sees each cell's execution ended."""
        self._seen = {}

        def look() -> bool:
            now = time.perf_counter()
            for cell in self._first.latest_executions:
                if cell not in self._seen and self._first.cell(cell).outputs:
                    self._seen[cell] = now
            return False

        self._tasks.append(asyncio.create_task(self._first.wait_until(look, timeout=LIMIT_S * 10)))

    async def seen(self) -> Any:
        return self._seen

    async def new_cell(self) -> Any:
        """A cell to type into, confirmed."""
        cell = self._notebook.add_cell("", cell_type="markdown")
        await self._notebook.confirm_sync()
        return cell.id

    async def type(self, cell: str, count: int, pause_s: float) -> Any:
        """Type characters one by one; when was each there?"""
        sent = {}
        for _ in range(count):
            begun = time.perf_counter()
            self._notebook.append_source(cell, "x")
            sent[f"length {len(self._notebook.source(cell))}"] = begun
            await asyncio.sleep(pause_s)
        return sent

    async def run_marked(self, count: int, pause_s: float) -> Any:
        """Add and run cells; when was each asked for?"""
        sent = {}
        for _ in range(count):
            begun = time.perf_counter()
            cell = self._notebook.add_cell(CODE)
            sent[cell.id] = begun
            await self._notebook.execute_cell(cell, timeout=LIMIT_S)
            await asyncio.sleep(pause_s)
        return sent

    async def prepare(self, number: int) -> Any:
        """Make a notebook that others will watch being filled; gives its place."""
        path = self._folder / f"filled-{number}.ipynb"
        if self._filled is not None:
            await self._filled.close()
        self._filled = await headway.open_async(path, home=self._home)
        return {"home": str(self._home), "path": str(path)}

    async def add_cells(self, count: int) -> Any:
        """Add cells one by one to it, and confirm; when was each stage reached?"""
        assert self._filled is not None, "it was prepared"
        begun = time.perf_counter()
        for number in range(count):
            self._filled.add_cell(f"x = {number}")
        await self._filled.confirm_sync(timeout=LIMIT_S)
        return {"begun": begun, "confirmed": time.perf_counter()}

    async def await_cells(self, count: int) -> None:
        """From now on note when the first client has so many cells."""
        document = self._first._document  # noqa: SLF001 - it counts cells without reading them
        arriving = self._first.wait_until(lambda: len(document) >= count, timeout=LIMIT_S)
        self._arrived = asyncio.create_task(_when(arriving))

    async def arrived(self) -> Any:
        """When it had them."""
        return await self._arrived

    # Size

    async def open(self, path: str, cells: int, again: bool) -> Any:
        """Open a notebook: seconds until all its cells are here, and bytes received for that."""
        if not again:
            await self._restart()
        before = self._received.count
        begun = time.perf_counter()
        async with headway.open_async(self._folder / path, home=self._home) as notebook:
            taken = time.perf_counter() - begun
            assert len(notebook.cells) >= cells
            return {"s": taken, "bytes": self._received.count - before}

    async def edit(self, path: str, edits: int) -> Any:
        """Make a notebook of 50 cells with a history of single keystrokes; gives bytes of disk."""
        async with headway.open_async(self._folder / path, home=self._home) as notebook:
            cells = [notebook.add_cell("x" * (LONGEST // 2)) for _ in range(50)]
            await _typed(notebook, [cell.id for cell in cells], edits)
        return await self.disk()

    async def hold(self, paths: list[str]) -> None:
        """Open notebooks and keep them open."""
        for path in paths:
            await self._readers.enter_async_context(
                headway.open_async(self._folder / path, home=self._home)
            )

    # Floods

    async def flood(self, code: str) -> Any:
        """Add and run a cell with much output; seconds, the daemon's peak, characters kept."""
        daemon = self._daemon()
        reset_peak(daemon)
        before = resident_bytes(daemon)
        begun = time.perf_counter()
        result = await self._notebook.execute_cell(self._notebook.add_cell(code), timeout=LIMIT_S)
        taken = time.perf_counter() - begun
        return {
            "s": taken,
            "bytes": peak_bytes(daemon) - before,
            "characters": sum(map(_length, result.outputs)),
        }

    async def confirm(self, lasting_s: float) -> Any:
        """Type into a notebook of one's own, confirming each character; seconds of each."""
        async with headway.open_async(self._folder / "typed.ipynb", home=self._home) as notebook:
            cell = notebook.add_cell("")
            await notebook.confirm_sync()
            taken = []
            until_s = time.monotonic() + lasting_s
            while time.monotonic() < until_s:
                begun = time.perf_counter()
                notebook.append_source(cell, "x")
                await notebook.confirm_sync(timeout=LIMIT_S)
                taken.append(time.perf_counter() - begun)
                await asyncio.sleep(PAUSE_S)
            return taken

    # Growth

    async def grow(self, name: str, cells: int = 50, edits: int = 0, outputs: int = 0) -> Any:
        """A notebook of that size, kept open; seconds that its cells took until confirmed."""
        path = self._folder / f"{name}.ipynb"
        notebook = await self._readers.enter_async_context(
            headway.open_async(path, home=self._home)
        )
        begun = time.perf_counter()
        made = [notebook.add_cell(f"x = {number}") for number in range(cells)]
        await notebook.confirm_sync(timeout=LIMIT_S)
        taken = time.perf_counter() - begun
        await _typed(notebook, [cell.id for cell in made], edits)
        for number in range(outputs):
            await notebook.execute_cell(made[number % cells], timeout=LIMIT_S)
        self._grown[name] = notebook, made[cells // 2].id
        return taken

    async def edit_grown(self, name: str, count: int) -> Any:
        """Confirm keystrokes in it: seconds of each, and of the processors for one."""
        notebook, cell = self._grown[name]

        async def once() -> None:
            notebook.append_source(cell, "x")
            await notebook.confirm_sync(timeout=LIMIT_S)

        await once()
        before = time.process_time() + processor_s(self._daemon())
        values = await block_of(count, once)
        spent = time.process_time() + processor_s(self._daemon()) - before
        return {"values": values, "processor_s": spent / count}

    async def run_grown(self, name: str, count: int) -> Any:
        """Add and run cells in it; seconds of each."""
        notebook, _ = self._grown[name]
        return await block_of(
            count, lambda: notebook.execute_cell(notebook.add_cell(CODE), timeout=LIMIT_S)
        )


async def _typed(notebook: headway.AsyncNotebook, cells: list[str], edits: int) -> None:
    """Single keystrokes, a third of them deletions, and more in cells that became long."""
    for number in range(edits):
        cell = cells[number % len(cells)]
        length = len(notebook.source(cell))
        at = number % (length + 1)
        if at < length and (number % 3 == 0 or length > LONGEST):
            notebook.splice_source(cell, at, 1, "")
        else:
            notebook.splice_source(cell, at, 0, "e")
        if number % CONFIRM_EVERY == CONFIRM_EVERY - 1:
            await notebook.confirm_sync(timeout=LIMIT_S)


async def _when(awaited: Coroutine[Any, Any, None]) -> float:
    await awaited
    return time.perf_counter()


async def _type(notebook: headway.AsyncNotebook, per_s: float) -> None:
    """Type into a cell of one's own, at a pace."""
    cell = notebook.add_cell("", cell_type="markdown")
    while True:
        if len(notebook.source(cell)) > LONGEST:
            notebook.update_source(cell, "")
        notebook.append_source(cell, "y")
        await asyncio.sleep(1 / per_s)


def _length(output: dict[str, Any]) -> int:
    if "text" in output:
        return len("".join(output["text"]))
    return sum(len("".join(value)) for value in output.get("data", {}).values())


if __name__ == "__main__":
    serve(HeadwayNotebook(blocking=sys.argv[1] == "blocking"))
