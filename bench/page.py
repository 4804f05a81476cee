"""Writes BENCHMARKS.md from the results of one run, into the text of `page.md`.

What a machine cannot write is between two markers and is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from results import Aim, Curve, Figure, Result, Table, exponent

__all__ = ["PAGE", "page", "section"]

PAGE = Path(__file__).parent.parent / "BENCHMARKS.md"
TEMPLATE = Path(__file__).with_name("page.md")
PLOTS = "docs/benchmarks"
BEGIN = "<!-- by hand: kept by `make bench` -->"
END = "<!-- end of what is by hand -->"

LEAST_FOR_P95, LEAST_FOR_P99 = 20, 100
"""A percentile of fewer values says nothing, and is left out."""
_LEAST = {0.5: 1, 0.95: LEAST_FOR_P95, 0.99: LEAST_FOR_P99}

UNENDED = "The program of this question did not end in this run.\n"

_SCALES = {"ms": 1e3, "s": 1.0, "MB": 1e-6, "kB": 1e-3}
_SHARES = {0.5: "p50", 0.95: "p95", 0.99: "p99"}


def section(result: Result) -> str:
    """One result under its heading."""
    lines = {Figure: _figure, Table: _table, Curve: _curve}[type(result)](result)  # type: ignore[operator]
    return f"### {result.name}\n\n" + "\n".join(lines) + "\n"


def _figure(figure: Figure) -> Iterator[str]:
    first = next((name for name in figure.ours if name in figure.rounds), None)
    head = f"ours / theirs at p50 (spread) of {first}" if first else "ratio"
    yield f"| {figure.unit} | p50 | p95 | p99 | values | {head} | at p99 |"
    yield "|---|---|---|---|---|---|---|"
    for name in figure.rounds:
        told = figure.summary(name)
        shown = (
            _number(value, figure.unit) if told.count >= least else ""
            for value, least in (
                (told.p50, 1),
                (told.p95, LEAST_FOR_P95),
                (told.p99, LEAST_FOR_P99),
            )
        )
        ratio = at_p99 = ""
        if name not in figure.ours and first:
            low, high = figure.spread(first, name)
            ratio = f"**{figure.ratio(first, name):.2f}** ({low:.2f} to {high:.2f})"
            at_p99 = f"{figure.ratio(first, name, 0.99):.2f}" if told.count >= LEAST_FOR_P99 else ""
        bold = f"**{name}**" if name in figure.ours else name
        yield f"| {bold} | {' | '.join(shown)} | {told.count} | {ratio} | {at_p99} |"
    yield from _absent(figure.absent, 7)
    if figure.plot:
        yield f"\n![{figure.name}]({PLOTS}/{figure.plot}.svg)"
    if figure.aims or figure.note:
        yield ""
    if figure.note:
        yield figure.note
    for aim in figure.aims:
        what, stands, verdict = _aim(figure, aim)
        yield f"- Aim: {what}: {f'{stands}, ' if stands else ''}{verdict}."


def _aim(figure: Figure, aim: Aim) -> tuple[str, str, str]:
    """What is aimed at, what stands there, and the verdict."""
    ours = aim.ours or figure.ours[0]
    limit = f"{_number(aim.limit, figure.unit)} {figure.unit}"
    if aim.over is not None:
        limit = f"{aim.limit:g} times {aim.over}"
    what = f"{ours}: {_SHARES[aim.share]} at most {limit}"
    value = figure.reached(aim)
    if value is None:
        return what, "", "not measured"
    if figure.summary(ours).count < _LEAST[aim.share]:
        return what, "", "too few values"
    stands = f"{_number(value, figure.unit)} {figure.unit}" if aim.over is None else f"{value:.2f}"
    return what, stands, "met" if value <= aim.limit else "**missed**"


def _table(table: Table) -> Iterator[str]:
    yield f"| | {' | '.join(table.columns)} |"
    yield "|---" * (len(table.columns) + 1) + "|"
    for name, cells in table.lines.items():
        bold = f"**{name}**" if _is_ours(name, table.ours) else name
        yield f"| {bold} | {' | '.join(cells)} |"
    yield from _absent(table.absent, len(table.columns) + 1)
    if table.note:
        yield ""
        yield table.note
    for shame in _shames(table):
        yield f"- **{shame}**"


def _is_ours(name: str, ours: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}:") for each in ours)


def _shames(table: Table) -> Iterator[str]:
    for name, cells in table.lines.items():
        if _is_ours(name, table.ours):
            for column, cell in zip(table.columns, cells, strict=True):
                if column in table.must_be_zero and cell != "0":
                    yield f"{name}: {column} is {cell}, and must be 0."


def _curve(curve: Curve) -> Iterator[str]:
    sizes = sorted({point.size for points in curve.series.values() for point in points})
    yield f"| {curve.unit}, by {curve.size} | {' | '.join(f'{size:,g}' for size in sizes)} | growth | exponent |"  # noqa: E501
    yield "|---" * (len(sizes) + 3) + "|"
    for name, points in curve.series.items():
        at = {point.size: _number(point.median, curve.unit) for point in points}
        cells = " | ".join(at.get(size, "") for size in sizes)
        bold = f"**{name}**" if name in curve.ours else name
        yield f"| {bold} | {cells} | {curve.growth(name):.2f} | {exponent(points):.2f} |"
    yield from _absent(curve.absent, len(sizes) + 3)
    yield ""
    yield f"![{curve.name}]({PLOTS}/{curve.plot}.svg)"
    if curve.note:
        yield ""
        yield curve.note
    for name in curve.series:
        if name in curve.ours and (defect := curve.defect(name)):
            yield ""
            yield f"**A defect: {name} {defect}.**"


def _absent(absent: dict[str, str], columns: int) -> Iterator[str]:
    for name, reason in absent.items():
        plain = " ".join(reason.split()).replace("|", "\\|")
        yield f"| {name} | absent: {plain} |" + " |" * (columns - 2)


def _number(value: float, unit: str) -> str:
    """Three significant digits, in the unit."""
    scaled = value * _SCALES.get(unit, 1.0)
    if math.isnan(scaled):
        return ""
    if scaled == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(scaled))))
    return f"{scaled:,.{digits}f}"


def page(
    chapters: Mapping[str, Sequence[Result]],
    before: dict[str, str],
    after: dict[str, str],
    versions: dict[str, str],
    minutes: float,
) -> str:
    """The whole page. `chapters` is heading -> results; the machine before and after."""
    results = [each for found in chapters.values() for each in found]
    told = (
        f"## {heading}\n\n" + ("\n".join(section(each) for each in found) or UNENDED)
        for heading, found in chapters.items()
    )
    return TEMPLATE.read_text().format(
        about=_about(before, after, versions, minutes),
        aims=_aims(results),
        behind=_behind(results),
        by_hand=_by_hand(),
        chapters="\n".join(told),
    )


def _about(
    before: dict[str, str], after: dict[str, str], versions: dict[str, str], minutes: float
) -> str:
    plain = ", ".join(f"{name} {value}" for name, value in before.items() if name != "load")
    packages = ", ".join(f"{name} {value}" for name, value in versions.items())
    busy = f"Load before and after: {before['load']} and {after['load']}."
    return (
        f"Machine: {plain}. {busy} The run took {minutes:.0f} minutes.\n\nVersions: {packages}.\n"
    )


def _aims(results: Sequence[Result]) -> str:
    lines = ["| question | aim | here | |", "|---|---|---|---|"]
    for result in results:
        if isinstance(result, Figure):
            for aim in result.aims:
                what, stands, verdict = _aim(result, aim)
                lines.append(f"| {result.name} | {what} | {stands} | {verdict} |")
        elif isinstance(result, Table) and result.must_be_zero:
            shames = " ".join(_shames(result))
            columns = ", ".join(result.must_be_zero)
            verdict = "**missed**" if shames else "met"
            lines.append(f"| {result.name} | {columns}: 0 | {shames or '0'} | {verdict} |")
        elif isinstance(result, Curve) and result.most:
            for name in result.ours:
                if name in result.series:
                    growth = result.growth(name)
                    verdict = "met" if growth <= result.most else "**missed**"
                    what = f"{name}: growth at most {result.most:g}"
                    lines.append(f"| {result.name} | {what} | {growth:.2f} | {verdict} |")
    return "\n".join(lines)


def _behind(results: Sequence[Result]) -> str:
    lines = []
    for result in results:
        if isinstance(result, Figure):
            first = next((name for name in result.ours if name in result.rounds), None)
            for name in result.rounds if first else ():
                if first and name not in result.ours and result.ratio(first, name) > 1:
                    ratio = result.ratio(first, name)
                    lines.append(f"- {result.name}: {ratio:.2f} times {name}.")
        elif isinstance(result, Curve):
            for name in result.ours:
                if name in result.series and (defect := result.defect(name)):
                    lines.append(f"- {result.name}: {name} {defect}.")
        else:
            lines += [f"- {result.name}: {shame}" for shame in _shames(result)]
    return "\n".join(lines or ["- Nothing."])


def _by_hand() -> str:
    text = PAGE.read_text() if PAGE.exists() else ""
    _, _, rest = text.partition(BEGIN)
    kept, _, _ = rest.partition(END)
    return f"{BEGIN}\n\n{kept.strip()}\n\n{END}" if kept.strip() else f"{BEGIN}\n{END}"
