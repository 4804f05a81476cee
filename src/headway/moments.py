"""A moment: what the clocks said when an input came in.

The core never reads a clock; every machine is handed one of these with its input.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Moment", "earliest"]


class Moment(NamedTuple):
    """Two readings of one instant.

    `monotonic_s` is for deadlines and never jumps; `wall_s` (seconds since 1970, UTC) is only
    ever recorded, never compared.
    """

    monotonic_s: float
    wall_s: float


def earliest(*deadlines: float | None) -> float | None:
    """The first of some deadlines, of which each may be none; None if all are."""
    first: float | None = None
    for deadline in deadlines:
        if deadline is not None and (first is None or deadline < first):
            first = deadline
    return first
