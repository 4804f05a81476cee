"""Our membership in the notebook's room: what comes in, what goes out, what is known to be held.

Floor 3, a part of the session. It turns the room's messages into effects, and into a turn where
the session itself must act. Of other rooms, commands and connections it knows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from headway.core.document.crdt import Replica, Version
from headway.core.document.notebook import NotebookDocument
from headway.core.session.effects import ConfirmSettled, DocumentChanged, Effect, Send
from headway.core.session.outgoing import Outgoing
from headway.core.session.rooms import RoomReplica, join_refusal
from headway.core.session.turns import Failed, Hopeless, Refused
from headway.core.sync.confirm import Confirmations, Durability, Settled
from headway.core.wire.messages import (
    Ack,
    Fragment,
    FragmentHeader,
    Joined,
    JoinError,
    Message,
    RoomError,
    RoomErrorCode,
    Update,
    UpdateStatus,
)
from headway.errors import (
    ConnectionLost,
    DocumentError,
    EngineFailure,
    HeadsUnknown,
    InvalidUpdate,
    UpdateRejected,
)
from headway.ids import DocumentId, Entropy, heads_from_text
from headway.moments import Moment, earliest

__all__ = ["Membership", "Turn", "confirm_effects", "may_be_held", "rejection"]

Turn = Failed | Hopeless | Refused | None
"""What the session must do; None: nothing."""


@dataclass(slots=True)
class Membership:
    """The notebook document, in its room."""

    document: NotebookDocument
    room_id: DocumentId
    entropy: Entropy
    confirmations: Confirmations
    room: RoomReplica = field(init=False)
    outgoing: Outgoing = field(init=False)
    _rejoined: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.room = RoomReplica(self.room_id, self.document.replica)
        self.outgoing = Outgoing(self.document.replica, self.room_id, self.entropy)

    def join(self) -> bytes:
        """The frame that asks to be let in, on a new connection."""
        self._rejoined = False
        return self.room.join_frame()

    def reset(self) -> None:
        """The connection is gone."""
        self.room.reset()
        self.outgoing.stop()

    def next_deadline_s(self) -> float | None:
        """When `tick` has something to do (monotonic)."""
        return earliest(self.room.next_deadline_s(), self.outgoing.next_deadline_s())

    def tick(self, now: Moment) -> Turn:
        """Time has passed."""
        if self.room.expire(now):
            return Failed("an update in fragments did not arrive in time")
        self.outgoing.resume(self.confirmations.remote, now.monotonic_s)
        return None

    def receive(self, message: Message, now: Moment) -> tuple[list[Effect], Turn]:
        """Take one of the room's messages in."""
        match message:
            case Joined():
                return self._joined(message, now)
            case JoinError():
                return [], Hopeless(join_refusal(message))
            case Update() | FragmentHeader() | Fragment() if self.room.joined:
                return self._import(message, now)
            case Ack():
                return self._acknowledged(message, now)
            case RoomError():
                return self._put_out(message)
            case _:
                return [], None  # a Join or Leave is nothing to us, nor an update after we left

    def _joined(self, message: Joined, now: Moment) -> tuple[list[Effect], Turn]:
        try:
            shown = self.room.receive_joined(message)
        except DocumentError as error:
            return [], Hopeless(error)
        self.confirmations.durability = _read_durability(message.extra)
        settled = self.confirmations.replace(shown, now.monotonic_s)
        if self.room.permission == "write":
            self.outgoing.begin(shown)
        else:
            settled += self.confirmations.fail(rejection(UpdateStatus.PERMISSION_DENIED))
        return confirm_effects(settled), None

    def _import(
        self, message: Update | FragmentHeader | Fragment, now: Moment
    ) -> tuple[list[Effect], Turn]:
        try:
            imported = self.room.receive(message, now)
        except EngineFailure as error:
            return [], Hopeless(error)
        except DocumentError as error:
            return [], Failed(str(error))
        effects: list[Effect] = []
        for step in imported:
            self.outgoing.show(step.shown)
            effects += confirm_effects(self.confirmations.advance(step.shown, now.monotonic_s))
            if step.changed:
                effects.append(DocumentChanged(step.heads_before, step.heads_after))
        return effects, None

    def _acknowledged(self, message: Ack, now: Moment) -> tuple[list[Effect], Turn]:
        learned = self.outgoing.acknowledge(message.batch_id, message.status, now.monotonic_s)
        turn = Refused(learned.refused) if learned.refused is not None else None
        if learned.held is None:
            return [], turn
        return confirm_effects(self.confirmations.advance(learned.held, now.monotonic_s)), turn

    def _put_out(self, message: RoomError) -> tuple[list[Effect], Turn]:
        if message.code is not RoomErrorCode.REJOIN_SUGGESTED:
            return [], Hopeless(
                ConnectionLost(
                    f"The server put this client out of the notebook: {message.message}",
                    reason=message.code.name.lower(),
                )
            )
        if self._rejoined:
            return [], Failed("the server asked for a second fresh join")
        self._rejoined = True
        self.outgoing.stop()
        return [Send((self.room.join_frame(),))], None


def confirm_effects(settled: Iterable[Settled]) -> list[Effect]:
    """Settled confirmations as effects."""
    return [ConfirmSettled(each.token, each.outcome) for each in settled]


def may_be_held(version: Version, replica: Replica) -> Callable[[str], bool]:
    """Whether heads, as text, are contained in `version`, or none of `replica`.

    Those of others may arrive where `version` is from, and what is malformed is refused there.
    """

    def is_possible(heads: str) -> bool:
        try:
            wanted = replica.version_at(heads_from_text(heads))
        except (HeadsUnknown, InvalidUpdate):
            return True
        return version.includes(wanted)

    return is_possible


def rejection(status: UpdateStatus) -> UpdateRejected:
    """The error of a refused update."""
    name = status.name.lower()
    return UpdateRejected(
        f"The server refused the changes ({name}). They are kept in `rejected`; editing goes on "
        "from what the server has.",
        status=name,
    )


def _read_durability(extra: bytes) -> Durability:
    """`durable` when the server says that its acknowledgements mean the disk."""
    try:
        said = msgspec.json.decode(extra) if extra else None
    except msgspec.DecodeError:
        said = None
    promises = isinstance(said, dict) and said.get("ack") == "durable"
    return "durable" if promises else "accepted"
