"""The notebook that a command names: its file, and the daemon's own copy if it has it open.

Floor 6. What the daemon has may be newer than the file, by a second or more, and a notebook that
was just made has no file yet. Nothing is opened here, and no daemon started.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.core.wire.rpc import NotebookSummary

__all__ = ["bring_up_to_date", "existing_notebook", "opened_at"]


def existing_notebook(named: str) -> Path:
    """The notebook that is meant; `.ipynb` may be left out. Raises BadRequest."""
    from headway.edges.notebook_path import NOTEBOOK_SUFFIX, notebook_path
    from headway.edges.paths import named_path
    from headway.errors import BadRequest

    path = Path(notebook_path(named))
    if path.is_file() or opened_at(path) is not None:
        return path
    if os.path.lexists(path):
        raise BadRequest(f"{named} is there and is no file, so it is no notebook.", path=named)
    if named_path(named).is_file():
        raise BadRequest(f"{named} is no notebook: its name does not end in {NOTEBOOK_SUFFIX}.")
    words = ["headway", "open", *(["--"] if named.startswith("-") else []), named]
    raise BadRequest(
        f"There is no notebook {named}. What the daemon has of it, or an empty one, is written by: "
        f"{shlex.join(words)}",
        path=named,
    )


def opened_at(path: Path) -> NotebookSummary | None:
    """What the daemon says of the notebook at this path; None if it has none open there."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import List
    from headway.edges import paths
    from headway.errors import DaemonUnavailable

    try:
        opened = ask(paths.socket_path(paths.home()), List()).notebooks
    except DaemonUnavailable:
        return None
    real = os.path.realpath(path)
    return next((each for each in opened if each.path == real), None)


def bring_up_to_date(path: Path) -> None:
    """Have the daemon write what it has of the notebook at this path, if it has it open.

    Raises what the daemon says where it leaves the file alone, and then the two differ.
    """
    from headway.cli.ask import ask
    from headway.core.wire.rpc import Save
    from headway.edges import paths
    from headway.errors import HeadwayError

    opened = opened_at(path)
    if opened is None:
        return
    for notice in opened.notices:
        raise HeadwayError.from_wire(notice.code, notice.message, notice.data)
    ask(paths.socket_path(paths.home()), Save(document=opened.document))
