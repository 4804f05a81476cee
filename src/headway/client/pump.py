"""The pump: feeds a session what happens, and performs what it asks for.

Floor 5. One for each open notebook. It decides nothing: which frame, which error, when to come
back, is the session's. It never waits inside `feed`; frames go to an outbox with a writer of its
own, and answers go to futures. Everything but `wake` happens on its event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from headway.client.arguments import checked_timeout
from headway.client.connection import Dial
from headway.client.pulse import Pulse
from headway.core.session import effects as effect
from headway.core.session import inputs
from headway.core.session.session import Session
from headway.core.sync.confirm import Confirmation
from headway.core.wire.rpc import Params
from headway.edges.clock import SystemClock
from headway.errors import ConnectionFailed, HeadwayError

__all__ = ["HANG_UP_S", "Pump"]

HANG_UP_S = 1.0
"""How long the frames before the end of a connection may take to leave."""


class Pump:
    """One session, its connection and its timer, on the running event loop."""

    def __init__(self, session: Session, dial: Dial) -> None:
        """A pump at rest; `start` begins."""
        self.session = session
        self.changed = Pulse()
        self.trouble: str | None = None
        """Why the last connection ended, or could not be made."""
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._dial = dial
        self._clock = SystemClock()
        self._tokens = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._wake_pending = False
        self._task: asyncio.Task[None] | None = None
        self._outbox: deque[bytes | str] = deque()
        self._outbox_filled = asyncio.Event()
        self._hanging_up = False
        self._websocket: ClientConnection | None = None

    def start(self) -> None:
        """Begin: connect, open, join."""
        self.feed(inputs.Started())

    def wake(self) -> None:
        """The local document has commits to send. From any thread; many calls are one input."""
        if self._wake_pending:
            return
        self._wake_pending = True
        if threading.get_ident() == self._thread:
            self.loop.call_soon(self._woken)
            return
        # The loop may be gone: then there is nobody to send, and the edit stays in the replica.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._woken)

    def post(self, happened: inputs.Input) -> None:
        """Feed the session from any thread, without waiting for what comes of it."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._feed_alone, happened)

    async def confirm(self, timeout_s: float) -> Confirmation:
        """Wait until the other side holds every change of now; raises as `confirm_sync`."""
        timeout_s = checked_timeout(timeout_s)
        replica = self.session.document.replica
        with replica.lock:
            wanted, heads = replica.version(), replica.heads()
        token = next(self._tokens)
        deadline_s = self._clock.now().monotonic_s + timeout_s
        asked = inputs.ConfirmAsked(token, wanted, heads, deadline_s)
        answer: Confirmation = await self._ask(token, asked)
        return answer

    async def request(self, params: Params, timeout_s: float) -> Any:
        """Send a command and wait for its result; raises its typed error."""
        timeout_s = checked_timeout(timeout_s)
        token = next(self._tokens)
        deadline_s = self._clock.now().monotonic_s + timeout_s
        return await self._ask(token, inputs.Requested(token, params, deadline_s))

    async def close(self) -> None:
        """End the session and its connection; idempotent. Raises WrongThread."""
        self.changed.check_loop()
        self.feed(inputs.CloseAsked())
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=2 * HANG_UP_S)
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def feed(self, happened: inputs.Input) -> None:
        """Give the session one input, perform its effects in order, and set the timer anew."""
        for each in self.session.handle(happened, self._clock.now()):
            self._perform(each)
        self._rearm()

    def _woken(self) -> None:
        self._wake_pending = False
        self._feed_alone(inputs.Edited())
        self.changed.beat()

    def _feed_alone(self, happened: inputs.Input) -> None:
        """`feed` where no caller hears of a failure."""
        with self._failure_ends_it():
            self.feed(happened)

    @contextlib.contextmanager
    def _failure_ends_it(self) -> Iterator[None]:
        """Whatever goes wrong ends the session, and whoever waits for something is told."""
        try:
            yield
        except HeadwayError as error:
            # Only what no later connection can mend comes here, an update too large to send.
            self._fail(error)
        except Exception as error:
            self._fail(ConnectionFailed(f"The client failed inside: {error!r}. This is a bug."))
            raise

    async def _ask(self, token: int, asked: inputs.ConfirmAsked | inputs.Requested) -> Any:
        self.changed.check_loop()
        answer = self.loop.create_future()
        self._waiting[token] = answer
        try:
            self.feed(asked)
            return await answer
        finally:
            if self._waiting.pop(token, None) is not None:
                self.feed(inputs.WaitAbandoned(token))

    def _perform(self, asked: effect.Effect) -> None:
        match asked:
            case effect.Connect(start=start):
                self._task = self.loop.create_task(self._run(start=start))
            case effect.Disconnect(reason=reason):
                self.trouble = reason
                self._hang_up()
            case effect.Send(frames=frames):
                self._outbox.extend(frames)
                self._outbox_filled.set()
            case effect.ConfirmSettled() | effect.RequestSettled():
                self._settle(asked.token, asked.outcome)
            case effect.StatusChanged() | effect.RuntimeChanged():
                self.changed.beat()
            case effect.DocumentChanged() | effect.PresenceChanged() | effect.ReplicaRefused():
                self.changed.beat()
            case _:
                assert_never(asked)

    def _settle(self, token: int, outcome: Any) -> None:
        answer = self._waiting.pop(token, None)
        if answer is None or answer.done():
            return
        if isinstance(outcome, HeadwayError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
        self.changed.beat()

    def _rearm(self) -> None:
        deadline_s = self.session.next_deadline()
        if self._timer is not None:
            if deadline_s is None or self._timer_s <= deadline_s:
                return  # It comes in good time, finds that it is early, and is set anew.
            self._timer.cancel()
            self._timer = None
        if deadline_s is not None:
            # The loop's clock is the monotonic one, and so is the session's.
            self._timer_s = deadline_s
            delay_s = max(0.0, deadline_s - self._clock.now().monotonic_s)
            self._timer = self.loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._feed_alone(inputs.Tick())

    # One connection

    async def _run(self, *, start: bool) -> None:
        """Live through one connection, from the attempt to its end."""
        try:
            websocket = await self._dial(start)
        except HeadwayError as error:
            self._could_not_connect(error)
            return
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the connection
            failure = ConnectionFailed(f"No connection could be made: {error!r}.")
            failure.__cause__ = error
            self._could_not_connect(failure)
            return
        self._outbox.clear()
        self._outbox_filled.clear()
        self._hanging_up = False
        self._websocket = websocket
        writer = self.loop.create_task(self._write(websocket))
        reason = "the client failed"
        try:
            with self._failure_ends_it():
                reason = await self._receive(websocket)
        finally:
            self._websocket = None
            writer.cancel()
            websocket.transport.abort()
        if not self._hanging_up:
            self.trouble = reason
        self.feed(inputs.Disconnected(reason))

    def _could_not_connect(self, error: HeadwayError) -> None:
        self.trouble = str(error)
        self.feed(inputs.Disconnected(str(error), error))

    async def _receive(self, websocket: ClientConnection) -> str:
        """Take what comes until the connection ends; gives why it did."""
        try:
            self.feed(inputs.Connected())
            async for frame in websocket:
                self.feed(inputs.Received(frame))
        except ConnectionClosed as closed:
            return f"the connection broke: {closed}"
        return "the connection was closed"

    def _fail(self, error: HeadwayError) -> None:
        self.feed(inputs.CloseAsked(error))

    async def _write(self, websocket: ClientConnection) -> None:
        """Send what the outbox holds, in order, until the session hangs up."""
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                while self._outbox:
                    frames = list(self._outbox)
                    self._outbox.clear()
                    await _send_all(websocket, frames)
                if self._hanging_up:
                    await websocket.close()
                    return
                self._outbox_filled.clear()
                await self._outbox_filled.wait()
                # What is ready in this turn of the loop too goes with it: an edit, and the
                # execution that was asked for right after it.
                await asyncio.sleep(0)

    def _hang_up(self) -> None:
        self._hanging_up = True
        self._outbox_filled.set()
        if self._websocket is not None:
            # A peer that takes no more frames must not keep the connection.
            self.loop.call_later(HANG_UP_S, self._websocket.transport.abort)
        elif self._task is not None and not self._task.done():
            self._task.cancel()


async def _send_all(websocket: ClientConnection, frames: Sequence[bytes | str]) -> None:
    """Send messages by one write, so that they arrive together and are handled together."""
    if len(frames) == 1 or websocket.state is not State.OPEN:
        await websocket.send(frames[0])
        return
    for frame in frames:
        if isinstance(frame, str):
            websocket.protocol.send_text(frame.encode())
        else:
            websocket.protocol.send_binary(frame)
    websocket.transport.write(b"".join(websocket.protocol.data_to_send()))
    await websocket.drain()
