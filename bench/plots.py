"""The plots of a run, as small SVG files beside the documentation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from results import Curve, Figure, Result, exponent

__all__ = ["FOLDER", "draw"]

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"
OURS_COLOUR = "#0b6e4f"
PEER_COLOURS = ["#c8553d", "#5b7db1", "#8a7b3d", "#7a5195", "#6b6b6b"]
_SCALES = {"ms": 1e3, "s": 1.0, "MB": 1e-6, "kB": 1e-3}


def draw(results: Sequence[Result], folder: Path = FOLDER) -> None:
    """Replace the plots in a folder: one for each curve, one for each figure that names peers."""
    mpl.use("svg")
    # Text stays text and ids do not change from run to run: small files, small differences.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "headway", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.glob("*.svg"):
        former.unlink()
    for result in results:
        if isinstance(result, Curve):
            _save(_curve, result, folder / f"{result.plot}.svg")
        elif isinstance(result, Figure) and result.plot:
            _save(_bars, result, folder / f"{result.plot}.svg")


def _save(draw_on: object, result: Result, target: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    assert callable(draw_on)
    draw_on(axes, result)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def _curve(axes: Axes, curve: Curve) -> None:
    scale = _SCALES.get(curve.unit, 1.0)
    colours = iter(PEER_COLOURS)
    for name, points in curve.series.items():
        ours = name in curve.ours
        label = f"{name} (exponent {exponent(points):.2f}, growth {curve.growth(name):.2f})"
        medians = [point.median * scale for point in points]
        quartiles = [_quartiles(point.values) for point in points]
        axes.errorbar(
            [point.size for point in points],
            medians,
            yerr=[
                [middle - low * scale for middle, (low, _) in zip(medians, quartiles, strict=True)],
                [
                    high * scale - middle
                    for middle, (_, high) in zip(medians, quartiles, strict=True)
                ],
            ],
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=2.0 if ours else 1.2,
            color=OURS_COLOUR if ours else next(colours),
            label=label,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _room(axes)
    plain = FuncFormatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_major_locator(FixedLocator(_sizes(curve)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plain)
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel(curve.size)
    axes.set_ylabel(curve.unit)
    axes.set_title(curve.name, fontsize=10)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def _sizes(curve: Curve) -> list[float]:
    return sorted({point.size for points in curve.series.values() for point in points})


def _room(axes: Axes) -> None:
    """A factor of ten from bottom to top at least, so that noise does not look like growth."""
    low, high = axes.get_ylim()
    if high / low < 10:
        middle = math.sqrt(low * high)
        axes.set_ylim(middle / math.sqrt(10), middle * math.sqrt(10))


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _bars(axes: Axes, figure: Figure) -> None:
    scale = _SCALES.get(figure.unit, 1.0)
    names = sorted(figure.rounds, key=lambda name: figure.summary(name).p50, reverse=True)
    told = {name: figure.summary(name) for name in names}
    widths = [told[name].p50 * scale for name in names]
    beyond = [(told[name].p95 - told[name].p50) * scale for name in names]
    colours = [OURS_COLOUR if name in figure.ours else "#9aa5b1" for name in names]
    axes.barh(names, widths, xerr=[[0.0] * len(names), beyond], color=colours, capsize=2)
    for row, (width, over) in enumerate(zip(widths, beyond, strict=True)):
        axes.text(width + over, row, f"  {width:.3g}", va="center", fontsize=8)
    axes.set_xlabel(f"{figure.unit}, median; the whisker ends at the 95th percentile")
    axes.set_title(figure.name.replace("`", ""), fontsize=10)
    axes.margins(x=0.12)
