"""The executions that a kernel was sent and has not answered. Not the queue: that is the room's.

It exists because of what interrupts do to ipykernel (measured with 7.4: 300 interrupts within
3 ms of the busy status). A SIGINT before the code itself runs is ignored, and the cell runs on
(18 in 100); one that hits the kernel's own code around the cell makes it publish idle and never
reply (2 in 100). So an interrupt waits until the code it is meant for has begun, and an
interrupted execution that is idle without a reply is *suspect*: the kernel answers shell requests
in order, so when it answers one that was sent later, the reply is lost for good. So is that of a
kernel whose own code failed: an execution that is idle and stays without a reply becomes suspect
as well, by `overdue`. Where that code fails early not even idle is published (an ipykernel's, when
a cell has put something in the place of `sys.stdout` that cannot be flushed): of a kernel that
surely answers in order, an execution becomes suspect by `goes_on`, which may be all in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.kernel.events import ExecuteInput, ExecuteReply, Idle, KernelEvent

__all__ = ["Outstanding"]


@dataclass(slots=True)
class _Execution:
    count: int | None = None
    is_idle: bool = False
    is_interrupted: bool = False
    is_overdue: bool = False
    goes_on: bool = False
    is_suspect: bool = False


class Outstanding:
    """Fed with what is asked and what the kernel says, in order."""

    def __init__(self) -> None:
        self._executions: dict[str, _Execution] = {}

    def __len__(self) -> int:
        return len(self._executions)

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._executions

    @property
    def first(self) -> str | None:
        """The execution that runs now or will run next; None when everything was answered."""
        return next(iter(self._executions), None)

    def has_begun(self, execution_id: str) -> bool:
        """Whether the kernel has announced its input, or it is over already."""
        found = self._executions.get(execution_id)
        return found is None or found.count is not None

    def asked(self, execution_id: str) -> None:
        """The request is sent."""
        self._executions.setdefault(execution_id, _Execution())

    def taken_up(self, execution_id: str, count: int) -> None:
        """An earlier daemon sent the request, and its code may have begun."""
        self._executions.setdefault(execution_id, _Execution(count))

    def settled(self, execution_id: str) -> bool:
        """No reply will come any more; whether one was outstanding."""
        return self._executions.pop(execution_id, None) is not None

    def interrupted(self) -> None:
        """An interrupt is sent: it may cost each of these its reply."""
        for execution in self._executions.values():
            execution.is_interrupted = True

    def heard(self, event: KernelEvent) -> None:
        """The kernel said this."""
        match event:
            case ExecuteReply(execution_id):
                self._executions.pop(execution_id, None)
            case ExecuteInput(str(execution_id), count) if execution_id in self._executions:
                self._executions[execution_id].count = count
            case Idle(str(execution_id)) if execution_id in self._executions:
                self._executions[execution_id].is_idle = True
            case _:
                pass

    def overdue(self, execution_id: str) -> None:
        """It is idle for so long that its reply should have come, if it has not."""
        if (execution := self._executions.get(execution_id)) is not None:
            execution.is_overdue = True

    def goes_on(self, execution_id: str) -> None:
        """It has had no reply for so long that a later request to its kernel is worth while."""
        if (execution := self._executions.get(execution_id)) is not None:
            execution.goes_on = True

    def new_suspects(self) -> tuple[str, ...]:
        """Those that became suspect since the last call. Each is worth one later shell request."""
        if not self._executions:
            return ()
        found = []
        for execution_id, execution in self._executions.items():
            is_lacking = execution.is_idle and (execution.is_interrupted or execution.is_overdue)
            if (is_lacking or execution.goes_on) and not execution.is_suspect:
                execution.is_suspect = True
                found.append(execution_id)
        return tuple(found)

    def give_up(self, execution_id: str) -> tuple[KernelEvent, ...]:
        """A later request was answered: what stands in for what was lost; nothing if all came."""
        execution = self._executions.pop(execution_id, None)
        if execution is None:
            return ()
        if execution.is_interrupted:
            name, why = "KeyboardInterrupt", "the kernel was interrupted and sent no reply"
        elif execution.is_idle:
            name, why = "NoReply", "the kernel says that it is done and sent no reply"
        else:
            name, why = "NoReply", "the kernel has gone on and sent no reply: its own code failed"
        reply = ExecuteReply(execution_id, "error", execution.count, name, why)
        return (reply,) if execution.is_idle else (reply, Idle(execution_id))
