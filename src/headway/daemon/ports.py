"""What the daemon is made of: the outside world it was given, and a way to reach a peer.

Floor 5. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headway.edges.ports import Blobs, Clock, Environments, Files, Kernels, Store, Watching
from headway.ids import Entropy

__all__ = ["Outlet", "Outside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """One of each port."""

    store: Store
    blobs: Blobs
    files: Files
    watching: Watching
    kernels: Kernels
    environments: Environments
    clock: Clock
    entropy: Entropy


class Outlet(Protocol):
    """A connection as rooms see it. Neither call blocks or fails."""

    def send(self, frames: tuple[bytes, ...]) -> None:
        """Put frames on its outbox."""

    def close(self, code: int, reason: str) -> None:
        """End it once its outbox is empty."""
