from __future__ import annotations

from headway.core.document.crdt import Replica, Version
from headway.core.sync.confirm import Confirmation, Confirmations, Settled
from headway.errors import ConfirmTimeout, ConnectionLost
from headway.ids import Heads, heads_to_text


def written(peer: int, count: int = 1) -> tuple[Version, Heads]:
    replica = Replica(peer)
    for number in range(count):
        replica.map("m").set(str(number), number)
        replica.commit(0, "test")
    return replica.version(), replica.heads()


def ask(
    confirmations: Confirmations, token: int, peer: int, deadline_s: float = 10.0
) -> list[Settled]:
    version, heads = written(peer)
    return confirmations.ask(token, version, heads, now_s=1.0, deadline_s=deadline_s)


def test_an_empty_document_is_confirmed_at_once() -> None:
    (settled,) = Confirmations().ask(1, Version.EMPTY, Heads(b"\0"), now_s=1.0, deadline_s=2.0)
    assert isinstance(settled.outcome, Confirmation)


def test_only_a_version_that_contains_the_wanted_one_settles() -> None:
    confirmations = Confirmations()
    assert ask(confirmations, 1, peer=5) == []
    assert confirmations.advance(written(6, 100)[0], 2.0) == []
    (settled,) = confirmations.advance(written(5)[0], 3.0)
    assert settled == Settled(1, Confirmation(written(5)[1], elapsed_s=2.0, durability="accepted"))


def test_a_version_far_beyond_the_wanted_one_settles_too() -> None:
    confirmations = Confirmations()
    ask(confirmations, 1, peer=5)
    assert len(confirmations.advance(written(5, 100)[0], 2.0)) == 1


def test_waiters_are_settled_in_the_order_they_asked() -> None:
    confirmations = Confirmations()
    for token in (3, 1, 2):
        ask(confirmations, token, peer=5)
    assert [each.token for each in confirmations.advance(written(5)[0], 2.0)] == [3, 1, 2]
    assert len(confirmations) == 0


def test_a_server_that_holds_less_than_it_did_unconfirms() -> None:
    confirmations = Confirmations()
    confirmations.advance(written(5)[0], 1.0)
    confirmations.replace(Version.EMPTY, 2.0)
    assert ask(confirmations, 1, peer=5) == []


def test_a_deadline_names_the_missing_heads_and_leaves_the_others_waiting() -> None:
    confirmations = Confirmations()
    ask(confirmations, 1, peer=5, deadline_s=2.0)
    ask(confirmations, 2, peer=6, deadline_s=3.0)
    assert confirmations.next_deadline_s() == 2.0
    (settled,) = confirmations.expire(2.0, None)
    assert isinstance(settled.outcome, ConfirmTimeout)
    assert settled.outcome.data["missing"] == heads_to_text(written(5)[1])
    assert settled.outcome.data["waited_s"] == 1.0
    assert confirmations.next_deadline_s() == 3.0


def test_a_deadline_without_a_connection_says_so() -> None:
    confirmations = Confirmations()
    ask(confirmations, 1, peer=5, deadline_s=2.0)
    (settled,) = confirmations.expire(9.0, "the store is full")
    assert isinstance(settled.outcome, ConnectionLost)
    assert "(the store is full)" in str(settled.outcome)


def test_a_failure_settles_everybody_with_the_same_error() -> None:
    confirmations = Confirmations()
    ask(confirmations, 1, peer=5)
    ask(confirmations, 2, peer=6)
    error = ConnectionLost("gone")
    assert [each.outcome for each in confirmations.fail(error)] == [error, error]
    assert confirmations.next_deadline_s() is None


def test_an_abandoned_waiter_is_settled_by_nothing() -> None:
    confirmations = Confirmations()
    ask(confirmations, 1, peer=5)
    confirmations.abandon(1)
    confirmations.abandon(1)
    assert confirmations.advance(written(5)[0], 2.0) == []
