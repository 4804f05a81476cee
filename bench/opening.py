"""Open a notebook: 1,000 cells, 10,000 cells, and 100,000 edits of history.

Cold is the first client of a server that has not got the notebook open; with ours, from a file it
never saw, and from its store. Warm is another client after that. With it: the bytes that the
client receives, the memory of the server, and the bytes on the disk after the edits.

    python bench/opening.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from contender import Absent, Contender
from measure import Options, publish, write_notebook
from results import Aim, Figure, Result, Rounds, Table

OURS = "headway"
STORED = "headway, from its store"
PEERS = ["jupyter-collaboration", "jupyter-server-documents"]
EDITS = 100_000
KEPT_OPEN = 10
LIMIT_S = 180.0


class Opened:
    """What the contenders did with one notebook."""

    def __init__(self) -> None:
        self.cold: Rounds = {}
        self.warm: Rounds = {}
        self.received: Rounds = {}
        self.memory: Rounds = {}
        self.absent: dict[str, str] = {}

    def note(self, name: str, cold: dict[str, Any], warm: dict[str, Any]) -> None:
        self.cold.setdefault(name, []).append([cold["s"]])
        self.warm.setdefault(name, []).append([warm["s"]])
        self.received.setdefault(name, []).append([warm["bytes"]])

    def figures(self, what: str, aims: list[Aim]) -> list[Result]:
        def figure(kind: str, unit: str, rounds: Rounds, aims: list[Aim]) -> Figure:
            ours = [OURS, STORED]
            absent = self.absent
            name = f"{what}: {kind}"
            kept = [aim for aim in aims if aim.over in rounds]
            return Figure(name=name, unit=unit, ours=ours, rounds=rounds, absent=absent, aims=kept)

        return [
            figure("opened cold", "ms", self.cold, aims),
            figure("opened warm", "ms", self.warm, []),
            figure("received by a client that opens it", "kB", self.received, []),
        ]


def main() -> None:
    options = Options(__doc__)
    rounds = options.of(3, 1)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="hw-open-") as folder:
        for cells in options.of([1_000, 10_000], [100]):
            found = Opened()
            # An aim hangs on the smaller one, and three values of it differ too much.
            turns = options.of(9, 1) if cells == 1_000 else rounds
            for name in [OURS, *options.peers(*PEERS)]:
                try:
                    _files(found, name, Path(folder), cells, turns)
                except Absent as error:
                    found.absent[name] = str(error)
            aims = [Aim(0.5, "jupyter-collaboration")] if cells == 1_000 else []
            results += found.figures(f"A notebook of {cells:,} cells", aims)
    results += _history(options.of(EDITS, 1_000), rounds)
    results.append(_memory(options))
    publish(results, options)


def _files(found: Opened, name: str, folder: Path, cells: int, rounds: int) -> None:
    """Open files that the contender never saw, and open them again."""
    contender = Contender(name)
    try:
        contender.ask("start")
        for turn in range(rounds):
            path = folder / f"{cells}-{turn}.ipynb"
            write_notebook(path, [f"x{number} = {number}" for number in range(cells)])
            given = {"path": str(path), "cells": cells}
            cold = contender.ask("open", LIMIT_S, **given, again=False)
            warm = contender.ask("open", LIMIT_S, **given, again=True)
            found.note(name, cold, warm)
            if name == OURS:
                stored = contender.ask("open", LIMIT_S, **given, again=False)
                warm = contender.ask("open", LIMIT_S, **given, again=True)
                found.note(STORED, stored, warm)
    finally:
        contender.close()


def _history(edits: int, rounds: int) -> list[Result]:
    """A notebook of 50 cells that was typed into so often; no peer keeps such a history."""
    found = Opened()
    contender = Contender(OURS)
    try:
        contender.ask("start")
        before = contender.ask("disk")
        given = {"path": "edited.ipynb"}
        after = contender.ask("edit", LIMIT_S, **given, edits=edits)
        for _ in range(rounds):
            stored = contender.ask("open", LIMIT_S, **given, cells=50, again=False)
            warm = contender.ask("open", LIMIT_S, **given, cells=50, again=True)
            found.note(STORED, stored, warm)
    finally:
        contender.close()
    disk = Table(
        name=f"{edits:,} edits: on the disk",
        columns=["bytes", "bytes an edit"],
        lines={OURS: [f"{after - before:,}", f"{(after - before) / edits:.1f}"]},
        ours=[OURS],
        note="Single keystrokes into 50 cells, each a commit of its own, a third deletions.",
    )
    return [*found.figures(f"A notebook with {edits:,} edits of history", []), disk]


def _memory(options: Options) -> Result:
    """What a server holds at rest, and more for each notebook that is open."""
    lines: dict[str, list[str]] = {}
    absent: dict[str, str] = {}
    cells = options.of(100, 10)
    with tempfile.TemporaryDirectory(prefix="hw-open-") as folder:
        paths = [str(Path(folder) / f"{number}.ipynb") for number in range(KEPT_OPEN)]
        for path in paths:
            write_notebook(Path(path), ["x = 1"] * cells)
        for name in [OURS, *options.peers(*PEERS, "marimo")]:
            try:
                lines[name] = _memory_of(name, paths)
            except Absent as error:
                absent[name] = str(error)
    return Table(
        name=f"Memory of the server, and for each open notebook of {cells} cells",
        columns=["MB with one notebook", "MB for each further one"],
        lines=lines,
        absent=absent,
        ours=[OURS],
        note="Without kernels, but for marimo, whose kernel is a part of its server.",
    )


def _memory_of(name: str, paths: list[str]) -> list[str]:
    contender = Contender(name)
    try:
        contender.ask("start")
        rest = contender.ask("memory")
        if name == "marimo":
            return [f"{rest / 1e6:.0f}", ""]
        contender.ask("hold", LIMIT_S, paths=paths)
        held = contender.ask("memory")
        return [f"{rest / 1e6:.0f}", f"{(held - rest) / len(paths) / 1e6:.2f}"]
    finally:
        contender.close()


if __name__ == "__main__":
    main()
