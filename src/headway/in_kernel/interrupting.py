"""An interrupt ends a cell, also one that awaits while it does not wait, and never the kernel.

While a cell with an `await` in it runs, ipykernel has SIGINT cancel its task, because an exception
in its event loop would end the kernel. But a task is cancelled where it waits next: what computes
between two awaits, or sleeps without one, could not be interrupted. So where the cell's own code is
what runs, it is interrupted as in any other cell.

And ipykernel heeds SIGINT from before it looks for a message's handler until after it has written
down what that raised. An interrupt that comes there, as the second of two people who interrupt at
once, is an exception in its event loop, and ends the kernel. So it is heeded in the handler alone.
"""

from __future__ import annotations

import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

__all__ = ["NEEDS", "Interrupt", "prepare"]

NEEDS: Final = (
    "pre_handler_hook",
    "post_handler_hook",
    "saved_sigint_handler",
    "shell_handlers",
    "shell.run_code",
    "shell.showtraceback",
)


def prepare(kernel: Any) -> None:
    """Let cells of this kernel be interrupted wherever they are, and nothing around them."""
    _heed_in_handlers(kernel)
    cancelling = getattr(kernel, "_cancel_on_sigint", None)
    if cancelling is None:
        return
    shell = kernel.shell
    runner = type(shell).run_code.__code__

    @contextmanager
    def interruptible(task: Any) -> Iterator[None]:
        with cancelling(task):
            signal.signal(signal.SIGINT, Interrupt(signal.getsignal(signal.SIGINT), runner))
            yield

    kernel._cancel_on_sigint = interruptible
    shell.showtraceback = _without_us(shell.showtraceback)


def _heed_in_handlers(kernel: Any) -> None:
    begun: list[None] = []

    def begin() -> None:
        # What ipykernel sets anew when the handler has ended. In another thread than this one,
        # and for a message that comes while a cell awaits, it is left as it is.
        kernel.saved_sigint_handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            begun.append(None)

    def heeding(handle: Callable[..., Any]) -> Callable[..., Any]:
        def heed(*arguments: Any) -> Any:
            if not begun:
                return handle(*arguments)
            begun.clear()
            return _heeding(handle, arguments, kernel.saved_sigint_handler)

        return heed

    kernel.pre_handler_hook = begin
    for name, handle in list(kernel.shell_handlers.items()):
        kernel.shell_handlers[name] = heeding(handle)


async def _heeding(handle: Callable[..., Any], arguments: tuple[Any, ...], former: Any) -> None:
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        result = handle(*arguments)
        if inspect.isawaitable(result):
            await result
    finally:
        try:
            signal.signal(signal.SIGINT, former)
        except KeyboardInterrupt:  # it came just before
            signal.signal(signal.SIGINT, former)
            raise


class Interrupt:
    """The handler of SIGINT while a cell that awaits runs.

    Args:
        cancel: The one that cancels its task.
        runner: The code that calls what the user wrote.
    """

    def __init__(self, cancel: Any, runner: CodeType) -> None:
        self._cancel = cancel
        self._runner = runner

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt if the cell's own code was interrupted; else cancel its task."""
        while frame is not None:
            frame = frame.f_back
            if frame is not None and frame.f_code is self._runner:
                raise KeyboardInterrupt
        self._cancel(number, frame)


def _without_us(show: Callable[..., None]) -> Callable[..., None]:
    """Shows a traceback without the frame in which the interrupt was raised."""

    def show_without_us(*arguments: Any, **named: Any) -> None:
        trace: TracebackType | None = sys.exc_info()[2]
        while trace is not None:
            last = trace.tb_next
            if last is not None and last.tb_frame.f_code is Interrupt.__call__.__code__:
                trace.tb_next = None
            trace = trace.tb_next
        show(*arguments, **named)

    return show_without_us
