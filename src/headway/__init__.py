"""Headway: a notebook is a replicated document, and what runs is exactly what you confirmed."""

from __future__ import annotations

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
    Output,
    OutputsCleared,
    Rejected,
    Started,
)
from headway.client.sync import Execution, Notebook, connect, open  # noqa: A004 - headway.open
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
    HeadsTimeout,
    HeadwayError,
    InvalidEdit,
    NotConfirmed,
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
    "Event",
    "Execution",
    "ExecutionResult",
    "Finished",
    "Heads",
    "HeadsTimeout",
    "HeadwayError",
    "InvalidEdit",
    "NotConfirmed",
    "NotExecutable",
    "Notebook",
    "Output",
    "OutputsCleared",
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
