"""From what the store and the disk hold to a room.

Floor 5. Names are put together here; what they mean is `core.room.opening`'s business.
"""

from __future__ import annotations

from headway.core.room.opening import Opening
from headway.core.room.room import Room
from headway.daemon.host import OpenedRoom
from headway.edges.ports import FileContent, StoredNotebook
from headway.ids import Entropy
from headway.moments import Moment

__all__ = ["COMPACT_UPDATES", "open_room"]

COMPACT_UPDATES = 256
"""A notebook that is loaded with more updates than this gets one snapshot in their place."""


def open_room(
    stored: StoredNotebook, file: FileContent | None, entropy: Entropy, now: Moment
) -> OpenedRoom:
    """The room of a notebook, the effects of its opening, and a snapshot where one is due.

    Args:
        stored: Everything the store has of it.
        file: Its file as it is now; None if there is none.
        entropy: Random bytes.
        now: This instant.
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
    room, first = Room.open(opening, entropy, now)
    is_long = len(stored.updates) > COMPACT_UPDATES
    return OpenedRoom(room, first, room.notebook.replica.export() if is_long else None)
