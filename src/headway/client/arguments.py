"""What callers give, looked at before anything is done with it.

Floor 5. Python takes any value for an argument. A mistake that would be found only where it does
harm is told here, where it was made; what the daemon checks of a request is left to the daemon.
"""

from __future__ import annotations

import math
from numbers import Real

from headway.errors import BadRequest

__all__ = ["checked_limit", "checked_timeout"]


def checked_timeout(timeout_s: float) -> float:
    """The seconds that a wait may take which must have an end. Raises BadRequest."""
    limit_s = checked_limit(timeout_s)
    if limit_s is None:
        raise BadRequest(
            f"This wait needs an end: give `timeout` as a number of seconds, not {timeout_s}.",
            field="timeout",
        )
    return limit_s


def checked_limit(timeout_s: float | None) -> float | None:
    """The seconds that a wait may take; None, and infinity, are no limit. Raises BadRequest.

    A time-out that is no number would have its wait end at once, or never: NaN is neither before
    nor after anything.
    """
    if timeout_s is None:
        return None
    is_number = isinstance(timeout_s, Real) and not isinstance(timeout_s, bool)
    try:
        seconds = float(timeout_s) if is_number else math.nan
    except OverflowError:
        seconds = math.inf
    if math.isnan(seconds):
        raise BadRequest(
            f"`timeout` is a number of seconds, and {timeout_s!r} is none.", field="timeout"
        )
    return None if seconds == math.inf else seconds
