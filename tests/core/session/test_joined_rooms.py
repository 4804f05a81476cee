"""A runtime document that gives way to another while a session asks for it."""

from __future__ import annotations

import pytest

from headway.core.session import effects, inputs
from headway.core.session.joined_rooms import RUNTIME_REPLACED
from headway.core.wire import codec
from headway.core.wire.messages import Join, JoinError, JoinErrorCode, Kind
from session_world import Server, World

OLD_RUNTIME = "rt-" + "1" * 32


class Moving(Server):
    """Names a runtime document in `open` that is replaced by the time it is asked for."""

    app_code = RUNTIME_REPLACED[0]

    def answer(self, message: object) -> list[bytes]:
        if isinstance(message, Join) and message.room == OLD_RUNTIME:
            code = JoinErrorCode.APP_ERROR
            refusal = JoinError(
                Kind.DOCUMENT, OLD_RUNTIME, code, "It was replaced.", app_code=self.app_code
            )
            return [codec.encode(refusal)]
        return super().answer(message)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", RUNTIME_REPLACED)
def test_a_runtime_document_replaced_during_the_join_is_found_by_the_notebook(code: str) -> None:
    server = Moving()
    server.app_code = code
    current, server.runtime_id = server.runtime_id, OLD_RUNTIME
    world = World(server)
    world.feed(inputs.Started())
    world.feed(inputs.Received(server.receive(world.to_server.pop(0))[0]))
    server.runtime_id = current
    world.settle()
    assert world.session.status == "live"
    assert world.session.runtime is not None
    assert not [each for each in world.seen if isinstance(each, effects.Disconnect)]


def test_a_runtime_document_that_is_refused_ends_a_session_only_if_it_was_never_here() -> None:
    refusing = Moving(runtime_id=OLD_RUNTIME)
    refusing.app_code = "strange"
    world = World(refusing)
    world.feed(inputs.Started())
    world.settle()
    assert world.status() == "closed"

    world = World().live()
    world.server.runtime_id = OLD_RUNTIME
    world.drop()
    world.server = refusing
    world.pass_time(1)
    assert world.status() == "reconnecting"
