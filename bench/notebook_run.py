"""A notebook of 100 cells with `1+1`: `headway run` over nbclient, both as programs of their own.

From the start of the process to its end, kernel start included, outputs in the file.
`headway run` is measured with a daemon that is there already and from nothing.

    python bench/notebook_run.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import headway
from measure import headway as command
from measure import own_home, parser, publish, row, take_turns

CELLS = 100
LIMIT_S = 300
NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, kernel_name="python3", timeout=600).execute()
nbformat.write(notebook, sys.argv[2])
"""


def main() -> None:
    options = parser(__doc__ or "", rounds=5, count=1).parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="hw-run-") as folder,
        own_home() as home,
        headway.open(home / "keeps-the-daemon.ipynb", home=home),
    ):
        source = Path(folder) / "source.ipynb"
        source.write_text(json.dumps(_notebook()))
        turn = iter(range(1_000_000))

        def run(arguments: list[str], at: Path) -> list[float]:
            target = Path(folder) / f"out-{next(turn)}.ipynb"
            begun = time.perf_counter()
            subprocess.run(
                [*arguments, str(target)],
                env={**os.environ, "HEADWAY_HOME": str(at)},
                check=True,
                capture_output=True,
                timeout=LIMIT_S,
            )
            taken = time.perf_counter() - begun
            _check(target)
            return [taken]

        def from_nothing() -> list[float]:
            with own_home() as fresh:
                return run([command(), "run", str(source), "-o"], fresh)

        taken = take_turns(
            {
                "nbclient": lambda: run([sys.executable, "-c", NBCLIENT, str(source)], home),
                "headway run": lambda: run([command(), "run", str(source), "-o"], home),
                "headway run, no daemon yet": from_nothing,
            },
            options.rounds,
        )
    question = f"{CELLS} cells of 1+1"
    publish(
        [
            row(question, taken, "headway run", "nbclient", "1.0x"),
            row(question, taken, "headway run, no daemon yet", "nbclient", ""),
        ],
        options.json,
    )


def _notebook() -> dict[str, Any]:
    cell = {"cell_type": "code", "metadata": {}, "source": "1+1", "outputs": []}
    cells = [cell | {"id": f"cell-{index}", "execution_count": None} for index in range(CELLS)]
    kernelspec = {"name": "python3", "display_name": "Python 3"}
    metadata = {"kernelspec": kernelspec}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def _check(target: Path) -> None:
    cells = json.loads(target.read_text())["cells"]
    assert len(cells) == CELLS
    for cell in cells:
        assert "".join(cell["outputs"][0]["data"]["text/plain"]) == "2", "it did not run"


if __name__ == "__main__":
    main()
