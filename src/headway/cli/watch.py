"""`headway watch`: follow a notebook live, whoever runs its cells.

Floor 6. It only looks: it edits nothing, runs nothing, and starts no kernel; but on a terminal the
person may answer what a cell asks. Executions are told
one after the other, in the order in which they run; of a cell that was run again before it was
its turn, only the newest one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.named_notebook import existing_notebook
from headway.cli.run import Outputs, is_interactive
from headway.cli.terminal import complain_of

if TYPE_CHECKING:
    from headway.cli.answering import Answering
    from headway.cli.watch_report import WatchReport
    from headway.client.aio import AsyncNotebook

__all__ = ["EXAMPLES", "watch"]

EXAMPLES = (
    "headway watch analysis.ipynb",
    "headway watch analysis.ipynb --outputs full",
    "headway watch analysis.ipynb --until-idle --json",
)

_QUIET = frozenset({"idle", "busy"})
"""Kernel states that go without saying."""

_AWAY = "reconnecting"
"""The status of a notebook whose daemon is gone."""

_FOREVER_S = 10.0 * 365 * 86_400


def watch(
    notebook: Annotated[str, typer.Argument(metavar="NOTEBOOK", help="The .ipynb to follow.")],
    *,
    outputs: Annotated[
        Outputs, typer.Option("--outputs", help="How much of the outputs to show.")
    ] = Outputs.compact,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when nothing runs or waits.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events as JSON, one object a line.")
    ] = False,
) -> None:
    """Follow a notebook: which cells run, what they print, ask, how they end. Until Ctrl-C.

    On a terminal you may answer what a cell asks for with `input()`; the first answer wins.
    """
    import asyncio

    from headway.cli.answering import answering
    from headway.client.aio import open_async

    path = existing_notebook(notebook)

    async def follow_it(report: WatchReport) -> None:
        async with open_async(path, name=f"headway watch {os.getpid()}") as opened:
            complain_of(opened)
            person = None if as_json else answering()
            await _Watch(opened, report, person).follow(until_idle=until_idle)

    with _report(outputs, as_json=as_json) as report:
        asyncio.run(follow_it(report))


class _Watch:
    """One notebook that is followed."""

    def __init__(
        self, notebook: AsyncNotebook, report: WatchReport, person: Answering | None
    ) -> None:
        self._notebook = notebook
        self._person = person
        self._report = report
        self._told: dict[str, str] = {}
        """Cell -> the execution of it that was told."""
        self._kernel: dict[str, Any] = {}

    async def follow(self, *, until_idle: bool) -> None:
        """Show what is there, then what happens. Raises ConnectionLost when it is closed."""
        import asyncio

        # Beside it: what is followed may wait for the daemon, and nobody would know why.
        telling = asyncio.create_task(self._tell_connection())
        try:
            await self._follow(until_idle=until_idle)
        finally:
            telling.cancel()

    async def _follow(self, *, until_idle: bool) -> None:
        from headway.cli.following import follow
        from headway.errors import ConnectionLost

        notebook = self._notebook
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        # Of every cell that ever ran, also of those that are not there any more.
        waiting_or_running = set(notebook.queue)
        self._told = {
            cell_id: execution_id
            for cell_id, execution_id in notebook.latest_executions.items()
            if execution_id not in waiting_or_running
        }
        self._kernel = notebook.kernel
        self._report.watching(notebook.path, self._kernel, cells)
        while True:
            if notebook.status == "closed":
                raise ConnectionLost("The notebook was closed, so there is nothing more to follow.")
            self._tell_kernel()
            waiting = self._untold()
            if waiting:
                cell_id = waiting[0]
                self._told[cell_id] = latest_id = notebook.latest_executions[cell_id]
                execution = await notebook.get_execution(latest_id)
                number = self._number(cell_id)
                await follow(
                    notebook,
                    self._report,
                    number,
                    execution,
                    lambda: None,
                    person=self._person,
                )
            elif until_idle and self._is_idle():
                return
            else:
                await notebook.wait_until(
                    lambda: self._has_news() or (until_idle and self._is_idle()),
                    timeout=_FOREVER_S,
                )

    async def _tell_connection(self) -> None:
        """Say when the daemon is gone, and when it is back."""
        notebook = self._notebook
        while True:
            await notebook.wait_until(lambda: notebook.status == _AWAY, timeout=_FOREVER_S)
            self._report.daemon(is_there=False)
            await notebook.wait_until(lambda: notebook.status != _AWAY, timeout=_FOREVER_S)
            if notebook.status != "closed":
                self._report.daemon(is_there=True)

    def _is_idle(self) -> bool:
        return self._notebook.status != _AWAY and not self._notebook.queue

    def _has_news(self) -> bool:
        kernel = self._notebook.kernel
        is_other = bool(kernel) and kernel != self._kernel
        return is_other or self._notebook.status == "closed" or bool(self._untold())

    def _untold(self) -> list[str]:
        """The cells whose latest execution was not told, in the order in which they run."""
        queue = self._notebook.queue
        place = {execution_id: at for at, execution_id in enumerate(queue, 1)}
        untold = [
            (place.get(execution_id, 0), execution_id, cell_id)
            for cell_id, execution_id in self._notebook.latest_executions.items()
            if self._told.get(cell_id) != execution_id
        ]
        return [cell_id for _, _, cell_id in sorted(untold)]

    def _tell_kernel(self) -> None:
        before, now = self._kernel, self._notebook.kernel
        if not now:
            return  # Connecting again: nothing is known of it.
        self._kernel = now
        states = {before.get("status"), self._kernel.get("status")}
        if len(states) > 1 and not states <= _QUIET:
            self._report.kernel(self._kernel)

    def _number(self, cell_id: str) -> int:
        cells = (cell.id for cell in self._notebook.cells if cell.cell_type == "code")
        return next((at for at, each in enumerate(cells, 1) if each == cell_id), 0)


def _report(outputs: Outputs, *, as_json: bool) -> WatchReport:
    from headway.cli.show import HEAD_LINES
    from headway.cli.watch_report import WatchJson, WatchLines

    if as_json:
        return WatchJson()
    head = {Outputs.compact: HEAD_LINES, Outputs.full: None, Outputs.none: 0}[outputs]
    if is_interactive():
        from headway.cli.watch_report import watch_live

        return watch_live(head)
    return WatchLines(head=head)
