"""Large outputs: the daemon's memory, and what another notebook feels of it.

One notebook runs ten cells that print 50 MB each, while its file is saved. Another notebook, of
the same daemon and in the same run, confirms one edit after the other: idle, while a kernel only
computes (the control: it takes a processor as a flood does), and during the flood. Aim: the p99
during the flood is at most twice that of the idle daemon, and the daemon's memory is bounded.

    python bench/large_outputs.py [--cells 10] [--idle-s 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import headway
from headway.edges.paths import Paths
from measure import own_home

FLOOD = """
import sys
for block in range(50):
    sys.stdout.write("x" * 999_999 + "\\n")
"""
COMPUTE = """
import time
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    sum(range(1000))
"""
FLOOD_LIMIT_S = 600.0
PAUSE_S = 0.01
"""Between two edits of the one that confirms: a person types slower."""


@dataclass
class Seen:
    """What was measured in one phase."""

    confirms: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)

    def line(self, name: str) -> str:
        p50, p99 = (percentile(self.confirms, share) * 1e3 for share in (0.5, 0.99))
        return (
            f"{name:10} confirm p50 {p50:8.2f} ms  p99 {p99:8.2f} ms  longest "
            f"{max(self.confirms) * 1e3:8.2f} ms ({len(self.confirms)} edits), "
            f"memory up to {max(self.rss) / 2**20:.0f} MiB"
        )


def percentile(seconds: Iterable[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(seconds)
    return ordered[int((len(ordered) - 1) * share)]


def _rss_bytes(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None, "a process has a size"
    return int(found[1]) * 1024


@contextlib.asynccontextmanager
async def _watching(notebook: headway.AsyncNotebook, pid: int) -> AsyncIterator[Seen]:
    """Confirm edits and look at the daemon's memory until the block ends."""
    seen = Seen()
    ending = asyncio.Event()
    cell = notebook.add_cell("")
    await notebook.confirm_sync()

    async def confirm() -> None:
        while not ending.is_set():
            notebook.append_source(cell, "x")
            begun = time.perf_counter()
            await notebook.confirm_sync()
            seen.confirms.append(time.perf_counter() - begun)
            await asyncio.sleep(PAUSE_S)

    async def look() -> None:
        while not ending.is_set():
            seen.rss.append(_rss_bytes(pid))
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(confirm())
        tasks.create_task(look())
        try:
            yield seen
        finally:
            ending.set()


async def measured(cells: int, idle_s: float, home: Path) -> dict[str, Seen]:
    """Each phase of one run."""
    taken: dict[str, Seen] = {}
    opening = headway.open_async(home.parent / "quiet.ipynb", home=home)
    async with opening as quiet:
        pid = int(Paths.of(home).lock.read_text().split()[0])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--flooding", str(home), "--cells", str(cells)),
            *("--idle-s", str(idle_s)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdout.readline()

        async def phase(name: str, work: Callable[[], Awaitable[object]]) -> None:
            async with _watching(quiet, pid) as seen:
                await work()
            taken[name] = seen
            print(seen.line(name), flush=True)

        async def other(command: str) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{command}\n".encode())
            print((await process.stdout.readline()).decode().strip(), flush=True)

        await phase("idle", lambda: asyncio.sleep(idle_s))
        await phase("computing", lambda: other("compute"))
        await phase("flood", lambda: other("flood"))
        await phase("saving", lambda: other("save"))
        await phase("after", lambda: asyncio.sleep(idle_s / 2))
        process.stdin.close()
        await process.wait()
    return taken


def flooding(home: Path, cells: int, seconds: float) -> None:
    """The other notebook, in a process of its own: do what each line says."""
    with headway.open(home.parent / "flood.ipynb", home=home) as notebook:
        notebook.run("1", timeout=FLOOD_LIMIT_S)
        print("ready", flush=True)
        while True:
            try:
                command = input()
            except EOFError:
                return
            begun = time.perf_counter()
            if command == "compute":
                notebook.run(COMPUTE.format(seconds=seconds), timeout=FLOOD_LIMIT_S)
            elif command == "flood":
                for _ in range(cells):
                    job = notebook.queue_cell(notebook.add_cell(FLOOD))
                    job.wait(timeout=FLOOD_LIMIT_S)
            else:
                notebook.save(timeout=FLOOD_LIMIT_S)
                size = (home.parent / "flood.ipynb").stat().st_size
                print(f"[{size / 1e6:.0f} MB] ", end="")
            print(f"{command}: {time.perf_counter() - begun:.1f} s", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cells", type=int, default=10, help="cells of 50 MB")
    options.add_argument("--idle-s", type=float, default=10.0, help="length of the quiet phases")
    options.add_argument("--json", type=Path, help="write the figures there too")
    options.add_argument("--flooding", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.flooding is not None:
        flooding(chosen.flooding, chosen.cells, chosen.idle_s)
        return
    with own_home() as home:
        taken = asyncio.run(measured(chosen.cells, chosen.idle_s, home))
    ratios = {
        name: percentile(seen.confirms, 0.99) / percentile(taken["idle"].confirms, 0.99)
        for name, seen in taken.items()
    }
    print(", ".join(f"{name} p99 {ratio:.2f}x" for name, ratio in ratios.items()))
    if chosen.json is not None:
        figures = {name: [seen.confirms, seen.rss] for name, seen in taken.items()}
        chosen.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
