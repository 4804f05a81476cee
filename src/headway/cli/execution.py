"""Running a whole notebook: admitted at once, shown as it goes, saved, and cleaned up after.

Floor 6. What `headway run` does once its arguments are clear. It shows nothing itself (`report`)
and knows no terminal; signals come in as a call to `Run.interrupt`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.cli.consent import INSTALL_TIMEOUT_S, with_consent
from headway.cli.exit_statuses import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TIMEOUT
from headway.cli.following import follow
from headway.cli.parameters import INJECTED_TAG, Parameter, find_place, injected_source
from headway.cli.report import Beginning, Report, Summary
from headway.cli.terminal import short_path
from headway.client.models import (
    ExecutionResult,
)
from headway.core.document.edits import AddCell, UpdateSource
from headway.core.document.tags import RAISES_EXCEPTION, tags_of
from headway.errors import BadRequest, HeadwayError
from headway.ids import CellId, cell_id

if TYPE_CHECKING:
    from headway.client.aio import AsyncNotebook
    from headway.client.executions import AsyncExecution

__all__ = [
    "STOP_GRACE_S",
    "Options",
    "Run",
]

STOP_GRACE_S = 10.0
"""How long an interrupted cell may take to end before its kernel is shut down."""

_CANCELS_AT_ONCE = 100
"""Fewer than the daemon takes of one connection at once."""

_KERNEL_LIVES = frozenset({"starting", "idle", "busy", "restarting"})
_PYTHON = "python"
_NO_INPUT = "StdinNotImplementedError"
"""What ipykernel raises where code asks for input that it may not ask for."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    parameters: Sequence[Parameter] = ()
    kernel: str | None = None
    timeout_s: float | None = None
    """How long one cell may run."""
    allow_errors: bool = False
    environment: str | None = None
    """The folder of a virtual environment to run in."""
    install: bool = False
    """Whether what it lacks is installed without a question."""


class Run:
    """One run of one open notebook.

    Args:
        notebook: Open, with its daemon.
        options: What was asked for.
        report: Takes what happens.
        entropy: Gives random bytes.
    """

    def __init__(
        self, notebook: AsyncNotebook, options: Options, report: Report, entropy: Any
    ) -> None:
        self._notebook = notebook
        self._options = options
        self._report = report
        self._entropy = entropy
        self._executions: list[AsyncExecution] = []
        """All that was admitted for this run, in order."""
        self._results: list[ExecutionResult] = []
        """How the first of them ended."""
        self._expected: set[str] = set()
        """Executions that failed as a tag of their cell allows."""
        self._status = "ok"
        self._began_s = time.monotonic()
        self._interruption: asyncio.Task[None] | None = None
        self._is_admitting = False
        """Whether the cells were asked for: from then on they may run."""
        self._task: asyncio.Task[Summary] | None = None
        self._is_cancelled = False

    async def execute(self) -> Summary:
        """Run every code cell; gives how it went. The file is written by then, whatever happened.

        Raises what the daemon refuses: an unknown kernel, one that does not start, a file that
        cannot be written.
        """
        self._task = asyncio.current_task()
        kernel_lived = self._notebook.kernel.get("status") in _KERNEL_LIVES
        try:
            total = await self._run_cells(kernel_lived)
        except asyncio.CancelledError:
            if self._status != "interrupted":
                raise
            total = self._count_code_cells()
        finally:
            if not kernel_lived:
                with contextlib.suppress(HeadwayError):
                    await self._notebook.shutdown_kernel(unless_shared=True)
        saved = await self._notebook.save()
        summary = self._summary(saved.path, total)
        self._report.ended(summary)
        return summary

    def interrupt(self) -> None:
        """Stop: what ran so far is kept. Called on the event loop; a second call waits no more."""
        again = self._status == "interrupted"
        self._status = "interrupted"
        if self._is_admitting and not again:
            self._stop_cells()
        elif self._task is not None and not self._is_cancelled:
            # Once: the kernel's end and the save, which come after it, are not cut short.
            self._is_cancelled = True
            self._task.cancel()

    def failed(self, error: HeadwayError | asyncio.CancelledError) -> Summary:
        """How it went, after `execute` raised this; what ran is in the notebook, if not saved."""
        total = self._count_code_cells()
        ran, failed = self._ran()
        of_all = self._of_all(total, len(ran) - len(failed))
        if isinstance(error, HeadwayError):
            exit_status = error.exit_status
            sentence = f"The run failed: {str(error).rstrip('.')}. {of_all}"
        else:
            exit_status, sentence = EXIT_INTERRUPTED, f"Interrupted; {of_all}"
        return Summary(
            path=self._notebook.path or "(untitled)",
            status="error" if self._status == "ok" else self._status,
            exit_status=exit_status,
            cells=total,
            succeeded=len(ran) - len(failed),
            failed=len(failed),
            not_run=total - len(ran),
            elapsed_s=round(time.monotonic() - self._began_s, 3),
            sentence=sentence,
        )

    async def _run_cells(self, kernel_lived: bool) -> int:
        notebook, options = self._notebook, self._options
        asked = None if options.kernel is None else options.kernel.lower()
        if kernel_lived and asked not in {None, notebook.kernel.get("name")}:
            raise BadRequest(
                f"The notebook runs on the kernel {notebook.kernel.get('name')} now, so it cannot "
                f"run on {options.kernel}. Leave --kernel out, or end that kernel first."
            )
        kernel = await with_consent(
            lambda install: notebook.start_kernel(
                options.kernel,
                environment=options.environment,
                install=install,
                timeout=INSTALL_TIMEOUT_S,
            ),
            install=options.install,
            aside=self._report.aside,
        )
        if options.parameters:
            self._inject(kernel.language)
        self._is_admitting = True
        executions = await notebook.queue_all(allow_errors=options.allow_errors)
        self._executions = executions
        if self._status == "interrupted":
            self._stop_cells()
        self._report.opened(
            Beginning(
                path=notebook.path or "(untitled)",
                document=notebook.id,
                kernel=kernel.name or "?",
                cells=len(executions),
            )
        )
        for number, execution in enumerate(executions, 1):
            await self._follow(number, execution)
        if self._interruption is not None:
            await self._interruption
        return len(executions)

    def _inject(self, language: str | None) -> None:
        if language is not None and language.casefold() != _PYTHON:
            raise BadRequest(
                f"Parameters are written as Python, and this notebook's kernel speaks {language}."
            )
        source = injected_source(self._options.parameters)
        cells = self._notebook.cells
        place = find_place((cell.id, cell.metadata) for cell in cells)
        if place.replace is not None:
            self._notebook.apply(UpdateSource(place.replace, source))
            return
        where: dict[str, Any] = {"index": 0} if place.after is None else {"after": place.after}
        metadata = {"tags": [INJECTED_TAG]}
        self._notebook.apply(
            AddCell(cell_id(self._entropy), source=source, metadata=metadata, **where)
        )

    async def _follow(self, number: int, execution: AsyncExecution) -> None:
        """Show one execution until it is terminal; a cell that takes too long is interrupted."""
        loop = asyncio.get_running_loop()
        alarm: asyncio.TimerHandle | None = None

        def begun() -> None:
            nonlocal alarm
            if self._options.timeout_s is not None:
                alarm = loop.call_later(self._options.timeout_s, self._on_timeout)

        try:
            result = await follow(self._notebook, self._report, number, execution, begun)
        finally:
            if alarm is not None:
                alarm.cancel()
        self._results.append(result)
        if result.status == "error" and self._may_raise(result.cell_id):
            self._expected.add(result.execution_id)

    def _on_timeout(self) -> None:
        if self._status == "ok":
            self._status = "timeout"
            self._stop_cells()

    def _may_raise(self, cell: CellId) -> bool:
        with contextlib.suppress(HeadwayError):
            return RAISES_EXCEPTION in tags_of(self._notebook.cell(cell).metadata)
        return False

    def _stop_cells(self) -> None:
        if self._executions and self._interruption is None:
            self._interruption = asyncio.get_running_loop().create_task(self._cancel_cells())

    async def _cancel_cells(self) -> None:
        """End this run's cells and nobody else's; a kernel that does not heed it is shut down."""
        # The last one first: none of them begins because the one before it has ended.
        left = self._executions[len(self._results) :][::-1]
        try:
            for first in range(0, len(left), _CANCELS_AT_ONCE):
                some = left[first : first + _CANCELS_AT_ONCE]
                await asyncio.gather(*(execution.cancel() for execution in some))
            await self._notebook.wait_until(lambda: not self._goes_on, timeout=STOP_GRACE_S)
        except HeadwayError:
            with contextlib.suppress(HeadwayError):
                await self._notebook.shutdown_kernel()

    @property
    def _goes_on(self) -> bool:
        """Whether a cell of this run runs or waits."""
        return not {each.id for each in self._executions}.isdisjoint(self._notebook.queue)

    def _count_code_cells(self) -> int:
        return sum(cell.cell_type == "code" for cell in self._notebook.cells)

    def _ran(self) -> tuple[list[ExecutionResult], list[ExecutionResult]]:
        """What ran, and what of it failed where no tag allows it."""
        ran = [result for result in self._results if result.status != "cancelled"]
        failed = [
            each for each in ran if not each.success and each.execution_id not in self._expected
        ]
        return ran, failed

    def _summary(self, path: str, total: int) -> Summary:
        ran, failed = self._ran()
        succeeded = len(ran) - len(failed)
        status = self._status
        if status == "ok" and failed:
            status = failed[0].status
        elif status == "ok" and len(ran) < total:
            status = "cancelled"
        elapsed_s = time.monotonic() - self._began_s
        return Summary(
            path=path,
            status=status,
            exit_status=_EXIT_STATUSES.get(status, EXIT_FAILED),
            cells=total,
            succeeded=succeeded,
            failed=len(failed),
            not_run=total - len(ran),
            elapsed_s=round(elapsed_s, 3),
            sentence=self._sentence(status, total, succeeded, failed)
            + f" Saved to {short_path(path)} after {elapsed_s:.1f} s.",
        )

    def _of_all(self, total: int, succeeded: int) -> str:
        of_all = f"{succeeded} of {total} cells ran well."
        if self._expected:
            of_all = f"{of_all[:-1]}, {len(self._expected)} with an error that a tag allows."
        return of_all

    def _sentence(
        self, status: str, total: int, succeeded: int, failed: list[ExecutionResult]
    ) -> str:
        of_all = self._of_all(total, succeeded)
        match status:
            case "ok":
                return of_all
            case "timeout":
                return f"Stopped: a cell ran longer than {self._options.timeout_s:g} s; {of_all}"
            case "interrupted" if self._goes_on:
                return (
                    f"Interrupted; {of_all} A cell goes on in the kernel, which was running before:"
                    " `headway kernel restart` ends it."
                )
            case "interrupted":
                return f"Interrupted; {of_all}"
            case "cancelled":
                why = next(each.reason for each in self._results if each.status == status)
                return f"Not every cell ran: {why}. {of_all}"
            case _ if failed[0].error is not None and failed[0].error.ename == _NO_INPUT:
                return (
                    "A cell asked for input, and nobody answers in a run. Set what it needs with "
                    f"-p, or run that cell with `headway cell run`. {of_all}"
                )
            case _:
                first = failed[0]
                why = str(first.error) if first.error is not None else first.reason or first.status
                return f"A cell failed: {why.rstrip('.')}. {of_all}"


_EXIT_STATUSES = {"ok": 0, "timeout": EXIT_TIMEOUT, "interrupted": EXIT_INTERRUPTED}
