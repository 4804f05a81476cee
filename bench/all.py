"""Run every benchmark, print one table, and write BENCHMARKS.md around it.

    python bench/all.py [--quick]

The parts of BENCHMARKS.md that a machine cannot write (method, where the time goes, where we are
behind) are kept: only what is between its two markers is replaced.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Row, machine

HERE = Path(__file__).parent
PAGE = HERE.parent / "BENCHMARKS.md"
BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"

PROGRAMS = {
    "execute": [],
    "confirm": [],
    "notebook_run": ["--rounds", "3"],
    "cells": ["--rounds", "5"],
}
QUICK = {
    "execute": ["--rounds", "6", "--count", "10"],
    "confirm": ["--rounds", "6", "--count", "20"],
    "notebook_run": ["--rounds", "1"],
    "cells": ["--rounds", "2"],
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="few repetitions, wide spread")
    programs = QUICK if options.parse_args().quick else PROGRAMS
    before = machine()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in programs.items():
            target = Path(folder) / f"{name}.json"
            command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(target), *arguments]
            print(f"{name} ...", file=sys.stderr, flush=True)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rows += [Row(**each) for each in json.loads(target.read_text())]
    table = _table(rows, before, machine())
    print(table)
    _write(table)


def _table(rows: list[Row], before: dict[str, str], after: dict[str, str]) -> str:
    lines = [
        (
            "| question | ours | p50 / p95 / p99, ms | over | p50 / p95 / p99, ms "
            "| ratio | spread | p99 | aim |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours = f"{row.ours_p50_ms:.2f} / {row.ours_p95_ms:.2f} / {row.ours_p99_ms:.2f}"
        peer = f"{row.peer_p50_ms:.2f} / {row.peer_p95_ms:.2f} / {row.peer_p99_ms:.2f}"
        spread = f"{row.spread[0]:.2f} to {row.spread[1]:.2f}"
        lines.append(
            f"| {row.question} | {row.ours} | {ours} | {row.peer} | {peer} "
            f"| **{row.ratio:.2f}** | {spread} | {row.ratio_p99:.2f} | {row.aim} |"
        )
    about = ", ".join(f"{name} {value}" for name, value in before.items() if name != "load")
    load = f"Load of the machine before and after: {before['load']} and {after['load']}."
    return "\n".join([*lines, "", f"{about}. {load}"])


def _write(table: str) -> None:
    text = PAGE.read_text() if PAGE.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
