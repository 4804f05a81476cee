"""Which execution ids a notebook has accepted, and which it may have forgotten.

Floor 3. An id that was accepted is answered for and never runs again. The store forgets the oldest
ones in the end; up to the time at which the last forgotten one was minted an unknown id may be one
of them, so it is refused instead of being run a second time.
"""

from __future__ import annotations

from collections.abc import Mapping

from headway.errors import ExecutionExpired, ExecutionNotFound
from headway.ids import ExecutionId, minted_ms

__all__ = ["Taken", "not_found"]


class Taken(dict[ExecutionId, ExecutionId]):
    """Every accepted id, and the execution that answers for it.

    Args:
        accepted: Those that the store remembers.
        horizon_ms: Ids minted up to then, in milliseconds since 1970, may have been forgotten.
    """

    def __init__(self, accepted: Mapping[ExecutionId, ExecutionId], horizon_ms: int) -> None:
        super().__init__(accepted)
        self._horizon_ms = horizon_ms

    def check_age(self, minted: ExecutionId) -> None:
        """Raise ExecutionExpired when this id, unknown here, may have been forgotten.

        `minted` is an execution's id or that of a batch.
        """
        at_ms = minted_ms(minted)
        if at_ms is not None and at_ms <= self._horizon_ms:
            raise ExecutionExpired(
                "That id was minted too long ago to know whether it has run already, so it was not "
                "run. Ask again with a fresh id; if it was fresh, set this machine's clock.",
                execution_id=minted,
                minted_ms=at_ms,
                horizon_ms=self._horizon_ms,
            )


def not_found(execution_id: ExecutionId) -> ExecutionNotFound:
    """The error for an id that nobody accepted."""
    return ExecutionNotFound(
        f"There is no execution {execution_id}; it was never accepted here.",
        execution_id=execution_id,
    )
