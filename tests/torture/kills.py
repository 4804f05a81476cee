"""SIGKILL at any instant: `python -m torture.kills --cycles 1000`.

A real daemon, forked from a process that has everything imported, so that a cycle takes a third
of a second. In each cycle writers edit and confirm, some ask for executions on a kernel that
outlives the daemon, and the daemon is killed at a random instant, sometimes while it starts.
The next daemon is asked first by a reader that holds nothing: what was confirmed must be there,
once. Then the writers come back: some with replicas and edits that nobody confirmed, some new.
SIGKILL proves nothing about power loss: that is `power`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from headway.client.aio import AsyncNotebook
from headway.errors import HeadwayError
from torture.ledger import Ledger
from torture.planted import PLANTED, plant_client
from torture.runs import Runs
from torture.world import Cradle, Gate, Life, cradle, drop, join, scratch

__all__ = ["Figures", "end", "torture"]

ERA = 60
"""Cycles on one notebook; its history would slow down the cycles of a long run."""

WRITERS = 3
KEPT_SHARE = 0.4
"""Of the writers: those that come back with the replica they had."""
EXECUTING_SHARE = 0.25
"""Of the cycles: those with executions."""
STARTING_SHARE = 0.1
"""Of the cycles: those whose daemon is killed while it starts."""

_WORK_S = (0.002, 0.12)
_START_S = (0.0, 0.06)
_CYCLE_LIMIT_S = 90.0


@dataclass
class Figures:
    """What a run found."""

    cycles: int = 0
    confirmations: int = 0
    executions: int = 0
    lost_executions: int = 0
    repeats: int = 0
    bad: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"kills: {self.cycles} cycles, {self.confirmations} confirmations, "
            f"{self.executions} executions accepted ({self.lost_executions} lost with a reason, "
            f"{self.repeats} asked for again): {len(self.bad)} bad"
        )


@dataclass
class _Writer:
    notebook: AsyncNotebook
    ledger: Ledger
    dice: random.Random
    cells: dict[str, str] = field(default_factory=dict)
    """Cells made here -> the token in each."""
    waiting: set[str] = field(default_factory=set)
    removals: set[str] = field(default_factory=set)

    async def work(self) -> None:
        """Edit and confirm until it is cancelled."""
        while True:
            for _ in range(self.dice.randint(1, 3)):
                self._edit()
            sent, removed = set(self.waiting), set(self.removals)
            await self.notebook.confirm_sync(_CYCLE_LIMIT_S)
            self.ledger.confirm(sent, removed)
            self.waiting -= sent
            self.removals -= removed

    def _edit(self) -> None:
        drawn = self.dice.random()
        if drawn < 0.1 and self.cells:
            cell = self.dice.choice(sorted(self.cells))
            token = self.cells.pop(cell)
            self.ledger.removed.add(token)
            self.notebook.delete_cell(cell)
            self.removals.add(token)
            return
        token = self.ledger.token()
        self.waiting.add(token)
        if drawn < 0.3:
            self.cells[self.notebook.add_cell(token, cell_type="markdown").id] = token
        else:
            shared = [each for each in self.notebook.cells if each.cell_type == "raw"]
            self.notebook.append_source(self.dice.choice(shared), f"{token}\n")


class _Torture:
    def __init__(self, born: Cradle, folder: Path, seed: int) -> None:
        self.figures = Figures()
        self._born = born
        self._folder = folder
        self._home = folder / "home"
        self._dice = random.Random(seed)
        self._gate = Gate(self._home)
        self._open_gate = Gate(self._home)
        self._writers: list[_Writer] = []
        self._runs = Runs(folder / "ran")
        self._runs_cell = ""
        self._warm = asyncio.Event()
        self._ledger = self._new_ledger(0)

    async def run(self, cycles: int, stop_at: int) -> Figures:
        for number in range(cycles):
            if number and number % ERA == 0:
                await self._new_era(number)
            async with asyncio.timeout(_CYCLE_LIMIT_S):
                await self._cycle(number)
            self.figures.cycles += 1
            if len(self.figures.bad) >= stop_at:
                break
        async with asyncio.timeout(_CYCLE_LIMIT_S):
            await self._finish()
        return self.figures

    async def _cycle(self, number: int) -> None:
        life = self._born.daemon(self._home)
        if self._dice.random() < STARTING_SHARE:
            await asyncio.sleep(self._dice.uniform(*_START_S))
            life.kill()
            return
        await life.ready()
        await self._check(f"cycle {number}")
        executor = None
        if self._dice.random() < EXECUTING_SHARE:
            executor = asyncio.create_task(self._execute())
        self._gate.open.set()
        while len(self._writers) < WRITERS:
            notebook = await join(self._gate, self._path)
            if not any(each.cell_type == "raw" for each in notebook.cells):
                notebook.add_cell(cell_type="raw")
            self._writers.append(_Writer(notebook, self._ledger, self._dice))
        working = [asyncio.create_task(writer.work()) for writer in self._writers]
        if executor is not None and not self._warm.is_set():
            await self._warm.wait()  # The first kernel takes a second to start.
        await asyncio.sleep(self._dice.uniform(*_WORK_S))
        self._gate.open.clear()
        life.kill()
        await self._end_tasks([*working, *([executor] if executor else [])])
        await self._let_some_go()

    async def _check(self, when: str) -> None:
        """What a reader that holds nothing finds."""
        reader = await join(self._open_gate, self._path)
        problems = self._ledger.check(each.source for each in reader.cells)
        problems += self._runs.check()
        self.figures.bad += [f"{when}: {problem}" for problem in problems]
        await drop(reader)

    async def _execute(self) -> None:
        """Ask for executions, and again for what was asked for before the daemon died."""
        notebook = await join(self._open_gate, self._folder / "runs.ipynb")
        try:
            if not self._runs_cell:
                self._runs_cell = notebook.add_cell(self._runs.cell(pause_s=0.02)).id
                await notebook.start_kernel()
            again = self._runs.unanswered + self._dice.sample(
                sorted(self._runs.accepted), min(2, len(self._runs.accepted))
            )
            for identity in again:
                await self._runs.repeat(notebook, identity)
            self.figures.bad += await self._runs.settle(notebook)
            self._warm.set()
            for _ in range(self._dice.randint(1, 4)):
                await self._runs.ask(notebook, self._runs_cell)
        except HeadwayError:
            self._warm.set()  # Whatever it was, a warm kernel is not to be waited for.
            raise
        finally:
            await drop(notebook)

    async def _end_tasks(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, HeadwayError):
                await task

    async def _let_some_go(self) -> None:
        kept = []
        for writer in self._writers:
            if self._dice.random() < KEPT_SHARE:
                kept.append(writer)
            else:
                await drop(writer.notebook)
        self._writers = kept

    async def _new_era(self, number: int) -> None:
        for writer in self._writers:
            await drop(writer.notebook)
        self._writers = []
        self.figures.confirmations += self._ledger.confirmations
        self._ledger = self._new_ledger(number // ERA)

    def _new_ledger(self, era: int) -> Ledger:
        self._path = self._folder / f"era-{era}.ipynb"
        return Ledger(self._folder / "journal", chr(ord("a") + era % 26))

    async def _finish(self) -> None:
        """The last daemon is asked for everything, and ended in good order."""
        for writer in self._writers:
            await drop(writer.notebook)
        life = self._born.daemon(self._home)
        await life.ready()
        await self._check("at the end")
        if self._runs.asked:
            notebook = await join(self._open_gate, self._folder / "runs.ipynb")
            for identity in self._runs.unanswered:
                await self._runs.repeat(notebook, identity)
            self.figures.bad += await self._runs.settle(notebook)
            self.figures.bad += self._runs.check()
            await drop(notebook)
        self.figures.confirmations += self._ledger.confirmations
        self.figures.executions = len(self._runs.accepted)
        self.figures.lost_executions = sum(each == "lost" for each in self._runs.ended.values())
        self.figures.repeats = self._runs.repeats
        end(life)


def end(life: Life) -> None:
    """Have a daemon end in good order."""
    life.send(signal.SIGTERM)
    if not life.wait():
        life.kill()
        raise AssertionError("the daemon does not end when it is told to")
    life.release()


async def torture(cycles: int, seed: int = 1, planted: str = "", stop_at: int = 3) -> Figures:
    """Kill so many daemons; gives up after `stop_at` problems."""
    with scratch() as folder, cradle(folder, planted) as born, plant_client(planted):
        figures = await _Torture(born, folder, seed).run(cycles, stop_at)
        if figures.bad and (keep := os.environ.get("TORTURE_KEEP")):
            folder.rename(keep)
        return figures


def main() -> int:
    """Exit status 0 when nothing was bad."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--planted", default="", help=", ".join(PLANTED))
    given = parser.parse_args()
    began_s = time.monotonic()
    figures = asyncio.run(torture(given.cycles, given.seed, given.planted))
    print(f"{figures} ({time.monotonic() - began_s:.0f} s)")
    print("\n".join(figures.bad))
    return bool(figures.bad)


if __name__ == "__main__":
    sys.exit(main())
