"""What a run tells its reader: lines, a progress bar with lines above it, or JSON.

Floor 6. One face (`Report`), three ways of showing. What happens is decided in `execution`; these
only show it, in the order in which it comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from headway.cli.show import HEAD_LINES, StreamLines, Window, join_text, output_lines
from headway.cli.terminal import plain, say, say_json, short_path

if TYPE_CHECKING:
    from headway.cli.stream_text import StreamText
    from headway.client.models import Cell, ExecutionResult, InputClosed, InputRequested

__all__ = ["Beginning", "JsonReport", "LineReport", "Report", "Summary", "title_of"]

_TITLE_CHARACTERS = 60
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run that is about to execute its cells."""

    path: str
    """The file that receives the outputs."""
    document: str
    kernel: str
    cells: int
    """How many code cells will run."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended."""

    path: str
    status: str
    """ok, error, timeout, interrupted or lost."""
    exit_status: int
    cells: int
    succeeded: int
    failed: int
    not_run: int
    elapsed_s: float
    sentence: str


class Report(Protocol):
    """Takes what happens. Cells are numbered from 1. A context: it is left when all is said."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *error: object) -> None:
        """Show nothing more."""

    def opened(self, beginning: Beginning) -> None:
        """The kernel is ready."""

    def started(self, number: int, cell: Cell) -> None:
        """The kernel runs this cell."""

    def text(self, index: int, stream: StreamText) -> None:
        """The stream output at `index` has changed; `stream` is always the same, until cleared."""

    def output(self, index: int, output: Mapping[str, Any]) -> None:
        """A new output, or another one in its place; no stream."""

    def cleared(self) -> None:
        """The cell took its outputs back."""

    def asked(self, number: int, event: InputRequested) -> None:
        """The cell asks for a line of text and waits."""

    def closed(self, number: int, event: InputClosed) -> None:
        """It waits for that no more."""

    def finished(self, number: int, result: ExecutionResult) -> None:
        """The cell's execution is terminal."""

    def aside(self) -> AbstractContextManager[object]:
        """While something else is shown on the terminal: a question to the person."""

    def ended(self, summary: Summary) -> None:
        """The run is over and its file written."""

    def failed(self, summary: Summary) -> None:
        """The run ended by an error, which is told on standard error."""


def title_of(source: str) -> str:
    """What a cell is called: its first line that says something, cut to a width."""
    lines = [plain(line) for line in source.split("\n")]
    title = next((line for line in lines if line), "(empty)")
    return title if len(title) <= _TITLE_CHARACTERS else title[: _TITLE_CHARACTERS - 1] + "…"


class LineReport:
    """Plain lines: for a file, a pipe, continuous integration.

    Args:
        head: How many lines of each cell are shown before the rest is left out; None: all.
        colours: Whether colour sequences of outputs are kept.
        write: Takes each line.
    """

    def __init__(
        self,
        *,
        head: int | None = HEAD_LINES,
        colours: bool = False,
        write: Callable[[str], None] = say,
    ) -> None:
        self._head = head
        self._colours = colours
        self._write = write
        self._total = 0
        self._began_s = 0.0
        self._open = False
        self._lines: dict[int, StreamLines] = {}
        self._window = self._new_window()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def opened(self, beginning: Beginning) -> None:
        """Say what will run, and with what."""
        self._total = beginning.cells
        cells = "1 code cell" if beginning.cells == 1 else f"{beginning.cells} code cells"
        self._write(f"Running {short_path(beginning.path)}: {cells}, kernel {beginning.kernel}")

    def started(self, number: int, cell: Cell) -> None:
        """Say which cell it is."""
        self._began_s = time.monotonic()
        self._open = True
        self._forget_outputs()
        self._window = self._new_window()
        self._write(f"{self._place(number)} {title_of(cell.source)}")

    def text(self, index: int, stream: StreamText) -> None:
        """Show the lines that have their end."""
        self._window.add(self._lines.setdefault(index, StreamLines(stream)).complete())

    def output(self, index: int, output: Mapping[str, Any]) -> None:
        """Show it, after what was still open before it."""
        del index
        self._end_streams()
        self._window.add(output_lines(output))

    def cleared(self) -> None:
        """What was shown stays; what comes is new."""
        self._forget_outputs()

    def asked(self, number: int, event: InputRequested) -> None:
        """Say what it asks, after everything it wrote."""
        self._end_streams()
        what = "asks for a password" if event.prompt.password else "asks"
        text = plain(event.prompt.text)
        self._write(f"{self._place(number)} {what}: {text}".rstrip())

    def closed(self, number: int, event: InputClosed) -> None:
        """Nothing: the answer is among the outputs."""

    def finished(self, number: int, result: ExecutionResult) -> None:
        """Say how it ended and how long it took; nothing of a cell that never began."""
        if not self._open:
            return
        self._open = False
        self._end_streams()
        self._window.close()
        took_s = _took_s(result, self._began_s)
        reason = f": {plain(result.reason)}" if result.reason else ""
        word = {"ok": "ok", "error": "failed"}.get(result.status, result.status)
        duration = f" in {took_s:.1f} s" if result.started_s is not None else ""
        self._write(f"{self._place(number)} {word}{duration}{reason}")

    def aside(self) -> AbstractContextManager[object]:
        """Nothing is in the way."""
        return nullcontext()

    def ended(self, summary: Summary) -> None:
        """Say how it all ended."""
        self._write(plain(summary.sentence))

    def failed(self, summary: Summary) -> None:
        """Nothing: standard error has it."""

    def _place(self, number: int) -> str:
        return f"[{number:>{len(str(self._total))}}/{self._total}]"

    def _new_window(self) -> Window:
        return Window(self._write_indented, colours=self._colours, head=self._head)

    def _end_streams(self) -> None:
        """Show lines that will have no end."""
        for lines in self._lines.values():
            rest = lines.end()
            if rest:
                self._window.add([rest])

    def _forget_outputs(self) -> None:
        self._lines.clear()

    def _write_indented(self, line: str) -> None:
        self._write(_INDENT + line if line else line)


class JsonReport:
    """One JSON object a line, for programs."""

    def __init__(self, write: Callable[[Any], None] = say_json) -> None:
        self._write = write
        self._cell_id = ""
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def opened(self, beginning: Beginning) -> None:
        """`{"event": "opened", ...}`."""
        self._write({"event": "opened", **asdict(beginning)})

    def started(self, number: int, cell: Cell) -> None:
        """`{"event": "started", ...}`."""
        self._cell_id, self._number = cell.id, number
        self._write({"event": "started", "number": number, "cell_id": cell.id})

    def text(self, index: int, stream: StreamText) -> None:
        """`{"event": "output", ...}` with the new text; `"replaced"` when it is no addition."""
        grew = stream.has_only_grown
        text = stream.part(stream.kept if grew else 0)
        output = {"output_type": "stream", "name": stream.name, "text": text}
        self._output(index, output, "output" if grew else "replaced")

    def output(self, index: int, output: Mapping[str, Any]) -> None:
        """`{"event": "output", ...}`; large values are references to blobs."""
        self._output(index, dict(output), "output")

    def cleared(self) -> None:
        """`{"event": "cleared", ...}`."""
        self._write({"event": "cleared", "number": self._number, "cell_id": self._cell_id})

    def asked(self, number: int, event: InputRequested) -> None:
        """`{"event": "input_requested", ...}`; answer it with the command `answer_input`."""
        self._prompt("input_requested", number, event)

    def closed(self, number: int, event: InputClosed) -> None:
        """`{"event": "input_closed", ...}`: it was answered, or is awaited no more."""
        self._prompt("input_closed", number, event)

    def _prompt(self, what: str, number: int, event: InputRequested | InputClosed) -> None:
        self._write(
            {
                "event": what,
                "number": number,
                "cell_id": self._cell_id,
                "execution_id": event.execution_id,
                "prompt": asdict(event.prompt),
            }
        )

    def finished(self, number: int, result: ExecutionResult) -> None:
        """`{"event": "finished", ...}`."""
        error = result.error
        self._write(
            {
                "event": "finished",
                "number": number,
                "cell_id": result.cell_id,
                "execution_id": result.execution_id,
                "status": result.status,
                "execution_count": result.execution_count,
                "source_sha256": result.source_sha256,
                "elapsed_s": round(_took_s(result, None), 3),
                "reason": result.reason,
                "error": None if error is None else {"ename": error.ename, "evalue": error.evalue},
            }
        )

    def aside(self) -> AbstractContextManager[object]:
        """Nothing is in the way."""
        return nullcontext()

    def ended(self, summary: Summary) -> None:
        """`{"event": "summary", ...}`, the last line."""
        self._write({"event": "summary", **asdict(summary)})

    def failed(self, summary: Summary) -> None:
        """The same: it is the last line, however a run ended."""
        self.ended(summary)

    def _output(self, index: int, output: dict[str, Any], event: str) -> None:
        if "text" in output:
            output["text"] = join_text(output["text"])
        self._write(
            {
                "event": event,
                "number": self._number,
                "cell_id": self._cell_id,
                "index": index,
                "output": output,
            }
        )


def _took_s(result: ExecutionResult, began_s: float | None) -> float:
    if result.started_s is not None and result.finished_s is not None:
        return max(0.0, result.finished_s - result.started_s)
    return 0.0 if began_s is None else time.monotonic() - began_s
