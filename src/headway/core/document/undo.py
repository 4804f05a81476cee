"""Undo and redo of one peer's own commits.

Not the history (`history`) and no way back to any past version. Keeps the last `MAX_UNDO_STEPS`
commits since it was made. A cell that was added is hidden by undo, never removed, so that what
others typed into it meanwhile is there again after redo: `notebook` commits it hidden first, which
is no step, and the step only shows it.
"""

from __future__ import annotations

from collections.abc import Callable

from headway.core.document.crdt import Replica

__all__ = ["MAX_UNDO_STEPS", "Undo"]

MAX_UNDO_STEPS = 100


class Undo:
    """The steps that the replica's own peer makes from now on, one a commit.

    What others wrote is never undone. Lost when the replica is rebuilt.

    Args:
        replica: the replica whose commits become steps.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._engine = replica.new_undo_engine()
        with replica.gate:
            self._engine.set_merge_interval(0)
            self._engine.set_max_undo_steps(MAX_UNDO_STEPS)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        with self._replica.gate:
            return bool(self._engine.can_undo())

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step."""
        with self._replica.gate:
            return bool(self._engine.can_redo())

    def undo(self, wall_s: float, message: str) -> bool:
        """Undo the last step as a new commit; False if there was none.

        A step of which nothing is left to see (others wrote over it) is passed over.
        """
        return self._step(self._engine.undo, self._engine.can_undo, wall_s, message)

    def redo(self, wall_s: float, message: str) -> bool:
        """Do the last undone step again as a new commit; False if there was none."""
        return self._step(self._engine.redo, self._engine.can_redo, wall_s, message)

    def _step(
        self, step: Callable[[], bool], can_step: Callable[[], bool], wall_s: float, message: str
    ) -> bool:
        with self._replica.gate:
            while not self._replica.commit_by(step, wall_s, message):
                if not can_step():
                    return False
            return True
