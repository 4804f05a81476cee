"""Headway: a notebook is a replicated document, and what runs is exactly what you confirmed.

The door: what a program may use, in groups. A name is imported when it is first asked for,
because every module of Headway comes in through here, and the daemon and most commands need none
of the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Opening a notebook
    from headway.client.aio import AsyncNotebook, connect_async, open_async
    from headway.client.executions import AsyncExecution

    # What you get back
    from headway.client.models import (
        Cell,
        CellError,
        DisplayUpdated,
        Event,
        ExecutionResult,
        Finished,
        InputClosed,
        InputRequested,
        Output,
        OutputsCleared,
        Rejected,
        Started,
    )
    from headway.client.sync import Notebook, connect, open  # noqa: A004 - headway.open
    from headway.client.sync_execution import Execution
    from headway.core.document.prompts import Prompt
    from headway.core.sync.confirm import CONFIRM_TIMEOUT_S, Confirmation

    # What can go wrong
    from headway.errors import (
        CellFailed,
        CellNotFound,
        ConfirmTimeout,
        ConnectionFailed,
        ConnectionLost,
        DaemonUnavailable,
        DeadlineExceeded,
        EnvironmentNotFound,
        EnvironmentNotMade,
        HeadsTimeout,
        HeadwayError,
        InputNotAwaited,
        InstallationNeeded,
        InvalidDependencies,
        InvalidEdit,
        NotConfirmed,
        NotebookReplaced,
        NotExecutable,
        RequestFailed,
        UpdateRejected,
        WrongThread,
    )

    # Identities
    from headway.ids import Heads, heads_from_text, heads_to_text

__all__ = [
    "CONFIRM_TIMEOUT_S",
    "AsyncExecution",
    "AsyncNotebook",
    "Cell",
    "CellError",
    "CellFailed",
    "CellNotFound",
    "ConfirmTimeout",
    "Confirmation",
    "ConnectionFailed",
    "ConnectionLost",
    "DaemonUnavailable",
    "DeadlineExceeded",
    "DisplayUpdated",
    "EnvironmentNotFound",
    "EnvironmentNotMade",
    "Event",
    "Execution",
    "ExecutionResult",
    "Finished",
    "Heads",
    "HeadsTimeout",
    "HeadwayError",
    "InputClosed",
    "InputNotAwaited",
    "InputRequested",
    "InstallationNeeded",
    "InvalidDependencies",
    "InvalidEdit",
    "NotConfirmed",
    "NotExecutable",
    "Notebook",
    "NotebookReplaced",
    "Output",
    "OutputsCleared",
    "Prompt",
    "Rejected",
    "RequestFailed",
    "Started",
    "UpdateRejected",
    "WrongThread",
    "connect",
    "connect_async",
    "heads_from_text",
    "heads_to_text",
    "open",
    "open_async",
]

_HOMES = {
    "AsyncNotebook": "headway.client.aio",
    "connect_async": "headway.client.aio",
    "open_async": "headway.client.aio",
    "AsyncExecution": "headway.client.executions",
    "Cell": "headway.client.models",
    "CellError": "headway.client.models",
    "DisplayUpdated": "headway.client.models",
    "Event": "headway.client.models",
    "ExecutionResult": "headway.client.models",
    "Finished": "headway.client.models",
    "InputClosed": "headway.client.models",
    "InputRequested": "headway.client.models",
    "Output": "headway.client.models",
    "OutputsCleared": "headway.client.models",
    "Rejected": "headway.client.models",
    "Started": "headway.client.models",
    "Execution": "headway.client.sync_execution",
    "Notebook": "headway.client.sync",
    "connect": "headway.client.sync",
    "open": "headway.client.sync",
    "Prompt": "headway.core.document.prompts",
    "CONFIRM_TIMEOUT_S": "headway.core.sync.confirm",
    "Confirmation": "headway.core.sync.confirm",
    "CellFailed": "headway.errors",
    "CellNotFound": "headway.errors",
    "ConfirmTimeout": "headway.errors",
    "ConnectionFailed": "headway.errors",
    "ConnectionLost": "headway.errors",
    "DaemonUnavailable": "headway.errors",
    "DeadlineExceeded": "headway.errors",
    "EnvironmentNotFound": "headway.errors",
    "EnvironmentNotMade": "headway.errors",
    "HeadsTimeout": "headway.errors",
    "HeadwayError": "headway.errors",
    "InputNotAwaited": "headway.errors",
    "InstallationNeeded": "headway.errors",
    "InvalidDependencies": "headway.errors",
    "InvalidEdit": "headway.errors",
    "NotConfirmed": "headway.errors",
    "NotExecutable": "headway.errors",
    "RequestFailed": "headway.errors",
    "NotebookReplaced": "headway.errors",
    "UpdateRejected": "headway.errors",
    "WrongThread": "headway.errors",
    "Heads": "headway.ids",
    "heads_from_text": "headway.ids",
    "heads_to_text": "headway.ids",
}


if not TYPE_CHECKING:  # with it in sight, type checkers would believe any name

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'headway' has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - as late as what it imports

        offered = getattr(import_module(home), name)
        globals()[name] = offered
        return offered


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
