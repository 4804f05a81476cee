"""Where a notebook's file is: one path for one file, however it was named.

Floor 4. A client says which file a person means by a name; the daemon takes nobody's word for it.
Which notebook belongs to a path is the business of the daemon's `rooms`.
"""

from __future__ import annotations

import os
from pathlib import Path

from headway.edges.paths import named_path
from headway.errors import BadRequest

__all__ = ["NOTEBOOK_SUFFIX", "notebook_path", "resolve_path"]

NOTEBOOK_SUFFIX = ".ipynb"
"""How the name of a notebook's file ends."""

_MAX_PATH_CHARACTERS = 4096


def notebook_path(name: str | os.PathLike[str]) -> str:
    """The path of the notebook file that a person means; `.ipynb` is added where it is missing.

    Its folder is the real one. Where the file itself is a link, what it links to need not end as
    notebooks do (a file in the cache of a data tool, say), so that is left to `resolve_path`.
    Raises BadRequest for what can be no file.
    """
    chosen = Path(name)
    if chosen.name in {"", ".."} or "\0" in str(chosen):
        raise BadRequest(f"{os.fspath(name)!r} can be no notebook's file.", path=os.fspath(name))
    named = chosen.name if _is_notebooks(chosen.name) else chosen.name + NOTEBOOK_SUFFIX
    return str(named_path(chosen.parent) / named)


def _is_notebooks(name: str) -> bool:
    return name.lower().endswith(NOTEBOOK_SUFFIX)


def resolve_path(path: str) -> str:
    """The absolute, real path of a notebook file; `.ipynb` is appended when missing.

    Reads the disk (symbolic links). Raises BadRequest for a relative or impossible path.
    """
    if not path or "\0" in path or len(path) > _MAX_PATH_CHARACTERS:
        raise BadRequest("That is not a path of a file.", field="path")
    if not os.path.isabs(path):  # noqa: PTH117 - text in, text out
        raise BadRequest(
            f"The daemon needs an absolute path, and {path!r} is relative.", field="path"
        )
    if not _is_notebooks(path):
        path += NOTEBOOK_SUFFIX
    try:
        return os.path.realpath(path)
    except (OSError, ValueError) as error:
        raise BadRequest(f"The path {path!r} cannot be resolved: {error}.", field="path") from error
