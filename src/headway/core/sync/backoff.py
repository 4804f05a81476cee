"""How long to wait before the next attempt: doubling, jittered, bounded.

Floor 2. It decides delays and nothing else: it does not know what is attempted, and reads no
clock. The jitter is what keeps a hundred clients from coming back in the same millisecond.
"""

from __future__ import annotations

from headway.ids import Entropy

__all__ = ["BACKOFF_FIRST_S", "BACKOFF_LONGEST_S", "Backoff"]

BACKOFF_FIRST_S = 0.05
"""The longest first delay."""

BACKOFF_LONGEST_S = 5.0
"""No delay is longer."""


class Backoff:
    """A growing delay. Each is drawn from the upper half of a bound that doubles."""

    def __init__(
        self,
        *,
        first_s: float = BACKOFF_FIRST_S,
        longest_s: float = BACKOFF_LONGEST_S,
    ) -> None:
        assert 0 < first_s <= longest_s, (first_s, longest_s)
        self._first_s = first_s
        self._longest_s = longest_s
        self._bound_s = first_s

    def next_delay_s(self, entropy: Entropy) -> float:
        """The delay before the next attempt; the one after it may be twice as long."""
        bound_s = self._bound_s
        self._bound_s = min(bound_s * 2, self._longest_s)
        fraction = int.from_bytes(entropy(4), "big") / 0xFFFF_FFFF
        return bound_s * (0.5 + 0.5 * fraction)

    def reset(self) -> None:
        """An attempt went well: begin again with the shortest delay."""
        self._bound_s = self._first_s
