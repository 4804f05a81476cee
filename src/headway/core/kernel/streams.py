"""How an ipykernel sends what is printed: soon, in pieces, and marked where the program flushed.

Floor 1, no sockets. As it comes it sends what was printed every 200 ms, however much that is, and
flushes both streams three times in each cell, whether anything was written or not. What a program
flushes itself and what is flushed because the cell has ended looks the same; but after the one the
cell goes on, and somebody waits to see it, and after the other the end of the cell is on its way.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["FLUSH_INTERVAL_S", "PREPARE_STREAMS", "STREAM_CHARACTERS", "is_flushed_by_program"]

FLUSH_INTERVAL_S: Final = 0.02
"""How soon what is printed is sent without being flushed."""

STREAM_CHARACTERS: Final = 131_072
"""How much text an ipykernel puts into one message. As it comes it puts all that was printed
within one interval into one, 50 MB say, and whoever takes that does nothing else meanwhile."""

_MARK: Final = "headway_flushed"

PREPARE_STREAMS: Final = f"""
import sys
from collections import deque
from functools import partial

def prepare(stream):
    written, by_program = deque([True], 1), deque((), 1)
    schedule, flush = stream._schedule_flush, stream.flush

    def schedule_flush():
        __tracebackhide__ = True
        written.append(True)
        schedule()

    def flush_what_was_written():
        __tracebackhide__ = True
        if stream._is_master_process():
            if not written:
                return
            asked_by = sys._getframe(1).f_globals.get("__name__", "")
            if not asked_by.startswith(("ipykernel.", "IPython.")):
                by_program.append(True)
            written.clear()
        flush()

    def take_pieces(take):
        is_flushed = bool(by_program)
        by_program.clear()
        for parent, text in take():
            if is_flushed and parent:
                parent["{_MARK}"] = True
            for start in range(0, len(text), {STREAM_CHARACTERS}):
                yield parent, text[start:start + {STREAM_CHARACTERS}]

    stream.flush_interval = {FLUSH_INTERVAL_S}
    stream._schedule_flush = schedule_flush
    stream.flush = flush_what_was_written
    if hasattr(stream, "_flush_buffers"):  # one buffer for each cell, in versions of today
        stream._flush_buffers = partial(take_pieces, stream._flush_buffers)

for stream in sys.stdout, sys.stderr:
    if hasattr(stream, "_schedule_flush"):
        prepare(stream)
"""
"""A program for `ipykernel.prepare_request`. It makes ipykernel

*   show what is printed within `FLUSH_INTERVAL_S` instead of 200 ms (its
    `OutStream.flush_interval`), and send a flood of text in messages of `STREAM_CHARACTERS`;
*   say of a text that the program, and not ipykernel itself, had it flushed; and
*   not wait for its sending thread six times in each cell, to flush streams to which nothing was
    written (a fifth of the time of a small cell, measured). The first flush after a write waits
    as it did, so text and other outputs keep their order; a forked child always does.
"""


def is_flushed_by_program(message: dict[str, Any]) -> bool:
    """Whether a message of text was sent because the program that printed it asked for that."""
    parent = message.get("parent_header")
    return isinstance(parent, dict) and parent.get(_MARK) is True
