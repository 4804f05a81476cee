"""Reading between and behind versions: what was touched, how things differ, what a text was.

Not for use by itself: `crdt.Replica` makes one, calls it inside its gate with nothing uncommitted,
and looks up the versions first, since unknown ones panic. A point is the engine's pair of frontiers
and the vector that they stand for. No checkout: that detaches the live document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headway.core.document.differences import (
    Path,
    TextDifference,
    Touched,
    read_difference,
    spliced_back,
)
from headway.core.document.handles import MAX_DEPTH
from headway.core.document.limits import MAX_DIFF_OPERATIONS, MAX_SCAN_OPERATIONS, check_distance
from headway.errors import InvalidUpdate

__all__ = ["Past", "Point", "operations_in"]

Point = tuple[Any, Any]
"""Frontiers and vector of one version that the document has."""


class _Written(msgspec.Struct):
    key: str = ""


class _Operation(msgspec.Struct):
    container: str
    content: _Written


class _Change(msgspec.Struct):
    ops: list[_Operation]


_CHANGES = msgspec.json.Decoder(list[_Change])
"""As the engine writes changes in JSON; the rest of each is passed over."""


def operations_in(spans: Sequence[Any]) -> int:
    """How many operations the engine's spans cover. Their ends are exclusive."""
    return sum(span.counter.end - span.counter.start for span in spans)


class Past:
    """The past of one document.

    Args:
        document: the engine's document.
        make_id: makes the engine's operation id from a peer and a counter.
    """

    def __init__(self, document: Any, make_id: Callable[[int, int], Any]) -> None:
        self._document = document
        self._make_id = make_id

    def touched(self, before: Point, after: Point) -> tuple[Touched, ...]:
        """The containers that the operations between two versions wrote to."""
        found = self._touched(before, after)
        places = [Touched(self._path(each), _kind(each)) for each in found]
        return tuple(sorted(places, key=_place))

    def keys_written(self, root: str, before: Point, after: Point) -> set[str]:
        """The keys of a root map that the operations between two versions set or removed."""
        spans = _spans_between(before, after)
        check_distance(operations_in(spans), MAX_SCAN_OPERATIONS)
        container = f"cid:root-{root}:Map"
        return {
            operation.content.key
            for span in spans
            for change in _CHANGES.decode(self._document.export_json_in_id_span(span))
            for operation in change.ops
            if operation.container == container
        }

    def differences(self, before: Point, after: Point) -> tuple[TextDifference, ...]:
        """How the texts reachable now differ between two versions."""
        found = []
        for target, diff in self._diff(before, after, MAX_DIFF_OPERATIONS):
            path = self._path(target)
            difference = read_difference(path, diff) if path else None
            if difference is not None:
                found.append(difference)
        return tuple(found)

    def text_at(self, text: Any, owner: Any, then: Point, now: Point, limit: int) -> str | None:
        """What the text container `text` held; None if it or `owner` did not exist."""
        identity = text.id
        if not self._includes(then, identity) or not self._includes(then, owner.id):
            return None
        current = str(text.to_string())
        if identity not in self._touched(then, now):
            return current
        for target, diff in self._diff(now, then, limit):
            if target == identity:
                difference = read_difference((), diff)
                assert isinstance(difference, TextDifference)
                return spliced_back(current, difference.splices)
        return current

    def _includes(self, point: Point, identity: Any) -> bool:
        """Whether the container existed: its id is that of the operation that made it."""
        if not hasattr(identity, "peer"):
            return True  # a root
        return bool(point[1].includes_id(self._make_id(identity.peer, identity.counter)))

    def _touched(self, before: Point, after: Point) -> set[Any]:
        spans = _spans_between(before, after)
        check_distance(operations_in(spans), MAX_SCAN_OPERATIONS)
        found: set[Any] = set()
        for span in spans:
            start = span.counter.start
            found |= self._document.get_changed_containers_in(
                self._make_id(span.peer, start), span.counter.end - start
            )
        return found

    def _diff(self, before: Point, after: Point, limit: int) -> list[tuple[Any, Any]]:
        check_distance(operations_in(_spans_between(before, after)), limit)
        return list(self._document.diff(before[0], after[0]).get_diff())

    def _path(self, identity: Any) -> Path:
        steps = self._document.get_path_to_container(identity) or ()
        if len(steps) > MAX_DEPTH:
            # At once: all paths of a deep nest together take time quadratic in its depth.
            raise InvalidUpdate(
                f"The document is nested {len(steps)} levels deep; {MAX_DEPTH} are allowed.",
                limit=MAX_DEPTH,
                actual=len(steps),
            )
        return tuple(
            step.key if hasattr(step, "key") else getattr(step, "index", "?") for _, step in steps
        )


def _spans_between(before: Point, after: Point) -> list[Any]:
    return [*after[1].sub_iter(before[1]), *before[1].sub_iter(after[1])]


def _place(touched: Touched) -> tuple[str, str]:
    """An order for paths of keys and indices, which have none among each other."""
    return repr(touched.path), touched.kind


def _kind(identity: Any) -> str:
    return str(identity.container_type).rpartition(".")[2]
