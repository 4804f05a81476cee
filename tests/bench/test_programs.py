"""A benchmark program runs from its command line to its results, against a real daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from results import Figure, Result

PROGRAMS = Path(__file__).parent.parent.parent / "bench"
LIMIT_S = 60


def test_a_quick_run_without_peers_gives_figures_of_ours(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    subprocess.run(
        [sys.executable, PROGRAMS / "cells.py", "--quick", "--alone", "--json", target],
        check=True,
        timeout=LIMIT_S,
        capture_output=True,
    )
    found = msgspec.json.decode(target.read_bytes(), type=list[Result])
    assert found
    for figure in found:
        assert isinstance(figure, Figure)
        assert not figure.absent
        assert figure.summary("headway").count == 2
