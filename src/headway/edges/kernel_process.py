"""A kernel's process: started in a session of its own, watched, signalled, reaped. POSIX.

It knows nothing of Jupyter. Its end is seen by a pidfd on the event loop, where the system has
them (Linux 5.3), else by a thread that waits; there is no polling. What the process writes to
stdout and stderr is read from a pipe all the time and the last bytes are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

__all__ = ["LAST_WORDS_CHARACTERS", "TAIL_BYTES", "KernelProcess"]

TAIL_BYTES: Final = 16 * 1024
"""How much of what the process wrote is kept."""

LAST_WORDS_CHARACTERS: Final = 200
"""How much of its last line goes into the reason of its end."""

_READ_BYTES: Final = 64 * 1024
_FATAL: Final = "Fatal Python error"


class KernelProcess:
    """One process and its process group.

    `on_end` is called once on the event loop, after the process was reaped and what was left of
    its group was killed. Raises OSError when the process cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: str,
        environment: Mapping[str, str],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._tail = bytearray()
        self._pidfd: int | None = None
        self.ended = asyncio.Event()
        self._pipe: int | None
        self._pipe, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a kernelspec says what to run
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(writing)
        self.pid = self._process.pid
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read)
        self._watch()

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and its descendants; no effect once it has ended.

        A descendant that made a session of its own is not reached.
        """
        if not self.ended.is_set():
            self._signal(number)

    def written(self) -> str:
        """The end of what it wrote to stdout and stderr, at most `TAIL_BYTES`."""
        return bytes(self._tail[-TAIL_BYTES:]).decode("utf-8", "replace")

    def forget_written(self) -> None:
        """Keep only what it writes from here on."""
        self._tail.clear()

    def reason(self) -> str:
        """Why it ended, as a clause: "it was killed by signal 9 (SIGKILL)"."""
        status = self._process.returncode
        if status is None:
            return "it still runs"
        if status >= 0:
            said = f"it exited with status {status}"
        else:
            said = f"it was killed by signal {-status}"
            with contextlib.suppress(ValueError):
                said += f" ({signal.Signals(-status).name})"
        words = self._last_words()
        return f'{said}; the last it wrote was "{words}"' if words else said

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.written().splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(_FATAL)]
        return (fatal or lines or [""])[-1][:LAST_WORDS_CHARACTERS]

    def _watch(self) -> None:
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # an older kernel, or a sandbox that forbids it
                self._pidfd = os.pidfd_open(self.pid)
        if self._pidfd is None:
            threading.Thread(target=self._wait, name=f"kernel {self.pid}", daemon=True).start()
        else:
            self._loop.add_reader(self._pidfd, self._exited)

    def _wait(self) -> None:
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._exited)

    def _exited(self) -> None:
        if self.ended.is_set():
            return
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        # Before it is reaped, while its id cannot belong to anybody else.
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._read_rest()
        self.ended.set()
        self._on_end()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _read(self) -> bool:
        """Take what the pipe holds; whether there may be more."""
        if self._pipe is None:
            return False
        try:
            data = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close_pipe()
            return False
        self._tail += data
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        return True

    def _read_rest(self) -> None:
        # Not to its end: a descendant outside of the group may hold the pipe open, and write.
        for _ in range(TAIL_BYTES):
            if not self._read():
                break
        self._close_pipe()

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None
