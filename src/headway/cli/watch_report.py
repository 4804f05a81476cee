"""What `headway watch` tells its reader: as a run does, and what is there at the beginning.

Floor 6. The ways of showing are those of `report` and `live`; a cell is called by its number
among the code cells, for nobody knows how many will run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headway.cli.report import JsonReport, LineReport, Report, title_of
from headway.cli.terminal import plain, short_path

if TYPE_CHECKING:
    from headway.client.models import Cell

__all__ = ["WatchJson", "WatchLines", "WatchReport", "watch_live"]


class WatchReport(Report, Protocol):
    """A report that can say what was there before."""

    def watching(self, path: str | None, kernel: Mapping[str, Any], cells: Sequence[Cell]) -> None:
        """These code cells are there, and the kernel is so."""

    def kernel(self, state: Mapping[str, Any]) -> None:
        """The kernel is another one, or not well, or well again."""

    def daemon(self, *, is_there: bool) -> None:
        """The daemon is gone, or back."""


class WatchLines(LineReport):
    """Plain lines."""

    def watching(self, path: str | None, kernel: Mapping[str, Any], cells: Sequence[Cell]) -> None:
        """One line for the notebook, one for each code cell."""
        count = "1 code cell" if len(cells) == 1 else f"{len(cells)} code cells"
        self._write(f"Watching {short_path(path)}: {count}, {_kernel_words(kernel)}")
        for number, cell in enumerate(cells, 1):
            self._write(f"{self._place(number)} {cell.status or '-'}: {title_of(cell.source)}")

    def kernel(self, state: Mapping[str, Any]) -> None:
        """One line."""
        self._write(_kernel_words(state))

    def daemon(self, *, is_there: bool) -> None:
        """One line."""
        gone = "The daemon is gone; waiting until a program starts it again (Ctrl-C ends this)."
        self._write("The daemon is back." if is_there else gone)

    def _place(self, number: int) -> str:
        return f"[{number or '-'}]"


class WatchJson(JsonReport):
    """One JSON object a line, for programs."""

    def watching(self, path: str | None, kernel: Mapping[str, Any], cells: Sequence[Cell]) -> None:
        """`{"event": "watching", ...}`."""
        shown = [
            {"number": number, "cell_id": cell.id, "status": cell.status}
            for number, cell in enumerate(cells, 1)
        ]
        self._write({"event": "watching", "path": path, "kernel": dict(kernel), "cells": shown})

    def kernel(self, state: Mapping[str, Any]) -> None:
        """`{"event": "kernel", ...}`."""
        self._write({"event": "kernel", "kernel": dict(state)})

    def daemon(self, *, is_there: bool) -> None:
        """`{"event": "daemon", ...}`."""
        self._write({"event": "daemon", "is_there": is_there})


def watch_live(head: int | None, console: Any = None) -> WatchReport:
    """Lines above one that shows what a cell is still writing; for a terminal."""
    from headway.cli.live import LiveReport

    class WatchLive(WatchLines, LiveReport):
        """The words of the one, the screen of the other."""

        def watching(
            self, path: str | None, kernel: Mapping[str, Any], cells: Sequence[Cell]
        ) -> None:
            """Show the bar too: where in the notebook it is."""
            super().watching(path, kernel, cells)
            self._progress.update(self._task, total=len(cells), description="")

    return WatchLive(head=head, console=console)


def _kernel_words(state: Mapping[str, Any]) -> str:
    words = f"kernel {plain(str(state.get('name') or '-'))} {state.get('status') or 'absent'}"
    return f"{words}: {plain(str(state['reason']))}" if state.get("reason") else words
