"""Large imports: how one writer's large update is merged without a stall.

Not a limit (`limits` has those). The engine takes time like the square of an inserted text's
length when its writer is not the one whose change came last: 0.7 s for 400,000 characters, 4 s for
a million. When the writer's change did come last, a million take a millisecond. So the first
operation of a large update is merged alone, and then the whole: the same result, as long as
nobody else wrote meanwhile (then it costs what it cost before).
"""

from __future__ import annotations

from typing import Any

from headway.core.document.past import operations_in

__all__ = ["LARGE_OPERATIONS", "first_operation"]

LARGE_OPERATIONS = 20_000
"""New operations from which on it is worth it; below, the square is 3 ms."""


def first_operation(engine: Any, document: Any, data: bytes, ends: Any) -> bytes | None:
    """The update with the first new operation of `data` alone; None if it would not help.

    Args:
        engine: the engine's module.
        document: the engine's document, with nothing uncommitted.
        data: an update that was checked and is not merged yet.
        ends: the version vector that `data` leads to.
    """
    spans = list(ends.sub_iter(document.oplog_vv))
    if len(spans) != 1 or operations_in(spans) <= LARGE_OPERATIONS:
        return None
    # Detached, it only files the changes: neither the text nor a difference is computed.
    filed = engine.LoroDoc()
    filed.detach()
    filed.import_(document.export(engine.ExportMode.Updates(engine.VersionVector())))
    filed.import_(data)
    peer, start = spans[0].peer, spans[0].counter.start
    first = engine.IdSpan(peer, engine.CounterSpan(start, start + 1))
    return bytes(filed.export(engine.ExportMode.UpdatesInRange([first])))
