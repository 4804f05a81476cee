"""The copy that `headway run -o OUT` runs: where it goes, what it may replace, and how.

Floor 6. Everything that can be wrong is found out first, by `place_of_copy`; then `put_copy`
replaces OUT, whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from headway.cli.named_notebook import bring_up_to_date, opened_at
from headway.cli.terminal import short_path

if TYPE_CHECKING:
    from headway.core.wire.rpc import NotebookSummary

__all__ = ["check_writable", "place_of_copy", "put_copy"]

_PREFIX = ".headway-copy-"
"""How the name of an unfinished copy begins. Not as the daemon's own unfinished files, which it
removes, and not with the name of OUT, which may be as long as a name can be."""


def place_of_copy(source: Path, named: str) -> Path:
    """Where the copy of `source` goes: the path `named`, or into the folder of that name.

    Changes nothing. Raises BadRequest for what is not to be replaced.
    """
    from headway.edges.notebook_path import NOTEBOOK_SUFFIX, notebook_path
    from headway.edges.paths import named_path
    from headway.errors import BadRequest

    exactly = named_path(named)
    if exactly.is_dir():
        target = Path(notebook_path(exactly / source.name)).resolve()
    elif named.endswith(os.sep):
        raise BadRequest(f"There is no folder {named} to put the copy in.")
    else:
        target = Path(notebook_path(named)).resolve()
    if target == source.resolve():
        raise BadRequest(
            f"{named} is the notebook itself, which a run with -o never writes. Choose another "
            "name, or leave -o out to run it in place."
        )
    if target != exactly and os.path.lexists(exactly) and not exactly.is_dir():
        raise BadRequest(
            f"{named} is there and is no notebook: its name does not end in {NOTEBOOK_SUFFIX}. "
            "Choose another name for -o."
        )
    if not target.parent.is_dir():
        raise BadRequest(f"There is no folder {target.parent} to put the copy in.")
    opened = opened_at(target)
    if opened is None:
        _check_replaceable(target)
    else:
        _check_unused(target, opened)
    return target


def put_copy(source: Path, target: Path) -> None:
    """Put a copy of `source` at `target`, whole or not at all. It can be written, as runs do."""
    from headway.errors import FileNotWritable

    bring_up_to_date(source)
    _check_readable(source)
    _let_go(target)
    try:
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=target.parent)
        unfinished = Path(name)
        try:
            os.close(descriptor)
            shutil.copyfile(source, unfinished)
            unfinished.chmod(stat.S_IMODE(source.stat().st_mode) | stat.S_IWUSR)
            unfinished.replace(target)
        except BaseException:  # Ctrl-C too leaves nothing behind
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileNotWritable(
            f"{target} cannot be written: {error.strerror or error}.", path=str(target)
        ) from error


def check_writable(path: Path) -> None:
    """A run in place ends with a save, which must not fail once everything has run.

    Raises FileNotWritable.
    """
    from headway.errors import FileNotWritable

    # A save puts a new file in the place of the old one, so the folder counts as well.
    for each in (path, path.parent):
        if each.exists() and not os.access(each, os.W_OK):
            raise FileNotWritable(
                f"{short_path(str(path))} cannot be saved, because {each} is read-only; nothing "
                "was run. Make it writable, or run a copy with -o OUT.",
                path=str(path),
            )


def _check_replaceable(target: Path) -> None:
    """Only a notebook is replaced, or an empty file."""
    from headway.errors import BadRequest, NotebookUnreadable

    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise BadRequest(f"{target} is there and is no file. Choose another name for -o.")
    if target.stat().st_size == 0:
        return
    try:
        _parse(target)
    except NotebookUnreadable as error:
        raise BadRequest(
            f"{target} is there and is no notebook, so it is not replaced. Remove it, or choose "
            "another name for -o."
        ) from error


def _check_unused(target: Path, opened: NotebookSummary) -> None:
    """What the daemon has open at `target` may be closed: nobody uses it."""
    from headway.errors import BadRequest

    if opened.peers:
        raise BadRequest(
            f"{target} is open in another program, so a run cannot replace it. "
            "Close it there, or choose another name for -o."
        )
    if opened.queued:
        raise BadRequest(
            f"Cells of {target} run now, so a run cannot replace it. Wait for their end, end them "
            f"with `headway kernel interrupt`, or choose another name for -o."
        )


def _check_readable(source: Path) -> None:
    """Nothing is replaced by what is no notebook. Raises NotebookUnreadable."""
    from headway.errors import NotebookUnreadable

    try:
        _parse(source)
    except OSError as error:
        raise NotebookUnreadable(
            f"{source} cannot be read: {error.strerror or error}.", path=str(source)
        ) from error
    except NotebookUnreadable as error:
        sentence = f"{short_path(str(source))} was not copied. {error}"
        raise NotebookUnreadable(sentence, path=str(source)) from error


def _parse(file: Path) -> None:
    """Raise NotebookUnreadable for a file that is no notebook."""
    from headway.core.document.nbformat import parse_notebook
    from headway.ids import cell_id

    parse_notebook(file.read_bytes(), lambda: cell_id(os.urandom))


def _let_go(target: Path) -> None:
    """Have the daemon close the notebook at `target`, for another one takes its place."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import Close, Save, ShutdownKernel
    from headway.edges import paths
    from headway.errors import FileWouldEmpty, NotebookNotFound, NotebookUnreadable

    opened = opened_at(target)
    if opened is None:
        return
    _check_unused(target, opened)
    socket = paths.socket_path(paths.home())
    close = Close(document=opened.document)
    with contextlib.suppress(NotebookNotFound):
        try:
            ask(socket, close)
        except FileWouldEmpty:
            # It asks which of the two is right: neither will be there. Saved, the two agree.
            ask(socket, Save(document=opened.document))
            ask(socket, close)
        except NotebookUnreadable:
            # It stays open, and takes the copy when that is opened; its kernel must be a new one.
            ask(socket, ShutdownKernel(document=opened.document))
