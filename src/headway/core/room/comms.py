"""The comms of a notebook's kernel, for every peer at once: widgets, as a rule.

Floor 3. What the kernel says on comms goes into the runtime document (`document/comms`), so every
peer sees it, also one that joins later. What peers say goes to the kernel (`comm_traffic`) and,
where it is state, into the document at once. So there is one state for all, nobody sends what
somebody else said, and nothing can loop.

What a widget's callback prints answers the message that called it, and no execution. It belongs to
the execution whose code opened the comm; an Output widget may catch it first (`output_widgets`).
Only clearing does not: it would take the widget itself out of its cell.

A kernel that outlived a daemon is asked which comms it has, and its widgets for their whole state
(the target `jupyter.widget.control`): what was said while nobody listened is not missed.

Source: "Messaging in Jupyter" 5.3; "Jupyter Widget Messaging Protocol" 2.1, control protocol 1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headway.core.document.comm_records import WIDGET_TARGET, CommRecord
from headway.core.document.comm_state import KeyChange, changed_keys
from headway.core.kernel.events import (
    Busy,
    ClearOutput,
    CommClosed,
    CommInfo,
    CommMessage,
    CommOpened,
    DisplayData,
    ErrorOutput,
    ExecuteResult,
    Idle,
    KernelEvent,
    OutputEvent,
    Stream,
    UpdateDisplay,
)
from headway.core.room.comm_traffic import CommTraffic
from headway.core.room.effects import AskKernel, CommInfoRequest, CommRequest
from headway.core.room.output_widgets import OutputWidgets
from headway.core.wire import rpc
from headway.errors import BadRequest, CommNotFound, KernelDied

if TYPE_CHECKING:
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.ids import Entropy, ExecutionId
    from headway.moments import Moment

__all__ = ["CAUGHT_S", "MAX_MESSAGE_ORIGINS", "RoomComms"]

CAUGHT_S = 0.25
"""What an Output widget catches is shown so much later at the latest. All that it has is one value
that is written anew each time: 10 ms for a megabyte."""

MAX_MESSAGE_ORIGINS = 1_000
"""Messages to comms whose late outputs still find their cell."""

_CONTROL_TARGET = "jupyter.widget.control"
_CONTROL_VERSION = "1.0.0"
_STATE_METHODS = ("update", "echo_update")
_OUTPUTS = (Stream, DisplayData, ExecuteResult, UpdateDisplay, ClearOutput, ErrorOutput)
_OF_COMMS = frozenset({CommOpened, CommMessage, CommClosed, CommInfo})


class RoomComms:
    """See the module."""

    def __init__(
        self,
        ledger: Ledger,
        requests: Requests,
        recorder: Recorder,
        kernel: RoomKernel,
        entropy: Entropy,
    ) -> None:
        """The room's parts that it concerns; `entropy` is for the ids of messages and comms."""
        self._ledger = ledger
        self._requests = requests
        self._recorder = recorder
        self._kernel = kernel
        self._entropy = entropy
        self._incarnation = 0
        self._traffic = CommTraffic(self._mint, self._send)
        self._outputs = OutputWidgets()
        self._origins: dict[str, ExecutionId | None] = {}
        """Messages to comms -> the execution that their outputs belong to."""
        self._inquiry = ""
        self._control = ""

    # Beginning and ending

    def begin(self, now: Moment) -> None:
        """The room opens, maybe with a kernel of an earlier daemon."""
        reader, comms = self._recorder.reader.comms, self._recorder.comms
        comms.resume(reader.records(), reader.last_message)
        if self._kernel.is_alive:
            self._incarnation = self._kernel.incarnation
            self._inquire()
        elif comms.has_open:
            self._ended(now)

    def follow_kernel(self, now: Moment) -> None:
        """To be called after every input: comms end with their kernel."""
        living = self._kernel.incarnation if self._kernel.is_alive else 0
        if living != self._incarnation:
            self._incarnation = living
            self._ended(now)

    def _ended(self, now: Moment) -> None:
        self._traffic.clear()
        self._outputs.clear()
        self._origins.clear()
        self._inquiry = self._control = ""
        if self._recorder.comms.has_open:
            self._recorder.comms.ended()
            self._recorder.comms_changed(now)

    # What peers ask

    def ask(
        self, token: int, params: rpc.CommOpen | rpc.CommMessage | rpc.CommClose, now: Moment
    ) -> None:
        """Do what a peer asks. Answered once everybody sees it, so also whoever asked."""
        self._require_kernel()
        match params:
            case rpc.CommOpen():
                comm_id = self._open(params, now)
            case rpc.CommMessage():
                comm_id = self._message(params, now)
            case rpc.CommClose():
                comm_id = self._close(params, now)
        answer = rpc.CommSent(comm_id=comm_id)
        self._recorder.when_shown(lambda _: self._requests.answer(token, answer), now)

    def _open(self, params: rpc.CommOpen, now: Moment) -> str:
        comm_id = params.comm_id or self._mint()
        if comm_id in self._recorder.comms:
            raise BadRequest(f"There is a comm {comm_id!r} already.", field="comm_id")
        request = CommRequest(
            self._mint(),
            "comm_open",
            comm_id,
            params.data,
            params.target_name,
            params.metadata,
            tuple(params.buffers),
        )
        self._traffic.send(request)
        opened = CommOpened(
            None,
            comm_id,
            params.target_name,
            params.data,
            params.metadata,
            tuple(params.buffers),
        )
        self._opened(opened, now)
        return comm_id

    def _message(self, params: rpc.CommMessage, now: Moment) -> str:
        comm_id = self._require_comm(params.comm_id)
        state = _state_of(params.data)
        if state is not None and self._is_widget(comm_id) and params.data.get("method") == "update":
            paths = params.data.get("buffer_paths")
            self._set(comm_id, changed_keys(state, paths, params.buffers), now)
        else:
            request = CommRequest(
                self._mint(), "comm_msg", comm_id, params.data, buffers=tuple(params.buffers)
            )
            self._traffic.send(request)
        return comm_id

    def _close(self, params: rpc.CommClose, now: Moment) -> str:
        comm_id = self._require_comm(params.comm_id)
        request = CommRequest(self._mint(), "comm_close", comm_id, params.data)
        self._traffic.send(request)
        self._closed(comm_id, now)
        return comm_id

    # What the kernel says

    def heard(self, events: Sequence[KernelEvent], now: Moment) -> Sequence[KernelEvent]:
        """Take what concerns comms; gives the rest, outputs of callbacks as their cell's."""
        if not (self._origins or len(self._outputs) or any(type(e) in _OF_COMMS for e in events)):
            return events
        rest = (self._take(event, now) for event in events)
        return [event for event in rest if event is not None]

    def _take(self, event: KernelEvent, now: Moment) -> KernelEvent | None:
        match event:
            case CommOpened():
                self._opened(event, now)
            case CommMessage(comm_id=comm_id) if comm_id == self._control:
                self._told_states(event, now)
            case CommMessage():
                self._said(event, now)
            case CommClosed(comm_id=comm_id):
                self._closed(comm_id, now)
            case CommInfo(request_id=request_id) if request_id == self._inquiry:
                self._told_comms(event.targets, now)
            case Busy(str(parent)) | Idle(str(parent)) if parent in self._traffic:
                if isinstance(event, Idle):
                    self._handled(parent, now)
            case _ if isinstance(event, _OUTPUTS):
                return self._output(event, now)
            case _:
                return event
        return None

    def _opened(self, event: CommOpened, now: Moment) -> None:
        parent = event.execution_id
        record = CommRecord(
            comm_id=event.comm_id,
            target_name=event.target_name,
            execution_id=None if parent is None else self._origins.get(parent, parent),
            metadata=event.metadata,
        )
        self._forget(event.comm_id)
        state = _state_of(event.data) if event.target_name == WIDGET_TARGET else None
        if state is None:
            self._recorder.comms.opened(record, event.data, event.buffers)
        elif self._recorder.comms.opened(record, {}):
            changes = changed_keys(state, event.data.get("buffer_paths"), event.buffers)
            self._recorder.comms.update(event.comm_id, changes)
            self._outputs.opened(event.comm_id, changes)
        self._recorder.comms_changed(now)

    def _said(self, event: CommMessage, now: Moment) -> None:
        comm_id, data = event.comm_id, event.data
        state = _state_of(data)
        is_state = state is not None and data.get("method") in _STATE_METHODS
        if state is not None and is_state and self._is_widget(comm_id):
            changes = changed_keys(state, data.get("buffer_paths"), event.buffers)
            changes = self._traffic.accepted(comm_id, changes, event.execution_id)
            self._recorder.comms.update(comm_id, changes)
            if data["method"] == "update":
                self._outputs.updated(comm_id, changes)
        else:
            self._recorder.comms.say(comm_id, data, event.buffers)
        self._recorder.comms_changed(now)

    def _closed(self, comm_id: str, now: Moment) -> None:
        self._forget(comm_id)
        self._recorder.comms.closed(comm_id)
        self._recorder.comms_changed(now)

    def _handled(self, message_id: str, now: Moment) -> None:
        comm_id, stands = self._traffic.handled(message_id)
        if stands:
            self._recorder.comms.update(comm_id, stands)
            self._recorder.comms_changed(now)

    def _output(self, event: OutputEvent, now: Moment) -> OutputEvent | None:
        parent = event.execution_id
        if isinstance(event, ErrorOutput) and parent is not None and parent in self._traffic:
            self._traffic.failed(parent)
        if self._outputs.catch(event):
            self._recorder.comms_changed(now, CAUGHT_S)
            return None
        if parent is None or parent not in self._origins or isinstance(event, UpdateDisplay):
            return event
        if isinstance(event, ClearOutput):
            return None
        return replace(event, execution_id=self._origins[parent])

    # A kernel of an earlier daemon

    def _inquire(self) -> None:
        self._inquiry = self._mint()
        self._ledger.to_kernel(AskKernel(self._incarnation, CommInfoRequest(self._inquiry)))

    def _told_comms(self, targets: dict[str, str], now: Moment) -> None:
        comms = self._recorder.comms
        self._inquiry = ""
        for comm_id in comms.ids():
            if comm_id not in targets:
                self._closed(comm_id, now)
        for comm_id, target_name in targets.items():
            if comm_id not in comms and target_name not in {WIDGET_TARGET, _CONTROL_TARGET}:
                self._opened(CommOpened(None, comm_id, target_name, {}), now)
        if WIDGET_TARGET in targets.values():
            self._control = self._mint()
            version = {"version": _CONTROL_VERSION}
            self._traffic.send(
                CommRequest(self._mint(), "comm_open", self._control, {}, _CONTROL_TARGET, version)
            )
            question = {"method": "request_states"}
            self._traffic.send(CommRequest(self._mint(), "comm_msg", self._control, question))

    def _told_states(self, event: CommMessage, now: Moment) -> None:
        states = event.data.get("states")
        if event.data.get("method") != "update_states" or not isinstance(states, dict):
            return
        # A path is [comm id, "state", key, ...].
        parts: dict[str, list[tuple[Any, bytes]]] = {}
        paths = event.data.get("buffer_paths")
        for path, data in zip(
            paths if isinstance(paths, list) else (), event.buffers, strict=False
        ):
            if isinstance(path, list) and path:
                parts.setdefault(str(path[0]), []).append((path[2:], data))
        for comm_id, told in states.items():
            if isinstance(told, dict) and isinstance(told.get("state"), dict):
                places = [place for place, _ in parts.get(comm_id, [])]
                buffers = [data for _, data in parts.get(comm_id, [])]
                self._told_state(comm_id, changed_keys(told["state"], places, buffers), event, now)
        self._traffic.send(CommRequest(self._mint(), "comm_close", self._control, {}))
        self._control = ""

    def _told_state(
        self, comm_id: str, changes: dict[str, KeyChange], event: CommMessage, now: Moment
    ) -> None:
        if comm_id not in self._recorder.comms:
            self._opened(CommOpened(None, comm_id, WIDGET_TARGET, {"state": {}}), now)
        changes = self._traffic.accepted(comm_id, changes, event.execution_id)
        self._recorder.comms.update(comm_id, changes)
        self._outputs.opened(comm_id, changes)
        self._recorder.comms_changed(now)

    # To the kernel

    @property
    def keeps_kernel_busy(self) -> bool:
        """Whether the kernel has not handled everything: a callback may run."""
        return len(self._traffic) > 0

    def interrupted(self) -> None:
        """The kernel is interrupted, whatever it does."""
        self._traffic.interrupted()
        if self._inquiry or self._control:
            self._inquire()  # what it was asked may have ended without an answer

    def settle(self, now: Moment) -> None:
        """What Output widgets caught is their state: show it, and tell the kernel."""
        for comm_id, changes in self._outputs.take_changed():
            self._set(comm_id, changes, now)

    def push(self, now: Moment) -> None:
        """An execution is about to be asked for: the kernel hears all that was set before."""
        self.settle(now)
        self._traffic.push()

    def next_deadline(self) -> float | None:
        """When `expire` has something to do, in monotonic seconds."""
        return self._traffic.next_deadline()

    def expire(self, now: Moment) -> None:
        """Time has passed."""
        self._traffic.expire(now.monotonic_s)

    def _set(self, comm_id: str, changes: dict[str, KeyChange], now: Moment) -> None:
        self._recorder.comms.update(comm_id, changes)
        self._traffic.update(comm_id, changes, now.monotonic_s)
        self._recorder.comms_changed(now)

    def _send(self, request: CommRequest) -> None:
        comm_id = request.comm_id
        self._origins[request.request_id] = self._recorder.comms.execution_id(comm_id)
        if len(self._origins) > MAX_MESSAGE_ORIGINS:
            del self._origins[next(iter(self._origins))]
        self._ledger.to_kernel(AskKernel(self._kernel.incarnation, request))

    def _forget(self, comm_id: str) -> None:
        self._outputs.closed(comm_id)
        self._traffic.forget(comm_id)

    # Small questions

    def _is_widget(self, comm_id: str) -> bool:
        return self._recorder.comms.target_name(comm_id) == WIDGET_TARGET

    def _require_kernel(self) -> None:
        if not self._kernel.is_alive:
            raise KernelDied(
                f"The notebook's kernel is {self._kernel.status}, so it has no widgets; "
                "start it and run their cells first.",
                reason=self._kernel.status,
            )

    def _require_comm(self, comm_id: str) -> str:
        if comm_id not in self._recorder.comms or not self._recorder.comms.has_open:
            raise CommNotFound(
                f"The kernel has no comm {comm_id!r}; the widget was closed, or belongs to a "
                "kernel that ended.",
                comm_id=comm_id,
            )
        return comm_id

    def _mint(self) -> str:
        return self._entropy(16).hex()


def _state_of(data: dict[str, Any]) -> dict[str, Any] | None:
    state = data.get("state")
    return state if isinstance(state, dict) else None
