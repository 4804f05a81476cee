"""How the execution that an adopted kernel was given last ended, asked behind its back.

No sockets: it is given what answers the question, and says when that is enough. `jupyter_kernel`
says why a question on the shell socket tells it.
"""

from __future__ import annotations

from typing import Any, Final

from headway.core.kernel.events import ExecuteReply, Idle, KernelEvent, ReplyLost
from headway.core.kernel.ipykernel import inquiry_request, read_inquiry
from headway.core.kernel.outstanding import Outstanding
from headway.edges.kernel_record import Asked

__all__ = ["REPLY_LOST", "Inquiry"]

REPLY_LOST: Final = "the daemon ended before it did, and how it ended is not known"
"""Why an adopted execution has no reply."""


class Inquiry:
    """One question.

    Args:
        asked: The execution it is about.
        outstanding: Whether that one's reply has come.
        is_ipykernel: Whether the kernel can tell, or only that it is done.
    """

    def __init__(self, asked: Asked, outstanding: Outstanding, *, is_ipykernel: bool) -> None:
        self.asked = asked
        self.request = ""
        """The id of the request that asks it, once it is sent."""
        self._outstanding = outstanding
        self._is_ipykernel = is_ipykernel
        self._reply: dict[str, Any] | None = None
        self._is_idle = False

    def question(self) -> tuple[str, dict[str, Any]]:
        """The type and content of the request."""
        if self._is_ipykernel:
            return "execute_request", inquiry_request()
        return "kernel_info_request", {}

    def take(self, message: dict[str, Any]) -> tuple[KernelEvent, ...]:
        """A message that answers it; gives what is known of the execution, once all has come."""
        kind = message.get("msg_type")
        if kind in {"execute_reply", "kernel_info_reply"}:
            self._reply = message
        elif kind == "status" and message["content"].get("execution_state") == "idle":
            self._is_idle = True
        if self._reply is None or not self._is_idle:
            return ()
        execution_id = self.asked.execution_id
        idle = Idle(execution_id)
        if not self._outstanding.settled(execution_id):
            return (idle,)
        told = read_inquiry(self._reply, self.asked.sha256, self.asked.after_count)
        if told is None:
            return (ReplyLost(execution_id, REPLY_LOST), idle)
        status, error = told
        count = self.asked.after_count + 1
        return (ExecuteReply(execution_id, status, count, error or None), idle)
