"""What a benchmark gives: figures of contenders in one run, tables of counts, curves of growth.

A ratio is one of medians over all rounds; its spread is that of the ratios of the single rounds
(tenth to ninetieth percentile), because the machine's speed drifts between rounds.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec

__all__ = [
    "Aim",
    "Curve",
    "Figure",
    "Point",
    "Result",
    "Rounds",
    "Summary",
    "Table",
    "exponent",
    "percentile",
]

Rounds = dict[str, list[list[float]]]
"""Contender -> the values of each of its rounds."""

LINEAR_EXPONENT = 1.15
"""An exponent above it is called worse than linear; noise alone gives some hundredths."""


class Aim(msgspec.Struct, frozen=True, tag=True):
    """At most `limit`: times what `over` needs, or in the figure's unit when `over` is None."""

    limit: float
    over: str | None = None
    share: float = 0.5
    """Which percentile is meant."""
    ours: str | None = None
    """Which of our contenders; None is the figure's first."""


class Summary(msgspec.Struct, frozen=True):
    """The percentiles of one contender's values."""

    p50: float
    p95: float
    p99: float
    count: int


class Figure(msgspec.Struct, tag=True, kw_only=True):
    """One question, and what each contender needed. Times are in seconds, whatever is shown."""

    name: str
    unit: str
    """`ms`, `s`, or the unit that the values have."""
    ours: list[str]
    rounds: Rounds
    absent: dict[str, str] = {}
    """Contender -> why there is no figure of it."""
    aims: list[Aim] = []
    note: str = ""
    plot: str = ""
    """The name of its plot's file, without its ending, if it has one."""

    def summary(self, contender: str) -> Summary:
        values = list(itertools.chain(*self.rounds[contender]))
        p50, p95, p99 = (percentile(values, share) for share in (0.5, 0.95, 0.99))
        return Summary(p50, p95, p99, len(values))

    def ratio(self, ours: str, peer: str, share: float = 0.5) -> float:
        """How many times the peer's value ours is; above 1, the peer is ahead."""
        mine, theirs = (
            percentile(itertools.chain(*self.rounds[name]), share) for name in (ours, peer)
        )
        return mine / theirs if theirs else math.inf

    def spread(self, ours: str, peer: str) -> tuple[float, float]:
        """The ratio's tenth and ninetieth percentile over the rounds that both took part in."""
        ratios = [
            statistics.median(mine) / statistics.median(theirs)
            for mine, theirs in zip(self.rounds[ours], self.rounds[peer], strict=False)
            if mine and theirs and statistics.median(theirs)
        ]
        return percentile(ratios, 0.1), percentile(ratios, 0.9)

    def reached(self, aim: Aim) -> float | None:
        """What stands where the aim puts its limit; None if a contender of it is absent."""
        ours = aim.ours or self.ours[0]
        if ours not in self.rounds or (aim.over and aim.over not in self.rounds):
            return None
        if aim.over is None:
            value: float = getattr(self.summary(ours), f"p{round(aim.share * 100)}")
            return value
        return self.ratio(ours, aim.over, aim.share)


class Table(msgspec.Struct, tag=True, kw_only=True):
    """Counts and other things that are no distribution. `must_be_zero` are our columns of shame."""

    name: str
    columns: list[str]
    lines: dict[str, list[str]]
    absent: dict[str, str] = {}
    ours: list[str] = []
    must_be_zero: list[str] = []
    note: str = ""


class Point(msgspec.Struct, frozen=True):
    """What something cost at one size."""

    size: float
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Curve(msgspec.Struct, tag=True, kw_only=True):
    """A cost against a size.

    `kind` is "each" for the cost of one step, which should not grow (`most` bounds the ratio of
    the largest size to the smallest), or "whole" for a cost of everything, linear at worst.
    """

    name: str
    size: str
    unit: str
    kind: str
    series: dict[str, list[Point]]
    ours: list[str]
    plot: str
    """The name of the plot's file, without its ending."""
    most: float | None = None
    absent: dict[str, str] = {}
    note: str = ""

    def growth(self, contender: str) -> float:
        """The cost at the largest size over that at the smallest."""
        points = self.series[contender]
        return points[-1].median / points[0].median if points[0].median else math.inf

    def defect(self, contender: str) -> str:
        """In words, what is wrong with how it grows; empty if nothing is."""
        if self.kind == "each" and self.most and self.growth(contender) > self.most:
            return f"grows {self.growth(contender):.1f} times where {self.most:g} is the most"
        slope = exponent(self.series[contender])
        if self.kind == "whole" and slope > LINEAR_EXPONENT:
            return f"grows with the power {slope:.2f} of the size"
        return ""


Result = Figure | Table | Curve


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of them lie, interpolated; not a number of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def exponent(points: Sequence[Point]) -> float:
    """The slope of the cost against the size, both as logarithms, by least squares."""
    usable = [each for each in points if each.size > 0 and each.median > 0]
    if len(usable) < 2:
        return math.nan
    sizes = [math.log(each.size) for each in usable]
    costs = [math.log(each.median) for each in usable]
    return statistics.linear_regression(sizes, costs).slope
