"""`headway cell`: one cell at a time, by its id or the beginning of its id.

Floor 6. Each is a peer of the notebook like any other: edits are confirmed before the command
ends, so a 0 exit status means that the daemon has them on its disk.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.exit_statuses import EXIT_FAILED, EXIT_INTERRUPTED
from headway.cli.terminal import complain, complain_of, say, say_json, table, visible

if TYPE_CHECKING:
    from headway.client.models import Cell
    from headway.client.sync import Notebook

__all__ = ["CellType", "add", "delete", "edit", "find_cell", "list_cells", "move", "run", "show"]

_AUTHOR = "headway cell"


class CellType(StrEnum):
    """What a cell can be."""

    code = "code"
    markdown = "markdown"
    raw = "raw"


Path = Annotated[str, typer.Argument(metavar="NOTEBOOK", help="The .ipynb.")]
Which = Annotated[str, typer.Argument(metavar="CELL", help="Its id, or how its id begins.")]
Text = Annotated[
    str, typer.Argument(metavar="SOURCE", help="The source; `-` reads standard input.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
After = Annotated[
    str | None, typer.Option("--after", metavar="CELL", help="Put it after this cell.")
]
Before = Annotated[
    str | None, typer.Option("--before", metavar="CELL", help="Put it before this cell.")
]


def list_cells(notebook: Path, *, as_json: Json = False) -> None:
    """List the cells: id, type, last status and first line."""
    from headway.cli.report import title_of

    with _opened(notebook) as opened:
        cells = opened.cells
    if as_json:
        say_json([_as_json(cell) for cell in cells])
        return
    rows = [(cell.id, cell.cell_type, cell.status or "-", title_of(cell.source)) for cell in cells]
    for line in table(("ID", "TYPE", "STATUS", "SOURCE"), rows):
        say(line)


def show(notebook: Path, cell: Which, *, as_json: Json = False) -> None:
    """Show a cell: its source and the outputs of its latest run."""
    with _opened(notebook) as opened:
        found = find_cell(opened.cells, cell)
        outputs = [opened.fetch_output(output) for output in found.outputs]
    if as_json:
        say_json({**_as_json(found), "outputs": outputs})
        return
    for line in found.source.split("\n"):
        say(visible(line))
    _show_outputs(outputs)


def add(
    notebook: Path,
    source: Text,
    *,
    cell_type: Annotated[CellType, typer.Option("--type", help="What it is.")] = CellType.code,
    after: After = None,
    before: Before = None,
    as_json: Json = False,
) -> None:
    """Add a cell, at the end unless a place is named, and print its id."""
    text = _text(source)
    with _opened(notebook) as opened:
        place = _place(opened.cells, after, before)
        added = opened.add_cell(text, cell_type=cell_type.value, **place)
        opened.confirm_sync()
    _say_cell(added.id, as_json=as_json)


def edit(notebook: Path, cell: Which, source: Text, *, as_json: Json = False) -> None:
    """Make a cell's source SOURCE, as the smallest change: others' typing survives."""
    text = _text(source)
    with _opened(notebook) as opened:
        found = find_cell(opened.cells, cell)
        opened.update_source(found, text)
        opened.confirm_sync()
    _say_cell(found.id, as_json=as_json)


def delete(notebook: Path, cell: Which, *, as_json: Json = False) -> None:
    """Delete a cell."""
    with _opened(notebook) as opened:
        found = find_cell(opened.cells, cell)
        opened.delete_cell(found)
        opened.confirm_sync()
    _say_cell(found.id, as_json=as_json)


def move(
    notebook: Path,
    cell: Which,
    *,
    after: After = None,
    before: Before = None,
    as_json: Json = False,
) -> None:
    """Move a cell after or before another one."""
    from headway.errors import BadRequest

    with _opened(notebook) as opened:
        found = find_cell(opened.cells, cell)
        place = _place(opened.cells, after, before)
        if not place:
            raise BadRequest("Say where to: --after CELL or --before CELL.")
        opened.move_cell(found, **place)
        opened.confirm_sync()
    _say_cell(found.id, as_json=as_json)


def run(
    notebook: Path,
    cell: Which,
    *,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", help="Wait so long (seconds).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a cell and show its outputs; the kernel stays. The exit status is 1 if it failed.

    On a terminal the cell may ask for input, and you answer it; Ctrl-C interrupts the cell, and a
    second Ctrl-C leaves it.
    """
    from headway.cli.limits import check_timeout
    from headway.errors import DeadlineExceeded

    check_timeout(timeout)
    try:
        _run(notebook, cell, timeout, as_json=as_json)
    except DeadlineExceeded as error:
        if "execution_id" not in error.data:
            raise
        raise DeadlineExceeded(
            f"The cell did not end within {timeout:g} s; it goes on. Look at it with: "
            f"headway cell show {shlex.join((notebook, cell))}",
            **error.data,
        ) from error
    except KeyboardInterrupt:
        ends_it = f"headway kernel interrupt {shlex.quote(notebook)}"
        complain(f"If the cell had begun, it goes on. It is ended by: {ends_it}")
        raise


def _run(notebook: str, cell: str, timeout: float | None, *, as_json: bool) -> None:
    from headway.cli.answering import answering

    person = None if as_json else answering()
    with _opened(notebook) as opened:
        found = find_cell(opened.cells, cell)
        if person is None:
            result = opened.execute_cell(found, timeout=timeout)
    is_interrupted = False
    if person is not None:
        from headway.cli.interactive import run_interactively
        from headway.cli.named_notebook import existing_notebook

        path = existing_notebook(notebook)
        ending = run_interactively(path, _AUTHOR, found, person, timeout)
        if ending.result is None:
            raise KeyboardInterrupt
        result, is_interrupted = ending.result, ending.is_interrupted
    if as_json:
        from dataclasses import asdict

        say_json(asdict(result))
    else:
        if person is None:
            _show_outputs(result.outputs)
        if not result.success and result.error is None:
            say(f"{result.status}: {result.reason or 'no reason is known'}")
    if not result.success:
        raise typer.Exit(EXIT_INTERRUPTED if is_interrupted else EXIT_FAILED)


def find_cell(cells: Iterable[Cell], named: str) -> Cell:
    """The cell of this id, or the only one whose id begins so. Raises BadRequest."""
    from headway.errors import BadRequest

    found = [cell for cell in cells if cell.id.startswith(named)]
    exact = [cell for cell in found if cell.id == named]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise BadRequest(f"There is no cell whose id begins with {named!r}.", cell_id=named)
    raise BadRequest(f"{len(found)} cells have an id that begins with {named!r}; give more of it.")


def _opened(path: str) -> Notebook:
    from headway.cli.named_notebook import existing_notebook
    from headway.client.sync import open as open_sync

    notebook = open_sync(existing_notebook(path), name=_AUTHOR)
    complain_of(notebook)
    return notebook


def _place(cells: list[Cell], after: str | None, before: str | None) -> dict[str, Any]:
    from headway.errors import BadRequest

    if after is not None and before is not None:
        raise BadRequest("Give --after or --before, not both.")
    named = {"after": after, "before": before}
    return {side: find_cell(cells, cell).id for side, cell in named.items() if cell is not None}


def _text(source: str) -> str:
    from headway.errors import BadRequest

    if source != "-":
        return source
    # As bytes: what the locale says of its encoding is not what a notebook is written in.
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"The source on standard input is not UTF-8: byte {error.start + 1} is not. Convert "
            "it, for example with: iconv -f latin1 -t utf-8"
        ) from error


def _as_json(cell: Cell) -> dict[str, Any]:
    from dataclasses import asdict

    shown = asdict(cell)
    del shown["outputs"]
    return shown


def _show_outputs(outputs: Iterable[dict[str, Any]]) -> None:
    from headway.cli.show import output_lines, safe_line

    for output in outputs:
        for line in output_lines(output):
            say(safe_line(line, colours=sys.stdout.isatty()))


def _say_cell(cell_id: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"cell_id": cell_id})
    else:
        say(cell_id)
