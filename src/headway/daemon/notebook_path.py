"""Where a notebook's file is: one path for one file, however it was named.

Floor 5. Which notebook belongs to a path is the business of `rooms`.
"""

from __future__ import annotations

import os

from headway.errors import BadRequest

__all__ = ["NOTEBOOK_SUFFIX", "resolve_path"]

NOTEBOOK_SUFFIX = ".ipynb"

_MAX_PATH_CHARACTERS = 4096


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
    if not path.endswith(NOTEBOOK_SUFFIX):
        path += NOTEBOOK_SUFFIX
    try:
        return os.path.realpath(path)
    except (OSError, ValueError) as error:
        raise BadRequest(f"The path {path!r} cannot be resolved: {error}.", field="path") from error
