"""Large imports: how one writer's large update is merged without a stall.

Not a limit (`limits` has those). The engine takes time like the square of an inserted text's
length when its writer is not the one whose change came last: 0.7 s for 400,000 characters, 4 s for
a million. When the writer's change did come last, a million take a millisecond. So the first
operation of a large update is merged alone, and then the whole, to the same result. It does not
help when somebody else wrote meanwhile; it costs nothing then either. A page's engine is the same
(3 s and 22 s), so it is sent the first operation as a message of its own.
"""

from __future__ import annotations

from typing import Any

from headway.core.document.past import operations_in

__all__ = ["LARGE_OPERATIONS", "first_of", "first_operation"]

LARGE_OPERATIONS = 20_000
"""New operations from which on it is worth it; below, the square is 3 ms."""


def first_operation(engine: Any, document: Any, data: bytes, metadata: Any) -> bytes | None:
    """The update with the first new operation of `data` alone; None if it would not help.

    Args:
        engine: the engine's module.
        document: the engine's document, with nothing uncommitted.
        data: an update that was checked and is not merged yet.
        metadata: what the engine reads off it.
    """
    ours, ends = document.oplog_vv, metadata.partial_end_vv
    if not document.len_ops and metadata.mode == engine.EncodedBlobMode.Snapshot:
        return None  # An empty document takes the state of a snapshot over as it is.
    if _first_span(engine, ours, ends) is None:
        return None
    # Detached, it only files the changes: neither the text nor a difference is computed.
    filed = engine.LoroDoc()
    filed.detach()
    filed.import_(document.export(engine.ExportMode.Updates(engine.VersionVector())))
    filed.import_(data)
    return first_of(engine, filed, ours, ends)


def first_of(engine: Any, document: Any, since: Any, until: Any) -> bytes | None:
    """The first operation of what `document` has between two vectors; None if it is not large."""
    first = _first_span(engine, since, until)
    if first is None:
        return None
    return bytes(document.export(engine.ExportMode.UpdatesInRange([first])))


def _first_span(engine: Any, since: Any, until: Any) -> Any:
    spans = list(until.sub_iter(since))
    if len(spans) != 1 or operations_in(spans) <= LARGE_OPERATIONS:
        return None
    peer, start = spans[0].peer, spans[0].counter.start
    return engine.IdSpan(peer, engine.CounterSpan(start, start + 1))
