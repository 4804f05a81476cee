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

from typing import Any, Final

from headway.core.kernel.events import InputRequest
from headway.core.kernel.jupyter import input_request_of

__all__ = ["PREPARE_ASKING", "is_mark", "read_recall", "recall_request"]

_REQUEST: Final = "headway_prompt_request"
_REPLY: Final = "headway_prompt_reply"

_MARK: Final = "headway_input_follows"

PREPARE_ASKING: Final = f"""
import sys

ask, asked = kernel._input_request, []

def asking(prompt, ident, parent, password=False):
    __tracebackhide__ = True
    request = (parent.get("header") or {{}}).get("msg_id")
    asked[:] = [{{"request": request, "prompt": str(prompt), "password": bool(password)}}]
    try:
        for stream in sys.stdout, sys.stderr:
            if stream is not None:
                stream.flush()
        kernel.session.send(kernel.iopub_socket, "{_MARK}", {{}}, parent)
        return ask(prompt, ident, parent, password=password)
    finally:
        asked.clear()

def tell(stream, ident, parent):
    kernel.session.send(stream, "{_REPLY}", {{"asked": list(asked)}}, parent, ident=ident)

kernel._input_request = asking
kernel.control_handlers["{_REQUEST}"] = tell
"""
"""A program for `ipykernel.prepare_request`. It makes ipykernel mark where `input` and `getpass`
ask among what it publishes, and remember what they wait for."""


def is_mark(message: dict[str, Any]) -> bool:
    """Whether a published message says that everything printed before a question has come."""
    return message.get("msg_type") == _MARK


def recall_request() -> tuple[str, dict[str, Any]]:
    """The type and content of the control request that asks for it."""
    return _REQUEST, {}


def read_recall(message: dict[str, Any]) -> tuple[InputRequest, ...]:
    """What the kernel asks and waits for, if it does. Never raises."""
    content = message.get("content")
    asked = content.get("asked") if isinstance(content, dict) else None
    for item in asked if isinstance(asked, list) else ():
        if isinstance(item, dict):
            request = item.get("request")
            return input_request_of(request if isinstance(request, str) else None, item)
    return ()
