"""The folder of an environment: whether it is one, whether it is whole, and how it gets its name.

What a look at a few files tells. Nothing is started, so it is cheap enough for each kernel's start.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from headway.core.document.dependencies import Installation
from headway.edges.kernelspecs import python_in
from headway.errors import EnvironmentNotFound

__all__ = ["give_up", "inode_of", "is_whole", "put_in_place", "python_at", "was_made"]

_CONTENT: Final = "headway.json"
_VENV: Final = "pyvenv.cfg"
"""Without it a Python is the one that it was made from, with other packages."""


def python_at(folder: str) -> Path:
    """The Python of an environment. Raises EnvironmentNotFound."""
    if not os.path.isabs(folder) or "\0" in folder:  # noqa: PTH117 - text in, text out
        raise EnvironmentNotFound(
            f"The daemon needs the absolute path of an environment, and {folder!r} is none.",
            path=folder,
        )
    python = python_in(Path(folder))
    if not os.access(python, os.X_OK) or python.is_dir():
        raise EnvironmentNotFound(
            f"There is no environment at {folder}: it has no {python.relative_to(folder)}. Make "
            f"one with: uv venv {folder}",
            path=folder,
        )
    return python


def was_made(place: Path) -> bool:
    """Whether an environment was put there, whatever has become of it: somebody consented to it."""
    return (place / _CONTENT).is_file()


def is_whole(place: Path) -> bool:
    """Whether an environment is there and its Python, which may be elsewhere, still is."""
    is_venv = was_made(place) and (place / _VENV).is_file()
    return is_venv and os.access(python_in(place), os.X_OK)


def inode_of(place: Path) -> int | None:
    """Which folder has the name; None if none has."""
    return place.stat().st_ino if place.exists() else None


def give_up(place: Path, inode: int | None) -> None:
    """Have this environment count as damaged, unless it is another one by now."""
    if inode is not None and inode_of(place) == inode:
        (place / _VENV).unlink(missing_ok=True)


def put_in_place(made: Path, place: Path, installation: Installation) -> None:
    """Give an environment that is whole its name, unless somebody was faster."""
    (made / _CONTENT).write_text(json.dumps(installation.to_json(), indent=1) + "\n")
    if place.exists() and not is_whole(place):
        place.rename(made.parent / "broken")  # removed with the folder
    try:
        made.rename(place)
    except OSError:
        if not is_whole(place):
            raise
