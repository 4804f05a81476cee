"""What became of an execution's outputs between two looks at its record, as events.

Floor 5. The record has them in the document's form; events have them as nbformat writes them,
with their large values, which are fetched only once and only for events that are given.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from headway.client.blobs import resolve_outputs
from headway.client.models import DisplayUpdated, Output, OutputsCleared
from headway.edges.paths import Paths

__all__ = ["OutputEvents"]

_Form = dict[str, Any]
_Event = Output | DisplayUpdated | OutputsCleared


class OutputEvents:
    """The outputs of one execution as far as events have told of them.

    Args:
        home: Where blobs are fetched; None if they cannot be.
        resolve: Whether outputs are given as nbformat writes them. If not, they stay in the
            document's form and nothing is fetched.
    """

    def __init__(self, home: Paths | None, *, resolve: bool) -> None:
        self._home = home
        self._resolve = resolve
        self._seen: tuple[_Form, ...] = ()

    async def since(self, shown: tuple[_Form, ...]) -> AsyncGenerator[_Event]:
        """What is new in `shown`, in order."""
        seen, self._seen = self._seen, shown
        if len(shown) < len(seen):
            yield OutputsCleared()
            seen = ()
        for index, form in enumerate(shown):
            if index >= len(seen):
                yield Output(index, await self._written(form))
            elif form != seen[index]:
                event = await self._changed(index, seen[index], form)
                if event is not None:
                    yield event

    async def _changed(self, index: int, before: _Form, after: _Form) -> _Event | None:
        """What changed; None if the same text is only kept elsewhere now."""
        added = await self._added(before, after)
        if added is None:
            return DisplayUpdated(index, await self._written(after))
        return Output(index, added) if added["text"] else None

    async def _added(self, before: _Form, after: _Form) -> _Form | None:
        """The stream `after` with only the text that `before` has not; None if it is another."""
        if after.get("output_type") != "stream" or before.get("name") != after.get("name"):
            return None
        old, new = before.get("sealed") or [], after.get("sealed") or []
        if new[: len(old)] != old or (len(new) > len(old) and not self._resolve):
            return None
        # What was sealed before is known: only what follows it is looked at, and fetched.
        tail = await self._written({**after, "sealed": new[len(old) :]} if self._resolve else after)
        text, known = tail.get("text"), before.get("text")
        if not isinstance(text, str) or not isinstance(known, str) or not text.startswith(known):
            return None
        return {**tail, "text": text[len(known) :]}

    async def _written(self, form: _Form) -> _Form:
        if not self._resolve:
            return form
        return (await resolve_outputs(self._home, [form]))[0]
