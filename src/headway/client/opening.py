"""A notebook that is being opened.

Floor 5. Awaited it gives the notebook; as an asynchronous context it also closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.client.aio import AsyncNotebook

__all__ = ["AsyncOpening"]


class AsyncOpening:
    """A notebook being opened: await it, or use it as an asynchronous context."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, AsyncNotebook]]) -> None:
        """Not for callers."""
        self._begin = begin
        self._notebook: AsyncNotebook | None = None

    def __await__(self) -> Generator[Any, None, AsyncNotebook]:
        notebook: AsyncNotebook = yield from self._begin().__await__()
        return notebook

    if not TYPE_CHECKING:  # a type checker says so itself, and would take any name otherwise

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}: it is no notebook "
                "until it is awaited (`await`) or entered (`async with`)."
            )

    async def __aenter__(self) -> AsyncNotebook:
        self._notebook = await self
        return self._notebook

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._notebook is not None, "entered before it is left"
        await self._notebook.__aexit__(kind, error, traceback)
