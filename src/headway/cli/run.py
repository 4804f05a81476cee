"""`headway run`: execute a whole notebook and leave its outputs in the file.

Floor 6. Arguments, the copy, signals and the choice of a report; what a run does is `execution`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from headway.cli.consent import Environment, Install
from headway.cli.named_notebook import bring_up_to_date, existing_notebook, opened_at
from headway.cli.open import AcceptFile
from headway.cli.parameters import Parameter, read_object, read_pair, read_raw_pair
from headway.cli.terminal import complain_of, short_path

if TYPE_CHECKING:
    from headway.cli.execution import Options
    from headway.cli.report import Report, Summary

__all__ = ["EXAMPLES", "Outputs", "RunCommand", "is_interactive", "run"]

_STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what a scheduler sends: both keep what ran."""

EXAMPLES = (
    "headway run analysis.ipynb",
    "headway run analysis.ipynb -o results/monday.ipynb -p year 2024 -p station Millbrook",
    "headway run analysis.ipynb --timeout 600 --json > events.jsonl",
)


class Outputs(StrEnum):
    """How much of the outputs is shown."""

    compact = "compact"
    full = "full"
    none = "none"


class RunCommand(TyperCommand):
    """`-p` takes two words, as papermill's does; typer has no such option of its own."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for parameter in self.params:
            if parameter.name in {"parameters", "raw_parameters"}:
                parameter.nargs = 2


def run(
    notebook: Annotated[str, typer.Argument(metavar="NOTEBOOK", help="The .ipynb to run.")],
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Run a copy, at OUT, and leave NOTEBOOK as it is.",
        ),
    ] = None,
    parameters: Annotated[
        list[Parameter] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME VALUE",
            parser=read_pair,
            help="Set a variable after the cell tagged `parameters`; may be repeated.",
        ),
    ] = None,
    raw_parameters: Annotated[
        list[Parameter] | None,
        typer.Option(
            "--parameter-raw",
            "-r",
            metavar="NAME VALUE",
            parser=read_raw_pair,
            help="The same, with VALUE as text whatever it looks like.",
        ),
    ] = None,
    parameter_files: Annotated[
        list[str] | None,
        typer.Option(
            "--parameters-file", "-f", metavar="FILE", help="Parameters from a JSON file."
        ),
    ] = None,
    parameter_texts: Annotated[
        list[str] | None,
        typer.Option(
            "--parameters-json", "-y", metavar="JSON", help="Parameters as a JSON object."
        ),
    ] = None,
    kernel: Annotated[
        str | None, typer.Option("--kernel", metavar="NAME", help="The kernel to run on.")
    ] = None,
    environment: Environment = None,
    install: Install = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", help="Stop if one cell runs longer (seconds)."),
    ] = None,
    allow_errors: Annotated[
        bool, typer.Option("--allow-errors", help="Go on after a cell that fails.")
    ] = False,
    accept_file: AcceptFile = False,
    outputs: Annotated[
        Outputs, typer.Option("--outputs", help="How much of the outputs to show.")
    ] = Outputs.compact,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events as JSON, one object a line.")
    ] = False,
) -> None:
    """Execute a whole notebook and leave its outputs in the file.

    The exit status is 0 if every cell ran well, 1 if one failed, 2 for a mistake in the command,
    124 if --timeout passed, 130 after Ctrl-C. In each case what ran is kept and saved.
    """
    from headway.client.starting import start_ahead
    from headway.edges import paths
    from headway.errors import BadRequest

    if timeout is not None and timeout <= 0:
        raise BadRequest("--timeout must be more than 0 seconds.")
    source = existing_notebook(notebook)
    target = source if output is None else _copied(source, output)
    start_ahead(paths.home())

    import asyncio

    from headway.cli.execution import Options

    given = [each for file in parameter_files or () for each in _parameters_in(file)]
    given += [each for text in parameter_texts or () for each in read_object(text, "-y")]
    given += [*(parameters or ()), *(raw_parameters or ())]
    options = Options(tuple(given), kernel, timeout, allow_errors, environment, install)
    with _report(outputs, as_json=as_json) as report:
        summary = asyncio.run(_run(target, options, report, accept_file=accept_file))
    raise typer.Exit(summary.exit_status)


def _parameters_in(file: str) -> list[Parameter]:
    from headway.edges.paths import named_path
    from headway.errors import BadRequest

    try:
        text = named_path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadRequest(f"The parameters in {file} cannot be read: {error}.") from error
    return read_object(text, file)


async def _run(path: Path, options: Options, report: Report, *, accept_file: bool) -> Summary:
    import asyncio

    from headway.cli.execution import Run
    from headway.client.aio import open_async

    name = f"headway run {os.getpid()}"
    async with open_async(path, name=name, accept_file=accept_file) as notebook:
        complain_of(notebook)
        running = Run(notebook, options, report, os.urandom)
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, running.interrupt)
        try:
            return await running.execute()
        finally:
            for number in _STOPPING:
                loop.remove_signal_handler(number)


def _copied(source: Path, named: str) -> Path:
    """Put a copy of `source` at the path `named`, whole or not at all, and give that path."""
    from headway.edges.notebook_path import notebook_path
    from headway.errors import BadRequest, FileNotWritable

    target = Path(notebook_path(named))
    if target == source:
        return target
    if not target.parent.is_dir():
        raise BadRequest(f"There is no folder {target.parent} to put the copy in.")
    bring_up_to_date(source)
    _check_readable(source)
    _let_go(target)
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix, delete=False
        ) as copy:
            unfinished = Path(copy.name)
        try:
            shutil.copy(source, unfinished)
            unfinished.replace(target)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileNotWritable(
            f"{target} cannot be written: {error.strerror or error}.", path=str(target)
        ) from error
    return target


def _check_readable(source: Path) -> None:
    """Nothing is replaced by what is no notebook. Raises NotebookUnreadable."""
    from headway.core.document.nbformat import parse_notebook
    from headway.errors import NotebookUnreadable
    from headway.ids import cell_id

    try:
        content = source.read_bytes()
    except OSError as error:
        raise NotebookUnreadable(
            f"{source} cannot be read: {error.strerror or error}.", path=str(source)
        ) from error
    try:
        parse_notebook(content, lambda: cell_id(os.urandom))
    except NotebookUnreadable as error:
        sentence = f"{short_path(str(source))} was not copied. {error}"
        raise NotebookUnreadable(sentence, path=str(source)) from error


def _let_go(target: Path) -> None:
    """Have the daemon close the notebook at `target`, for another one takes its place."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import Close
    from headway.edges import paths
    from headway.errors import BadRequest, NotebookNotFound

    opened = opened_at(target)
    if opened is None:
        return
    if opened.peers:
        raise BadRequest(
            f"{target} is open in another program, so a run cannot replace it. "
            "Close it there, or choose another name for -o."
        )
    with contextlib.suppress(NotebookNotFound):
        ask(paths.socket_path(paths.home()), Close(document=opened.document))


def _report(outputs: Outputs, *, as_json: bool) -> Report:
    from headway.cli.report import JsonReport, LineReport
    from headway.cli.show import HEAD_LINES

    if as_json:
        return JsonReport()
    head = {Outputs.compact: HEAD_LINES, Outputs.full: None, Outputs.none: 0}[outputs]
    if is_interactive():
        from headway.cli.live import LiveReport

        return LiveReport(head=head)
    return LineReport(head=head)


def is_interactive() -> bool:
    """Whether a person sees a terminal that can be drawn on."""
    return (
        sys.stdout.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
        and not os.environ.get("CI")
    )
