"""What goes to the kernel and when; and that peers agree with the kernel, however it answers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.document.comm_state import KeyChange
from headway.core.room.comm_traffic import COMM_PATIENCE_S, MAX_COMM_MESSAGES, CommTraffic
from headway.core.room.effects import CommRequest
from headway.errors import Busy


class Wire:
    """The traffic, and what it sent."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.sent: list[CommRequest] = []
        self.traffic = CommTraffic(lambda: f"m{next(numbers)}", self.sent.append)

    def set(self, now_s: float = 0.0, **state: Any) -> None:
        self.traffic.update("c", {key: KeyChange(value) for key, value in state.items()}, now_s)

    def states(self) -> list[dict[str, Any]]:
        return [request.data.get("state") or request.data for request in self.sent]

    def accepted(self, parent: str | None, **state: Any) -> dict[str, Any]:
        changes = {key: KeyChange(value) for key, value in state.items()}
        found = self.traffic.accepted("c", changes, parent)
        return {key: change.value for key, change in found.items()}


@pytest.fixture
def wire() -> Wire:
    return Wire()


def message(number: int, kind: Any = "comm_msg") -> CommRequest:
    return CommRequest(f"x{number}", kind, "c", {"number": number})


def test_while_an_update_is_under_way_the_newest_values_gather(wire: Wire) -> None:
    for value in range(10):
        wire.set(value=value, **{f"key {value % 2}": value})
    assert wire.states() == [{"value": 0, "key 0": 0}]
    wire.traffic.handled("m1")
    assert wire.states()[1:] == [{"value": 9, "key 1": 9, "key 0": 8}]
    wire.traffic.handled("m2")
    assert len(wire.sent) == 2


def test_comms_do_not_wait_for_each_other(wire: Wire) -> None:
    wire.set(value=1)
    wire.traffic.update("d", {"value": KeyChange(1)}, 0.0)
    assert [request.comm_id for request in wire.sent] == ["c", "d"]


def test_another_message_goes_behind_what_gathered_before_it(wire: Wire) -> None:
    wire.set(value=1)
    wire.set(value=2)
    wire.traffic.send(message(1))
    wire.set(value=3)
    assert wire.states() == [{"value": 1}, {"value": 2}, {"number": 1}]
    wire.traffic.handled("m1")
    assert len(wire.sent) == 3, "another is under way"
    wire.traffic.handled("m2")
    assert wire.states()[3:] == [{"value": 3}]


def test_everything_goes_when_it_is_pushed(wire: Wire) -> None:
    wire.set(value=1)
    wire.set(value=2)
    wire.traffic.push()
    wire.traffic.push()
    assert wire.states() == [{"value": 1}, {"value": 2}]


def test_a_kernel_that_never_says_it_is_done_gets_an_update_now_and_then(wire: Wire) -> None:
    wire.set(10.0, value=1)
    assert wire.traffic.next_deadline() is None
    wire.set(11.0, value=2)
    wire.set(12.0, value=3)
    assert wire.traffic.next_deadline() == 11.0 + COMM_PATIENCE_S
    wire.traffic.expire(11.0 + COMM_PATIENCE_S)
    assert wire.states() == [{"value": 1}, {"value": 3}]
    assert wire.traffic.next_deadline() is None


def test_messages_that_are_not_handled_are_bounded(wire: Wire) -> None:
    for number in range(MAX_COMM_MESSAGES):
        wire.traffic.send(message(number))
    with pytest.raises(Busy):
        wire.traffic.send(message(-1))
    wire.traffic.handled("x0")
    wire.traffic.send(message(-1))


def test_a_closed_comm_is_forgotten(wire: Wire) -> None:
    wire.set(value=1)
    wire.set(value=2)
    wire.traffic.send(message(1, "comm_close"))
    assert wire.states() == [{"value": 1}, {"value": 2}, {"number": 1}]
    for sent in ("m1", "m2", "x1"):
        assert sent in wire.traffic
        wire.traffic.handled(sent)
    assert len(wire.sent) == 3


def test_the_echo_of_an_older_value_is_ignored_and_that_of_the_latest_counts(wire: Wire) -> None:
    wire.set(value=1)
    wire.set(value=2)
    assert wire.accepted("m1", value=1, other=5) == {"other": 5}
    wire.traffic.handled("m1")
    assert wire.accepted("m2", value=2) == {"value": 2}
    assert wire.accepted("m2", value=100) == {"value": 100}, "the kernel corrects it"


def test_a_widget_is_asked_for_its_state_once_all_that_was_set_is_handled(wire: Wire) -> None:
    wire.set(value=1)
    wire.set(value=2)
    wire.traffic.failed("m1")
    wire.traffic.handled("m1")
    assert wire.states() == [{"value": 1}, {"value": 2}], "one more may still be refused"
    wire.traffic.failed("m2")
    wire.traffic.handled("m2")
    assert wire.states()[2:] == [{"method": "request_state"}]
    wire.set(value=3)
    assert wire.accepted("m3", value=0, other=5) == {"other": 5}
    assert wire.accepted("m4", value=3) == {"value": 3}


def test_a_closed_comm_is_not_asked_for_its_state(wire: Wire) -> None:
    wire.set(value=1)
    wire.traffic.failed("m1")
    wire.traffic.forget("c")
    wire.traffic.handled("m1")
    assert len(wire.sent) == 1


def test_what_a_running_cell_sets_counts_at_once_and_then_what_was_set_later(wire: Wire) -> None:
    wire.set(value=1)
    assert wire.accepted("e1", value=50) == {"value": 50}
    assert wire.traffic.handled("m1") == ("c", {"value": KeyChange(1)})
    wire.set(value=2)
    assert wire.traffic.handled("m2") == ("c", {})


REFUSED = 7


class Kernel:
    """A widget that takes messages in order, with or without echo, and may correct or refuse."""

    def __init__(self, *, echoes: bool, limit: int) -> None:
        self.value = 0
        self.queue: deque[tuple[str, Any]] = deque()
        self.said: deque[tuple[str, str | None, Any]] = deque()
        self._echoes = echoes
        self._limit = limit

    def step(self) -> None:
        request_id, asked = self.queue.popleft()
        if asked is None:
            self.said.append(("state", request_id, self.value))
        else:
            self._take(request_id, asked)
        self.said.append(("idle", request_id, None))

    def interrupt(self, *, at_once: bool) -> None:
        """End what comes next before it is done; it says nothing but that it is idle."""
        request_id, asked = self.queue.popleft()
        if asked is not None and not at_once:
            self.value = min(asked, self._limit)
        self.said.append(("idle", request_id, None))

    def _take(self, request_id: str, asked: int) -> None:
        value = min(asked, self._limit)
        if self._echoes:
            self.said.append(("state", request_id, asked))
        if asked == REFUSED:
            self.said.append(("error", request_id, None))
            return
        if value != asked:
            self.said.append(("state", request_id, value))
        self.value = value

    def run_cell(self, value: int) -> None:
        if value != self.value:
            self.value = value
            self.said.append(("state", "execution", value))


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 9)),
        st.tuples(st.just("cell"), st.integers(0, 9)),
        st.tuples(st.just("interrupt"), st.integers(0, 1)),
        st.sampled_from(["handle", "hear", "push"]).map(lambda name: (name, 0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(ACTIONS, st.booleans(), st.sampled_from([9, 5]))
def test_when_all_is_said_the_document_and_the_kernel_agree(
    actions: list[tuple[str, int]], echoes: bool, limit: int
) -> None:
    kernel = Kernel(echoes=echoes, limit=limit)
    numbers = itertools.count(1)

    def send(request: CommRequest) -> None:
        is_question = request.data["method"] == "request_state"
        value = None if is_question else request.data["state"]["value"]
        kernel.queue.append((request.request_id, value))

    traffic = CommTraffic(lambda: f"m{next(numbers)}", send)
    shown = 0

    def hear() -> None:
        nonlocal shown
        kind, parent, value = kernel.said.popleft()
        accepted: dict[str, KeyChange] = {}
        if kind == "error":
            assert parent is not None
            traffic.failed(parent)
        elif kind == "state":
            accepted = traffic.accepted("c", {"value": KeyChange(value)}, parent)
        else:
            assert parent is not None
            accepted = traffic.handled(parent)[1]
        if "value" in accepted:
            shown = accepted["value"].value

    def interrupt(at_once: int) -> None:
        traffic.interrupted()
        if kernel.queue:
            kernel.interrupt(at_once=bool(at_once))

    moves: dict[str, Callable[[int], None]] = {
        "cell": kernel.run_cell,
        "handle": lambda _: kernel.step() if kernel.queue else None,
        "hear": lambda _: hear() if kernel.said else None,
        "push": lambda _: traffic.push(),
        "interrupt": interrupt,
    }
    for action, value in actions:
        if action == "set":
            shown = value
            traffic.update("c", {"value": KeyChange(value)}, 0.0)
        else:
            moves[action](value)
    while kernel.queue or kernel.said:
        if kernel.queue:
            kernel.step()
        if kernel.said:
            hear()
    assert shown == kernel.value
