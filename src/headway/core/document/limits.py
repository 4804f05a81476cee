"""How much one import may bring and how far back one read may go, with the errors beyond.

Not the checks of single edits (`edits`). The figures were measured on one 2-core machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headway.errors import HeadsTooOld, UpdateTooLarge

__all__ = [
    "DEFAULT_LIMITS",
    "MAX_DIFF_OPERATIONS",
    "MAX_IMPORT_BYTES",
    "MAX_IMPORT_OPERATIONS",
    "MAX_SCAN_OPERATIONS",
    "TRUSTED",
    "ImportLimits",
    "check_distance",
]

MAX_IMPORT_BYTES = 16 * 1024 * 1024

MAX_IMPORT_OPERATIONS = 1_250_000
"""Operations in one import. An inserted character counts as one, so this lets the largest source
(`edits.MAX_SOURCE_CHARACTERS`) be pasted at once, with all that its writer did offline before.

What it bounds is a stall, and a count cannot tell the cases apart: a million characters pasted
take 2 ms (`bulk`), but 4 s if others wrote meanwhile; 400,000 insertions apart from each other
take 0.6 s, this many 2 s. The stall is the smaller harm: it is rare, and a peer whose paste is
refused loses its replica."""

MAX_DIFF_OPERATIONS = 20_000
"""How far back a reverse diff goes: 4 us an operation, so 80 ms at worst."""

MAX_SCAN_OPERATIONS = MAX_IMPORT_OPERATIONS
"""How far back a scan for touched containers goes: 60 ns an operation, so 75 ms at worst. Not less
than one import may bring, for each import is scanned."""


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """What one import may bring. None: no limit."""

    max_bytes: int | None = MAX_IMPORT_BYTES
    max_operations: int | None = MAX_IMPORT_OPERATIONS

    def check_bytes(self, size: int) -> None:
        """Raise UpdateTooLarge beyond the limit."""
        _check("bytes", self.max_bytes, size)

    def check_operations(self, count: int) -> None:
        """Raise UpdateTooLarge beyond the limit."""
        _check("operations", self.max_operations, count)


DEFAULT_LIMITS: Final = ImportLimits()

TRUSTED: Final = ImportLimits(max_bytes=None, max_operations=None)
"""For what the daemon or the store gives."""


def _check(unit: str, limit: int | None, actual: int) -> None:
    if limit is not None and actual > limit:
        raise UpdateTooLarge(
            f"The update has {actual} {unit}, over the limit of {limit}; send it in parts.",
            limit=limit,
            actual=actual,
        )


def check_distance(distance: int, limit: int) -> None:
    """Raise HeadsTooOld if a read would go back more than `limit` operations."""
    if distance > limit:
        raise HeadsTooOld(
            f"These heads lie {distance} operations back, over the limit of {limit}; "
            "read again at newer heads.",
            distance=distance,
            limit=limit,
        )
