"""The time limit that a person names for a command.

Floor 6.
"""

from __future__ import annotations

import math

__all__ = ["check_timeout"]


def check_timeout(timeout_s: float | None) -> None:
    """Raise BadRequest for what is no time to wait; None is no limit."""
    from headway.errors import BadRequest

    if timeout_s is not None and not 0 < timeout_s < math.inf:
        raise BadRequest(f"--timeout must be more than 0 seconds, and is {timeout_s:g}.")
