"""The life of one notebook's kernel, as a table. Not the process itself: edges watch that.

Theory of operation
-------------------
A notebook has one kernel at a time, in one of seven states:

    absent      nobody asked for a kernel yet, or it was stopped on request
    starting    a process was asked for and has not answered kernel_info yet
    idle        it answers and runs nothing
    busy        it runs something
    restarting  the old process is being ended and a new one takes its place
    stopping    it was asked to end, and nothing follows it
    dead        it ended, or could not start, without anybody wishing so

What may happen is one of nine events. `TABLE` has a line for each pair that means something;
every other pair leaves the state as it is. That is the rule which makes late news harmless: a
kernel's last "busy" may come after the request to stop it, the news of its end after the request
to restart it, and the answer to kernel_info after its death.

Three columns carry the weight:

*   STOP and RESTART are decisions and always win: from every state where there is something to
    stop, they lead to `stopping` and `restarting`, and only what ends those leads on.
*   ENDED is the process watch's word. It is a death unless the end was asked for.
*   READY is believed while a start is awaited, and never otherwise.

Messages of an earlier process do not come here at all: whoever holds the state counts
incarnations and drops what belongs to an older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["TABLE", "LifecycleEvent", "LifecycleState", "can_execute", "has_process", "next_state"]


class LifecycleState(StrEnum):
    """What a kernel is doing; the values are those that people and documents see."""

    ABSENT = "absent"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    DEAD = "dead"


class LifecycleEvent(StrEnum):
    """What can happen to a kernel."""

    START = "start"
    """A kernel is asked for."""
    READY = "ready"
    """The new process answered kernel_info."""
    FAILED = "failed"
    """The process could not be started, or ended before it was ready."""
    BUSY = "busy"
    """The kernel says it works."""
    IDLE = "idle"
    """The kernel says it is done."""
    RESTART = "restart"
    """A fresh process is asked for, in place of whatever is there."""
    STOP = "stop"
    """The kernel is asked to end."""
    STOPPED = "stopped"
    """The stop that was asked for is complete: the process is gone."""
    ENDED = "ended"
    """The process ended by itself."""


_S = LifecycleState
_E = LifecycleEvent

TABLE: Final[Mapping[tuple[LifecycleState, LifecycleEvent], LifecycleState]] = {
    (_S.ABSENT, _E.START): _S.STARTING,
    (_S.ABSENT, _E.RESTART): _S.STARTING,
    (_S.DEAD, _E.START): _S.STARTING,
    (_S.DEAD, _E.RESTART): _S.STARTING,
    (_S.DEAD, _E.STOP): _S.ABSENT,
    (_S.STARTING, _E.READY): _S.IDLE,
    (_S.STARTING, _E.FAILED): _S.DEAD,
    (_S.STARTING, _E.ENDED): _S.DEAD,
    (_S.STARTING, _E.RESTART): _S.RESTARTING,
    (_S.STARTING, _E.STOP): _S.STOPPING,
    (_S.IDLE, _E.BUSY): _S.BUSY,
    (_S.IDLE, _E.ENDED): _S.DEAD,
    (_S.IDLE, _E.RESTART): _S.RESTARTING,
    (_S.IDLE, _E.STOP): _S.STOPPING,
    (_S.BUSY, _E.IDLE): _S.IDLE,
    (_S.BUSY, _E.ENDED): _S.DEAD,
    (_S.BUSY, _E.RESTART): _S.RESTARTING,
    (_S.BUSY, _E.STOP): _S.STOPPING,
    (_S.RESTARTING, _E.READY): _S.IDLE,
    (_S.RESTARTING, _E.FAILED): _S.DEAD,
    (_S.RESTARTING, _E.STOP): _S.STOPPING,
    (_S.STOPPING, _E.STOPPED): _S.ABSENT,
    (_S.STOPPING, _E.ENDED): _S.ABSENT,
    (_S.STOPPING, _E.FAILED): _S.ABSENT,
    (_S.STOPPING, _E.START): _S.RESTARTING,
    (_S.STOPPING, _E.RESTART): _S.RESTARTING,
}
"""Every pair that changes the state. A pair that is not here leaves it as it is."""


def next_state(state: LifecycleState, event: LifecycleEvent) -> LifecycleState:
    """The state after `event`; the same state when the table has no line for the pair."""
    return TABLE.get((state, event), state)


def can_execute(state: LifecycleState) -> bool:
    """Whether a request sent now reaches a kernel that answers."""
    return state in {_S.IDLE, _S.BUSY}


def has_process(state: LifecycleState) -> bool:
    """Whether there is, or soon will be, a process to end."""
    return state not in {_S.ABSENT, _S.DEAD}
