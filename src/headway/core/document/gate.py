"""The gate: every call into the engine passes here.

Not the engine itself (`crdt`) and not a lock to hold for anything but engine calls. The engine's
errors are bare `BaseException`s, which `except Exception` lets through to the top of a process, and
panics, after which a document's inner locks may never be free again. The gate turns both into
errors of our tree, and leaves KeyboardInterrupt, SystemExit, GeneratorExit and the cancellation of
a task alone: it knows the engine's by their exact type, not the others by a list.
"""

from __future__ import annotations

import threading
from types import TracebackType

from headway.errors import DocumentError, EditError, EngineFailure

__all__ = ["EngineLock", "Gate"]

_PANIC_MODULE = "pyo3_runtime"
"""Where the engine's binding defines its PanicException (PyO3); it cannot be imported."""

_BINDING_ERRORS = (UnicodeEncodeError, OverflowError, TypeError, ValueError)
"""What the binding itself raises for arguments that it cannot convert."""


class EngineLock:
    """One document's lock, and the reason why the document must not be used any more."""

    __slots__ = ("broken", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.broken: str | None = None


class Gate:
    """A context manager around engine calls: takes the lock, translates the errors.

    Args:
        engine: the document's lock; several gates may share it.
        refusal: what a clean refusal of the engine becomes. A panic is always an EngineFailure,
            and so is every later passage: a document that panicked is rebuilt, not used.
    """

    __slots__ = ("_engine", "_lock", "_refusal")

    def __init__(self, engine: EngineLock, refusal: type[DocumentError | EditError]) -> None:
        self._engine = engine
        self._lock = engine.lock
        self._refusal = refusal

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._engine.broken is not None:
            self._lock.release()
            raise EngineFailure(
                "This replica failed earlier and must be rebuilt from its stored updates.",
                detail=self._engine.broken,
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._translate(error)
        finally:
            self._lock.release()

    def _translate(self, error: BaseException) -> None:
        detail = str(error).partition(" Position: ")[0]  # the rest is a path on a build machine
        if type(error).__module__ == _PANIC_MODULE:
            self._engine.broken = detail
            raise EngineFailure(
                "The document engine failed; rebuild this replica from its stored updates.",
                detail=detail,
            ) from error
        if type(error) is BaseException or isinstance(error, _BINDING_ERRORS):
            raise self._refusal(f"The document engine refused: {detail}", detail=detail) from error
