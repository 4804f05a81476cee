"""The commands that run cells, follow what runs, answer it and end it. A part of `rpc`.

Floor 1.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from headway.core.wire.declaring import RoomParams

__all__ = [
    "Accepted",
    "AcceptedAll",
    "AnswerInput",
    "Cancel",
    "Cancelled",
    "Execute",
    "ExecuteAll",
    "ExecutionOutcome",
    "GetExecution",
    "InputAnswered",
    "Interrupt",
    "Interrupted",
]


class Accepted(msgspec.Struct, kw_only=True, frozen=True):
    """The execution is durable and will end in exactly one terminal status.

    `execution_id` differs from the one asked for when the same source of the same cell was
    queued already: then that execution answers for both.
    """

    execution_id: str
    cell_id: str
    source_sha256: str
    heads: str


class Execute(RoomParams, kw_only=True, frozen=True):
    """Run a cell. An id is accepted once; a repeat gets the first answer again."""

    method: ClassVar[str] = "execute"
    result: ClassVar[type[Any]] = Accepted
    is_repeatable: ClassVar[bool] = True

    cell_id: str
    execution_id: str
    source: Literal["confirmed", "latest"] = "confirmed"
    """`confirmed`: as it stood at `required_heads`; `latest`: as the daemon has it."""
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""
    allow_stdin: bool = False
    """Whether somebody may answer when it asks for input. If not, asking fails at once."""


class AcceptedAll(msgspec.Struct, kw_only=True, frozen=True):
    """The executions of one admission, in order."""

    batch_id: str
    executions: list[Accepted]


class ExecuteAll(RoomParams, kw_only=True, frozen=True):
    """Run the code cells (all, or `cells` in that order) as one admission: all or none.

    The execution ids follow from `batch_id` and the cell ids, so a repeat runs nothing twice.
    """

    method: ClassVar[str] = "execute_all"
    result: ClassVar[type[Any]] = AcceptedAll
    is_repeatable: ClassVar[bool] = True

    batch_id: str
    cells: list[str] | None = None
    allow_errors: bool = False
    restart: bool = False
    """On a fresh kernel: what ran or waited ends, in the same admission."""
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""
    source: Literal["confirmed", "latest"] = "confirmed"
    allow_stdin: bool = False
    """As of `Execute`, for each cell."""


class ExecutionOutcome(msgspec.Struct, kw_only=True, frozen=True):
    """An execution as it stands: its record, with outputs as in the runtime document."""

    execution_id: str
    document: str
    record: dict[str, Any]


class GetExecution(RoomParams, kw_only=True, frozen=True):
    """An execution by id; with `wait`, only once it is terminal.

    `document` may be empty: the id alone is enough.
    """

    method: ClassVar[str] = "get_execution"
    result: ClassVar[type[Any]] = ExecutionOutcome
    is_repeatable: ClassVar[bool] = True

    document: str = ""
    execution_id: str
    wait: bool = False


class Cancelled(msgspec.Struct, kw_only=True, frozen=True):
    """`cancelled` is False when it was terminal already; a running one is interrupted."""

    execution_id: str
    cancelled: bool


class Cancel(RoomParams, kw_only=True, frozen=True):
    """End one execution: a queued one never runs, a running one is interrupted.

    With a queued one of a batch that an error stops, what waits behind it in that ends as well.
    """

    method: ClassVar[str] = "cancel"
    result: ClassVar[type[Any]] = Cancelled
    is_repeatable: ClassVar[bool] = True

    execution_id: str


class InputAnswered(msgspec.Struct, kw_only=True, frozen=True):
    """The kernel was given the answer."""

    execution_id: str
    prompt_id: str


class AnswerInput(RoomParams, kw_only=True, frozen=True):
    """Answer what an execution asks (its record's `prompt`); of several answers the first counts.

    Refused with INPUT_NOT_AWAITED when that prompt was answered, or is awaited no more.
    """

    method: ClassVar[str] = "answer_input"
    result: ClassVar[type[Any]] = InputAnswered

    execution_id: str
    prompt_id: str
    value: str
    """One line, without its end. It may be empty. Of a password nothing is kept."""


class Interrupted(msgspec.Struct, kw_only=True, frozen=True):
    """How many executions the interrupt ended, and whether one, or a widget's callback, ran."""

    cancelled: int
    interrupted: bool


class Interrupt(RoomParams, kw_only=True, frozen=True):
    """End every execution admitted before this request, and none admitted after."""

    method: ClassVar[str] = "interrupt"
    result: ClassVar[type[Any]] = Interrupted
