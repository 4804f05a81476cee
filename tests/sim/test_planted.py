"""The simulator finds each planted bug, and the worlds that show it are sound without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sim.planted import FOUND, PLANTED
from sim.world import World

MOST_SEEDS = 300
"""Within so many seeds each bug is found; the first that shows it is recorded with it."""


def shows(name: str, seed: int) -> bool:
    with PLANTED[name].patch():
        try:
            World(seed).run()
        except FOUND:
            return True
    return False


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_bug_is_found(name: str, record_property: Callable[[str, object], None]) -> None:
    known = PLANTED[name].seeds
    order = dict.fromkeys([*known, *range(MOST_SEEDS)])
    found = next((seed for seed in order if shows(name, seed)), None)
    assert found is not None, f"{MOST_SEEDS} worlds do not show {name}"
    record_property("seed", found)
    World(found).run()


def test_there_are_bugs_of_every_kind() -> None:
    assert len(PLANTED) >= 13
