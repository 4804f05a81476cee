"""Virtual time: one heap of things to do, and one trace of what was done."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from headway.moments import Moment

__all__ = ["Timeline", "Timer"]

START_S = 1_000.0
WALL_START_S = 1_700_000_000.0


class Timeline:
    """The only clock there is. It moves when there is nothing left to do at this instant."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.events = 0
        self.trace: list[tuple[float, str]] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> Moment:
        return Moment(self.now_s, WALL_START_S + self.now_s)

    def note(self, line: str) -> None:
        self.trace.append((self.now_s, line))

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (max(when_s, self.now_s), self._count, action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        self.at(self.now_s + delay_s, action)

    def run_until(self, when_s: float) -> None:
        while self._heap and self._heap[0][0] <= when_s:
            self.now_s, _, action = heapq.heappop(self._heap)
            self.events += 1
            action()
        self.now_s = max(self.now_s, when_s)

    def text(self) -> str:
        return "\n".join(f"{when_s - START_S:10.6f} {line}" for when_s, line in self.trace)


class Timer:
    """One deadline at a time; setting it anew forgets the old one."""

    def __init__(self, timeline: Timeline, action: Callable[[], None]) -> None:
        self._timeline = timeline
        self._action = action
        self._due_s: float | None = None
        self._generation = 0

    def set(self, due_s: float | None) -> None:
        if due_s == self._due_s:
            return
        self._due_s = due_s
        self._generation += 1
        if due_s is not None:
            generation = self._generation
            self._timeline.at(due_s, lambda: self._fire(generation))

    def _fire(self, generation: int) -> None:
        if generation == self._generation:
            self._due_s = None
            self._action()
