"""Whole notebooks: `headway run` over nbclient and papermill, all as programs of their own.

From the start of the process to its end, kernel start included, outputs in the file.
`headway run` is measured with a daemon that is there already and from nothing.

    python bench/notebook_run.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import headway
import peer_environments
from measure import Options, own_home, publish, write_notebook
from measure import headway as command
from peer_environments import Absent
from results import Aim, Figure, Result, Rounds

OURS = ["headway run", "headway run, no daemon yet"]
LIMIT_S = 60
NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, kernel_name="python3", timeout=600).execute()
nbformat.write(notebook, sys.argv[2])
"""
PLOT = """
import matplotlib.pyplot as plt, numpy as np
x = np.linspace(0, 10, 1000)
plt.plot(x, np.sin(x + {number})); plt.title("{number}"); plt.show()
"""
FIFTY_MB = """
import sys
line = "x" * 999_999 + "\\n"
for _ in range(50): sys.stdout.write(line)
"""

Run = Callable[[Path, Path], None]
"""Runs the notebook at the first path; the second is where it is to be with its outputs."""


def main() -> None:
    options = Options(__doc__)
    many = options.of(1_000, 100)
    questions: list[tuple[str, list[str], int]] = [
        ("100 cells of `1+1`", ["1+1"] * 100, options.of(5, 1)),
        (f"{many:,} cells of `1+1`", ["1+1"] * many, options.of(2, 1)),
        ("20 plots", ["%matplotlib inline", *map(_plot, range(20))], options.of(2, 1)),
        ("50 MB printed", [FIFTY_MB], options.of(3, 1)),
    ]
    with (
        tempfile.TemporaryDirectory(prefix="hw-run-") as folder,
        own_home() as home,
        headway.open(home.parent / "keeps-the-daemon.ipynb", home=home),
    ):
        runs, absent = contenders(home, options)
        results = [
            _question(Path(folder), name, sources, rounds, runs, dict(absent))
            for name, sources, rounds in questions
        ]
    publish(results, options)


def _plot(number: int) -> str:
    return PLOT.format(number=number)


def contenders(home: Path, options: Options) -> tuple[dict[str, Run], dict[str, str]]:
    """Name -> how it runs a notebook; and who is absent, and why."""

    def ours(source: Path, target: Path) -> None:
        _end_of([command(), "run", str(source), "-o", str(target)], home)

    def from_nothing(source: Path, target: Path) -> None:
        _end_of([command(), "run", str(source), "-o", str(target)], target.parent / "home")

    def nbclient(source: Path, target: Path) -> None:
        _end_of([sys.executable, "-c", NBCLIENT, str(source), str(target)], home)

    runs: dict[str, Run] = {OURS[0]: ours, OURS[1]: from_nothing, "nbclient": nbclient}
    absent: dict[str, str] = {}
    if not options.alone:
        try:
            papermill = [
                str(peer_environments.python("papermill")),
                "-m",
                "papermill",
                "--no-progress-bar",
            ]
        except Absent as error:
            absent["papermill"] = str(error)
        else:
            for name, flags in (
                ("papermill", []),
                ("papermill, autosave off", ["--autosave-cell-every", "0"]),
            ):
                runs[name] = _papermill([*papermill, *flags])
    return runs, absent


def _papermill(start: list[str]) -> Run:
    def run(source: Path, target: Path) -> None:
        _end_of([*start, str(source), str(target)], target.parent)

    return run


def _end_of(arguments: Sequence[str], home: Path) -> None:
    environment = {
        **os.environ,
        "HEADWAY_HOME": str(home),
        "JUPYTER_PATH": str(peer_environments.kernels()),
    }
    subprocess.run(arguments, env=environment, check=True, capture_output=True, timeout=LIMIT_S)


def _question(
    folder: Path,
    name: str,
    sources: list[str],
    rounds: int,
    runs: dict[str, Run],
    absent: dict[str, str],
) -> Result:
    """One kind of notebook; who misses the deadline is out."""
    source = folder / "source.ipynb"
    write_notebook(source, sources)
    taken: Rounds = {each: [] for each in runs}
    for turn in range(rounds):
        names = list(taken)
        shift = turn % len(names)
        for each in names[shift:] + names[:shift]:
            try:
                seconds = timed_run(runs[each], source, len(sources))
                taken[each].append([seconds])
                print(f"  {name}, {each}: {seconds:.2f} s", file=sys.stderr, flush=True)
            except (subprocess.SubprocessError, AssertionError) as error:
                absent[each] = _reason(error)
                del taken[each]
    peers = [each for each in taken if each not in OURS]
    return Figure(
        name=f"A notebook: {name}",
        unit="s",
        ours=OURS,
        rounds=taken,
        absent=absent,
        aims=[Aim(1.0, each) for each in peers],
    )


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end within {LIMIT_S} s"
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        return f"exit status {error.returncode}: {lines[-1] if lines else ''}"
    return str(error)


def timed_run(run: Run, source: Path, cells: int) -> float:
    """Seconds of one run, whose file is checked."""
    with own_home() as folder:
        target, fresh = folder / "out.ipynb", folder / "home"
        begun = time.perf_counter()
        run(source, target)
        taken = time.perf_counter() - begun
        _check(target, cells)
        _stop(fresh)
        return taken


def _stop(home: Path) -> None:
    """End a daemon that was started for one run."""
    if home.exists():
        environment = {**os.environ, "HEADWAY_HOME": str(home)}
        subprocess.run([command(), "stop"], env=environment, capture_output=True, check=False)


def _check(target: Path, cells: int) -> None:
    ran = json.loads(target.read_text())["cells"]
    assert len(ran) == cells, f"{len(ran)} of {cells} cells are in the file"
    silent = [
        cell for cell in ran if not cell["outputs"] and cell["source"] != "%matplotlib inline"
    ]
    assert not any("%matplotlib" not in "".join(cell["source"]) for cell in silent), "no output"


if __name__ == "__main__":
    main()
