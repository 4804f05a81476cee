from __future__ import annotations

import msgspec
import pytest

from headway.core.kernel.events import KernelInfo
from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    RuntimeReplaced,
    UpdateStored,
)
from headway.core.room.opening import LivingKernel, Opening
from headway.core.wire import rpc
from room_stage import DOCUMENT, Stage


@pytest.mark.parametrize("lives", [False, True])
def test_a_result_that_the_store_lost_is_written_again_from_the_runtime_document(
    lives: bool,
) -> None:
    stage = Stage()
    stage.peer().add_cell("c", "1 + 1")
    identity = stage.new_id()
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id="c", execution_id=identity))
    stage.kernel_ready()
    stage.kernel_finishes()
    stage.wait(1.0)
    records = [record for persist in stage.persists for record in persist.records]
    (whole,) = [each for each in records if isinstance(each, ExecutionFinished)]
    runtime = stage.room.runtime
    updates = [each for each in records if isinstance(each, UpdateStored)]
    opening = Opening(
        document=DOCUMENT,
        path=None,
        updates=tuple(each.update for each in updates if each.document == DOCUMENT),
        runtime_snapshot=next(
            each.snapshot for each in records if isinstance(each, RuntimeReplaced)
        ),
        runtime_updates=tuple(each.update for each in updates if each.document == runtime),
        taken={identity: identity},
        unfinished=(ExecutionAccepted(DOCUMENT, identity, identity, "c", ""),),
        kernel=LivingKernel(7, "python3", KernelInfo("python"), identity, 0.0) if lives else None,
    )
    again = Stage(seed=1, opening=opening)
    (written,) = [
        record
        for persist in again.persists
        for record in persist.records
        if isinstance(record, ExecutionFinished)
    ]
    before, after = msgspec.json.decode(whole.record), msgspec.json.decode(written.record)
    assert after == before
    assert after["status"] == "ok"
    assert again.runtime.queue() == []
