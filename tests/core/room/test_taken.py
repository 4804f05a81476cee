from __future__ import annotations

import pytest

from headway.core.room.opening import Opening
from headway.core.room.taken import Taken
from headway.core.wire import rpc
from headway.errors import ExecutionExpired
from headway.ids import derived_execution_id, execution_id, minted_ms
from room_stage import DOCUMENT, Stage

OLD_S, NEW_S = 1_000_000.0, 2_000_000.0
HORIZON_MS = int(1_500_000.0 * 1000)


def minted(wall_s: float) -> str:
    return execution_id(wall_s, lambda count: b"\x07" * count)


def test_an_unknown_id_from_before_the_horizon_is_refused_and_a_later_one_is_not() -> None:
    taken = Taken({}, HORIZON_MS)
    taken.check_age(minted(NEW_S))
    taken.check_age("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
    for old_s in (OLD_S, HORIZON_MS / 1000):
        with pytest.raises(ExecutionExpired) as caught:
            taken.check_age(minted(old_s))
        assert caught.value.data["horizon_ms"] == HORIZON_MS


def test_without_a_horizon_every_id_is_young_enough() -> None:
    Taken({}, 0).check_age(minted(1.0))


def test_an_id_derived_from_a_batch_has_its_time_or_none() -> None:
    batch = minted(OLD_S)
    assert minted_ms(derived_execution_id(batch, "c")) == minted_ms(batch) == int(OLD_S * 1000)
    timeless = derived_execution_id("6ba7b810-9dad-41d1-80b4-00c04fd430c8", "c")
    assert minted_ms(timeless) is None


def test_a_room_runs_nothing_under_an_id_that_may_have_run_and_answers_for_one_it_knows() -> None:
    known, old = minted(OLD_S), minted(OLD_S - 1)
    opening = Opening(document=DOCUMENT, path=None, taken={known: known}, horizon_ms=HORIZON_MS)
    stage = Stage(opening=opening)
    stage.peer().add_cell("c", "1")
    again = stage.ask(rpc.Execute(document=DOCUMENT, cell_id="c", execution_id=known))
    assert stage.answer(again).execution_id == known
    refused = stage.ask(rpc.Execute(document=DOCUMENT, cell_id="c", execution_id=old))
    assert isinstance(stage.answer(refused), ExecutionExpired)
    batch = stage.ask(rpc.ExecuteAll(document=DOCUMENT, batch_id=old))
    assert isinstance(stage.answer(batch), ExecutionExpired)
    fresh = stage.ask(rpc.Execute(document=DOCUMENT, cell_id="c", execution_id=minted(NEW_S)))
    assert isinstance(stage.answer(fresh), rpc.Accepted)
