"""Confirmation: which changes the other side is known to hold, and who waits for which.

Floor 2. A confirmation is true by containment alone: the version that the caller had when it
asked lies inside the version that the other side acknowledged or showed. No frame count, no
time-out and no other acknowledgement makes one true, and it becomes true while others keep
writing. Waiters are passive: they are settled by what arrives, in the order they asked, and
nothing here waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headway.core.document.crdt import Version
from headway.errors import ConfirmTimeout, ConnectionLost, HeadwayError
from headway.ids import Heads, heads_to_text

__all__ = ["CONFIRM_TIMEOUT_S", "Confirmation", "Confirmations", "Durability", "Settled"]

CONFIRM_TIMEOUT_S = 30.0
"""How long a confirmation is waited for when the caller names no time-out."""

Durability = Literal["durable", "accepted"]
"""What an acknowledgement says: `durable`, it is on the disk; `accepted`, it was taken."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The answer to "does the other side have everything I have?".

    `heads` are the heads of the caller's document when it asked. `confirmed` is False only in
    the forgiving form (`required=False`); then `error` says why.
    """

    heads: Heads
    elapsed_s: float
    confirmed: bool = True
    durability: Durability = "durable"
    error: HeadwayError | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The waiter `token` has its answer."""

    token: int
    outcome: Confirmation | HeadwayError


@dataclass(frozen=True, slots=True)
class _Waiter:
    token: int
    wanted: Version
    heads: Heads
    asked_s: float
    deadline_s: float


class Confirmations:
    """The version the other side holds, and the waiters for it."""

    def __init__(self) -> None:
        self.remote = Version.EMPTY
        self.durability: Durability = "accepted"
        self._waiters: dict[int, _Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def ask(
        self, token: int, wanted: Version, heads: Heads, *, now_s: float, deadline_s: float
    ) -> list[Settled]:
        """Wait for `wanted` until `deadline_s` (monotonic); settled at once if it is held."""
        assert token not in self._waiters, f"confirmation {token} was asked for twice"
        self._waiters[token] = _Waiter(token, wanted, heads, now_s, deadline_s)
        return self._settle_contained(now_s)

    def advance(self, version: Version, now_s: float) -> list[Settled]:
        """The other side holds `version` too: it acknowledged it, or showed it."""
        self.remote = self.remote.merged(version)
        return self._settle_contained(now_s)

    def replace(self, version: Version, now_s: float) -> list[Settled]:
        """The other side holds exactly `version`: it said so when it let us in.

        Replaced, not merged: a daemon that came back from an older copy of its disk holds less
        than it once acknowledged, and must be told again.
        """
        self.remote = version
        return self._settle_contained(now_s)

    def expire(self, now_s: float, away: str | None) -> list[Settled]:
        """Settle the waiters whose deadline has passed, each with a typed error.

        `away` is why there is no connection; None when there is one.
        """
        late = [waiter for waiter in self._waiters.values() if waiter.deadline_s <= now_s]
        return [self._settle(waiter, _late(waiter, now_s, away)) for waiter in late]

    def fail(self, error: HeadwayError) -> list[Settled]:
        """Settle every waiter with `error`: no confirmation can come any more."""
        return [self._settle(waiter, error) for waiter in list(self._waiters.values())]

    def abandon(self, token: int) -> None:
        """Nobody waits for `token` any more."""
        self._waiters.pop(token, None)

    def next_deadline_s(self) -> float | None:
        """The earliest deadline (monotonic), or None without waiters."""
        return min((waiter.deadline_s for waiter in self._waiters.values()), default=None)

    def _settle_contained(self, now_s: float) -> list[Settled]:
        held = [w for w in self._waiters.values() if self.remote.includes(w.wanted)]
        return [
            self._settle(
                waiter,
                Confirmation(waiter.heads, now_s - waiter.asked_s, durability=self.durability),
            )
            for waiter in held
        ]

    def _settle(self, waiter: _Waiter, outcome: Confirmation | HeadwayError) -> Settled:
        del self._waiters[waiter.token]
        return Settled(waiter.token, outcome)


def _late(waiter: _Waiter, now_s: float, away: str | None) -> HeadwayError:
    waited_s = round(now_s - waiter.asked_s, 3)
    missing = heads_to_text(waiter.heads)
    if away is not None:
        return ConnectionLost(
            f"There was no connection when the {waited_s} s for the confirmation ended ({away}); "
            "the changes are kept here and are sent when the connection is back.",
            missing=missing,
            waited_s=waited_s,
            reason=away,
        )
    return ConfirmTimeout(
        f"The changes were not acknowledged within {waited_s} s; they are kept here and may "
        "still arrive: ask again, or look at the daemon.",
        missing=missing,
        waited_s=waited_s,
    )
