"""Runs of a workload under strace: to see what it asks of the system, or to make that fail."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from torture.world import Cradle, Life

__all__ = ["NEEDS_STRACE", "run_traced"]

RUN_S = 60.0
"""How long one workload may take, its tracer included."""

_SAID_BYTES = 1024 * 1024

NEEDS_STRACE = pytest.mark.skipif(
    shutil.which("strace") is None and not os.environ.get("CI"),
    reason="no system call can be made to fail: install strace (apt-get install strace)",
)
"""A test that needs strace is skipped without it, and fails where it must be there."""


def run_traced(
    cradle: Cradle, folder: Path, arguments: Sequence[str], options: Sequence[str]
) -> tuple[list[str], Path, bool]:
    """Run a workload to its end; gives what it said, the trace, and whether it ended in time.

    `folder` is where both are put; it must not be in what the workload writes.
    """
    name = uuid.uuid4().hex
    start, said, trace = folder / f"{name}.start", folder / f"{name}.said", folder / f"{name}.trace"
    for each in (start, said):
        os.mkfifo(each, 0o600)
    # A pipe and not a file: what the workload says must not meet its own limits.
    hearing = os.open(said, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(hearing, fcntl.F_SETPIPE_SZ, _SAID_BYTES)
    life = cradle.workload(arguments, start=start, output=said, log=folder / "workload.err")
    command = ["strace", "-f", "-o", str(trace), "-p", str(life.pid), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        try:
            assert tracer.stderr is not None
            first = tracer.stderr.readline()
            assert "attached" in first, f"strace says: {first}"
            # For both ways, so that it blocks for nobody, not even for one that is dead already.
            starting = os.open(start, os.O_RDWR)
            ended = _wait(life)
            os.close(starting)
            tracer.wait(RUN_S)
        finally:
            tracer.kill()
    start.unlink()
    said.unlink()
    with os.fdopen(hearing) as file:
        return file.read().splitlines(), trace, ended


def _wait(life: Life) -> bool:
    if life.wait(RUN_S):
        life.release()
        return True
    life.kill()
    return False
