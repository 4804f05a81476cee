"""Where an ipykernel asks among what it publishes, and what it waits for.

It prints on one socket and asks on another, and ZeroMQ keeps no order between them. So it
publishes a mark behind what it printed, before it asks; and it tells what it asks on its control
channel, which it answers while it waits, until it has the answer.
"""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["MARK", "REPLY", "REQUEST", "prepare"]

REQUEST: Final = "headway_prompt_request"
REPLY: Final = "headway_prompt_reply"
MARK: Final = "headway_input_follows"


def prepare(kernel: Any) -> None:
    """Have this kernel mark where `input` and `getpass` ask, and remember what they wait for."""
    ask = kernel._input_request
    asked: list[dict[str, Any]] = []

    def asking(prompt: object, ident: Any, parent: Any, password: bool = False) -> Any:
        __tracebackhide__ = True
        request = (parent.get("header") or {}).get("msg_id")
        asked[:] = [{"request": request, "prompt": str(prompt), "password": bool(password)}]
        try:
            for stream in sys.stdout, sys.stderr:
                if stream is not None:
                    stream.flush()
            kernel.session.send(kernel.iopub_socket, MARK, {}, parent)
            return ask(prompt, ident, parent, password=password)
        finally:
            asked.clear()

    def tell(stream: Any, ident: Any, parent: Any) -> None:
        kernel.session.send(stream, REPLY, {"asked": list(asked)}, parent, ident=ident)

    kernel._input_request = asking
    kernel.control_handlers[REQUEST] = tell
