"""The peers' environments: made once, from the package registries, beside ours.

    python bench/peer_environments.py      # makes what is missing, says what could not be made

Each peer gets the newest release of its packages and an environment of its own in `build/bench`;
kernels of all of them but marimo, which has its own kind, are those of our environment, so that
what differs is the peer. One that cannot be installed leaves the reason in its folder.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["Absent", "kernels", "make_all", "python", "versions"]

ROOT = Path(__file__).parent.parent / "build" / "bench"
LIMIT_S = 600
REASON = "reason"
READY = "ready"

PACKAGES: dict[str, list[str]] = {
    "papermill": ["papermill", "ipykernel"],
    "collaboration": [
        "jupyter-server",
        "jupyter-collaboration",
        "jupyter-nbmodel-client",
        "jupyter-kernel-client",
        "ipykernel",
    ],
    "server-documents": [
        "jupyter-server-documents",
        "jupyter-nbmodel-client",
        "jupyter-kernel-client",
        "ipykernel",
    ],
    "marimo": ["marimo", "websockets"],
    "runtimed": ["--pre", "--only-binary", "runtimed", "runtimed", "ipykernel", "uv"],
}

SHOWN: dict[str, list[str]] = {
    "papermill": ["papermill", "nbclient"],
    "collaboration": [
        "jupyter-server",
        "jupyter-collaboration",
        "jupyter-nbmodel-client",
        "jupyter-kernel-client",
        "pycrdt",
        "tornado",
    ],
    "server-documents": ["jupyter-server", "jupyter-server-documents", "pycrdt"],
    "marimo": ["marimo"],
    "runtimed": ["runtimed"],
}
"""The packages whose versions are told."""


LEAST_GLIBC = {"runtimed": "2.39"}
"""Environment -> the oldest glibc that its wheels are made for (manylinux_2_39)."""


class Absent(Exception):
    """A contender is not there; the reason is its text."""


def python(name: str) -> Path:
    """The interpreter of an environment. Raises Absent."""
    folder = ROOT / name
    if (folder / READY).exists():
        return folder / "bin" / "python"
    if (folder / REASON).exists():
        raise Absent((folder / REASON).read_text())
    raise Absent("its environment was not made: python bench/peer_environments.py")


def make_all() -> None:
    """Make each environment that was not tried yet."""
    for name, packages in PACKAGES.items():
        folder = ROOT / name
        if (folder / READY).exists() or (folder / REASON).exists():
            continue
        print(f"Installing {name} for the benchmarks ...", file=sys.stderr, flush=True)
        reason = _make(folder, packages)
        if reason is None:
            (folder / READY).touch()
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / REASON).write_text(reason)
            print(f"  {reason}", file=sys.stderr, flush=True)


def _make(folder: Path, packages: list[str]) -> str | None:
    """Make an environment; gives the reason if that failed."""
    needed = LEAST_GLIBC.get(folder.name)
    here = platform.libc_ver()
    if needed and (here[0] != "glibc" or _numbers(here[1]) < _numbers(needed)):
        return f"its binary needs glibc {needed} or newer; here is {' '.join(here).strip()}"
    shutil.rmtree(folder, ignore_errors=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
    for command in ([sys.executable, "-m", "venv", str(folder)], install):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"cannot be installed: no end within {LIMIT_S} s"
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
            last = (errors or done.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"cannot be installed: {last.removeprefix('ERROR: ')}"
    return None


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def kernels() -> Path:
    """A folder of Jupyter's whose kernel `python3` is the one of our environment."""
    specification = ROOT / "jupyter" / "kernels" / "python3" / "kernel.json"
    specification.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
    content = {
        "argv": [*command, "-f", "{connection_file}"],
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "metadata": {"debugger": True},
    }
    fresh = specification.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(content))
    fresh.replace(specification)
    return specification.parent.parent.parent


def versions() -> dict[str, str]:
    """Package -> version, over all environments that are there."""
    found: dict[str, str] = {}
    for name, packages in SHOWN.items():
        if not (ROOT / name / READY).exists():
            continue
        code = "import sys, importlib.metadata as m\nfor n in sys.argv[1:]: print(n, m.version(n))"
        done = subprocess.run(
            [ROOT / name / "bin" / "python", "-c", code, *packages],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        found |= dict(line.split() for line in done.stdout.splitlines())
    return found


if __name__ == "__main__":
    make_all()
