"""From what the store and the disk hold to a room.

Floor 5. Names are put together here; what they mean is `core.room.opening`'s business.
"""

from __future__ import annotations

from headway.core.room.opening import Opening
from headway.core.room.room import Room
from headway.daemon.host import OpenedRoom
from headway.edges.ports import FileContent, StoredNotebook
from headway.errors import NotebookUnreadable
from headway.ids import Entropy
from headway.moments import Moment

__all__ = ["open_room"]


def open_room(
    stored: StoredNotebook, file: FileContent | None, entropy: Entropy, now: Moment
) -> OpenedRoom:
    """The room of a notebook, and the effects of its opening.

    Args:
        stored: Everything the store has of it.
        file: Its file as it is now; None if there is none.
        entropy: Random bytes.
        now: This instant.

    Raises NotebookUnreadable, with the file's path, when the file is no notebook.
    """
    opening = Opening(
        document=stored.document,
        path=stored.path,
        snapshot=stored.snapshot,
        updates=stored.updates,
        runtime_snapshot=stored.runtime_snapshot,
        runtime_updates=stored.runtime_updates,
        base=stored.file_content,
        file=None if file is None else file.content,
        taken=stored.taken,
        unfinished=stored.unfinished,
    )
    try:
        return OpenedRoom(*Room.open(opening, entropy, now))
    except NotebookUnreadable as error:
        # Whoever reads it knows a name, not which bytes were looked at.
        sentence = f"{stored.path} was not opened, and left as it is. {error}"
        raise NotebookUnreadable(sentence, **{"path": stored.path, **error.data}) from error
