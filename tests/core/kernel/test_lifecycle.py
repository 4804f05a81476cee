"""The lifecycle table, every state against every event."""

from __future__ import annotations

from itertools import product

import pytest

from headway.core.kernel.lifecycle import (
    TABLE,
    LifecycleEvent,
    LifecycleState,
    can_execute,
    has_process,
    next_state,
)

S = LifecycleState
E = LifecycleEvent

# One row a state, one column an event, in the order of the enumerations; "." stays.
# start read fail busy idle rest stop stpd ended
EXPECTED = """
absent     S . . . . S . . .
starting   . I D . . R P . D
idle       . . . B . R P . D
busy       . . . . I R P . D
restarting . I D . . . P . .
stopping   R . A . . R . A A
dead       S . . . . S A . .
"""
LETTERS = dict(
    zip(
        "ASIBRPD",
        (S.ABSENT, S.STARTING, S.IDLE, S.BUSY, S.RESTARTING, S.STOPPING, S.DEAD),
        strict=True,
    )
)


def expected() -> dict[tuple[LifecycleState, LifecycleEvent], LifecycleState]:
    found = {}
    for line in EXPECTED.split("\n"):
        if not line:
            continue
        name, *cells = line.split()
        state = S(name)
        for event, cell in zip(E, cells, strict=True):
            found[state, event] = state if cell == "." else LETTERS[cell]
    return found


def test_the_drawing_covers_every_state_and_every_event() -> None:
    assert set(expected()) == set(product(S, E))


@pytest.mark.parametrize(("state", "event"), list(product(S, E)))
def test_each_state_meets_each_event_as_drawn(state: LifecycleState, event: LifecycleEvent) -> None:
    assert next_state(state, event) is expected()[state, event]


def test_the_table_holds_only_lines_that_change_something() -> None:
    assert all(before is not after for (before, _), after in TABLE.items())


@pytest.mark.parametrize("state", list(S))
def test_stop_leads_from_every_state_to_no_kernel(state: LifecycleState) -> None:
    assert next_state(next_state(state, E.STOP), E.STOPPED) is S.ABSENT


@pytest.mark.parametrize("state", list(S))
def test_restart_leads_from_every_state_to_a_ready_kernel(state: LifecycleState) -> None:
    assert next_state(next_state(state, E.RESTART), E.READY) is S.IDLE


@pytest.mark.parametrize("state", [S.ABSENT, S.DEAD, S.STOPPING, S.IDLE, S.BUSY])
def test_a_late_ready_revives_nothing(state: LifecycleState) -> None:
    assert next_state(state, E.READY) is state


def test_only_a_kernel_that_answers_can_execute() -> None:
    assert [state for state in S if can_execute(state)] == [S.IDLE, S.BUSY]


def test_there_is_no_process_before_the_first_start_and_after_death() -> None:
    assert [state for state in S if not has_process(state)] == [S.ABSENT, S.DEAD]
