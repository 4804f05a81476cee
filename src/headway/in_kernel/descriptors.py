"""What is written to a kernel's own descriptors belongs to the cell that ran then.

`os.system`, a subprocess, a library of C write to the descriptors 1 and 2. ipykernel has a thread
for each that reads them from a pipe and writes them to `sys.stdout` and `sys.stderr`. Nothing waits
for that thread: what a cell had written last was shown with the next one, or with none if the
kernel was shut down (5 of 100 small cells in a row, measured). So whoever flushes waits for it
first, as ipykernel does before a result, a display, and the end of a cell. And text is put together
where a read has cut a character in two.

Only that thread reads: it never runs a signal's handler, which might raise between reading and
writing.

What an interpreter says when it dies would not leave the pipe any more: `faulthandler` writes past
it, to whoever launched the kernel.
"""

from __future__ import annotations

import faulthandler
import os
import select
import sys
import termios
import threading
from codecs import getincrementaldecoder
from fcntl import ioctl
from typing import Any, Final

__all__ = ["NEEDS", "PATIENCE_S", "READ_BYTES", "Descriptor", "prepare"]

NEEDS: Final[tuple[str, ...]] = ()

READ_BYTES: Final = 1024 * 1024
"""As much as a pipe holds at most (pipe(7)): one read takes all that is there."""

PATIENCE_S: Final = 5.0
"""How long is waited at most; as for a message that is not taken."""

_NONE: Final = bytes(4)
"""The number 0 as C has it."""

_OF_A_STREAM: Final = (
    "_fid",
    "_original_stdstream_copy",
    "_original_stdstream_fd",
    "watch_fd_thread",
)
"""What is used of a stream that watches its descriptor."""


class Descriptor:
    """One of the two, with a thread in place of ipykernel's own.

    Args:
        stream: ipykernel's `OutStream`, which watches it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._is_taking = False
        self._has_ended = False
        self._takes = 0
        self._taken = threading.Condition()
        # As `OutStream.close` ends it.
        stream._should_watch = False
        os.write(stream._original_stdstream_fd, b"\0")
        stream.watch_fd_thread.join()
        stream._should_watch = True
        stream.watch_fd_thread = threading.Thread(target=self._watch, daemon=True)
        stream.watch_fd_thread.start()

    def wait(self) -> None:
        """Wait until what is in the pipe now is written to the stream, `PATIENCE_S` at most."""
        __tracebackhide__ = True
        if self._has_more():
            # One that is under way began before, perhaps; the next one takes all that is there.
            enough = self._takes + 2
            with self._taken:
                self._taken.wait_for(
                    lambda: self._takes >= enough or not self._has_more(), PATIENCE_S
                )

    def _has_more(self) -> bool:
        # In this order: what has left the pipe is being taken until it is written.
        waiting = ioctl(self._stream._fid, termios.FIONREAD, _NONE)
        return (waiting != _NONE or self._is_taking) and not self._has_ended

    def _watch(self) -> None:
        # Version 6 takes what a thread writes for the words of the cell that began the thread.
        for parents in "_thread_to_parent", "_thread_to_parent_header":
            getattr(self._stream, parents, {}).pop(threading.get_ident(), None)
        something = select.poll()
        something.register(self._stream._fid, select.POLLIN)
        try:
            while something.poll() and self._stream._should_watch:
                self._take()
        except Exception:  # noqa: BLE001 - as ipykernel keeps it
            self._stream._exc = sys.exc_info()  # shown when the stream is closed
        finally:
            self._has_ended = True

    def _take(self) -> None:
        self._is_taking = True
        data = os.read(self._stream._fid, READ_BYTES)
        self._stream.write(self._decode(data))
        os.write(self._stream._original_stdstream_copy, data)
        self._is_taking = False
        with self._taken:
            self._takes += 1
            self._taken.notify_all()


def prepare(kernel: Any) -> None:
    """Have both descriptors of this kernel waited for, where its version watches them."""
    del kernel
    streams: tuple[Any, ...] = sys.stdout, sys.stderr
    for stream in streams:
        has_all = all(getattr(stream, name, None) is not None for name in _OF_A_STREAM)
        if has_all and getattr(stream, "_should_watch", False):
            stream.headway_descriptor = Descriptor(stream)
            if stream.name == "stderr":
                _have_last_words_leave(stream._original_stdstream_copy)


def _have_last_words_leave(outside: int) -> None:
    enable: Any = faulthandler.enable

    def enable_outside(file: Any = sys.__stderr__, *arguments: Any, **named: Any) -> None:
        enable(outside if file is sys.__stderr__ else file, *arguments, **named)

    faulthandler.enable = enable_outside
    if faulthandler.is_enabled():
        faulthandler.enable()
