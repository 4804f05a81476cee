"""The command line as a person has it: processes, in a home of their own. For tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

__all__ = [
    "LIMIT_S",
    "Done",
    "Shell",
    "broken_kernelspec",
    "interrupt",
    "lock_holder",
    "new_home",
    "read_outputs",
    "write_notebook",
]

LIMIT_S = 90

Done = subprocess.CompletedProcess[str]


class Shell:
    """Runs `headway ...` in a folder, with a home."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "headway", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HEADWAY_HOME": str(self.home), "CI": "true"}

    def run(self, *arguments: str, stdin: str = "") -> Done:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )

    def begin(self, *arguments: str, **named: Any) -> subprocess.Popen[bytes]:
        named = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **named}
        return subprocess.Popen(
            self.command(*arguments), cwd=self.folder, env=self.environment, **named
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.run("run", *arguments, "--json")
        assert done.stdout, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def new_home() -> Iterator[Path]:
    """A home with a short path; the daemon in it, if any, is ended and gone at the end."""
    home = Path(tempfile.mkdtemp(prefix="headway-test-"))
    try:
        yield home
    finally:
        Shell(home, home).run("stop")
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def lock_holder(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock of a home as its daemon does, and does nothing else."""
    program = (
        "import pathlib, signal, sys\n"
        "from headway.edges.lock import HomeLock\n"
        "with HomeLock.acquire(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    signal.pause()\n"
    )
    lock = str(home / "daemon.lock")
    command = [sys.executable, "-c", program, lock]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def write_notebook(path: Path, *cells: str, tags: dict[int, str] | None = None) -> Path:
    """A notebook of code cells; `tags` gives the tag of some."""
    made = []
    for index, source in enumerate(cells):
        metadata = {"tags": [tags[index]]} if tags and index in tags else {}
        cell = nbformat.v4.new_code_cell(source, id=f"cell-{index}", metadata=metadata)  # type: ignore[no-untyped-call]
        made.append(cell)
    notebook = nbformat.v4.new_notebook(cells=made)  # type: ignore[no-untyped-call]
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    return path


def broken_kernelspec(share: Path) -> Path:
    """The kernel.json of a kernel "odd" below what may be in JUPYTER_PATH; it is not JSON."""
    file = share / "kernels" / "odd" / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"argv": [')
    return file


def read_outputs(path: Path) -> list[list[dict[str, Any]]]:
    """The outputs of each code cell, after checking that the file is sound."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """What Ctrl-C does."""
    process.send_signal(signal.SIGINT)
