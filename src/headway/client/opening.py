"""A notebook that is being opened, and the name of its file.

Floor 5. Awaited it gives the notebook; as an asynchronous context it also closes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headway.edges.paths import named_path
from headway.errors import BadRequest

if TYPE_CHECKING:
    from headway.client.aio import AsyncNotebook

__all__ = ["SUFFIX", "AsyncOpening", "notebook_path"]

SUFFIX = ".ipynb"
"""How the name of a notebook's file ends."""


class AsyncOpening:
    """A notebook being opened: await it, or use it as an asynchronous context."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, AsyncNotebook]]) -> None:
        """Not for callers."""
        self._begin = begin
        self._notebook: AsyncNotebook | None = None

    def __await__(self) -> Generator[Any, None, AsyncNotebook]:
        notebook: AsyncNotebook = yield from self._begin().__await__()
        return notebook

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


def notebook_path(path: str | os.PathLike[str]) -> str:
    """The absolute path of a notebook's file; `.ipynb` is added where it is missing.

    Raises BadRequest for what can be no file.
    """
    chosen = Path(path)
    if chosen.name in {"", ".."} or "\0" in str(chosen):
        raise BadRequest(f"{os.fspath(path)!r} can be no notebook's file.", path=os.fspath(path))
    if not chosen.name.endswith(SUFFIX):
        chosen = chosen.with_name(chosen.name + SUFFIX)
    return str(named_path(chosen))
