"""What a person is told of a file that another program removed, or that is there already.

Floor 3. Sentences; what leads to them is `file`'s business.
"""

from __future__ import annotations

from headway.core.document.edits import MAX_CELLS, MAX_EDITS
from headway.errors import (
    EditError,
    FileChanged,
    FileError,
    FileWouldEmpty,
    HeadwayError,
    NotebookUnreadable,
)

__all__ = [
    "beyond_limits",
    "exists_already",
    "is_removed",
    "lacks_outputs",
    "left_alone",
    "removed",
]


def removed(path: str | None) -> FileChanged:
    """The error of a file that is gone."""
    return FileChanged(
        f"{path} was removed or renamed by another program. The notebook is kept here; save it to "
        "write the file again, or save it elsewhere.",
        path=path,
        found_sha256=None,
    )


def is_removed(error: HeadwayError) -> bool:
    """Whether the error is that of a file that is gone."""
    return isinstance(error, FileChanged) and error.data.get("found_sha256") is None


def left_alone(path: str | None, error: HeadwayError) -> HeadwayError:
    """What is told of a file that was not merged while its notebook is open.

    Whoever read its bytes knew no path. An error that names one says itself what to do.
    """
    if "path" in error.data:
        return error
    if isinstance(error, FileWouldEmpty):
        sentence = f"{path} was not merged, and left as it is. {error}"
        return FileWouldEmpty(sentence, **{**error.data, "path": path})
    if not isinstance(error, NotebookUnreadable):
        return error
    return NotebookUnreadable(
        f"{path} was left as it is, and cannot be saved over. {error} Correct the file or remove "
        "it, or save the notebook elsewhere.",
        **{**error.data, "path": path},
    )


def exists_already(path: str) -> FileError:
    """The error of a save to a new path where a file is."""
    return FileError(
        f"There is a file at {path} already, and it was left as it is. Choose another path, or "
        "open that one.",
        path=path,
    )


def lacks_outputs(path: str, number: int) -> FileError:
    """What is told of a file that was written without some outputs."""
    outputs = "1 output" if number == 1 else f"{number} outputs"
    return FileError(
        f"{path} was written without the content of {outputs}: it is missing from the store, or "
        "damaged there, and was not in the file. A line in the file says so; run those cells "
        "again. `headway doctor` looks at the store.",
        path=path,
        lost=number,
    )


def beyond_limits(error: EditError, cells: int, *, edits: int = 0) -> NotebookUnreadable:
    """The error of a file that is a notebook, but not one that we can hold.

    Args:
        error: What could not be done.
        cells: How many cells the file has.
        edits: How many edits were to be made at once.
    """
    if cells > MAX_CELLS:
        reason = (
            f"It has {cells:,} cells, and a notebook holds at most {MAX_CELLS:,}. Divide it into "
            "several."
        )
    elif edits > MAX_EDITS:
        reason = f"{error} Close the notebook everywhere: it is taken in when it is opened next."
    else:
        reason = f"{error} Make it smaller, or move it to another path: a new history begins there."
    return NotebookUnreadable(f"The file cannot be taken in. {reason}", **error.data)
