"""An ipykernel sends what is printed soon, in pieces, and marked where the program flushed.

As it comes it sends what was printed every 200 ms, however much that is, and flushes both streams
three times in each cell, waiting for its sending thread each time, whether anything was written or
not (a fifth of the time of a small cell, measured). What a program flushes itself and what is
flushed because the cell has ended looks the same; but after the one the cell goes on, and somebody
waits to see it, and after the other the end of the cell is on its way.

What was written is neither lost nor sent twice, whenever a signal's handler raises an exception.
"""

from __future__ import annotations

import sys
from collections import deque
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

__all__ = [
    "FLUSHED",
    "FLUSH_INTERVAL_S",
    "NEEDS",
    "STREAM_CHARACTERS",
    "WRITTEN_CHARACTERS",
    "Stream",
    "prepare",
]

NEEDS: Final[tuple[str, ...]] = ()

FLUSH_INTERVAL_S: Final = 0.02
"""How soon what is printed is sent without being flushed."""

STREAM_CHARACTERS: Final = 131_072
"""How much text is put into one message. As it comes all that was printed within one interval is
put into one, 50 MB say, and whoever takes that does nothing else meanwhile."""

WRITTEN_CHARACTERS: Final = 4 * 1024 * 1024
"""With how much text that is in no message yet a stream lets its writer wait."""

FLUSHED: Final = "headway_flushed"
"""A key of the parent header of a text that the program had flushed."""

_OF_A_STREAM: Final = (
    "_buffer_lock",
    "_buffers",
    "_flush",
    "_is_master_process",
    "_schedule_flush",
    "session",
    "topic",
)
"""What is used of a stream. Before ipykernel 6.29 it has one buffer for all cells, and is left as
it is but for the interval."""


class Stream:
    """What is done for one of the two streams.

    Args:
        stream: ipykernel's `OutStream`. It keeps a buffer of text for each cell.
        publisher: What sends the messages (`publishing`).
    """

    def __init__(self, stream: Any, publisher: Any) -> None:
        self._stream = stream
        self._publisher = publisher
        descriptor = getattr(stream, "headway_descriptor", None)
        self._wait_for_descriptor = (lambda: None) if descriptor is None else descriptor.wait
        self._pieces: deque[tuple[dict[str, Any], str]] = deque()
        self._by_program: deque[bool] = deque(maxlen=1)
        self._sending = publisher.new_lock()
        stream._buffer_lock = publisher.new_lock()
        self._exit = SimpleNamespace(
            send_multipart=partial(publisher.send, then=self._pieces.popleft)
        )
        self._schedule_as_it_comes = stream._schedule_flush
        self._send_as_it_comes = stream._flush
        stream._schedule_flush = self.schedule_flush
        stream.flush = self.flush
        stream._flush = self.flush_in_time

    def schedule_flush(self) -> None:
        """Something was written."""
        __tracebackhide__ = True
        self._schedule_as_it_comes()
        try:
            for each in self._stream._buffers.values():
                if each.tell() > WRITTEN_CHARACTERS:
                    break
            else:
                return
        except (RuntimeError, ValueError):  # it was flushed meanwhile, or another thread wrote
            return
        self._send_and_wait()

    def flush(self) -> None:
        """The program, or ipykernel, wants what was written to be sent."""
        __tracebackhide__ = True
        if not self._stream._is_master_process():
            self._send_as_it_comes()
            return
        self._wait_for_descriptor()
        if self._stream._buffers or self._pieces:
            asked_by = sys._getframe(1).f_globals.get("__name__", "")
            if not asked_by.startswith(("ipykernel.", "IPython.")):
                self._by_program.append(True)
            self._send_and_wait()

    def flush_in_time(self) -> None:
        """It was written `FLUSH_INTERVAL_S` ago, or just now in a fork, which has its own way.

        A fork sends whole lines: those of several are mixed.
        """
        if not self._stream._is_master_process():
            self._stream._subprocess_flush_pending = False
            if all(each.getvalue().endswith("\n") for each in self._stream._buffers.values()):
                self._send_as_it_comes()
            return
        self._stream._flush_pending = False
        if not self._sending.acquire(blocking=False):
            self._schedule_as_it_comes()  # whoever sends it now may be waiting for this thread
            return
        try:
            self._send_pieces()
        finally:
            self._sending.release()

    def _send_and_wait(self) -> None:
        __tracebackhide__ = True
        self._send()
        if self._publisher.is_behind:
            self._publisher.wait()

    def _send(self) -> None:
        __tracebackhide__ = True
        if self._sending._is_owned():
            return  # a handler of a signal prints meanwhile; it is sent in time
        with self._sending:
            self._send_pieces()

    def _send_pieces(self) -> None:
        __tracebackhide__ = True
        self._cut()
        while self._pieces:
            parent, text = self._pieces[0]
            content = {"name": self._stream.name, "text": text}
            self._stream.session.send(
                self._exit, "stream", content, parent, ident=self._stream.topic
            )

    def _cut(self) -> None:
        __tracebackhide__ = True
        with self._stream._buffer_lock:
            written, pieces = self._stream._buffers, []
            for key, buffer in written.items():
                parent, text = dict(key), buffer.getvalue()
                if self._by_program and parent:
                    parent[FLUSHED] = True
                pieces += [
                    (parent, text[start : start + STREAM_CHARACTERS])
                    for start in range(0, len(text), STREAM_CHARACTERS)
                ]
            self._publisher.at_once(
                partial(self._pieces.extend, pieces),
                partial(written.clear),
                partial(self._by_program.clear),
            )


def prepare(kernel: Any) -> None:
    """Prepare both streams of this kernel, as far as its version lets us."""
    streams: tuple[Any, ...] = sys.stdout, sys.stderr
    for stream in streams:
        if hasattr(stream, "_schedule_flush"):
            stream.flush_interval = FLUSH_INTERVAL_S
        if all(hasattr(stream, name) for name in _OF_A_STREAM):
            Stream(stream, kernel.headway_publisher)
