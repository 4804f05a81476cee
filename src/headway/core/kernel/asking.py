"""What an ipykernel says about what it asks for: after what it printed, and again if need be.

Floor 1, no sockets. A kernel prints on one socket and asks on another, and ZeroMQ keeps no order
between them: a question may come before the text that leads to it. So a prepared ipykernel
publishes a mark behind what it printed, before it asks.

And it sends an input_request once, to the daemon that asked it to run the code. One that is sent
while there is none, or that a daemon took to its grave before it was on the disk, is gone, and the
cell would wait for ever without anybody knowing. So it remembers what it asks until it has the
answer, and tells it on its control channel, which it answers while it waits. Of other kernels the
prompt is known only from the runtime document.
"""

from __future__ import annotations

from typing import Any

from headway.core.kernel.events import InputRequest
from headway.core.kernel.jupyter import input_request_of
from headway.in_kernel.asking import MARK, REQUEST

__all__ = ["is_mark", "read_recall", "recall_request"]


def is_mark(message: dict[str, Any]) -> bool:
    """Whether a published message says that everything printed before a question has come."""
    return message.get("msg_type") == MARK


def recall_request() -> tuple[str, dict[str, Any]]:
    """The type and content of the control request that asks for it."""
    return REQUEST, {}


def read_recall(message: dict[str, Any]) -> tuple[InputRequest, ...]:
    """What the kernel asks and waits for, if it does. Never raises."""
    content = message.get("content")
    asked = content.get("asked") if isinstance(content, dict) else None
    for item in asked if isinstance(asked, list) else ():
        if isinstance(item, dict):
            request = item.get("request")
            return input_request_of(request if isinstance(request, str) else None, item)
    return ()
