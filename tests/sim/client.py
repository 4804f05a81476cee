"""A client: a real session, its document, and a person who does things to both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from headway.core.document.runtime import TERMINAL, ExecutionRecord
from headway.core.session import effects, inputs
from headway.core.session.opening import Target
from headway.core.session.session import Session
from headway.core.sync.confirm import Confirmation
from headway.core.wire import rpc
from headway.errors import (
    CellNotFound,
    ConfirmTimeout,
    ConnectionLost,
    DeadlineExceeded,
    ExecutionNotFound,
    FileError,
    HeadsTimeout,
    HeadsTooOld,
    HeadwayError,
    InputNotAwaited,
    KernelDied,
    KernelStartFailed,
    NotExecutable,
    StoreFailed,
    UpdateRejected,
)
from sim.books import describe
from sim.links import Frame, Link
from sim.person import Person
from sim.timeline import Timer

if TYPE_CHECKING:
    from headway.core.document.crdt import Version
    from sim.world import World

__all__ = ["Client"]

_EXPECTED: dict[str, tuple[type[HeadwayError], ...]] = {
    "execute": (),
    "execute_all": (),
    "get_execution": (ExecutionNotFound,),
    "restart_kernel": (KernelDied, KernelStartFailed),
    "shutdown_kernel": (),
    "save": (FileError,),
    "cancel": (ExecutionNotFound,),
    "complete": (KernelDied, KernelStartFailed),
    "answer_input": (InputNotAwaited, ExecutionNotFound),
}
"""What may be refused although nothing is wrong with connection, daemon or disk."""


class Client:
    """One open notebook at one peer."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dice = world.split(f"client {name}")
        target = Target(path=world.disk.path) if world.disk.path else None
        self.session = Session(
            target or Target(document=world.disk.document),
            entropy=world.split(f"entropy {name}").randbytes,
            presence_key=name,
        )
        self.link: Link | None = None
        self.person = Person(self)
        self.confirms: dict[int, tuple[Version, float, float]] = {}
        self.requests: dict[int, tuple[rpc.Params, float, float]] = {}
        self.settled: dict[int, Any] = {}
        self.seen_ended: dict[str, str] = {}
        self.is_gone = False
        self.spoils = False
        """Whether it wrote what will be refused."""
        self.is_owed_an_error = False
        """Whether edits of its were set aside, and nobody was told."""
        self.rests = False
        self._dial = 0
        self._tokens = 0
        self._looks = 0
        self._timer = Timer(world.timeline, lambda: self.feed(inputs.Tick()))
        self._version = self.session.document.replica.version()

    # The pump

    def feed(self, happened: inputs.Input) -> None:
        """One input, its effects in order, and the timer anew."""
        document = self.session.document
        effects = self.session.handle(happened, self.world.timeline.now())
        if document is not self.session.document:
            self._set_aside()
        for each in effects:
            self._perform(each)
        self._timer.set(self.session.next_deadline())
        version = self.session.document.replica.version()
        self.world.oracle.require(
            version.includes(self._version), "a replica never forgets what it had", self.name
        )
        self._version = version

    def _perform(self, effect: effects.Effect) -> None:
        world = self.world
        match effect:
            case effects.Connect():
                self._dial += 1
                dial = self._dial
                delay_s = world.options.latency_s * self.dice.uniform(0.5, 2)
                world.timeline.after(delay_s, lambda: self._connect(dial))
            case effects.Disconnect(reason=reason):
                self._hang_up(reason)
            case effects.Send(frames=frames):
                self._send(frames)
            case effects.ConfirmSettled(token=token, outcome=outcome):
                self._confirm_settled(token, outcome)
            case effects.RequestSettled(token=token, outcome=outcome):
                self._request_settled(token, outcome)
            case effects.RuntimeChanged():
                self.look_at_executions()
            case effects.ReplicaRefused():
                world.hit("replica refused")
            case effects.StatusChanged(status=status, error=error):
                world.timeline.note(f"{self.name} is {status} {error or ''}")
                world.hit(f"status {status}")
                if status == "closed" and not self.is_gone:
                    world.oracle.require(False, "no session ends by itself", repr(error))
            case effects.DocumentChanged() | effects.PresenceChanged():
                pass
            case _:
                assert_never(effect)

    def _set_aside(self) -> None:
        """The replica was refused: the session goes on with another one."""
        self.world.oracle.require(self.spoils, "no sound update is refused", self.name)
        self.spoils, self.is_owed_an_error = False, True
        self._version = self.session.document.replica.version()

    def _hears(self, outcome: object) -> None:
        """Whoever lost edits is told before anything is said to be well."""
        if isinstance(outcome, UpdateRejected):
            self.world.hit("told of a refusal")
            self.is_owed_an_error = False

    def _connect(self, dial: int) -> None:
        if dial != self._dial or self.is_gone:
            return
        if not self.world.daemon.is_up:
            self.world.hit("connection refused")
            self.feed(inputs.Disconnected("refused"))
            return
        self.link = self.world.link(self)
        self.feed(inputs.Connected())

    def _send(self, frames: tuple[Frame, ...]) -> None:
        link = self.link
        assert link is not None, "nothing is sent without a connection"
        for frame in frames:
            self.world.frames += 1
            self.world.timeline.note(f"{self.name} > {describe(frame)}")
            self.world.oracle.client_sends(link.number, frame)
            link.send_up(frame)

    def _hang_up(self, reason: str) -> None:
        link, self.link = self.link, None
        self.world.timeline.note(f"{self.name} hangs up: {reason}")
        if link is not None:
            link.hang_up(by_daemon=False, reason=reason)
        if not self.is_gone:
            self.world.hit(f"client hangs up: {reason[:24]}")
            self._dial += 1
            self.world.timeline.after(0.001, lambda: self.feed(inputs.Disconnected(reason)))

    def receive(self, link: Link, frame: Frame) -> None:
        if link is self.link:
            self.world.frames += 1
            self.world.timeline.note(f"{self.name} < {describe(frame)}")
            self.feed(inputs.Received(frame))

    def lost(self, link: Link, reason: str) -> None:
        if link is self.link:
            self.link = None
            self.world.timeline.note(f"{self.name} lost its connection: {reason}")
            self.feed(inputs.Disconnected(reason))

    def leave(self) -> None:
        """Close the session; what was not sent goes with it."""
        self.is_gone = True
        self.feed(inputs.CloseAsked())
        self._timer.set(None)

    def rest(self) -> None:
        """Do nothing more, and show nothing of oneself."""
        self.rests = True
        self.feed(inputs.PresenceSet(None))

    # Confirming and asking

    def confirm(self, timeout_s: float) -> int:
        """Ask whether the daemon holds everything of now."""
        self._tokens += 1
        replica = self.session.document.replica
        now_s = self.world.timeline.now_s
        deadline_s = now_s + timeout_s
        self.confirms[self._tokens] = (replica.version(), now_s, deadline_s)
        asked = inputs.ConfirmAsked(self._tokens, replica.version(), replica.heads(), deadline_s)
        self.feed(asked)
        return self._tokens

    def request(self, params: rpc.Params, timeout_s: float) -> int:
        """Send a command."""
        self._tokens += 1
        now_s = self.world.timeline.now_s
        self.requests[self._tokens] = (params, now_s, now_s + timeout_s)
        self.feed(inputs.Requested(self._tokens, params, now_s + timeout_s))
        return self._tokens

    def _confirm_settled(self, token: int, outcome: object) -> None:
        wanted, asked_s, deadline_s = self.confirms.pop(token)
        world = self.world
        now_s = world.timeline.now_s
        world.timeline.note(f"{self.name} confirm {token}: {type(outcome).__name__}")
        self.settled[token] = outcome
        self._hears(outcome)
        if isinstance(outcome, Confirmation):
            owed = self.is_owed_an_error
            world.oracle.require(not owed, "who lost edits is told before any confirmation")
            world.oracle.require(outcome.confirmed, "an outcome says what it is")
            promised = outcome.durability == "durable" or wanted.is_empty
            world.oracle.require(promised, "this daemon promises the disk")
            world.oracle.confirmed(wanted)
            world.hit("confirmed")
            return
        world.hit(f"not confirmed: {type(outcome).__name__}")
        late = now_s >= deadline_s - 1e-6
        typed = isinstance(outcome, ConfirmTimeout | ConnectionLost) and (late or self.is_gone)
        refused = isinstance(outcome, UpdateRejected) and world.options.spoiling
        world.oracle.require(typed or refused, "what is not confirmed says why", repr(outcome))
        patient = deadline_s - asked_s > world.PATIENCE_S
        world.oracle.require(
            not (world.options.is_healthy and patient and not self.is_gone),
            "a healthy world confirms",
            repr(outcome),
        )

    def _request_settled(self, token: int, outcome: Any) -> None:
        params, asked_s, deadline_s = self.requests.pop(token)
        world = self.world
        world.timeline.note(f"{self.name} {params.method} {token}: {type(outcome).__name__}")
        self.settled[token] = outcome
        self._hears(outcome)
        if isinstance(params, rpc.AnswerInput):
            world.oracle.answer_settled(params, outcome)
        if isinstance(outcome, HeadwayError):
            world.hit(f"{params.method} refused: {outcome.code}")
            self._check_refusal(params, outcome, asked_s, deadline_s)
        else:
            self._check_result(params, outcome)
        self.person.hears(params, outcome)

    def _check_refusal(
        self, params: rpc.Params, error: HeadwayError, asked_s: float, deadline_s: float
    ) -> None:
        world = self.world
        if isinstance(error, _EXPECTED.get(params.method, ())) or self.is_gone:
            return
        detail = f"{params.method}: {error!r}"
        match error:
            case UpdateRejected():
                world.oracle.require(world.options.spoiling, "no sound update is refused", detail)
            case HeadsTimeout() | DeadlineExceeded():
                spent = (world.timeline.now_s - asked_s) / (deadline_s - asked_s)
                world.oracle.require(spent > 0.85, "a deadline is not met early", detail)
                patient = deadline_s - asked_s > world.PATIENCE_S
                unheard = world.options.is_healthy and patient and params.method != "complete"
                world.oracle.require(not unheard, "a healthy world answers", detail)
            case ConnectionLost():
                hasty = deadline_s - asked_s <= world.PATIENCE_S
                cut = hasty or not world.options.is_healthy
                world.oracle.require(cut, "no loss without a cut", detail)
            case StoreFailed():
                world.oracle.require(world.options.disk_failures, "no failure of itself", detail)
            case CellNotFound():
                cell_id = getattr(params, "cell_id", "")
                known = cell_id in world.oracle.ever_deleted
                world.oracle.require(known, "a confirmed cell is found", detail)
            case NotExecutable():
                cell_id = error.data["cell_id"]
                world.oracle.require(cell_id.endswith("n"), "a code cell runs", detail)
            case HeadsTooOld():
                world.oracle.require(error.data["distance"] > 20_000, "not so old", detail)
            case _:
                world.oracle.require(False, "no other error", detail)

    def _check_result(self, params: rpc.Params, result: Any) -> None:
        oracle = self.world.oracle
        match params:
            case rpc.Execute(execution_id=execution_id):
                oracle.accepted_as(execution_id, result)
            case rpc.ExecuteAll():
                oracle.accepted_all(result)
            case rpc.GetExecution(wait=True):
                oracle.require(result.record["status"] in TERMINAL, "a wait ends at the end")
                oracle.check_record(record_of(result.record))
            case rpc.Save():
                content = self.world.daemon.files.get(result.path)
                oracle.require(content is not None, "a saved file is there")

    # Looking

    def look_at_executions(self) -> None:
        """Everything that the runtime document shows here must be possible."""
        reader = self.session.runtime
        assert reader is not None
        oracle = self.world.oracle
        self._looks += 1
        if self._looks % 16 == 0:
            for execution_id, known in self.seen_ended.items():
                # A record may be dropped with an old runtime document, never changed.
                status = reader.status(execution_id)
                oracle.require(status in {None, known}, "an end is the end", (known, status))
        for execution_id in oracle.asked:
            if execution_id in self.seen_ended:
                continue
            status = reader.status(execution_id)
            if status is None or status == "queued":
                continue
            record = reader.execution(execution_id)
            assert record is not None
            oracle.check_prefix(record)
            if record.prompt is not None:
                self.person.is_asked(execution_id, record.prompt)
            if status in TERMINAL:
                self.seen_ended[execution_id] = status
                self.world.timeline.note(f"{self.name} sees {execution_id[-4:]} {status}")
                self.world.hit(f"execution {status}")
                oracle.check_record(record)


def record_of(told: dict[str, Any]) -> ExecutionRecord:
    """A record as a request's answer tells it."""
    return msgspec.convert(told, ExecutionRecord)
