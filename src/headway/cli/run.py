"""`headway run`: execute a whole notebook and leave its outputs in the file.

Floor 6. Arguments, the copy, signals and the choice of a report; what a run does is `execution`.
"""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from headway.cli.consent import Environment, Install
from headway.cli.copying import check_writable, place_of_copy, put_copy
from headway.cli.limits import check_timeout
from headway.cli.named_notebook import existing_notebook
from headway.cli.open import AcceptFile
from headway.cli.parameters import Parameter, read_object, read_pair, read_raw_pair
from headway.cli.terminal import complain_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    check_timeout(timeout)
    given = [each for file in parameter_files or () for each in _parameters_in(file)]
    given += [each for text in parameter_texts or () for each in read_object(text, "-y")]
    given += [*(parameters or ()), *(raw_parameters or ())]
    source = existing_notebook(notebook)
    if output is None:
        target = source
        check_writable(target)
    else:
        # Every mistake that can be found is found before the copy takes the place of OUT.
        target = place_of_copy(source, output)
        _check_can_run(kernel, environment)
        put_copy(source, target)
    start_ahead(paths.home())

    import asyncio

    from headway.cli.execution import Options

    options = Options(tuple(given), kernel, timeout, allow_errors, environment, install)
    # The copy was put there on purpose: it is no other program's edit of what was there before.
    accept_file = accept_file or output is not None
    with _report(outputs, as_json=as_json) as report:
        summary = asyncio.run(_run(target, options, report, accept_file=accept_file))
    raise typer.Exit(summary.exit_status)


def _parameters_in(file: str) -> list[Parameter]:
    from headway.errors import BadRequest

    # Opened as it is named: what /dev/stdin and a shell's <(...) lead to has no path of its own.
    place = os.path.expanduser(file)  # noqa: PTH111 - pathlib raises for a user who is not known
    try:
        text = Path(place).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"The parameters in {file} cannot be read: byte {error.start + 1} is not UTF-8."
        ) from error
    except OSError as error:
        why = error.strerror or error
        raise BadRequest(f"The parameters in {file} cannot be read: {why}.") from error
    except ValueError as error:
        raise BadRequest(f"{file!r} can be no file.") from error
    return read_object(text, file)


async def _run(path: Path, options: Options, report: Report, *, accept_file: bool) -> Summary:
    import asyncio

    from headway.cli.execution import Run
    from headway.client.aio import open_async
    from headway.errors import HeadwayError

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    running: Run | None = None

    def stop() -> None:
        if running is not None:
            running.interrupt()
        elif task is not None and not task.cancelling():
            task.cancel()

    for number in _STOPPING:
        # To the end of the loop: one that comes while the notebook is closed is not a traceback.
        loop.add_signal_handler(number, stop)
    name = f"headway run {os.getpid()}"
    async with open_async(path, name=name, accept_file=accept_file) as notebook:
        complain_of(notebook)
        running = Run(notebook, options, report, os.urandom)
        try:
            return await running.execute()
        except (HeadwayError, asyncio.CancelledError) as error:
            report.failed(running.failed(error))
            raise


def _check_can_run(kernel: str | None, environment: str | None) -> None:
    """Find out now what the daemon would refuse, before a copy replaces anything.

    Raises KernelNotFound, EnvironmentNotFound.
    """
    from headway.client.kernels import environment_path
    from headway.edges.kernelspecs import python_in
    from headway.errors import EnvironmentNotFound, KernelNotFound

    folder = None if environment is None else Path(environment_path(environment))
    if folder is not None and not os.access(python_in(folder), os.X_OK):
        raise EnvironmentNotFound(
            f"There is no environment at {folder}: it has no {python_in(folder)}. Make one with: "
            f"uv venv {folder}",
            path=str(folder),
        )
    if kernel is None:
        return
    names, unreadable = _kernels_for(folder)
    if kernel not in names and kernel.lower() not in names:
        raise KernelNotFound.named(kernel, names, unreadable)


def _kernels_for(folder: Path | None) -> tuple[list[str], Mapping[str, str]]:
    """The names of the kernels in an environment, or else here; why others cannot be used."""
    from headway.cli.ask import ask
    from headway.core.wire.rpc import ListKernels
    from headway.edges import paths
    from headway.edges.kernelspecs import find_in, find_installed
    from headway.errors import DaemonUnavailable

    if folder is not None:
        found = find_in(folder)
        return sorted(found.kernels), found.unreadable
    try:
        # It may live in another environment than we.
        answer = ask(paths.socket_path(paths.home()), ListKernels())
    except DaemonUnavailable:
        found = find_installed()
        return sorted(found.kernels), found.unreadable
    return sorted(each.name for each in answer.kernels), answer.unreadable


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
