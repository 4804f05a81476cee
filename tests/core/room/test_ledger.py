from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.core.room.effects import Close, Effect, Persist, Send, StoreBlob, UpdateStored
from headway.core.room.ledger import Ledger
from headway.core.sync.fanout import Frames
from headway.moments import Moment

NOW = Moment(10.0, 1_700_000_000.0)


def record(name: str) -> UpdateStored:
    return UpdateStored("nb-1", name.encode())


def closed(effects: list[Effect]) -> list[int]:
    return [effect.peer for effect in effects if isinstance(effect, Close)]


def close_later(ledger: Ledger, peer: int) -> None:
    ledger.when_durable(lambda _: ledger.emit(Close(peer, 1000, "")))


def test_what_waits_for_the_disk_is_held_until_the_store_has_answered() -> None:
    ledger = Ledger()
    ledger.record(record("a"))
    close_later(ledger, 1)

    assert ledger.settle(NOW) == [Persist(1, (record("a"),))]
    assert not ledger.is_durable

    ledger.persisted(1, NOW)
    assert closed(ledger.settle(NOW)) == [1]
    assert ledger.is_durable


def test_without_anything_on_its_way_what_waits_happens_at_once() -> None:
    ledger = Ledger()
    close_later(ledger, 1)

    assert closed(ledger.settle(NOW)) == [1]


def test_what_records_nothing_itself_still_waits_for_what_was_recorded_before() -> None:
    ledger = Ledger()
    ledger.record(record("a"))
    ledger.settle(NOW)
    close_later(ledger, 1)

    assert ledger.settle(NOW) == []
    ledger.persisted(1, NOW)
    assert closed(ledger.settle(NOW)) == [1]


def test_what_is_gathered_is_taken_once_and_before_the_next_effect() -> None:
    ledger = Ledger()
    waiting: list[tuple[int, Frames]] = []

    def take() -> list[tuple[int, Frames]]:
        taken = list(waiting)
        waiting.clear()
        return taken

    for peer in (1, 2):
        waiting.append((peer, (b"frame",)))
        ledger.gather(take)
    ledger.emit(Close(3, 1000, ""))
    waiting.append((4, (b"frame",)))
    ledger.gather(take)

    sent = [Send(peer, (b"frame",)) for peer in (1, 2, 4)]
    assert ledger.settle(NOW) == [*sent[:2], Close(3, 1000, ""), sent[2]]
    assert ledger.settle(NOW) == []


def test_blobs_come_before_the_records_that_name_them() -> None:
    ledger = Ledger()
    ledger.record(record("a"))
    ledger.blob("00", b"data")

    assert ledger.settle(NOW) == [StoreBlob("00", b"data"), Persist(1, (record("a"),))]


def test_an_answer_for_a_later_token_covers_the_earlier_ones_in_order() -> None:
    ledger = Ledger()
    for number in (1, 2, 3):
        ledger.record(record(str(number)))
        close_later(ledger, number)
        ledger.settle(NOW)

    ledger.persisted(2, NOW)
    assert closed(ledger.settle(NOW)) == [1, 2]
    assert not ledger.is_durable


def test_a_continuation_may_record_more_which_waits_in_turn() -> None:
    ledger = Ledger()

    def again(_: Moment) -> None:
        ledger.record(record("b"))
        close_later(ledger, 2)

    ledger.record(record("a"))
    ledger.when_durable(again)
    ledger.settle(NOW)

    ledger.persisted(1, NOW)
    assert ledger.settle(NOW) == [Persist(2, (record("b"),))]
    ledger.persisted(2, NOW)
    assert closed(ledger.settle(NOW)) == [2]


@given(st.lists(st.sampled_from(["record", "wait", "settle", "persisted"]), max_size=60))
def test_nothing_is_seen_before_everything_recorded_earlier_is_durable(steps: list[str]) -> None:
    ledger = Ledger()
    recorded = durable = answered = 0
    needs: dict[int, int] = {}
    seen: list[int] = []
    tokens: dict[int, int] = {}
    for step in steps:
        if step == "record":
            recorded += 1
            ledger.record(record(str(recorded)))
        elif step == "wait":
            number = len(needs)
            needs[number] = recorded
            close_later(ledger, number)
        elif step == "persisted" and answered < len(tokens):
            answered += 1
            durable = tokens[answered]
            ledger.persisted(answered, NOW)
        effects = ledger.settle(NOW) if step in {"settle", "persisted"} else []
        for effect in effects:
            if isinstance(effect, Persist):
                tokens[effect.token] = max(tokens.values(), default=0) + len(effect.records)
        for number in closed(effects):
            seen.append(number)
            assert needs[number] <= durable
    assert seen == sorted(seen)
