"""The order of executions: one line, one at its head, and what ends whom.

Floor 3. Pure bookkeeping: who waits, who runs, which ids are taken. What an execution means to
the kernel and to the runtime document is in `executions`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from headway.ids import CellId, ExecutionId

__all__ = ["BATCH_CANCELLED", "BATCH_FAILED", "MAX_WAITING", "Execution", "Queue"]

BATCH_CANCELLED = "an earlier cell of the same run was cancelled"
BATCH_FAILED = "an earlier cell of the same run failed"

MAX_WAITING = 10_000
"""How many executions may wait in one notebook."""


@dataclass(slots=True, eq=False)
class Execution:
    """An admitted execution that is not terminal yet."""

    execution_id: ExecutionId
    cell_id: CellId
    source: str
    source_sha256: str
    heads: str
    batch_id: str | None = None
    stops_batch: bool = False
    """Whether its failure cancels the rest of its batch."""
    may_raise: bool = False
    """Whether an error in it is no such failure."""
    allow_stdin: bool = False
    """Whether somebody is there who may answer when it asks for input."""
    durable: bool = False
    """Whether its admission is on the disk; it may not reach the kernel before."""
    replied: str | None = None
    """The status of the kernel's reply, once it came."""
    reason: str | None = None
    """What is known of it beyond that, or why that will never be known."""
    shows_error: bool = False
    """Whether an error is among its outputs."""
    idle: bool = False
    """Whether the kernel has said that everything of this execution was sent."""
    ends_kernel: bool = False
    """Whether it asked for the kernel's end."""


class Queue:
    """The executions of one notebook that are not terminal, in order of admission."""

    def __init__(self) -> None:
        """An empty queue."""
        self._waiting: deque[Execution] = deque()
        self.running: Execution | None = None

    def __len__(self) -> int:
        return len(self._waiting) + (self.running is not None)

    def __iter__(self) -> Iterator[Execution]:
        if self.running is not None:
            yield self.running
        yield from self._waiting

    def has_room_for(self, count: int) -> bool:
        """Whether `count` more may wait."""
        return len(self._waiting) + count <= MAX_WAITING

    def admit(self, execution: Execution) -> None:
        """Put an execution at the end."""
        self._waiting.append(execution)

    def find(self, execution_id: ExecutionId) -> Execution | None:
        """The execution of that id, waiting or running."""
        return next((each for each in self if each.execution_id == execution_id), None)

    def find_waiting(
        self, cell_id: CellId, source_sha256: str, *, allow_stdin: bool
    ) -> Execution | None:
        """A waiting, single execution of the same source of the same cell, as free to ask."""
        return next(
            (
                each
                for each in self._waiting
                if each.cell_id == cell_id
                and each.source_sha256 == source_sha256
                and each.allow_stdin == allow_stdin
                and each.batch_id is None
            ),
            None,
        )

    def start_next(self) -> Execution | None:
        """Let the first one run, if none runs and its admission is durable."""
        if self.running is not None or not self._waiting or not self._waiting[0].durable:
            return None
        self.running = self._waiting.popleft()
        return self.running

    def remove(self, execution: Execution) -> None:
        """Take an execution out, wherever it is."""
        if self.running is execution:
            self.running = None
        else:
            self._waiting.remove(execution)

    def take_waiting(self) -> tuple[Execution, ...]:
        """Take out everything that waits."""
        taken = tuple(self._waiting)
        self._waiting.clear()
        return taken

    def take_rest_of_batch(self, execution: Execution) -> tuple[Execution, ...]:
        """Take out what waits behind an execution, which stays, of its batch."""
        line = tuple(self)
        behind = line[line.index(execution) + 1 :]
        taken = tuple(each for each in behind if each.batch_id == execution.batch_id)
        gone = frozenset(taken)
        self._waiting = deque(each for each in self._waiting if each not in gone)
        return taken

    def ids(self) -> list[ExecutionId]:
        """The ids in order, the running one first."""
        return [each.execution_id for each in self]
