"""Starting: a notebook of one cell from nothing and with a daemon, imports, and a server at rest.

python bench/start.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import headway
from contender import Absent, Contender
from measure import Options, own_home, publish, take_turns, timed, write_notebook
from notebook_run import OURS, contenders, timed_run
from results import Aim, Figure, Result, Table

REST_S = 6.0
LIMIT_S = 30.0
IMPORTS = {
    "headway.open": "import headway; headway.open",
    "import headway": "import headway",
    "import nbclient": "import nbclient",
    "import jupyter_client": "import jupyter_client",
    "python alone": "pass",
}
SERVERS = ["jupyter-collaboration", "jupyter-server-documents", "marimo"]


def main() -> None:
    options = Options(__doc__)
    results = [_one_cell(options), _imports(options), _at_rest(options)]
    publish(results, options)


def _one_cell(options: Options) -> Result:
    """The programs of `notebook_run`, on the smallest notebook."""
    with (
        tempfile.TemporaryDirectory(prefix="hw-start-") as folder,
        own_home() as home,
        headway.open(home.parent / "keeps-the-daemon.ipynb", home=home),
    ):
        source = Path(folder) / "source.ipynb"
        write_notebook(source, ["1+1"])
        runs, absent = contenders(home, options)
        runs.pop("papermill, autosave off", None)
        taken = take_turns(
            {
                name: partial(_run_once, partial(timed_run, run, source, 1))
                for name, run in runs.items()
            },
            options.of(7, 1),
        )
    return Figure(
        name="A notebook of one cell",
        unit="s",
        ours=OURS,
        rounds=taken,
        absent=absent,
        aims=[Aim(1.0, "nbclient")],
        note="Most of it is the kernel's own start, and imports.",
    )


def _run_once(run: partial[float]) -> list[float]:
    return [run()]


def _imports(options: Options) -> Result:
    def importing(code: str) -> list[float]:
        command = [sys.executable, "-c", code]
        return timed(lambda: subprocess.run(command, check=True, timeout=LIMIT_S), 3)

    return Figure(
        name="Importing, as a process from its start to its end",
        unit="ms",
        ours=["headway.open", "import headway"],
        rounds=take_turns(
            {name: partial(importing, code) for name, code in IMPORTS.items()}, options.of(7, 1)
        ),
        note="`import headway` imports no more than it is asked for; `headway.open` is the client.",
    )


def _at_rest(options: Options) -> Result:
    lines: dict[str, list[str]] = {}
    absent: dict[str, str] = {}
    seconds = options.of(REST_S, 2.0)
    for name in ["headway", *options.peers(*SERVERS)]:
        try:
            with closing(Contender(name)) as contender:
                contender.ask("start")
                found = contender.ask("rest", seconds=seconds)
        except Absent as error:
            absent[name] = str(error)
            continue
        lines[name] = [
            f"{found['bytes'] / 1e6:.0f}",
            f"{found['processor_s'] / seconds * 1000:.2f}",
            f"{found['wakeups'] / seconds:.1f}",
        ]
    return Table(
        name="A server at rest, one notebook open, its kernel idle",
        columns=["MB", "ms of processor time a second", "wake-ups a second"],
        lines=lines,
        absent=absent,
        ours=["headway"],
        note=f"Over {seconds:g} s; of the server's process alone ({os.cpu_count()} processors).",
    )


if __name__ == "__main__":
    main()
