"""`headway kernel`: which kernels there are, and the life of a notebook's own.

Floor 6.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.consent import INSTALL_TIMEOUT_S, Environment, Install, with_consent
from headway.cli.exit_statuses import EXIT_FAILED
from headway.cli.terminal import complain, complain_of, plain, say, say_json, table

if TYPE_CHECKING:
    from headway.client.aio import AsyncNotebook
    from headway.core.wire.rpc import KernelState

__all__ = ["change", "interrupt", "list_kernels", "restart", "start", "stop"]

_AUTHOR = "headway kernel"

Path = Annotated[str, typer.Argument(metavar="NOTEBOOK", help="The .ipynb.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[
    str | None, typer.Option("--kernel", metavar="NAME", help="This kernel, by its name.")
]


def list_kernels(*, as_json: Json = False) -> None:
    """List the kernels that can be started: name, language, and what they call themselves."""
    from headway.edges.kernelspecs import find_installed

    installed = find_installed()
    for name, why in installed.unreadable.items():
        complain(f"{name}: {why}.")
    found = installed.kernels.values()
    if as_json:
        keys = ("name", "display_name", "language")
        say_json([{key: getattr(spec, key) for key in keys} for spec in found])
        return
    rows = [(spec.name, spec.language, spec.display_name) for spec in found]
    for line in table(("NAME", "LANGUAGE", "TITLE"), rows):
        say(line)


def start(
    notebook: Path,
    *,
    kernel: Name = None,
    environment: Environment = None,
    install: Install = False,
    as_json: Json = False,
) -> None:
    """Start the notebook's kernel, unless it runs; it stays."""

    async def work(opened: AsyncNotebook, consent: bool) -> KernelState:
        return await opened.start_kernel(
            kernel, environment=environment, install=consent, timeout=INSTALL_TIMEOUT_S
        )

    _say_kernel(_ask(notebook, work, install=install), as_json=as_json)


def change(
    notebook: Path,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The kernel, by its name.")],
    *,
    as_json: Json = False,
) -> None:
    """Run the notebook on another kernel from now on; what ran or waited ends."""

    async def work(opened: AsyncNotebook, _: bool) -> KernelState:
        return await opened.restart_kernel(name)

    _say_kernel(_ask(notebook, work), as_json=as_json)


def restart(
    notebook: Path,
    *,
    environment: Environment = None,
    install: Install = False,
    run_all: Annotated[
        bool, typer.Option("--run-all", help="Run every code cell then, as one batch.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a fresh kernel in place of the notebook's; what ran or waited ends.

    With --run-all the exit status is 1 if a cell failed, or did not run.
    """
    from headway.errors import BadRequest

    if run_all and environment is not None:
        raise BadRequest("--run-all runs where the kernel was: restart with --environment first.")

    async def work(opened: AsyncNotebook, consent: bool) -> KernelState:
        return await opened.restart_kernel(
            environment=environment, install=consent, timeout=INSTALL_TIMEOUT_S
        )

    async def work_and_run(opened: AsyncNotebook, consent: bool) -> list[Any]:
        return await opened.run_all(restart=True, install=consent)

    if not run_all:
        _say_kernel(_ask(notebook, work, install=install), as_json=as_json)
        return
    goes_on = "Cells that had begun, or wait, go on. They are ended by:"
    results = _ask(notebook, work_and_run, install=install, goes_on=goes_on)
    failed = [each for each in results if each.status not in {"ok", "cancelled"}]
    if as_json:
        keys = ("cell_id", "execution_id", "status", "reason")
        say_json([{key: getattr(each, key) for key in keys} for each in results])
    else:
        say(f"{sum(each.success for each in results)} of {len(results)} cells ran well.")
        for each in failed:
            say(f"{each.cell_id} {each.status}: {plain(str(each.error or each.reason))}")
    if not all(each.success for each in results):
        raise typer.Exit(EXIT_FAILED)


def stop(notebook: Path, *, as_json: Json = False) -> None:
    """End the notebook's kernel, with everything it started; what ran or waited ends."""

    async def work(opened: AsyncNotebook, _: bool) -> KernelState:
        return await opened.shutdown_kernel()

    _say_kernel(_ask(notebook, work), as_json=as_json)


def interrupt(notebook: Path, *, as_json: Json = False) -> None:
    """Interrupt the cell that runs and take back what waits; the kernel stays."""

    async def work(opened: AsyncNotebook, _: bool) -> Any:
        return await opened.interrupt()

    done = _ask(notebook, work)
    if as_json:
        say_json({"interrupted": done.interrupted, "cancelled": done.cancelled})
    else:
        ran = "A cell was interrupted" if done.interrupted else "Nothing ran"
        say(f"{ran}; {done.cancelled} that waited were taken back.")


def _ask(
    notebook: str,
    work: Callable[[AsyncNotebook, bool], Awaitable[Any]],
    *,
    install: bool = False,
    goes_on: str | None = None,
) -> Any:
    """What `work` gives; after Ctrl-C `goes_on` says what does, and what ends it is added."""
    import asyncio

    from headway.cli.named_notebook import existing_notebook
    from headway.client.aio import open_async

    async def asked() -> Any:
        async with open_async(existing_notebook(notebook), name=_AUTHOR) as opened:
            complain_of(opened)
            return await with_consent(lambda consent: work(opened, consent), install=install)

    try:
        return asyncio.run(asked())
    except KeyboardInterrupt:
        if goes_on is not None:
            complain(f"{goes_on} headway kernel interrupt {shlex.quote(notebook)}")
        raise


def _say_kernel(state: KernelState, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        say_json(msgspec.to_builtins(state))
        return
    shown = {
        "kernel": state.name,
        "status": state.status,
        "reason": state.reason,
        "environment": None if state.environment is None else state.environment.path,
    }
    for name, value in shown.items():
        if value is not None:
            say(f"{name:<11} {plain(value)}")
