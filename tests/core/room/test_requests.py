from __future__ import annotations

from headway.core.document.crdt import Replica
from headway.core.room.effects import Answer, Refuse
from headway.core.room.inputs import Requested
from headway.core.room.ledger import Ledger
from headway.core.room.requests import MAX_OPEN_REQUESTS, Requests
from headway.core.wire import rpc
from headway.errors import Busy, DeadlineExceeded, HeadsTimeout
from headway.ids import Heads
from headway.moments import Moment

RESULT = rpc.Interrupted(cancelled=0, interrupted=False)


def request(token: int, deadline_s: float = 30.0) -> Requested:
    return Requested(token, 1, rpc.Interrupt(document="nb-1"), deadline_s, "ada")


def at(seconds: float) -> Moment:
    return Moment(seconds, 0.0)


def test_a_request_is_answered_exactly_once() -> None:
    ledger = Ledger()
    requests = Requests(ledger)
    requests.open(request(1))
    requests.answer(1, RESULT)
    requests.answer(1, RESULT)
    requests.refuse(1, Busy("no"))

    assert ledger.settle(at(0)) == [Answer(1, RESULT)]


def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    ledger = Ledger()
    requests = Requests(ledger)
    requests.open(request(1))
    requests.abandon(1)
    requests.answer(1, RESULT)

    assert ledger.settle(at(0)) == []


def test_a_request_past_its_deadline_is_refused_saying_what_it_waited_for() -> None:
    ledger = Ledger()
    requests = Requests(ledger)
    requests.open(request(1, deadline_s=5.0))
    requests.open(request(2, deadline_s=5.0))
    requests.open(request(3, deadline_s=6.0))
    requests.wait_for_heads(2, Heads(b"\x01"))

    assert requests.next_deadline() == 5.0
    requests.expire(at(5.0))
    first, second = ledger.settle(at(5.0))
    assert isinstance(first, Refuse)
    assert isinstance(first.error, DeadlineExceeded)
    assert isinstance(second, Refuse)
    assert isinstance(second.error, HeadsTimeout)
    assert second.error.data["required_heads"] == "AQ=="
    assert requests.is_open(3)


def test_too_many_open_requests_are_refused_as_busy() -> None:
    ledger = Ledger()
    requests = Requests(ledger)
    for token in range(MAX_OPEN_REQUESTS):
        assert requests.open(request(token))

    assert not requests.open(request(MAX_OPEN_REQUESTS))
    (refusal,) = ledger.settle(at(0))
    assert isinstance(refusal, Refuse)
    assert isinstance(refusal.error, Busy)
    assert not requests.take(request(MAX_OPEN_REQUESTS), Replica(1)), "what is refused is not done"
