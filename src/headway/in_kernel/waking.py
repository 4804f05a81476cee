"""An interrupt ends what an ipykernel waits in, however shortly before the wait it came.

When a signal comes, C only notes it; Python acts upon it at its next step, or when the system call
that it waits in is cut short. A signal that comes between the last step and the call cuts nothing
short: the note is there, and `time.sleep(600)` sleeps on. The moment takes microseconds, but the
interpreter's lock is given up in it, so on busy processors it is as long as others work. And it
follows what a cell prints before it waits, which is when programs interrupt: one interrupt in
sixteen was without effect (measured, with two tests at once on each of two processors).

So after an interrupt the thread that runs cells gets a signal without a meaning, SIGURG, until the
handler of that has run: what SIGINT noted has been acted upon then, too. Nobody is interrupted
twice. It is the signal by which Go wakes its own threads: nothing that does not ask for it is
harmed by it.

And its event loop is woken. While a cell awaits, ipykernel's handler of SIGINT only leaves a
callback for the loop, which goes on to wait for whatever comes next: with 7.4 as it comes,
`await asyncio.sleep(600)` cannot be interrupted.
"""

from __future__ import annotations

import signal
import threading
from asyncio import get_running_loop
from typing import Any, Final

__all__ = ["FIRST_GAP_S", "NEEDS", "REQUEST", "TRIES", "prepare"]

NEEDS: Final = ("control_handlers", "io_loop.add_callback")

REQUEST: Final = "headway_wake_request"
"""On the control channel, after the interrupt. It has no reply."""

FIRST_GAP_S: Final = 0.001
"""How long the handler may take to run before the signal is sent again; then twice as long."""

TRIES: Final = 14
"""How often it is sent at most, within 16 s: code of C that runs that long looks for itself."""


def prepare(kernel: Any) -> None:
    """Let this kernel be woken, unless somebody else has a use for the signal."""
    if signal.getsignal(signal.SIGURG) not in {signal.SIG_DFL, signal.SIG_IGN}:
        return
    owed: dict[int, None] = {}
    heed = owed.pop
    # Called with the signal's number and a frame. As a function of C it cannot be interrupted.
    signal.signal(signal.SIGURG, heed)
    runs_cells: Any = threading.main_thread().ident

    def wake(gap_s: float, tries: int) -> None:
        if signal.SIGURG in owed and signal.getsignal(signal.SIGURG) == heed:
            signal.pthread_kill(runs_cells, signal.SIGURG)
            kernel.io_loop.add_callback(lambda: None)
            if tries > 1:
                get_running_loop().call_later(gap_s, wake, 2 * gap_s, tries - 1)

    def begin(*_: Any) -> None:
        owed[signal.SIGURG] = None
        wake(FIRST_GAP_S, TRIES)

    kernel.control_handlers[REQUEST] = begin
