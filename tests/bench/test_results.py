"""What a benchmark concludes from its values."""

from __future__ import annotations

import math

import pytest

from results import Aim, Curve, Figure, Point, exponent, percentile


def figure() -> Figure:
    rounds = {"ours": [[1.0, 1.0], [4.0, 4.0]], "peer": [[2.0, 2.0], [2.0, 2.0]]}
    return Figure(name="f", unit="s", ours=["ours"], rounds=rounds)


def curve(kind: str, costs: list[float], most: float | None = None) -> Curve:
    points = [Point(10.0**power, [cost]) for power, cost in enumerate(costs)]
    return Curve(
        name="c",
        size="cells",
        unit="s",
        kind=kind,
        series={"ours": points},
        ours=["ours"],
        plot="c",
        most=most,
    )


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([0.0, 10.0], 0.95) == 9.5
    assert math.isnan(percentile([], 0.5))


def test_a_ratio_is_of_all_values_and_its_spread_of_single_rounds() -> None:
    assert figure().ratio("ours", "peer") == 1.25
    low, high = figure().spread("ours", "peer")
    assert low == pytest.approx(0.65)
    assert high == pytest.approx(1.85)


def test_an_aim_is_a_ratio_or_a_limit_or_unknown() -> None:
    assert figure().reached(Aim(1.0, "peer")) == 1.25
    assert figure().reached(Aim(1.0)) == 2.5
    assert figure().reached(Aim(1.0, "who did not come")) is None


def test_the_exponent_says_how_a_cost_grows() -> None:
    def cost(power: float) -> list[Point]:
        return [Point(size, [3.0 * size**power]) for size in (1.0, 10.0, 1_000.0)]

    for power in (0.0, 1.0, 2.0):
        assert exponent(cost(power)) == pytest.approx(power)


def test_a_step_that_grows_and_a_whole_worse_than_linear_are_defects() -> None:
    assert curve("each", [1.0, 1.2, 1.4], most=1.5).defect("ours") == ""
    assert "grows 1.6 times" in curve("each", [1.0, 1.2, 1.6], most=1.5).defect("ours")
    assert curve("whole", [1.0, 10.0, 100.0]).defect("ours") == ""
    assert "power 2.00" in curve("whole", [1.0, 100.0, 10_000.0]).defect("ours")
