"""Commands under way on one session: ids, deadlines, and what a lost connection does to them.

Floor 3, a part of the session. A request waits until the session is live, is sent once on each
connection, and is settled exactly once. After a reconnect the idempotent ones are sent again
(an execution id is accepted once, so a repeat never runs twice); the others fail, because
nobody here can know whether they were done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from headway.core.wire import commands
from headway.core.wire.parameters import check_made
from headway.core.wire.rpc import MAX_REQUEST_TIMEOUT_S, Params
from headway.errors import (
    BadRequest,
    Busy,
    ConnectionLost,
    DeadlineExceeded,
    HeadwayError,
    MalformedFrame,
)

__all__ = ["MAX_REQUESTS", "Answered", "Requests"]

MAX_REQUESTS = 1024
"""Requests under way on one session."""

_ANSWER_MARGIN_S = 2.0
_ANSWER_MARGIN_FRACTION = 0.1
_SHORTEST_TIMEOUT_S = 0.001


@dataclass(frozen=True, slots=True)
class Answered:
    """The request `token` has its answer."""

    token: int
    outcome: Any


@dataclass(slots=True)
class _Pending:
    params: Params
    deadline_s: float
    sent: bool = False


class Requests:
    """The table of requests under way, by token; the token is also the id on the wire."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, token: int, params: Params, deadline_s: float) -> list[Answered]:
        """Note a request; sent by the next `take`. Refused at once when there are too many."""
        assert token not in self._pending, f"request {token} was asked twice"
        if len(self._pending) >= MAX_REQUESTS:
            refusal = Busy(
                f"{MAX_REQUESTS} requests are under way on this notebook; wait for some of them.",
                limit=MAX_REQUESTS,
            )
            return [Answered(token, refusal)]
        try:
            commands.encode_request(token, params)
            check_made(params)
        except BadRequest as error:
            return [Answered(token, error)]
        self._pending[token] = _Pending(params, deadline_s)
        return []

    def take(self, now_s: float) -> tuple[tuple[bytes, ...], list[Answered]]:
        """The frames of the requests that were not sent on this connection.

        And the refusals of those that cannot be sent, though they seemed to be when they came.
        """
        frames: list[bytes] = []
        refused: list[Answered] = []
        for token, pending in self._pending.items():
            if not pending.sent:
                try:
                    frames.append(self._frame(token, pending, now_s))
                except BadRequest as error:
                    refused.append(Answered(token, error))
        for each in refused:
            del self._pending[each.token]
        return tuple(frames), refused

    def receive(self, answer: commands.Response | commands.ErrorResponse) -> list[Answered]:
        """Settle the request that this answers; an answer nobody waits for is nothing."""
        if not isinstance(answer.id, int):
            return []
        pending = self._pending.pop(answer.id, None)
        if pending is None:
            return []
        if isinstance(answer, commands.ErrorResponse):
            return [Answered(answer.id, answer.error)]
        return [Answered(answer.id, _read_result(pending.params, answer))]

    def disconnected(self, reason: str) -> list[Answered]:
        """The connection ended: fail what may not be repeated, and send the rest again later."""
        lost = [
            token
            for token, pending in self._pending.items()
            if pending.sent and not pending.params.is_repeatable
        ]
        for pending in self._pending.values():
            pending.sent = False
        return [Answered(token, self._lost(token, reason)) for token in lost]

    def expire(self, now_s: float, away: str | None) -> list[Answered]:
        """Settle the requests whose deadline has passed, each with a typed error.

        `away` is why there is no connection; None when there is one.
        """
        late = [token for token, pending in self._pending.items() if pending.deadline_s <= now_s]
        return [Answered(token, self._late(token, away)) for token in late]

    def fail(self, error: HeadwayError) -> list[Answered]:
        """Settle every request with `error`."""
        failing = list(self._pending)
        self._pending.clear()
        return [Answered(token, error) for token in failing]

    def fail_unless(self, is_held: Callable[[str], bool], error: HeadwayError) -> list[Answered]:
        """Settle with `error` the requests whose required heads (as text) can never be held."""
        failing = [
            token
            for token, pending in self._pending.items()
            if (heads := getattr(pending.params, "required_heads", None)) is not None
            and not is_held(heads)
        ]
        for token in failing:
            del self._pending[token]
        return [Answered(token, error) for token in failing]

    def abandon(self, token: int) -> None:
        """Nobody waits for `token` any more."""
        self._pending.pop(token, None)

    def next_deadline_s(self) -> float | None:
        """The earliest deadline (monotonic), or None without requests."""
        return min((pending.deadline_s for pending in self._pending.values()), default=None)

    def _frame(self, token: int, pending: _Pending, now_s: float) -> bytes:
        pending.sent = True
        left_s = pending.deadline_s - now_s
        # The other side gives up first, so that its typed answer still finds us waiting.
        margin_s = min(_ANSWER_MARGIN_S, left_s * _ANSWER_MARGIN_FRACTION)
        timeout_s = max(_SHORTEST_TIMEOUT_S, min(left_s - margin_s, MAX_REQUEST_TIMEOUT_S))
        params = msgspec.structs.replace(pending.params, timeout_s=timeout_s)
        return commands.encode_request(token, params)

    def _lost(self, token: int, reason: str) -> HeadwayError:
        method = self._pending.pop(token).params.method
        return ConnectionLost(
            f"The connection ended ({reason}) before `{method}` was answered; whether it was "
            "done is unknown.",
            method=method,
        )

    def _late(self, token: int, away: str | None) -> HeadwayError:
        params = self._pending.pop(token).params
        data = {"method": params.method}
        for name in "execution_id", "batch_id":
            if (identity := getattr(params, name, None)) is not None:
                data[name] = identity  # by which what it may have begun can be asked for
        if away is not None:
            return ConnectionLost(
                f"There was no connection when the time for `{params.method}` ended ({away}).",
                reason=away,
                **data,
            )
        return DeadlineExceeded(
            f"`{params.method}` was not answered in time; what it began goes on.", **data
        )


def _read_result(params: Params, answer: commands.Response) -> Any:
    try:
        return commands.decode_result(type(params), answer.result)
    except MalformedFrame as error:
        return error
