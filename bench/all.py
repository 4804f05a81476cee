"""Run every benchmark, and write BENCHMARKS.md and its plots.

    python bench/all.py [--quick] [--only NAME]

A whole run takes about half an hour. `--quick` writes the page and the plots to `build/bench`, and
`--only` runs one program and prints what it gives: a page is of one run, or it compares nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

import page
import peer_environments
import plots
from measure import machine, our_versions
from results import Result

HERE = Path(__file__).parent
BUILD = peer_environments.ROOT
LIMIT_S = 900

PROGRAMS = {
    "execute": "Running a cell",
    "race": "The race between making a cell and running it",
    "notebook_run": "Whole notebooks",
    "confirm": "Confirming an edit",
    "cells": "Many cells",
    "keystrokes": "Several clients",
    "opening": "Size",
    "floods": "Floods of output",
    "start": "Starting, and resting",
    "scaling": "How it grows",
}


def main() -> int:
    form = argparse.RawDescriptionHelpFormatter
    options = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    options.add_argument("--quick", action="store_true", help="few repetitions, wide spread")
    options.add_argument("--only", choices=PROGRAMS, help="one program, and no page")
    given = options.parse_args()
    flags = ["--quick"] if given.quick else []
    if given.only:
        return subprocess.run(_command(given.only, *flags), check=False).returncode

    peer_environments.make_all()
    begun_s = time.monotonic()
    before = machine()
    chapters: dict[str, list[Result]] = {}
    failed: list[str] = []
    for name, heading in PROGRAMS.items():
        started_s = time.monotonic()
        found = _run(name, flags)
        if found is None:
            failed.append(name)
        chapters[heading] = found or []
        print(f"{name}: {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - begun_s) / 60
    versions = our_versions() | peer_environments.versions()
    text = page.page(chapters, before, machine(), versions, minutes)
    (BUILD / "results.json").write_bytes(msgspec.json.encode(chapters))
    results = [each for results in chapters.values() for each in results]
    if given.quick:
        (BUILD / "BENCHMARKS.md").write_text(text)
        plots.draw(results, BUILD / "plots")
    else:
        page.PAGE.write_text(text)
        plots.draw(results)
    print(text)
    if failed:
        print(f"Without an end: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _command(name: str, *flags: str) -> list[str]:
    return [sys.executable, str(HERE / f"{name}.py"), *flags]


def _run(name: str, flags: list[str]) -> list[Result] | None:
    """What a program gave; None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results.json"
        running = subprocess.Popen(
            _command(name, "--json", str(target), *flags), stdout=subprocess.DEVNULL
        )
        try:
            running.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            running.terminate()  # it ends what it started
            running.wait()
        if running.returncode or not target.exists():
            return None
        return msgspec.json.decode(target.read_bytes(), type=list[Result])


if __name__ == "__main__":
    sys.exit(main())
