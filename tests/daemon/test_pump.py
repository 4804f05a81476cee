from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from daemon_world import (
    TOKEN,
    FakeRoom,
    World,
    answer,
    call,
    join,
    obliging,
    reserved,
    running,
    update,
)
from headway.core.room.effects import Answer, Close, Effect, Refuse, Send
from headway.core.room.inputs import (
    Input,
    PeerArrived,
    PeerGone,
    Received,
    RequestAbandoned,
    Requested,
)
from headway.core.wire import commands, rpc
from headway.core.wire.codec import decode, encode
from headway.core.wire.messages import (
    Ack,
    Join,
    Joined,
    JoinError,
    JoinErrorCode,
    Kind,
    Leave,
    Update,
    UpdateStatus,
)
from headway.errors import Busy, CellNotFound


def test_a_ping_is_answered_with_a_pong() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            await peer.send("ping")
            assert await peer.recv() == "pong"

    asyncio.run(scenario())


def test_unknown_magic_unknown_types_and_unknown_texts_are_skipped_and_counted() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            await peer.send(b"%YJS\x01a\x00")
            await peer.send(b"%LOR\x04nb-1\x55")
            await peer.send("hello")
            await peer.send("ping")
            assert await peer.recv() == "pong"
            assert world.service.connections.skipped_frames == 3

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "frame", [b"", b"%LO", b"%LOR", b"%LOR\xff\xff\xff\xff\xff\xff", b"%RPCnot json"]
)
def test_a_malformed_frame_closes_with_4000(frame: bytes) -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            await peer.send(frame)
            with pytest.raises(ConnectionClosed) as closed:
                await peer.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4000

    asyncio.run(scenario())


def test_a_malformed_frame_of_one_peer_leaves_the_others_alone() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as good, world.dial() as bad:
            await bad.send(b"%LOR")
            await bad.wait_closed()
            await good.send("ping")
            assert await good.recv() == "pong"

    asyncio.run(scenario())


def test_joining_loads_the_notebook_and_tells_the_room_who_came() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            async with world.dial("?name=ada&kind=python") as peer:
                await peer.send(join())
                assert decode(await peer.recv(decode=False)) == Joined(
                    Kind.DOCUMENT, "nb-1", "write", b""
                )
                room = world.rooms["nb-1"]
                assert room.seen(PeerArrived) == [PeerArrived(1, "ada", "python")]

    asyncio.run(scenario())


def test_the_runtime_document_and_presence_go_to_the_same_room() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            async with world.dial() as peer:
                for frame in (join("nb-1"), join("rt-1"), join("nb-1", Kind.PRESENCE)):
                    await peer.send(frame)
                    assert isinstance(decode(await peer.recv(decode=False)), Joined)
            assert world.opened == ["nb-1"]
            assert len(world.rooms["nb-1"].seen(PeerArrived)) == 1

    asyncio.run(scenario())


def test_joining_an_unknown_notebook_is_refused_by_its_name() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            await peer.send(join("nb-nowhere"))
            refusal = decode(await peer.recv(decode=False))
            assert isinstance(refusal, JoinError)
            assert refusal.code is JoinErrorCode.APP_ERROR
            assert refusal.app_code == "notebook_not_found"

    asyncio.run(scenario())


def test_an_update_to_a_notebook_that_is_not_open_is_denied() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(update("nb-1", 7))
                assert decode(await peer.recv(decode=False)) == Ack(
                    Kind.DOCUMENT, "nb-1", (7).to_bytes(8, "big"), UpdateStatus.PERMISSION_DENIED
                )
            assert world.opened == []

    asyncio.run(scenario())


def test_what_comes_while_a_notebook_loads_is_kept_in_order_and_others_are_not_held_up() -> None:
    async def scenario() -> None:
        world = World()
        may_open = asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(stored: object, file: object) -> None:
            if getattr(stored, "document", "") == "nb-slow":
                asyncio.run_coroutine_threadsafe(may_open.wait(), loop).result()

        world.opening = slow
        async with running(world=world):
            await world.known("nb-slow")
            await world.known("nb-quick")
            async with world.dial() as peer:
                await peer.send(join("nb-slow"))
                for number in range(5):
                    await peer.send(update("nb-slow", number))
                await peer.send(join("nb-quick"))
                first = decode(await peer.recv(decode=False))
                assert isinstance(first, Joined)
                assert first.room == "nb-quick"
                may_open.set()
                later = [decode(await peer.recv(decode=False)) for _ in range(6)]
                assert isinstance(later[0], Joined)
                batches = [each.batch_id for each in later[1:] if isinstance(each, Ack)]
                assert batches == [number.to_bytes(8, "big") for number in range(5)]

    asyncio.run(scenario())


def test_messages_after_a_failed_load_are_refused_one_by_one() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            await peer.send(join("nb-gone"))
            await peer.send(update("nb-gone", 1))
            await peer.send(encode(Leave(Kind.DOCUMENT, "nb-gone")))
            await peer.send("ping")
            frames = {await peer.recv() for _ in range(3)}
            assert "pong" in frames
            messages = [decode(frame) for frame in frames if isinstance(frame, bytes)]
            assert {type(message) for message in messages} == {JoinError, Ack}

    asyncio.run(scenario())


def test_a_connection_that_ends_leaves_every_room_it_was_in() -> None:
    async def scenario() -> None:
        async with running() as world:
            for document in ("nb-1", "nb-2"):
                await world.known(document)
            async with world.dial() as peer:
                for document in ("nb-1", "nb-2"):
                    await peer.send(join(document))
                    await peer.recv()
            for document in ("nb-1", "nb-2"):
                await world.rooms[document].until(lambda room: bool(room.seen(PeerGone)))

    asyncio.run(scenario())


def test_a_request_is_answered_under_its_own_id() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            async with world.dial() as peer:
                reply = await call(peer, rpc.Interrupt(document="nb-1"), 41)
                assert isinstance(reply, commands.Response)
                assert reply.id == 41

    asyncio.run(scenario())


def test_a_refusal_travels_as_its_own_error() -> None:
    def refusing(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Requested) and event.peer is not None:
            return [Refuse(event.token, CellNotFound("There is no such cell.", cell_id="c"))]
        return obliging(room, event)

    async def scenario() -> None:
        async with running(refusing) as world:
            await world.known()
            async with world.dial() as peer:
                reply = await call(peer, rpc.Interrupt(document="nb-1"))
                assert isinstance(reply, commands.ErrorResponse)
                assert isinstance(reply.error, CellNotFound)
                assert reply.error.data["cell_id"] == "c"

    asyncio.run(scenario())


def test_a_request_that_cannot_be_read_is_refused_and_the_connection_goes_on() -> None:
    async def scenario() -> None:
        async with running() as world, world.dial() as peer:
            await peer.send(b'%RPC{"jsonrpc":"2.0","id":3,"method":"dance","params":{}}')
            reply = await answer(peer)
            assert isinstance(reply, commands.ErrorResponse)
            assert (reply.id, reply.error.code) == (3, "UNKNOWN_METHOD")
            await peer.send("ping")
            assert await peer.recv() == "pong"

    asyncio.run(scenario())


def test_requests_run_concurrently_so_a_slow_one_holds_up_nothing() -> None:
    def slow_save(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Requested) and isinstance(event.params, rpc.Complete):
            return []
        return obliging(room, event)

    async def scenario() -> None:
        async with running(slow_save) as world:
            await world.known()
            async with world.dial() as peer:
                slow = rpc.Complete(document="nb-1", code="a", cursor=1)
                await peer.send(commands.encode_request(1, slow))
                reply = await call(peer, rpc.Interrupt(document="nb-1"), 2)
                assert reply.id == 2

    asyncio.run(scenario())


def test_too_many_requests_on_one_connection_are_refused_as_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headway.daemon.pump.MAX_OPEN_REQUESTS", 1)

    async def scenario() -> None:
        async with running(reserved) as world:
            await world.known()
            async with world.dial() as peer:
                request = rpc.Complete(document="nb-1", code="a", cursor=1)
                await peer.send(commands.encode_request(1, request))
                reply = await call(peer, request, 2)
                assert isinstance(reply, commands.ErrorResponse)
                assert reply.id == 2
                assert isinstance(reply.error, Busy)

    asyncio.run(scenario())


def test_the_requests_of_a_peer_that_left_are_abandoned() -> None:
    async def scenario() -> None:
        async with running(reserved) as world:
            await world.known()
            async with world.dial() as peer:
                await world.service.rooms.load("nb-1")
                request = rpc.Complete(document="nb-1", code="a", cursor=1)
                await peer.send(commands.encode_request(1, request))
                room = world.rooms["nb-1"]
                await room.until(lambda room: bool(room.seen(Requested)))
            await room.until(lambda room: bool(room.seen(RequestAbandoned)))
            assert room.seen(RequestAbandoned)[0].token == room.seen(Requested)[0].token

    asyncio.run(scenario())


def test_a_peer_that_never_reads_is_dropped_and_slows_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bulk = bytes(200_000)
    monkeypatch.setattr("headway.daemon.pump.DROP_GRACE_S", 0.05)

    def flooding(room: FakeRoom, event: Input) -> list[Effect]:
        match event:
            case Received(peer, Join()):
                return obliging(room, event)
            case Received(peer, Update(_, name, _, batch_id)):
                ack = encode(Ack(Kind.DOCUMENT, name, batch_id, UpdateStatus.OK))
                others = [each.peer for each in room.seen(PeerArrived) if each.peer != peer]
                return [*(Send(other, (bulk,)) for other in others), Send(peer, (ack,))]
            case _:
                return obliging(room, event)

    async def scenario() -> None:
        async with running(flooding) as world:
            await world.known()
            reader, writer = await asyncio.open_unix_connection(str(world.socket_path), limit=1024)
            async with world.dial() as peer:
                for each in (b"stuck",):
                    writer.write(
                        b"GET /sync?name=" + each + b" HTTP/1.1\r\nhost: localhost\r\n"
                        b"connection: Upgrade\r\nupgrade: websocket\r\n"
                        b"sec-websocket-version: 13\r\n"
                        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                    )
                    await reader.readuntil(b"\r\n\r\n")
                    frame = join()
                    writer.write(bytes([0x82, 0x80 | len(frame), 0, 0, 0, 0]) + frame)
                await peer.send(join())
                await peer.recv()
                room = world.rooms["nb-1"]
                await room.until(lambda room: len(room.seen(PeerArrived)) == 2)
                number = 0
                while not room.seen(PeerGone):
                    number += 1
                    await peer.send(update("nb-1", number))
                    acknowledged = decode(await peer.recv(decode=False))
                    assert isinstance(acknowledged, Ack)
                gone = room.seen(PeerGone)[0].peer
                names = {each.peer: each.name for each in room.seen(PeerArrived)}
                assert names[gone] == "stuck"
                await peer.send("ping")
                assert await peer.recv() == "pong"
            writer.close()

    asyncio.run(scenario())


def test_a_room_can_end_a_connection_after_its_last_words() -> None:
    def farewell(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Received):
            return [Send(event.peer, (b"last words",)), Close(event.peer, 4000, "enough")]
        return obliging(room, event)

    async def scenario() -> None:
        async with running(farewell) as world:
            await world.known()
            async with world.dial() as peer:
                await peer.send(join())
                assert await peer.recv() == b"last words"
                await peer.wait_closed()
                assert peer.close_code == 4000

    asyncio.run(scenario())


def test_a_network_peer_that_says_nothing_is_pinged_and_then_dropped() -> None:
    async def scenario() -> None:
        async with running(tcp=True, ping_interval_s=0.05) as world:
            address = f"ws://127.0.0.1:{world.port}/sync?token={TOKEN}"
            async with connect(address, compression=None) as peer:
                assert await peer.recv() == "ping"
                await peer.wait_closed()
                assert peer.close_code == 1013

    asyncio.run(scenario())


def test_an_answer_too_long_for_a_frame_becomes_a_refusal() -> None:
    def verbose(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Requested) and isinstance(event.params, rpc.Inspect):
            return [Answer(event.token, rpc.Inspection(found=True, data={"a": "b" * 2_000_000}))]
        return obliging(room, event)

    async def scenario() -> None:
        async with running(verbose) as world:
            await world.known()
            async with world.dial() as peer:
                reply = await call(peer, rpc.Inspect(document="nb-1", code="a", cursor=1))
                assert isinstance(reply, commands.ErrorResponse)
                assert reply.error.code == "REQUEST_FAILED"

    asyncio.run(scenario())
