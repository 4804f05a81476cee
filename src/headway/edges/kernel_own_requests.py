"""The requests that we send a kernel for ourselves, known by their ids. No sockets.

What answers one goes to nobody else. How many messages do is not known: an ipykernel says that it
is busy, replies, and says that it is idle, on two sockets and so in any order; an interrupt has no
reply, and of another kernel's control socket nothing may come at all. So an id is not forgotten by
what came, but when many were sent after it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

__all__ = ["OWN_REQUESTS_KEPT", "OwnRequests"]

OWN_REQUESTS_KEPT: Final = 1_000
"""How many are known: many times what a kernel has not answered."""


class OwnRequests:
    """The newest of them, and those that somebody waits for.

    Args:
        is_awaited: Whether somebody waits for the answer to a request, however old.
    """

    def __init__(self, is_awaited: Callable[[str], bool]) -> None:
        self._known: dict[str, None] = {}
        self._is_awaited = is_awaited

    def __contains__(self, request: object) -> bool:
        return request in self._known

    def __len__(self) -> int:
        return len(self._known)

    def begin(self) -> str:
        """Give the id of a new one."""
        request = os.urandom(16).hex()
        self._known[request] = None
        if len(self._known) > OWN_REQUESTS_KEPT:
            self._forget_oldest()
        return request

    def _forget_oldest(self) -> None:
        for request in self._known:
            if not self._is_awaited(request):
                del self._known[request]
                return
