"""Where a message can lead a session besides its effects, as frozen values.

Floor 3, a part of the session. The parts of a session return these; only the session acts on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.wire.messages import UpdateStatus
from headway.core.wire.rpc import Opened
from headway.errors import HeadwayError, NotebookReplaced

__all__ = ["Failed", "Hopeless", "Refused", "Replaced"]


@dataclass(frozen=True, slots=True)
class Failed:
    """This connection is of no further use; the next one may be."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hopeless:
    """No later connection will go better: the session is over."""

    error: HeadwayError


@dataclass(frozen=True, slots=True)
class Refused:
    """An update was refused: the replica that made it is dead."""

    status: UpdateStatus


@dataclass(frozen=True, slots=True)
class Replaced:
    """The daemon has another notebook in this one's place: another history, never to be merged."""

    opened: Opened
    error: NotebookReplaced
