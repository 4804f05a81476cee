"""An ipykernel publishes at once, where there is something to say, and no more than is taken.

As it comes it hands each message to a thread of its own, which gets its turn when the one that runs
the cell has ended or waits: a twelfth of the time of a small cell, three quarters of that of 10,000
flushed lines (measured). And what it cannot send beyond its socket's high-water mark it drops. Told
to drop nothing, it would hold all that was printed and not taken yet: an endless loop that prints
would fill the machine's memory, and an interrupt would show only when all of it had been taken.

So a message is sent in the thread that makes it. Only when the queue is full, or something is ahead
of it, it takes its turn in that other thread, and whoever goes on publishing waits: in the kernel
its own user pays for it, and nobody else. For the same reason whoever floods rests after each
message, for a moment in which somebody else has the processor.

A signal may interrupt the thread that runs cells between any two steps of Python, and in pyzmq's
own `send`, with an exception of whatever kind the user's handler raises. A message has several
frames, and half a one would spoil the next. So they are sent by `Publisher.at_once`, with ZeroMQ's
own `zmq_send`.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from _thread import RLock, allocate_lock
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat, starmap, takewhile
from operator import ne
from typing import Any, Final

import zmq

__all__ = [
    "FLOOD_MESSAGES",
    "FLOOD_S",
    "KERNEL_QUEUE",
    "NEEDS",
    "PATIENCE_S",
    "REST_S",
    "REST_SHARE",
    "Flood",
    "Publisher",
    "prepare",
]

NEEDS: Final = (
    "control_thread",
    "iopub_thread._event_pipe",
    "iopub_thread._events",
    "iopub_thread._handle_event",
    "iopub_thread._is_master_process",
    "iopub_thread._really_send",
    "iopub_thread._stopped",
    "iopub_thread.io_loop.add_callback",
    "iopub_thread.schedule",
    "iopub_thread.send_multipart",
    "iopub_thread.socket.underlying",
    "iopub_thread.thread",
)

KERNEL_QUEUE: Final = 256
"""Messages that a kernel holds for us at most; one of text has `STREAM_CHARACTERS` at most."""

PATIENCE_S: Final = 5.0
"""How long a message waits to be taken. Whoever listens seems to be stuck then, and the kernel
goes on and keeps everything: nothing is lost, and no cell hangs for a stuck listener."""

FLOOD_MESSAGES: Final = 300
"""More messages than this within `FLOOD_S` are a flood; small cells in a row are none."""

FLOOD_S: Final = 0.1
"""How long messages are counted for that."""

REST_S: Final = 1e-5
"""How long is rested after a message of a flood; 0.1 ms with falling asleep and waking up."""

REST_SHARE: Final = 0.5
"""How much is rested in a flood at most, for each second of it that was not: where falling asleep
and waking up takes long, not after each message."""

_AT_ONCE: Final = int(zmq.DONTWAIT)
_MORE: Final = int(zmq.SNDMORE)
"""Plain numbers: each `|` of a `zmq.Flag` takes a microsecond."""

_TRIES: Final = 1_000
"""How often a frame is sent that has to follow another one. A signal that comes at one moment of
`zmq_send` ends it early; whatever else it fails with, it goes on to fail with."""


class Flood:
    """Whether so much is published that others wait for a processor, and the rests for them."""

    def __init__(self) -> None:
        self._is_one = False
        self._messages = 0
        self._since_s = 0.0
        self._worked_since_s = 0.0
        self._owed_s = 0.0

    def grows(self) -> bool:
        """Count a message; whether it is one of a flood."""
        now_s = time.monotonic()
        counted_s = now_s - self._since_s
        if counted_s > FLOOD_S:
            self._is_one = self._messages > FLOOD_MESSAGES * counted_s / FLOOD_S
            self._messages, self._since_s = 0, now_s
        self._messages += 1
        if not self._is_one:
            self._worked_since_s = now_s
        return self._is_one

    def rest(self) -> None:
        """Rest, unless it was `REST_SHARE` of the time already."""
        __tracebackhide__ = True
        now_s = time.monotonic()
        self._owed_s += min(now_s - self._worked_since_s, FLOOD_S) * REST_SHARE
        if self._owed_s > 0.0:
            time.sleep(REST_S)
            self._owed_s -= time.monotonic() - now_s
        self._worked_since_s = time.monotonic()


class _LockLetGo(RLock):  # type: ignore[misc]  # it is not
    """A lock that `with` lets go of, whenever a signal's handler raises.

    Since Python 3.14 `with` looks for signals between taking a lock and being ready to let go of
    it, if that was taken by a function of C.
    """

    def __enter__(self) -> bool:  # type: ignore[override]
        """Take it, and note that in C."""
        __tracebackhide__ = True
        held: list[tuple[()]] = []
        let_go = starmap(self.release, held)
        try:
            Publisher.at_once(partial(self.acquire), partial(held.append, ()))
        except BaseException:
            deque(let_go, 0)
            raise
        return True


class Publisher:
    """The way out of the kernel for whatever it publishes."""

    def __init__(self, kernel: Any) -> None:
        self._thread = kernel.iopub_thread
        self._may_not_wait = self._thread.thread, kernel.control_thread
        self._send_as_it_comes = self._thread._really_send
        self._zmq_send = _zmq_send()
        self._socket = self.new_lock()
        self._turn: deque[tuple[Sequence[Any], dict[str, Any]]] = deque()
        self._flood = Flood()

    def take_over(self) -> None:
        """From now on everything is published here. Called in the kernel's sending thread."""
        thread = self._thread
        thread.socket.setsockopt(zmq.XPUB_NODROP, 1)
        thread.socket.setsockopt(zmq.SNDHWM, KERNEL_QUEUE)
        thread.socket.setsockopt(zmq.SNDTIMEO, round(PATIENCE_S * 1000))
        listener = getattr(thread, "_xpub_stream", None)
        if listener is not None:  # since ipykernel 7 it reads who listens, from the same socket
            thread.io_loop.remove_handler(thread.socket)
            listener._handle_events = partial(self._listen, listener._handle_events)
            thread.io_loop.add_handler(thread.socket, listener._handle_events, listener._state)
        thread.schedule = self.schedule
        thread.send_multipart = self.send

    @staticmethod
    def new_lock() -> Any:
        """A lock for what runs in the thread of the cells, which may take it again."""
        return RLock() if sys.version_info < (3, 14) else _LockLetGo()

    @staticmethod
    def at_once(*calls: partial[Any]) -> int:
        """Make calls until one gives -1, and say how many did not.

        All of it happens in C, if the functions are C's: nothing looks for signals in between.
        """
        return len(deque(takewhile(partial(ne, -1), map(partial.__call__, calls))))

    @property
    def is_behind(self) -> bool:
        """Whether something has been given its turn and is not sent yet."""
        return bool(self._turn)

    def send(
        self,
        frames: Sequence[Any],
        flags: int = 0,
        *,
        then: Callable[[], object] | None = None,
        **named: Any,
    ) -> None:
        """Send a message, or give it its turn and perhaps wait for those before it.

        Args:
            frames: The message.
            flags: As `zmq.Socket.send_multipart` takes them.
            then: A function of C, called at once with that.
            named: As `zmq.Socket.send_multipart` takes them.
        """
        __tracebackhide__ = True
        named["flags"] = flags
        at_last = () if then is None else (partial(then),)
        if not self._has_thread():
            self._send_as_it_comes(frames, **named)
            self.at_once(*at_last)
        elif self._turn or not self._is_sent(frames, at_last):
            self.at_once(partial(self._turn.append, (frames, named)), *at_last)
            self.schedule(self._send_in_turn)
        if self._flood.grows() and threading.current_thread() not in self._may_not_wait:
            self._flood.rest()

    def schedule(self, call: Callable[[], object]) -> None:
        """Have something done in the sending thread, and wait if it has too much to do."""
        __tracebackhide__ = True
        thread = self._thread
        if not self._has_thread():
            call()
        elif threading.current_thread() is thread.thread:
            # As it comes it writes to a pipe that it reads itself, and hangs once that is full.
            thread._events.append(call)
            thread.io_loop.add_callback(thread._handle_event, None)
        else:
            self._wake(call)
            if len(thread._events) > KERNEL_QUEUE:
                self.wait()

    def wait(self) -> None:
        """Wait until all that the sending thread was given to do is done, `PATIENCE_S` at most."""
        __tracebackhide__ = True
        if threading.current_thread() not in self._may_not_wait:
            sent = allocate_lock()  # an event has a lock within, see `_LockLetGo`
            sent.acquire()
            self._wake(self._send_in_turn)
            self._wake(sent.release)
            sent.acquire(timeout=PATIENCE_S)

    def _has_thread(self) -> bool:
        """Whether the sending thread works: not in a fork of the kernel, nor when the kernel ends.

        `Thread.is_alive` must not be asked: if a signal's handler raises while it looks, Python
        before 3.13 takes the thread for ended from then on.
        """
        return self._thread._is_master_process() and not self._thread._stopped

    def _wake(self, call: Callable[[], object]) -> None:
        __tracebackhide__ = True
        self._thread._events.append(call)
        self._thread._event_pipe.send(b"")

    def _is_sent(self, frames: Sequence[Any], at_last: tuple[partial[Any], ...]) -> bool:
        __tracebackhide__ = True
        if self._zmq_send is None or self._socket._is_owned():
            return False
        if len(frames) < 2 or not all(type(frame) is bytes for frame in frames):
            return False  # it has buffers, which are not copied
        flags = [_MORE | _AT_ONCE, *(_MORE for _ in frames[2:]), 0]
        with self._socket:
            socket = self._thread.socket.underlying
            first, *others = (
                (socket, frame, len(frame), flag) for frame, flag in zip(frames, flags)
            )
            calls = [partial(self._zmq_send, *first), *map(self._sending, others)]
            return self.at_once(*calls, *at_last) >= len(calls)

    def _sending(self, arguments: tuple[Any, ...]) -> partial[Any]:
        """What sends a frame that has to follow: again, when a signal came while it was sent."""
        tries = starmap(self._zmq_send, repeat(arguments, _TRIES))
        return partial(next, filter(partial(ne, -1), tries), -1)

    def _send_in_turn(self) -> None:
        while self._turn:
            frames, named = self._turn[0]
            try:
                with self._socket:
                    self._send_or_keep(frames, **named)
            finally:
                self._turn.popleft()

    def _send_or_keep(self, frames: Sequence[Any], **named: Any) -> None:
        try:
            self._send_as_it_comes(frames, **named)
        except zmq.Again:
            self._thread.socket.setsockopt(zmq.SNDHWM, 0)
            self._send_as_it_comes(frames, **named)

    def _listen(self, handle: Callable[..., None], *arguments: Any) -> None:
        with self._socket:
            handle(*arguments)


def _zmq_send() -> Any:
    """ZeroMQ's own function, for which the interpreter's lock is kept; None if it is not found."""
    try:
        from zmq.backend.cython import _zmq  # noqa: PLC0415 - other backends have no such module

        send = ctypes.PyDLL(_zmq.__file__).zmq_send
    except (AttributeError, ImportError, OSError):
        return None
    send.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
    return send


def prepare(kernel: Any) -> None:
    """Let what this kernel publishes be sent at once, and whoever publishes too much wait."""
    kernel.headway_publisher = Publisher(kernel)
    kernel.iopub_thread.schedule(kernel.headway_publisher.take_over)
    kernel.headway_publisher.wait()
