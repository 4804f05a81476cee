"""The client's side of one notebook, as a machine.

Floor 3. It owns one connection's worth of talk: opening, joining the notebook, its runtime
document and its presence, sending what the other side lacks, knowing what it holds, commands,
and coming back after any loss. Above it is a pump that makes connections and performs effects.
It reads no clock, waits for nothing, and does not know what a socket is.

The rule for every doubt (a gap, a frame that cannot be read, fragments that do not arrive) is
the same: end the connection, come back, and compare versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from headway.core.document.crdt import Replica, Version
from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import RuntimeReader
from headway.core.session import effects as effect
from headway.core.session import inputs
from headway.core.session.joined_rooms import JoinedRooms
from headway.core.session.lifecycle import CONNECTED_PHASES, TRANSITIONS, Phase
from headway.core.session.limits import JOIN_TIMEOUT_S, MAX_REJECTED, STEADY_S
from headway.core.session.membership import Turn, confirm_effects, may_be_held, rejection
from headway.core.session.opening import OPEN_TOKEN, AskAgain, Opening, Target
from headway.core.session.requests import Answered, Requests
from headway.core.session.turns import Failed, Hopeless, Refused, Replaced
from headway.core.sync.backoff import BACKOFF_FIRST_S, Backoff
from headway.core.sync.confirm import Confirmations
from headway.core.wire import codec, commands
from headway.core.wire.messages import UpdateStatus
from headway.core.wire.rpc import Opened, Saved
from headway.errors import (
    ConnectionLost,
    HeadwayError,
    MalformedFrame,
    UnknownMethod,
)
from headway.ids import DocumentId, Entropy, peer_id
from headway.moments import Moment, earliest

__all__ = ["JOIN_TIMEOUT_S", "MAX_REJECTED", "STEADY_S", "Session"]


class Session:
    """One notebook over one connection at a time. Owned by one task; fed with `handle`."""

    def __init__(self, target: Target, *, entropy: Entropy, presence_key: str) -> None:
        """A session that has not begun; its first input is `Started`."""
        assert target.commands or target.document, "a plain server needs a room"
        self.document = NotebookDocument(Replica(peer_id(entropy)))
        self.status: effect.SessionStatus = "connecting"
        self.error: HeadwayError | None = None
        self.rejected: list[tuple[str, NotebookDocument]] = []
        self.confirmations = Confirmations()
        self._target = target
        self._entropy = entropy
        self._phase = Phase.NEW
        self._effects: list[effect.Effect] = []
        self._opening = Opening(target)
        self._rooms = JoinedRooms(
            entropy, self.confirmations, presence_key, follows=target.commands
        )
        self._requests = Requests()
        self._backoff = Backoff()
        self._away = "it was not open yet"
        """Why there is no connection, when there is none: of the last one that was lost."""
        self._untold: HeadwayError | None = None
        """Why edits were set aside, while nobody who confirms has been told."""
        self._was_live = False
        self._live_s = 0.0
        self._retry_s: float | None = None
        self._progress_s: float | None = None

    # The pump's two verbs

    def handle(self, happened: inputs.Input, now: Moment) -> list[effect.Effect]:
        """Take one input in; gives what is to be done about it, in order."""
        self._effects = []
        self._dispatch(happened, now)
        self._flush(now)
        return self._effects

    def next_deadline(self) -> float | None:
        """When a `Tick` is due at the latest (monotonic), or None."""
        opens = self._phase in (Phase.OPENING, Phase.JOINING)
        return earliest(
            self.confirmations.next_deadline_s(),
            self._requests.next_deadline_s(),
            self._retry_s,
            self._progress_s if opens else None,
            self._rooms.next_deadline_s() if self._phase in CONNECTED_PHASES else None,
        )

    # What is shown

    @property
    def opened(self) -> Opened | None:
        """What the daemon said of the notebook when it was opened last."""
        return self._opening.opened

    @property
    def runtime(self) -> RuntimeReader | None:
        """What the machine did; None until that is here, and where there are no commands."""
        return self._rooms.runtime.reader

    @property
    def owes_an_error(self) -> bool:
        """Whether edits were set aside and nobody has been told: who confirms next will be."""
        return self._untold is not None

    @property
    def document_id(self) -> DocumentId | None:
        """The notebook's document id; None until it is open."""
        return self.opened.document if self.opened is not None else self._target.document

    @property
    def is_read_only(self) -> bool:
        """Whether the other side takes no updates from us."""
        member = self._rooms.member
        return member is not None and member.room.joined and member.room.permission == "read"

    def note_commit(self) -> None:
        """A local commit was made just now; called from any thread, under the replica's lock.

        Sends nothing: the input `Edited` does.
        """
        member = self._rooms.member
        if member is not None and member.document is self.document:
            member.outgoing.mark()

    @property
    def is_closed(self) -> bool:
        """Whether this session has ended for good."""
        return self._phase is Phase.CLOSED

    def presence(self) -> dict[str, Any]:
        """Everybody's presence, by key."""
        return self._rooms.everybody()

    # Inputs

    def _dispatch(self, happened: inputs.Input, now: Moment) -> None:
        match happened:
            case inputs.Started():
                self._set_phase(Phase.CONNECTING)
                self._emit(effect.StatusChanged("connecting"), effect.Connect(start=True))
            case inputs.Connected():
                self._connected(now)
            case inputs.Disconnected(reason=reason, error=error):
                self._disconnected(reason, error, now)
            case inputs.Received(frame=frame):
                self._received(frame, now)
            case inputs.Edited():
                pass  # every input ends with a flush
            case inputs.ConfirmAsked():
                self._confirm(happened, now)
            case inputs.Requested():
                self._request(happened, now)
            case inputs.WaitAbandoned(token=token):
                self.confirmations.abandon(token)
                self._requests.abandon(token)
            case inputs.PresenceSet(value=value):
                self._send(self._rooms.set_presence(value, now))
            case inputs.CloseAsked(error=error):
                self._close(error)
            case inputs.Tick():
                self._tick(now)
            case _:
                assert_never(happened)

    def _connected(self, now: Moment) -> None:
        if self._phase is not Phase.CONNECTING:
            self._emit(effect.Disconnect("no connection was wanted"))
            return
        self._progress_s = now.monotonic_s + JOIN_TIMEOUT_S
        if self._target.commands:
            self._set_phase(Phase.OPENING)
            self._send((self._opening.ask(),))
            return
        assert self._target.document is not None, "a plain server needs a room"
        self._set_phase(Phase.JOINING)
        self._send(self._rooms.join(self.document, self._target.document, None))

    def _disconnected(self, reason: str, error: HeadwayError | None, now: Moment) -> None:
        if self._phase in (Phase.CLOSED, Phase.WAITING, Phase.NEW):
            return
        self._rooms.reset()
        if self._phase is not Phase.LEAVING:
            self._away = reason
        self._settle(self._requests.disconnected(reason))
        if error is not None and not self._was_live:
            self._close(error)
            return
        if self._phase is Phase.LIVE and now.monotonic_s - self._live_s >= STEADY_S:
            self._backoff.reset()
        self._set_phase(Phase.WAITING)
        self._retry_s = now.monotonic_s + self._backoff.next_delay_s(self._entropy)
        if self._was_live and self.status != "rejected":
            self._set_status("reconnecting")

    def _confirm(self, asked: inputs.ConfirmAsked, now: Moment) -> None:
        held = self.confirmations.remote.includes(asked.wanted)
        if self.is_closed:
            error = self.error or ConnectionLost("This notebook is closed.")
            self._emit(effect.ConfirmSettled(asked.token, error))
            return
        if (set_aside := self._take_untold()) is not None:
            self._emit(effect.ConfirmSettled(asked.token, set_aside))
            return
        if self.is_read_only and not held:
            error = rejection(UpdateStatus.PERMISSION_DENIED)
            self._emit(effect.ConfirmSettled(asked.token, error))
            return
        settled = self.confirmations.ask(
            asked.token,
            asked.wanted,
            asked.heads,
            now_s=now.monotonic_s,
            deadline_s=asked.deadline_s,
        )
        self._emit(*confirm_effects(settled))
        if not settled:
            self._hurry(now)

    def _request(self, asked: inputs.Requested, now: Moment) -> None:
        assert asked.token > OPEN_TOKEN, "tokens of callers are positive"
        if self.is_closed:
            error = self.error or ConnectionLost("This notebook is closed.")
            self._emit(effect.RequestSettled(asked.token, error))
            return
        if not self._target.commands:
            method = asked.params.method
            sentence = f"This server only synchronises documents; it has no `{method}`."
            self._emit(effect.RequestSettled(asked.token, UnknownMethod(sentence, method=method)))
            return
        has_ticket = getattr(asked.params, "required_heads", None) is not None
        if has_ticket and (set_aside := self._take_untold()) is not None:
            self._emit(effect.RequestSettled(asked.token, set_aside))
            return
        self._settle(self._requests.add(asked.token, asked.params, asked.deadline_s))
        self._hurry(now)

    def _hurry(self, now: Moment) -> None:
        """Somebody waits: do not sit out a long delay before the next attempt."""
        if self._phase is Phase.WAITING and self._retry_s is not None:
            self._retry_s = min(self._retry_s, now.monotonic_s + BACKOFF_FIRST_S)

    def _tick(self, now: Moment) -> None:
        now_s = now.monotonic_s
        away = None if self._phase is Phase.LIVE else self._away
        self._emit(*confirm_effects(self.confirmations.expire(now_s, away)))
        self._settle(self._requests.expire(now_s, away))
        if self._phase is Phase.WAITING and self._retry_s is not None and self._retry_s <= now_s:
            self._retry_s = None
            self._set_phase(Phase.CONNECTING)
            waited_for = len(self.confirmations) + len(self._requests) > 0
            self._emit(effect.Connect(start=waited_for))
        if self._phase not in CONNECTED_PHASES:
            return
        late = self._progress_s is not None and self._progress_s <= now.monotonic_s
        if late and self._phase is not Phase.LIVE:
            self._leave("opening the notebook made no progress")
            return
        frames, turn = self._rooms.tick(now)
        self._send(frames)
        self._turn(turn)

    # Frames

    def _received(self, frame: bytes | str, now: Moment) -> None:
        if isinstance(frame, str):
            if frame == codec.PING:
                self._send((codec.PONG,))
            return
        if self._phase not in CONNECTED_PHASES:
            return
        self._progress_s = now.monotonic_s + JOIN_TIMEOUT_S
        try:
            if frame.startswith(commands.RPC_MAGIC):
                self._answered(commands.decode(frame), now)
                return
            message = codec.decode(frame)
        except MalformedFrame as error:
            self._leave(str(error))
            return
        if not isinstance(message, codec.Unknown):
            effects, turn = self._rooms.receive(message, now)
            self._emit(*effects)
            self._turn(turn)
            self._check_live(now)

    def _answered(self, answer: object, now: Moment) -> None:
        if not isinstance(answer, commands.Response | commands.ErrorResponse):
            return  # a server that asks us something: nothing a client answers
        if answer.id != OPEN_TOKEN:
            self._settle(self._requests.receive(answer))
            return
        if self._phase is not Phase.OPENING:
            return
        match self._opening.receive(answer):
            case Opened(document=document, runtime=runtime):
                self._set_phase(Phase.JOINING)
                self._send(self._rooms.join(self.document, document, runtime))
            case AskAgain(frame=frame):
                self._send((frame,))
            case Replaced() as turn:
                self._begin_anew(turn, now)
            case (Failed() | Hopeless()) as turn:
                self._turn(turn)

    # Turning points

    def _turn(self, turn: Turn) -> None:
        match turn:
            case Failed(reason=reason):
                self._leave(reason)
            case Hopeless(error=error):
                self._close(error)
            case Refused(status=status):
                self._refuse(status)
            case None:
                pass
            case _:
                assert_never(turn)

    def _check_live(self, now: Moment) -> None:
        if self._phase is Phase.LIVE and self._rooms.is_out:
            self._set_phase(Phase.JOINING)
            self._set_status("reconnecting")
        elif self._phase is Phase.JOINING and self._rooms.is_current:
            self._set_phase(Phase.LIVE)
            self._was_live = True
            self._live_s = now.monotonic_s
            self._set_status("live")

    def _refuse(self, status: UpdateStatus) -> None:
        """The replica is dead: keep it for the person, and go on with a fresh one."""
        error = rejection(status)
        refused = self.document
        held = self.confirmations.remote

        self._fail(self._requests.fail_unless(may_be_held(held, refused.replica), error), error)
        fresh = refused.replica.rebuilt(peer_id(self._entropy), held)
        self._set_aside(status.name.lower(), fresh)
        self._leave("an update was refused")
        self._rooms.member = None
        self._emit(effect.ReplicaRefused(status))
        self._set_status("rejected", error)

    def _begin_anew(self, turn: Replaced, now: Moment) -> None:
        """Another notebook is in this one's place: keep this one for the person, go on with it."""
        opened, error = turn.opened, turn.error
        self._fail(self._requests.fail(error), error)
        self._set_aside("replaced", Replica(peer_id(self._entropy)))
        self.confirmations.replace(Version.EMPTY, now.monotonic_s)
        self._rooms.begin_anew()
        self._set_status("rejected", error)
        self._set_phase(Phase.JOINING)
        self._send(self._rooms.join(self.document, opened.document, opened.runtime))

    def _fail(self, failed: list[Answered], error: HeadwayError) -> None:
        """Tell those who wait that edits are set aside; if nobody does, the next who asks.

        The replica that goes on without them has no heads of theirs that could be waited for.
        """
        unconfirmed = self.confirmations.fail(error)
        self._emit(*confirm_effects(unconfirmed))
        self._settle(failed)
        self._untold = None if unconfirmed or failed else error

    def _take_untold(self) -> HeadwayError | None:
        untold, self._untold = self._untold, None
        return untold

    def _set_aside(self, reason: str, fresh: Replica) -> None:
        self.rejected = [*self.rejected, (reason, self.document)][-MAX_REJECTED:]
        self.document = NotebookDocument(fresh)

    def _leave(self, reason: str) -> None:
        self._away = reason
        self._set_phase(Phase.LEAVING)
        self._emit(effect.Disconnect(reason))

    def _close(self, error: HeadwayError | None) -> None:
        if self.is_closed:
            return
        if self._phase in CONNECTED_PHASES:
            self._send(self._rooms.leave_presence())
        self.error = error
        ending = error or ConnectionLost("This notebook was closed.")
        self._emit(*confirm_effects(self.confirmations.fail(ending)))
        self._settle(self._requests.fail(ending))
        self._retry_s = None
        self._set_phase(Phase.CLOSED)
        self._emit(effect.Disconnect("closed"))
        self._set_status("closed", error)

    # Small steps

    def _flush(self, now: Moment) -> None:
        member = self._rooms.member
        if self._phase in (Phase.JOINING, Phase.LIVE) and member is not None:
            while frames := member.outgoing.take():
                self._send(frames)
        if self._phase is Phase.LIVE:
            frames, refused = self._requests.take(now.monotonic_s)
            self._send(frames)
            self._settle(refused)

    def _send(self, frames: tuple[bytes | str, ...]) -> None:
        if frames:
            self._emit(effect.Send(frames))

    def _emit(self, *happening: effect.Effect) -> None:
        self._effects.extend(happening)

    def _settle(self, answered: Iterable[Answered]) -> None:
        for each in answered:
            if isinstance(each.outcome, Saved):
                self._opening.moved(each.outcome.path)
            self._emit(effect.RequestSettled(each.token, each.outcome))

    def _set_phase(self, phase: Phase) -> None:
        if phase is not self._phase:
            assert phase in TRANSITIONS[self._phase], f"{self._phase} cannot become {phase}"
            self._phase = phase

    def _set_status(self, status: effect.SessionStatus, error: HeadwayError | None = None) -> None:
        if status != self.status:
            self.status = status
            self._emit(effect.StatusChanged(status, error))
