"""The system's clocks, as the daemon reads them.

Floor 4. The only place below the daemon that asks the operating system for the time; a test
hands out moments of its own (`memory.FakeClock`).
"""

from __future__ import annotations

import time

from headway.moments import Moment

__all__ = ["SystemClock"]


class SystemClock:
    """The operating system's monotonic and wall clocks."""

    def now(self) -> Moment:
        """This instant. The monotonic reading stands still while the machine is suspended."""
        return Moment(monotonic_s=time.monotonic(), wall_s=time.time())
