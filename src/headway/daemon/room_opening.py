"""From what the store and the disk hold to a room.

Floor 5. Names are put together here; what they mean is `core.room.opening`'s business.
"""

from __future__ import annotations

from dataclasses import replace

from headway.core.document.file_image import named_sha256
from headway.core.room.opening import Opening
from headway.core.room.room import Room
from headway.daemon.host import OpenedRoom
from headway.edges.ports import FileContent, StoredNotebook
from headway.errors import FileWouldEmpty, NotebookUnreadable
from headway.ids import Entropy
from headway.moments import Moment

__all__ = ["open_room"]


def open_room(
    stored: StoredNotebook,
    file: FileContent | None,
    entropy: Entropy,
    now: Moment,
    *,
    kernel_idle_s: float | None = None,
) -> OpenedRoom:
    """The room of a notebook, and the effects of its opening.

    Args:
        stored: Everything the store has of it.
        file: Its file as it is now; None if there is none.
        entropy: Random bytes.
        now: This instant.
        kernel_idle_s: A kernel that is idle for so long is ended; None: none is.

    A known notebook whose file is no notebook, or would empty it, is opened without the file.
    Raises NotebookUnreadable, with the file's path, when the file of a new one is no notebook.
    """
    opening = Opening(
        document=stored.document,
        path=stored.path,
        snapshot=stored.snapshot,
        updates=stored.updates,
        runtime_snapshot=stored.runtime_snapshot,
        runtime_updates=stored.runtime_updates,
        base=stored.file_content,
        intended=stored.intended_content,
        file=_image_of(stored, file),
        taken=stored.taken,
        horizon_ms=stored.horizon_ms,
        unfinished=stored.unfinished,
        kernel=stored.kernel,
        kernel_idle_s=kernel_idle_s,
    )
    try:
        if file is not None and file.unreadable is not None:
            raise file.unreadable
        return OpenedRoom(*Room.open(opening, entropy, now))
    except (NotebookUnreadable, FileWouldEmpty) as error:
        # Whoever reads it knows a name, not which bytes were looked at.
        sentence = f"{stored.path} was not opened, and left as it is. {error}"
        if isinstance(error, NotebookUnreadable):
            sentence += " Correct the file and open it again."
        refused = type(error)(sentence, **{"path": stored.path, **error.data})
        if stored.snapshot is None and not stored.updates:
            raise refused from error
    # Its history is sound: the notebook is opened without its file, which is left alone.
    without_file = replace(opening, file=None, refused=refused)
    return OpenedRoom(*Room.open(without_file, entropy, now), refused)


def _image_of(stored: StoredNotebook, file: FileContent | None) -> bytes | None:
    """The image of the file, which is stored already when the file is as we left it."""
    if file is None or file.unreadable is not None:
        return None
    if file.content is not None:
        return file.content
    stored_images = (stored.file_content, stored.intended_content)
    return next(
        image for image in stored_images if image is not None and named_sha256(image) == file.sha256
    )
