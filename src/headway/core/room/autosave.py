"""When to write the notebook's file, and what to think of a write that failed.

Floor 3. Arithmetic over moments and versions; the writing itself is an effect of the room.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.errors import HeadwayError
from headway.moments import Moment

__all__ = [
    "AUTOSAVE_LATEST_S",
    "AUTOSAVE_QUIET_S",
    "AUTOSAVE_REST",
    "AUTOSAVE_REST_MOST_S",
    "PERMANENT_S",
    "RETRY_S",
    "Autosave",
]

AUTOSAVE_QUIET_S = 1.0
"""A changed notebook is written after this long without a further change."""

AUTOSAVE_LATEST_S = 5.0
"""A changed notebook is written after this long at the latest, however busy its writers."""

AUTOSAVE_REST = 9.0
"""After a write the next one rests so many times as long as it took: a large file that changes all
the time is written for a tenth of the time, whatever its size."""

AUTOSAVE_REST_MOST_S = 60.0
"""But no longer than this: one write may have waited for a disk that was away."""

RETRY_S = (2.0, 5.0, 15.0, 60.0)
"""Waits between attempts while the disk refuses; the last one repeats."""

PERMANENT_S = 60.0
"""After a refusal that does not pass by itself (a folder in the file's place, no permission), the
next change later than this is a reason to try again; time alone is none."""


@dataclass(slots=True)
class Autosave:
    """Whether and when the file is behind the document."""

    changed_first_s: float | None = None
    changed_last_s: float | None = None
    writing: bool = False
    error: HeadwayError | None = None
    _rests_until_s: float = 0.0
    _failures: int = 0
    _not_before_s: float = 0.0
    _has_given_up: bool = False

    @property
    def is_behind(self) -> bool:
        """Whether something is not in the file yet."""
        return self.changed_first_s is not None or self.writing

    @property
    def has_given_up(self) -> bool:
        """Whether nothing will be written before something changes."""
        return self._has_given_up and not self.writing

    def changed(self, now: Moment) -> None:
        """Something that the file contains is different now."""
        if self._not_before_s <= now.monotonic_s:
            self._has_given_up = False
        if self.changed_first_s is None:
            self.changed_first_s = now.monotonic_s
        self.changed_last_s = now.monotonic_s

    def hurry(self, now: Moment) -> None:
        """Nobody is here to change it further: there is nothing to wait for."""
        if self.changed_last_s is not None:
            self.changed_last_s = now.monotonic_s - AUTOSAVE_QUIET_S

    def began(self) -> None:
        """A write of everything up to now has begun."""
        self.writing = True
        self.changed_first_s = self.changed_last_s = None

    def succeeded(self, now: Moment | None = None, took_s: float = 0.0) -> None:
        """The write is done; when, and how long it took."""
        self.writing = False
        self.error = None
        self._failures = 0
        self.try_again()
        if now is not None:
            rest_s = min(AUTOSAVE_REST * took_s, AUTOSAVE_REST_MOST_S)
            self._rests_until_s = now.monotonic_s + rest_s

    def put_off(self, now: Moment) -> None:
        """The write was not done, for a reason that is being seen to."""
        self.writing = False
        self.changed(now)

    def failed(self, error: HeadwayError, now: Moment) -> None:
        """The write was not done: try later, or, if that would not help, wait for a change."""
        self.writing = False
        self.error = error
        self.changed(now)
        self._has_given_up = error.data.get("transient") is False
        wait_s = RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1
        self._not_before_s = now.monotonic_s + (PERMANENT_S if self._has_given_up else wait_s)

    def try_again(self) -> None:
        """What stood in the way may be gone."""
        self._not_before_s = 0.0
        self._has_given_up = False

    def next_deadline(self) -> float | None:
        """When to write, in monotonic seconds; None if there is nothing to write."""
        if self.changed_first_s is None or self.writing or self._has_given_up:
            return None
        assert self.changed_last_s is not None, "a first change without a last one"
        quiet = self.changed_last_s + AUTOSAVE_QUIET_S
        latest = self.changed_first_s + AUTOSAVE_LATEST_S
        return max(min(quiet, latest), self._not_before_s, self._rests_until_s)

    def is_due(self, now: Moment) -> bool:
        """Whether to write now."""
        deadline = self.next_deadline()
        return deadline is not None and deadline <= now.monotonic_s
