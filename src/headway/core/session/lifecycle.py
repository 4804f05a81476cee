"""The phases of a session, as a table.

Floor 3, a part of the session. Theory of operation: a session wants one connection. Without one
it is WAITING (for a delay to pass) or CONNECTING. With one it asks for the notebook (OPENING;
skipped where the other side knows no commands), joins its rooms and takes in what it lacks
(JOINING), and is LIVE. Any doubt on the way leads to LEAVING (the connection is being closed)
and from there to WAITING. CLOSED is the end, and nothing leads out of it.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["CONNECTED_PHASES", "TRANSITIONS", "Phase"]


class Phase(Enum):
    """Where a session is."""

    NEW = "new"
    CONNECTING = "connecting"
    OPENING = "opening"
    JOINING = "joining"
    LIVE = "live"
    LEAVING = "leaving"
    WAITING = "waiting"
    CLOSED = "closed"


TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.NEW: frozenset({Phase.CONNECTING, Phase.CLOSED}),
    Phase.CONNECTING: frozenset({Phase.OPENING, Phase.JOINING, Phase.WAITING, Phase.CLOSED}),
    Phase.OPENING: frozenset({Phase.JOINING, Phase.LEAVING, Phase.WAITING, Phase.CLOSED}),
    Phase.JOINING: frozenset({Phase.LIVE, Phase.LEAVING, Phase.WAITING, Phase.CLOSED}),
    Phase.LIVE: frozenset({Phase.JOINING, Phase.LEAVING, Phase.WAITING, Phase.CLOSED}),
    Phase.LEAVING: frozenset({Phase.WAITING, Phase.CLOSED}),
    Phase.WAITING: frozenset({Phase.CONNECTING, Phase.CLOSED}),
    Phase.CLOSED: frozenset(),
}
"""From each phase, the phases that may follow."""

CONNECTED_PHASES = (Phase.OPENING, Phase.JOINING, Phase.LIVE)
"""The phases in which frames may be sent."""
