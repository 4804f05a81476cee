"""A run on a terminal: its lines, and below them one line that says where it is.

Floor 6. The only importer of rich's live display.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from headway.cli.report import Beginning, LineReport, Summary, title_of
from headway.cli.show import LINE_CHARACTERS, safe_line

if TYPE_CHECKING:
    from headway.cli.stream_text import StreamText
    from headway.client.models import Cell, ExecutionResult, InputClosed, InputRequested

__all__ = ["LiveReport"]

_DETAIL_CHARACTERS = 60
_BAR_WIDTH = 24
_STYLES = {"ok": "green", "failed": "bold red", "lost": "bold red", "cancelled": "yellow"}


class LiveReport(LineReport):
    """Lines above a progress bar. The line that a cell is still writing is shown in the bar.

    Args:
        head: As of `LineReport`.
        console: Where to show; the terminal if None.
    """

    def __init__(self, *, head: int | None, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        colours = self._console.color_system is not None and not self._console.no_color
        super().__init__(head=head, colours=colours, write=self._show)
        self._progress = Progress(
            BarColumn(_BAR_WIDTH),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("starting the kernel ...", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def opened(self, beginning: Beginning) -> None:
        """Show the bar at its full length."""
        super().opened(beginning)
        self._progress.update(self._task, total=beginning.cells, description="")

    def started(self, number: int, cell: Cell) -> None:
        """Name the cell in the bar too."""
        super().started(number, cell)
        self._progress.update(self._task, description=title_of(cell.source))

    def text(self, index: int, stream: StreamText) -> None:
        """Show whole lines above, and the line without an end in the bar."""
        super().text(index, stream)
        rest = safe_line(self._lines[index].open_line(LINE_CHARACTERS), colours=self._colours)
        if rest.strip():
            detail = Text.from_ansi(rest).plain[:_DETAIL_CHARACTERS]
            self._progress.update(self._task, description=detail)

    def asked(self, number: int, event: InputRequested) -> None:
        """Take the bar away, for a person may type where it is."""
        super().asked(number, event)
        self._progress.stop()

    def closed(self, number: int, event: InputClosed) -> None:
        """Show the bar again."""
        super().closed(number, event)
        self._progress.start()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away for as long as a person is asked."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def finished(self, number: int, result: ExecutionResult) -> None:
        """Move the bar on."""
        super().finished(number, result)
        self._progress.update(self._task, completed=number, description="")

    def ended(self, summary: Summary) -> None:
        """Take the bar away and say how it ended."""
        self._progress.stop()
        super().ended(summary)

    def _show(self, line: str) -> None:
        text = Text.from_ansi(line)
        if line.startswith("["):
            place, _, rest = line.partition("] ")
            text = Text.assemble((place + "] ", "dim"), (rest, _STYLES.get(rest.split(" ")[0], "")))
        self._console.print(text, soft_wrap=True)
