"""What a session shows of itself to the others, and what it sees of them."""

from __future__ import annotations

import time
from typing import Any

from headway.core.document.presence import PresenceStore
from headway.core.session import effects, inputs
from headway.core.session.presence import PRESENCE_REFRESH_S, PRESENCE_TIMEOUT_S
from headway.core.wire import codec
from headway.core.wire.messages import JoinError, JoinErrorCode, Kind, Update
from session_world import NOTEBOOK, World

ADA = {"name": "Ada"}


class Others:
    """Everybody else in the room: they see what the session sends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = PresenceStore(PRESENCE_TIMEOUT_S)

    def sent(self) -> int:
        """Takes in what was sent since the last call; gives how many messages that were."""
        frames = [
            frame
            for each in self.world.seen
            if isinstance(each, effects.Send)
            for frame in each.frames
            if isinstance(frame, bytes) and frame.startswith(b"%EPH")
        ]
        self.world.seen.clear()
        updates = [each for each in map(codec.decode, frames) if isinstance(each, Update)]
        for each in updates:
            self.store.apply(*each.updates)
        time.sleep(0.002)  # of two writes within a millisecond the engine ignores the second
        return len(updates)

    def see(self) -> dict[str, Any]:
        self.sent()
        return self.store.get_all()


def show(world: World, value: dict[str, Any] | None) -> None:
    world.feed(inputs.PresenceSet(value))


def test_what_is_shown_is_seen_until_it_is_taken_away() -> None:
    world = World().live()
    others = Others(world)
    show(world, ADA)
    assert others.see() == {"me": ADA}
    show(world, None)
    assert others.see() == {}


def test_what_is_shown_is_shown_again_before_it_would_time_out_and_nothing_else_is() -> None:
    world = World().live()
    others = Others(world)
    world.pass_time(2 * PRESENCE_REFRESH_S)
    world.feed(inputs.Tick())
    assert others.sent() == 0
    show(world, ADA)
    world.pass_time(PRESENCE_REFRESH_S - 1)
    world.feed(inputs.Tick())
    assert others.sent() == 1
    world.pass_time(PRESENCE_TIMEOUT_S - PRESENCE_REFRESH_S)
    assert others.sent() == 1
    show(world, None)
    assert others.sent() == 1
    world.pass_time(2 * PRESENCE_REFRESH_S)
    world.feed(inputs.Tick())
    world.feed(inputs.CloseAsked())
    assert others.sent() == 0


def test_what_was_shown_without_a_connection_is_shown_when_it_is_back() -> None:
    world = World().live()
    others = Others(world)
    world.drop()
    show(world, ADA)
    assert others.see() == {}
    world.pass_time(1)
    assert others.see() == {"me": ADA}


def test_who_closes_is_gone_at_once() -> None:
    world = World().live()
    others = Others(world)
    show(world, ADA)
    assert others.see() == {"me": ADA}
    world.feed(inputs.CloseAsked())
    assert others.see() == {}


def test_what_others_show_is_seen_and_told() -> None:
    world = World().live()
    update = PresenceStore(PRESENCE_TIMEOUT_S).set("other", ADA)
    for shown, expected in ((b"garbage", {}), (update, {"other": ADA})):
        happened = world.feed(
            inputs.Received(codec.encode(Update(Kind.PRESENCE, NOTEBOOK, (shown,), bytes(8))))
        )
        assert world.session.presence() == expected
        assert (effects.PresenceChanged() in happened) == bool(expected)
    assert world.status() == "live"


def test_a_server_without_presence_is_shown_nothing() -> None:
    world = World().live()
    refusal = JoinError(Kind.PRESENCE, NOTEBOOK, JoinErrorCode.UNKNOWN, "What is presence?")
    world.deliver([codec.encode(refusal)])
    show(world, ADA)
    assert Others(world).sent() == 0
    assert world.status() == "live"
