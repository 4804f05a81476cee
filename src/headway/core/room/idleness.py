"""How long a kernel has had nothing to do, and when that is long enough to end it.

Floor 3. Off unless a limit is set. A kernel is idle while it lives, nothing runs or waits, it has
handled what widgets sent it, and no request of anybody is under way; whatever is asked of it, or
said by it, begins the time anew.
"""

from __future__ import annotations

from headway.moments import Moment

__all__ = ["Idleness"]


class Idleness:
    """The clock of one kernel's idleness.

    Args:
        limit_s: After so many seconds it has been idle for long enough; None: never.
    """

    def __init__(self, limit_s: float | None) -> None:
        self.limit_s = limit_s
        self._since_s: float | None = None

    def watch(self, now: Moment, *, is_idle: bool) -> None:
        """After every input: whether the kernel is idle as it is left."""
        if not is_idle:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now.monotonic_s

    def touched(self) -> None:
        """Somebody wanted something of the kernel, or it said something."""
        self._since_s = None

    def next_deadline(self) -> float | None:
        """When it will have been idle for long enough, in monotonic seconds."""
        if self.limit_s is None or self._since_s is None:
            return None
        return self._since_s + self.limit_s

    def is_over(self, now: Moment) -> bool:
        """Whether it has been idle for long enough."""
        deadline_s = self.next_deadline()
        return deadline_s is not None and deadline_s <= now.monotonic_s
