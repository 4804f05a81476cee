"""Where one kernel is asked questions: in a subshell of its own, if it has such. No sockets.

A subshell (JEP 91) is a thread of the kernel beside the one that runs cells. It is asked for when
the first question comes, through the control channel, which is answered while code runs; questions
that come meanwhile wait. A kernel that an earlier daemon left may have one already: it is asked
for that first. Where there is none, questions go to the shell that runs cells, and the room sees
to it that they do not stand in its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from headway.core.kernel.events import KernelInfo
from headway.edges.kernel_requests import ShellMessage

__all__ = ["Subshell"]

_LIST: Final = "list_subshell_request"
_CREATE: Final = "create_subshell_request"


class Subshell:
    """One kernel's place for questions.

    Args:
        info: What the kernel said of itself.
        send: Sends a question, to a subshell or None.
        ask: Sends a control request of our own; gives its id.
    """

    def __init__(
        self,
        info: KernelInfo,
        send: Callable[[ShellMessage, str | None], None],
        ask: Callable[[str], str],
    ) -> None:
        self._send = send
        self._ask = ask
        self._id: str | None = None
        self._is_known = not info.answers_while_busy
        self._waiting: list[ShellMessage] = []
        self._request: str | None = None

    def put(self, question: ShellMessage) -> None:
        """Have a question asked, in the order of the calls."""
        if self._is_known:
            self._send(question, self._id)
            return
        self._waiting.append(question)
        if self._request is None:
            self._request = self._ask(_LIST)

    def take(self, request: str, message: dict[str, Any]) -> None:
        """A message that answers a request of our own, maybe one of these."""
        if request != self._request or message.get("msg_type") == "status":
            return
        found = message["content"].get("subshell_id")
        if message.get("msg_type") == "list_subshell_reply" and not found:
            self._request = self._ask(_CREATE)
            return
        if isinstance(found, list):
            found = found[0]
        self._id = found if isinstance(found, str) else None
        self._is_known = True
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            self._send(question, self._id)
