"""Known bugs of what an earlier daemon left: kernels that live on, executions without an end."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from headway.core.document.outputs import OutputAssembler
from headway.core.room import inheritance, room
from headway.core.room.recorder import Recorder
from sim.planting import instead, planted

__all__: list[str] = []


@planted(7, 21)
def a_restarted_daemon_leaves_the_unfinished() -> AbstractContextManager[object]:
    opens = room.Room.open

    def careless(opening: Any, entropy: Any, now: Any) -> Any:
        return opens(replace(opening, unfinished=()), entropy, now)

    return instead(room.Room, "open", careless)


@planted(75, 121)
def what_the_kernel_runs_is_given_up() -> AbstractContextManager[object]:
    opens = room.Room.open

    def careless(opening: Any, entropy: Any, now: Any) -> Any:
        if opening.kernel is not None:
            opening = replace(opening, kernel=replace(opening.kernel, asked=None))
        return opens(opening, entropy, now)

    return instead(room.Room, "open", careless)


@planted(974, 1550)
def what_waited_before_the_one_that_runs_waits_again() -> AbstractContextManager[object]:
    return instead(inheritance, "_has_ended", lambda _asked, _opening: True)


@planted(75, 121)
def a_gap_is_not_told() -> AbstractContextManager[object]:
    def silent(self: Any, execution_id: str, _since_s: float, _now: Any) -> None:
        self._go_on(execution_id)

    return instead(Recorder, "gap", silent)


@planted(514, 597)
def outputs_before_a_gap_are_forgotten() -> AbstractContextManager[object]:
    return instead(OutputAssembler, "go_on_from", lambda *_: None)
