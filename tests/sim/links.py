"""Connections: two first-in-first-out pipes that delay, stall, and lose all in flight when cut."""

from __future__ import annotations

import random
from collections.abc import Callable

from sim.timeline import Timeline

__all__ = ["Frame", "Link"]

Frame = bytes | str


class _Pipe:
    """One direction."""

    def __init__(self, link: Link, deliver: Callable[[Frame], None]) -> None:
        self.link = link
        self.deliver = deliver
        self.free_s = 0.0
        self.in_flight = 0

    def send(self, frame: Frame) -> None:
        link = self.link
        latency_s = link.latency_s * link.dice.uniform(0.3, 2.0)
        self.free_s = max(self.free_s, link.timeline.now_s + latency_s)
        self.in_flight += 1
        link.timeline.at(self.free_s, lambda: self._arrive(frame))

    def _arrive(self, frame: Frame) -> None:
        self.in_flight -= 1
        if self.link.carries:
            self.deliver(frame)


class Link:
    """A connection between a client and the daemon. `number` is the daemon's name for it."""

    def __init__(
        self,
        timeline: Timeline,
        dice: random.Random,
        number: int,
        latency_s: float,
        *,
        to_daemon: Callable[[Frame], None],
        to_client: Callable[[Frame], None],
        daemon_ended: Callable[[], None],
        client_ended: Callable[[str], None],
    ) -> None:
        self.timeline = timeline
        self.dice = dice
        self.number = number
        self.latency_s = latency_s
        self.carries = True
        self.daemon_knows = False
        self.client_knows = False
        self.up = _Pipe(self, to_daemon)
        self.down = _Pipe(self, to_client)
        self._daemon_ended = daemon_ended
        self._client_ended = client_ended

    def send_up(self, frame: Frame) -> None:
        if self.carries and not self.client_knows:
            self.up.send(frame)

    def send_down(self, frame: Frame) -> None:
        if self.carries and not self.daemon_knows:
            self.down.send(frame)

    def stall(self, seconds: float, *, up: bool) -> None:
        """Nothing more arrives that way for a while; nothing is lost."""
        pipe = self.up if up else self.down
        pipe.free_s = max(pipe.free_s, self.timeline.now_s + seconds)

    def cut(self, *, longest_s: float = 0.3) -> None:
        """What is in flight is lost; each end finds out in its own time."""
        if not self.carries:
            return
        self.carries = False
        self.timeline.after(self.dice.uniform(0, longest_s), self.tell_daemon)
        self.timeline.after(self.dice.uniform(0, longest_s), lambda: self.tell_client("cut"))

    def hang_up(self, *, by_daemon: bool, reason: str) -> None:
        """One end closes: what it sent before still arrives, then the other end knows."""
        if by_daemon:
            self.daemon_knows = True
            last_s = max(self.down.free_s, self.timeline.now_s + self.latency_s)
            self.timeline.at(last_s, lambda: self.tell_client(reason))
        else:
            self.client_knows = True
            last_s = max(self.up.free_s, self.timeline.now_s + self.latency_s)
            self.timeline.at(last_s, self.tell_daemon)

    def tell_daemon(self) -> None:
        if not self.daemon_knows:
            self.daemon_knows = True
            self._daemon_ended()
        self.carries = self.carries and not self.client_knows

    def tell_client(self, reason: str) -> None:
        if not self.client_knows:
            self.client_knows = True
            self._client_ended(reason)
        self.carries = self.carries and not self.daemon_knows
