"""Undo and redo of one peer's own commits.

Not the history (`history`) and no way back to any past version. Keeps the last `MAX_UNDO_STEPS`
commits since it was made.
"""

from __future__ import annotations

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
        """Undo the last step as a new commit; False if there was none."""
        return self._replica.commit_by(self._engine.undo, wall_s, message)

    def redo(self, wall_s: float, message: str) -> bool:
        """Do the last undone step again as a new commit; False if there was none."""
        return self._replica.commit_by(self._engine.redo, wall_s, message)
