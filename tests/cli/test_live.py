"""A run on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from headway.cli.live import LiveReport
from headway.cli.report import Beginning, Summary
from headway.cli.stream_text import StreamText
from headway.client.models import Cell

BEGINNING = Beginning(path="/far/away.ipynb", document="nb-1", kernel="python3", cells=2)
SUMMARY = Summary("/far/away.ipynb", "ok", 0, 2, 2, 0, 0, 1.5, "All ran well.")


def test_lines_stay_and_the_bar_goes() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system="standard")
    with LiveReport(head=20, console=console) as report:
        report.opened(BEGINNING)
        report.started(1, Cell("c1", "code", "x = [1]"))
        stream = StreamText()
        stream.grow("[red]not markup[/red]\n10 %")
        report.text(0, stream)
        report.ended(SUMMARY)
    shown = screen.getvalue()
    assert "[red]not markup[/red]" in shown
    assert "x = [1]" in shown
    assert shown.endswith("All ran well.\n")
    assert "10 %" not in shown.rpartition("\x1b[2K")[2], "the bar is gone at the end"


def test_the_bar_is_away_while_a_person_is_asked() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with LiveReport(head=20, console=console) as report:
        with report.aside():
            assert not report._progress.live.is_started
        assert report._progress.live.is_started
