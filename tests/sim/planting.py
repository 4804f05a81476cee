"""How a known bug is put into the product: a patch, a name, and the seeds that show it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from headway.errors import HeadwayError
from sim.books import Violation

__all__ = ["FOUND", "PLANTED", "Planted", "instead", "planted"]

FOUND = (Violation, HeadwayError)
"""How a bug shows: a property of the oracle, or the product's own refusal to go on."""

Patch = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Planted:
    """A bug: its name, where the field had it, and the seeds that show it."""

    name: str
    patch: Patch
    seeds: tuple[int, ...] = ()


PLANTED: dict[str, Planted] = {}


def planted(*seeds: int) -> Callable[[Patch], Patch]:
    """Note a bug and the seeds that are known to show it."""

    def note(make: Patch) -> Patch:
        PLANTED[make.__name__] = Planted(make.__name__, make, seeds)
        return make

    return note


def instead(owner: Any, name: str, replacement: Any) -> AbstractContextManager[object]:
    return patch.object(owner, name, replacement)
