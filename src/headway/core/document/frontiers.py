"""Frontiers as the engine encodes them, looked into before it decodes them.

Floor 1. Their number, then the peer and the counter of each, as variable-length integers; the
counter is signed (zigzag: negative ones are odd). No change has a negative counter, but the engine
takes one, and panics when it looks for it (loro 1.17.1).
Source: the wire format of postcard, https://postcard.jamesmunns.com/wire-format.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

__all__ = ["has_negative_counter"]


def has_negative_counter(encoded: bytes) -> bool:
    """Whether one of these frontiers names a change that nobody can have made."""
    return any(number % 2 for number in islice(_numbers(encoded), 2, None, 2))


def _numbers(encoded: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in encoded:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
