"""How it grows: each cost of ours against the size of what it is done in.

One keystroke confirmed, and one cell added and run, against the cells of the notebook, its
history, its outputs, and the notebooks that are open; adding cells and opening, against their
number. Notebooks of all sizes are open at one daemon at a time, and take turns.

    python bench/scaling.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from contender import Contender
from measure import Options, publish
from results import Curve, Point, Result

OURS = "headway"
CELLS = [100, 300, 1_000, 3_000, 10_000]
HISTORY = [100, 1_000, 10_000, 100_000]
OUTPUTS = [1, 10, 100, 1_000]
NOTEBOOKS = [1, 10, 30, 100]
MOST = 1.5
LIMIT_S = 180.0

Grown = list[dict[str, int]]
"""For each size, what a notebook is made of."""


def main() -> None:
    options = Options(__doc__)
    small = options.of(0, 2)  # leaves out the largest sizes
    cells, history, outputs = (sizes[: len(sizes) - small] for sizes in (CELLS, HISTORY, OUTPUTS))
    results: list[Result] = []
    results += _each("cells", cells, [{"cells": size} for size in cells], options, runs=True)
    results += _each("edits of history", history, [{"edits": size} for size in history], options)
    results += _each("outputs", outputs, [{"outputs": size} for size in outputs], options)
    results += _notebooks(NOTEBOOKS[: len(NOTEBOOKS) - small], options)
    results += _whole(cells, options)
    publish(results, options)


def _each(
    size: str, sizes: Sequence[int], grown: Grown, options: Options, *, runs: bool = False
) -> list[Result]:
    """What one step costs in notebooks of each size."""
    rounds, count = options.of(6, 1), options.of(30, 10)
    edits: dict[int, list[float]] = {each: [] for each in sizes}
    processor: dict[int, list[float]] = {each: [] for each in sizes}
    executions: dict[int, list[float]] = {each: [] for each in sizes}
    with closing(Contender(OURS)) as contender:
        contender.ask("start")
        for each, made_of in zip(sizes, grown, strict=True):
            contender.ask("grow", LIMIT_S, name=str(each), **made_of)
        for _ in range(rounds):
            for each in sizes:
                found = contender.ask("edit_grown", name=str(each), count=count)
                edits[each] += found["values"]
                processor[each].append(found["processor_s"])
            for each in sizes if runs else ():
                executions[each] += contender.ask("run_grown", name=str(each), count=count // 3)
    results: list[Result] = [
        _curve(f"A keystroke confirmed, against {size}", size, "ms", edits),
        _curve(f"Processor time of a keystroke, against {size}", size, "ms", processor),
    ]
    if runs:
        results.append(_curve(f"A cell added and run, against {size}", size, "ms", executions))
    return results


def _notebooks(sizes: Sequence[int], options: Options) -> list[Result]:
    """One notebook is typed into while more and more others are open."""
    rounds, count = options.of(6, 1), options.of(30, 10)
    edits: dict[int, list[float]] = {}
    processor: dict[int, list[float]] = {}
    memory: dict[int, list[float]] = {}
    with closing(Contender(OURS)) as contender:
        contender.ask("start")
        contender.ask("grow", name="typed", cells=100)
        held = 1
        for size in sizes:
            contender.ask("hold", LIMIT_S, paths=[f"held-{one}.ipynb" for one in range(held, size)])
            held = size
            blocks: list[dict[str, Any]] = [
                contender.ask("edit_grown", name="typed", count=count) for _ in range(rounds)
            ]
            edits[size] = list(itertools.chain(*(block["values"] for block in blocks)))
            processor[size] = [block["processor_s"] for block in blocks]
            memory[size] = [contender.ask("memory")]
    what = "notebooks open"
    return [
        _curve(f"A keystroke confirmed, against {what}", what, "ms", edits),
        _curve(f"Processor time of a keystroke, against {what}", what, "ms", processor),
        _curve(f"Memory of the daemon, against {what}", what, "MB", memory, kind="whole"),
    ]


def _whole(sizes: Sequence[int], options: Options) -> list[Result]:
    """What everything costs that is done with all cells."""
    added: dict[int, list[float]] = {size: [] for size in sizes}
    opened: dict[int, list[float]] = {size: [] for size in sizes}
    with closing(Contender(OURS)) as contender:
        contender.ask("start")
        for turn in range(options.of(3, 1)):
            for size in sizes:
                name = f"{size}-{turn}"
                added[size].append(contender.ask("grow", LIMIT_S, name=name, cells=size))
                found = contender.ask("open", LIMIT_S, path=f"{name}.ipynb", cells=size, again=True)
                opened[size].append(found["s"])
    return [
        _curve("Cells added one by one and confirmed", "cells", "s", added, kind="whole"),
        _curve("Opening for a further client", "cells", "ms", opened, kind="whole"),
    ]


def _curve(
    name: str, size: str, unit: str, values: dict[int, list[float]], kind: str = "each"
) -> Curve:
    plot = name.lower().replace(",", "").replace(" ", "-")
    series = {OURS: [Point(each, found) for each, found in values.items()]}
    most = MOST if kind == "each" else None
    return Curve(
        name=name,
        size=size,
        unit=unit,
        kind=kind,
        series=series,
        ours=[OURS],
        plot=plot,
        most=most,
    )


if __name__ == "__main__":
    main()
