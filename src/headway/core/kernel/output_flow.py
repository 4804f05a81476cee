"""What keeps an ipykernel from saying more than is taken from it. Floor 1, no sockets.

As it comes an ipykernel drops what it cannot send beyond its socket's high-water mark. Told to drop
nothing, it would hold all that was printed and not taken yet: an endless loop that prints would
fill the machine's memory, and an interrupt would show only when all of it had been taken. So what
prints waits, in the kernel, until it is taken: there its own user pays for it, and nobody else.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BOUND_OUTPUT", "KERNEL_QUEUE", "PATIENCE_S", "WRITTEN_CHARACTERS"]

KERNEL_QUEUE: Final = 256
"""Messages that a kernel holds for us at most; one of text has `STREAM_CHARACTERS` at most."""

WRITTEN_CHARACTERS: Final = 4 * 1024 * 1024
"""With how much text that is in no message yet a stream lets its writer wait."""

PATIENCE_S: Final = 5.0
"""How long a message waits to be taken. Whoever listens seems to be stuck then, and the kernel
goes on and keeps everything: nothing is lost, and no cell hangs for a stuck listener."""

BOUND_OUTPUT: Final = f"""
import sys
import threading
import zmq

thread = kernel.iopub_thread
schedule, send = thread.schedule, thread._really_send

def bound():
    thread.socket.setsockopt(zmq.XPUB_NODROP, 1)
    thread.socket.setsockopt(zmq.SNDHWM, {KERNEL_QUEUE})
    thread.socket.setsockopt(zmq.SNDTIMEO, {round(PATIENCE_S * 1000)})

def send_or_keep(*arguments, **named):
    try:
        send(*arguments, **named)
    except zmq.Again:
        thread.socket.setsockopt(zmq.SNDHWM, 0)
        send(*arguments, **named)

def wait_for_it():
    __tracebackhide__ = True
    sent = threading.Event()
    schedule(sent.set)
    sent.wait({PATIENCE_S})

def schedule_in_turn(call):
    __tracebackhide__ = True
    current = threading.current_thread()
    if current is thread.thread:
        # As it comes it writes to a pipe that it reads itself, and hangs once that is full.
        thread._events.append(call)
        thread.io_loop.add_callback(thread._handle_event, None)
        return
    schedule(call)
    if len(thread._events) > {KERNEL_QUEUE} and current is not kernel.control_thread:
        wait_for_it()

def bounded(stream, wrote):
    def schedule_flush():
        __tracebackhide__ = True
        wrote()
        try:
            for each in stream._buffers.values():
                if each.tell() > {WRITTEN_CHARACTERS}:
                    break
            else:
                return
        except (RuntimeError, ValueError):  # it was flushed meanwhile, or another thread wrote
            return
        if threading.current_thread() is not thread.thread:
            schedule(stream._flush)
            wait_for_it()

    return schedule_flush

if hasattr(thread, "_events"):
    schedule(bound)
    thread._really_send = send_or_keep
    thread.schedule = schedule_in_turn
    for stream in sys.stdout, sys.stderr:
        if hasattr(stream, "_buffers"):
            stream._schedule_flush = bounded(stream, stream._schedule_flush)
"""
"""A program for `ipykernel.prepare_request`. It lets whoever prints or displays wait."""
