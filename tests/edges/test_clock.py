"""Time that passes, and time that passes when told."""

from __future__ import annotations

import time

from headway.edges.clock import SystemClock
from headway.edges.memory import FakeClock


def test_the_system_clock_reads_both_clocks() -> None:
    before = (time.monotonic(), time.time())
    moment = SystemClock().now()
    after = (time.monotonic(), time.time())
    assert before[0] <= moment.monotonic_s <= after[0]
    assert before[1] <= moment.wall_s <= after[1]


def test_the_fake_clock_moves_when_told_and_its_wall_clock_may_jump() -> None:
    clock = FakeClock(monotonic_s=5.0, wall_s=100.0)
    assert clock.now() == clock.now() == (5.0, 100.0)
    assert clock.advance(2.5) == (7.5, 102.5)
    clock.set_wall(0.0)
    assert clock.now() == (7.5, 0.0)
