"""A moment: what the clocks said when an input came in.

The core never reads a clock; every machine is handed one of these with its input.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Moment"]


class Moment(NamedTuple):
    """Two readings of one instant.

    `monotonic_s` is for deadlines and never jumps; `wall_s` (seconds since 1970, UTC) is only
    ever recorded, never compared.
    """

    monotonic_s: float
    wall_s: float
