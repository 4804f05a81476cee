"""BENCHMARKS.md says what the results say, and keeps what was written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

import page
import plots
from results import Aim, Curve, Figure, Point, Result, Table

MACHINE = {"system": "a machine", "load": "0.1"}


def results() -> list[Result]:
    return [
        Figure(
            name="A step",
            unit="ms",
            ours=["ours"],
            rounds={"ours": [[0.002]] * 3, "slow": [[0.004]] * 3, "quick": [[0.001]] * 3},
            absent={"gone": "it did | not start"},
            aims=[
                Aim(1.0, "slow"),
                Aim(1.0, "quick"),
                Aim(0.001),
                Aim(1.0, "gone"),
                Aim(9.0, "slow", 0.99),
            ],
            plot="step",
        ),
        Table(
            name="A race",
            columns=["tries", "missed"],
            lines={"ours: at rest": ["2,000", "1"], "slow: at rest": ["2,000", "500"]},
            ours=["ours"],
            must_be_zero=["missed"],
        ),
        Curve(
            name="A growth",
            size="cells",
            unit="ms",
            kind="each",
            series={"ours": [Point(100, [0.001]), Point(10_000, [0.002])]},
            ours=["ours"],
            plot="growth",
            most=1.5,
        ),
    ]


def written(found: Sequence[Result]) -> str:
    return page.page({"A question": found}, MACHINE, MACHINE, {"headway": "1"}, 3.0)


def test_a_ratio_stands_beside_each_peer_and_a_peer_that_is_ahead_is_named() -> None:
    text = written(results())
    assert "| slow | 4.00 |  |  | 3 | **0.50** (0.50 to 0.50) |  |" in text
    assert "- A step: 2.00 times quick." in text
    assert "- A step: 0.50 times slow." not in text


def test_each_aim_is_met_missed_not_measured_or_of_too_few_values() -> None:
    text = written(results())
    assert "| A step | ours: p50 at most 1 times slow | 0.50 | met |" in text
    assert "| A step | ours: p50 at most 1 times quick | 2.00 | **missed** |" in text
    assert "| A step | ours: p50 at most 1.00 ms | 2.00 ms | **missed** |" in text
    assert "ours: p50 at most 1 times gone: not measured" in text
    assert "ours: p99 at most 9 times slow: too few values" in text


def test_what_must_be_zero_and_what_must_not_grow_is_called_by_its_name() -> None:
    text = written(results())
    assert "- A race: ours: at rest: missed is 1, and must be 0." in text
    assert "A growth: ours grows 2.0 times where 1.5 is the most." in text


def test_an_absent_peer_stands_there_with_its_reason() -> None:
    assert "| gone | absent: it did \\| not start |" in written(results())


def test_what_was_written_by_hand_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "BENCHMARKS.md")
    page.PAGE.write_text(f"old\n{page.BEGIN}\n\n## Where the time goes\n\n{page.END}\nold\n")
    page.PAGE.write_text(written(results()))
    text = page.PAGE.read_text()
    assert "## Where the time goes" in text
    assert "old" not in text.splitlines()
    assert written(results()) == text


def test_a_question_whose_program_did_not_end_says_so() -> None:
    assert page.UNENDED in written([])


def test_results_survive_their_file() -> None:
    data = msgspec.json.encode(results())
    assert msgspec.json.decode(data, type=list[Result]) == results()


def test_each_plot_that_the_page_shows_is_drawn(tmp_path: Path) -> None:
    plots.draw(results(), tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"step.svg", "growth.svg"}
    assert "cells" in (tmp_path / "growth.svg").read_text()
