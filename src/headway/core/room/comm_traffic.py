"""What goes to the kernel on comms, when, and which of its answers are older than what was asked.

Floor 3, pure. All peers' messages to a kernel pass here, so they have one order, and the kernel
(which takes its messages in order) follows it.

*When.* Of each comm one state update is under way at a time. What is changed meanwhile gathers,
the newest value of each key, and goes when the kernel has handled the former: a slider that is
dragged over a slow callback is not a queue of a thousand calls. Other messages go at once, behind
what had gathered before them; and everything goes before an execution does, so that code sees what
was set before it was asked for.

*Which answers.* What a peer sets is shown at once. The kernel says it again (`echo_update`), may
correct it (`update`), and says other things meanwhile. Of a key that was set, an answer to an
earlier message is stale and ignored, as in JupyterLab's widget manager; the answer to the latest
one counts. What a running cell sets counts at once, though the kernel will handle the message
after it: then, if it is handled without a word (a kernel without echo), what was set stands again.

*What is refused.* A widget that does not take a value raises an error, and says nothing of the
value that it keeps; the echo says the refused one. So after an update that ended in an error it is
asked for its state, once no update of it is under way any more, and its answer is an answer like
any other. A question that fails is followed by none: only what a peer sets leads to one. What an
interrupt ends says nothing at all, so after one every widget is asked that had an update, or such a
question, under way.

Source: "Jupyter Widget Messaging Protocol" 2.1, "Echo updates" and "Request state".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headway.core.document.comm_state import KeyChange, joined
from headway.core.room.effects import CommRequest
from headway.errors import Busy

__all__ = ["COMM_PATIENCE_S", "MAX_COMM_MESSAGES", "CommTraffic"]

COMM_PATIENCE_S = 5.0
"""What gathered goes to the kernel after this long, also if it never said that it handled more."""

MAX_COMM_MESSAGES = 1_000
"""Messages on comms that a kernel was sent and has not handled; a further one is refused."""


@dataclass(slots=True)
class _Expected:
    """A key that was set, and the message that says so; none while it gathers."""

    change: KeyChange
    message_id: str | None = None
    is_overwritten: bool = False


@dataclass(slots=True)
class _Updates:
    """The state updates of one comm."""

    under_way: str | None = None
    gathered: dict[str, KeyChange] = field(default_factory=dict)
    go_at_s: float = 0.0
    """When what gathered goes in any case."""
    expected: dict[str, _Expected] = field(default_factory=dict)
    has_failed: bool = False
    """Whether a message ended in an error, or may have been cut short, since the last question."""
    question: str | None = None
    """What asks for the state, and is under way."""


class CommTraffic:
    """The messages to one kernel's comms.

    Args:
        mint: Gives a fresh message id.
        send: Sends a message, at once.
    """

    def __init__(self, mint: Callable[[], str], send: Callable[[CommRequest], None]) -> None:
        self._mint = mint
        self._send = send
        self._under_way: dict[str, str] = {}
        self._updates: dict[str, _Updates] = {}

    def __contains__(self, message_id: str) -> bool:
        """Whether this message was sent and is not handled yet."""
        return message_id in self._under_way

    def __len__(self) -> int:
        """How many were sent and are not handled yet."""
        return len(self._under_way)

    def clear(self) -> None:
        """The kernel is gone."""
        self._under_way.clear()
        self._updates.clear()

    def update(self, comm_id: str, changes: Mapping[str, KeyChange], now_s: float) -> None:
        """A peer sets these keys of a widget's state."""
        updates = self._updates.setdefault(comm_id, _Updates())
        if not updates.gathered:
            updates.go_at_s = now_s + COMM_PATIENCE_S
        updates.gathered.update(changes)
        updates.expected.update((key, _Expected(change)) for key, change in changes.items())
        if updates.under_way is None:
            self._push(comm_id, updates)

    def send(self, request: CommRequest) -> None:
        """Send any other message. Raises Busy."""
        if len(self._under_way) >= MAX_COMM_MESSAGES:
            raise Busy(
                f"The kernel has not handled {MAX_COMM_MESSAGES} messages of widgets yet; "
                "wait for it, or interrupt what it runs.",
                limit=MAX_COMM_MESSAGES,
            )
        if (updates := self._updates.get(request.comm_id)) is not None:
            self._push(request.comm_id, updates)
        self._begin(request)
        if request.kind == "comm_close":
            self.forget(request.comm_id)

    def push(self) -> None:
        """Send all that gathered."""
        for comm_id, updates in self._updates.items():
            self._push(comm_id, updates)

    def forget(self, comm_id: str) -> None:
        """The comm is closed."""
        self._updates.pop(comm_id, None)

    def accepted(
        self, comm_id: str, changes: Mapping[str, KeyChange], parent: str | None
    ) -> dict[str, KeyChange]:
        """Of what the kernel says of a state, in answer to `parent`, what is not stale."""
        updates = self._updates.get(comm_id)
        if updates is None:
            return dict(changes)
        return {key: each for key, each in changes.items() if self._counts(updates, key, parent)}

    def _counts(self, updates: _Updates, key: str, parent: str | None) -> bool:
        expected = updates.expected.get(key)
        if expected is None:
            return True
        if parent is not None and parent == expected.message_id:
            del updates.expected[key]
            return True
        if parent in self._under_way:
            return False
        expected.is_overwritten = True
        return True

    def failed(self, message_id: str) -> None:
        """What the kernel does with a message that is under way ended in an error."""
        updates = self._updates.get(self._under_way[message_id])
        if updates is not None and message_id != updates.question:
            updates.has_failed = True

    def interrupted(self) -> None:
        """The kernel is interrupted: of what is under way, any may end before it was done."""
        for updates in self._updates.values():
            updates.has_failed = True

    def handled(self, message_id: str) -> tuple[str, dict[str, KeyChange]]:
        """The kernel has handled a message; gives its comm and the keys that stand as sent."""
        comm_id = self._under_way.pop(message_id)
        updates = self._updates.get(comm_id)
        if updates is None:
            return comm_id, {}
        done = {k: each for k, each in updates.expected.items() if each.message_id == message_id}
        for key in done:
            del updates.expected[key]
        if updates.under_way == message_id:
            updates.under_way = None
            self._push(comm_id, updates)
        if updates.question == message_id:
            updates.question = None
        if updates.under_way is None and updates.question is None and not updates.expected:
            if updates.has_failed:
                self._ask_for_state(comm_id, updates)
            else:
                del self._updates[comm_id]
        return comm_id, {k: each.change for k, each in done.items() if each.is_overwritten}

    def next_deadline(self) -> float | None:
        """When `expire` has something to do, in monotonic seconds."""
        return min((each.go_at_s for each in self._updates.values() if each.gathered), default=None)

    def expire(self, now_s: float) -> None:
        """Send what has gathered for too long."""
        for comm_id, updates in self._updates.items():
            if updates.gathered and updates.go_at_s <= now_s:
                self._push(comm_id, updates)

    def _push(self, comm_id: str, updates: _Updates) -> None:
        if not updates.gathered:
            return
        message_id = self._mint()
        state, paths, buffers = joined(updates.gathered)
        data = {"method": "update", "state": state, "buffer_paths": paths}
        for key in updates.gathered:
            updates.expected[key].message_id = message_id
        updates.gathered = {}
        updates.under_way = message_id
        self._begin(CommRequest(message_id, "comm_msg", comm_id, data, buffers=tuple(buffers)))

    def _ask_for_state(self, comm_id: str, updates: _Updates) -> None:
        # In place of an update that was handled, so whatever bounds those bounds this.
        message_id = updates.question = self._mint()
        updates.has_failed = False
        self._begin(CommRequest(message_id, "comm_msg", comm_id, {"method": "request_state"}))

    def _begin(self, request: CommRequest) -> None:
        self._under_way[request.request_id] = request.comm_id
        self._send(request)
