"""An interrupt ends a cell that awaits, also while it does not wait.

While a cell with an `await` in it runs, ipykernel has SIGINT cancel its task, because an exception
in its event loop would end the kernel. But a task is cancelled where it waits next: what computes
between two awaits, or sleeps without one, could not be interrupted. So where the cell's own code is
what runs, it is interrupted as in any other cell.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

__all__ = ["NEEDS", "Interrupt", "prepare"]

NEEDS: Final = ("shell.run_code", "shell.showtraceback")


def prepare(kernel: Any) -> None:
    """Let cells of this kernel that await be interrupted wherever they are."""
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
