"""What is told of a notebook's file that cannot be read or written.

Floor 4, part of `files`. What the system says becomes a sentence that says what to do.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headway.errors import FileChanged, FolderNotFound

__all__ = [
    "SENTENCES",
    "changed_elsewhere",
    "explanation",
    "no_folder",
    "open_elsewhere",
]

_TRANSIENT = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.EAGAIN}
)
SENTENCES = {
    errno.ENOSPC: "its disk is full. Free some space there and save again",
    errno.EDQUOT: "your quota on its disk is used up. Free some space there and save again",
    errno.EFBIG: "it would be larger than the system allows. Raise that limit, or save elsewhere",
    errno.EACCES: "you have no permission. Change the permissions, or save elsewhere",
    errno.EPERM: "you have no permission. Change the permissions, or save elsewhere",
    errno.EROFS: "its disk is read-only. Save elsewhere",
    errno.ENOENT: "its folder does not exist. Make the folder, or save elsewhere",
    errno.ENOTDIR: "a part of its path is a file, not a folder. Correct the path",
    errno.EISDIR: "it is a folder. Choose the path of a file",
    errno.ENAMETOOLONG: "its path is too long. Choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle. Correct them",
    errno.EINVAL: "it is no ordinary file, or has no valid path. Choose another",
    errno.EBUSY: "the system holds it in place (a mount point?). Save elsewhere",
}


def changed_elsewhere(path: str, found_sha256: str | None) -> FileChanged:
    """The FileChanged for a file that holds other bytes than we know; None: it is gone."""
    what = "was removed or renamed" if found_sha256 is None else "was written"
    return FileChanged(
        f"{path} {what} by another program since Headway last read or wrote it. It was left as "
        "it is. Open it again to merge the two, or save elsewhere.",
        path=path,
        found_sha256=found_sha256,
    )


def open_elsewhere(path: str, sha256: str) -> FileChanged:
    """The FileChanged for a file that another program may be about to write; it holds this now."""
    return FileChanged(
        f"{path} was not written: another program has it open for writing. Close it there, or save "
        "elsewhere.",
        path=path,
        found_sha256=sha256,
    )


def no_folder(path: str) -> FolderNotFound:
    """The error of a new file whose folder is not there."""
    folder = str(Path(path).parent)
    return FolderNotFound(
        f"{path!r} cannot be made: the folder {folder!r} does not exist. Make the folder, or "
        "correct the path.",
        path=path,
        folder=folder,
    )


def explanation(
    path: str, done: str, error: OSError | ValueError, sentences: Mapping[int, str]
) -> tuple[str, dict[str, Any]]:
    """The sentence and the data of the error that `error` becomes; `done` is "read", "written"."""
    number = (error.errno if isinstance(error, OSError) else None) or errno.EINVAL
    clause = sentences.get(number, f"the system says: {error}. Check the disk")
    data = {
        "path": path,
        "reason": errno.errorcode.get(number, str(number)),
        "transient": number in _TRANSIENT,
    }
    return f"{path!r} cannot be {done}: {clause}.", data
