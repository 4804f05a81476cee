"""Where an ipykernel asks among what it publishes, and what it waits for.

It prints on one socket and asks on another, and ZeroMQ keeps no order between them. So it
publishes a mark behind what it printed, before it asks; and it tells what it asks on its control
channel, which it answers while it waits, until it has the answer.

And `breakpoint()` asks what to do, as IPython's debugger does. As it comes it is for debuggers that
attach to the process, and does nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

__all__ = ["MARK", "NEEDS", "REPLY", "REQUEST", "prepare"]

NEEDS: Final = (
    "_allow_stdin",
    "_input_request",
    "control_handlers",
    "iopub_socket",
    "session.send",
)

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

    sys.breakpointhook = _stopping(kernel, sys.breakpointhook)
    kernel._input_request = asking
    kernel.control_handlers[REQUEST] = tell


def _stopping(kernel: Any, go_on: Callable[..., Any]) -> Callable[..., Any]:
    def stop(*arguments: Any, **named: Any) -> Any:
        from IPython.core import debugger  # noqa: PLC0415 - the kernel has it already

        if "PYTHONBREAKPOINT" in os.environ:
            return sys.__breakpointhook__(*arguments, **named)  # noqa: T100 - it says what is meant
        if not kernel._allow_stdin:
            return go_on(*arguments, **named)
        set_trace: Any = debugger.set_trace
        return set_trace(sys._getframe(1), *arguments, **named)

    return stop
