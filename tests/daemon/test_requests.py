from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from daemon_world import FakeRoom, World, obliging, reserved, running
from headway.core.room.effects import Effect, ExecutionAccepted, ExecutionFinished, Refuse
from headway.core.room.inputs import FileTouched, Input, Requested
from headway.core.wire import rpc
from headway.errors import FileNotWritable, FileWouldEmpty


async def post(world: World, method: str, **params: Any) -> tuple[int, dict[str, Any]]:
    reply = await world.post(method, json.dumps(params).encode())
    return reply.status, json.loads(reply.body)


def test_open_takes_a_path_or_a_document_and_not_both() -> None:
    async def scenario() -> None:
        async with running() as world:
            assert (await post(world, "open"))[0] == 400
            assert (await post(world, "open", path="/a", document="nb-1"))[0] == 400

    asyncio.run(scenario())


def test_open_says_whether_the_notebook_is_new_and_list_shows_what_is_open() -> None:
    async def scenario() -> None:
        async with running() as world:
            _, first = await post(world, "open", path="/a")
            assert (first["path"], first["created"]) == ("/a.ipynb", True)
            assert first["runtime"].startswith("rt-")
            _, again = await post(world, "open", path="/a.ipynb")
            assert (again["document"], again.get("created")) == (first["document"], False)
            _, by_id = await post(world, "open", document=first["document"])
            assert by_id["document"] == first["document"]
            _, untitled = await post(world, "create")
            assert untitled["path"] is None
            _, shown = await post(world, "list")
            listed = {each["document"] for each in shown["notebooks"]}
            assert listed == {first["document"], untitled["document"]}

    asyncio.run(scenario())


def test_saving_elsewhere_gives_the_room_a_real_path() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            status, _ = await post(world, "save", document="nb-1", path="/x/../b")
            assert status == 200
            asked = world.rooms["nb-1"].seen(Requested)[0].params
            assert asked == rpc.Save(document="nb-1", path="/b.ipynb")
            assert (await post(world, "save", document="nb-1", path="relative"))[0] == 400

    asyncio.run(scenario())


def test_saving_over_the_file_of_another_open_notebook_is_refused() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known("nb-1")
            await world.known("nb-2", "/b.ipynb")
            await world.service.rooms.load("nb-2")
            status, error = await post(world, "save", document="nb-1", path="/b")
            assert (status, error["error"]["code"]) == (409, "FILE_ERROR")
            assert (await post(world, "save", document="nb-2", path="/b"))[0] == 200

    asyncio.run(scenario())


def test_a_notebook_that_cannot_be_saved_is_not_closed() -> None:
    def unwritable(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Requested) and isinstance(event.params, rpc.Save):
            return [Refuse(event.token, FileNotWritable("No.", path="/a.ipynb"))]
        return obliging(room, event)

    async def scenario() -> None:
        async with running(unwritable) as world:
            await world.known("nb-1", "/a.ipynb")
            await world.service.rooms.load("nb-1")
            status, error = await post(world, "close", document="nb-1")
            assert (status, error["error"]["code"]) == (403, "FILE_NOT_WRITABLE")
            assert world.service.rooms.find("nb-1") is not None

    asyncio.run(scenario())


class RoomOfAnEmptiedFile(FakeRoom):
    """Says that its file would empty it, until it has looked at one that was moved away."""

    is_moved = False

    def summary(self) -> rpc.NotebookSummary:
        told = super().summary()
        if not (self.is_moved and self.seen(FileTouched)):
            told.notices.append(rpc.Notice(code=FileWouldEmpty.code, message="Move it away."))
        return told


def test_a_file_that_would_empty_its_notebook_is_looked_at_before_the_path_is_refused() -> None:
    async def scenario() -> None:
        async with running() as world:
            host, _ = await world.service.rooms.open_path("/a.ipynb", create=True)
            host.room = room = RoomOfAnEmptiedFile(host.document, "/a.ipynb")
            refused, error = await post(world, "open", path="/a.ipynb")
            assert (refused, error["error"]["code"]) == (409, "FILE_WOULD_EMPTY")
            assert error["error"]["data"]["document"] == host.document
            room.is_moved = True
            room.inputs.clear()
            assert (await post(world, "open", path="/a.ipynb"))[0] == 200

    asyncio.run(scenario())


def accepted(identity: str, runs_as: str | None = None) -> ExecutionAccepted:
    return ExecutionAccepted("nb-1", identity, runs_as or identity, "cell", "ab" * 32)


def test_a_terminal_execution_is_answered_from_the_store_by_its_id_alone() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            await world.store.append([accepted("e1"), accepted("again", "e1")])
            await world.store.append([ExecutionFinished("nb-1", "e1", b'{"status": "ok"}')])
            for identity in ("e1", "again"):
                status, outcome = await post(
                    world, "get_execution", execution_id=identity, wait=True
                )
                assert status == 200
                assert outcome == {
                    "execution_id": "e1",
                    "document": "nb-1",
                    "record": {"status": "ok"},
                }
            assert world.opened == []

    asyncio.run(scenario())


def test_an_execution_that_is_not_terminal_is_asked_of_its_room() -> None:
    def waiting(room: FakeRoom, event: Input) -> list[Effect]:
        if isinstance(event, Requested) and isinstance(event.params, rpc.GetExecution):
            assert event.params.document == "nb-1"
            return [Refuse(event.token, FileNotWritable("The room was asked."))]
        return reserved(room, event)

    async def scenario() -> None:
        async with running(waiting) as world:
            await world.known()
            await world.store.append([accepted("e1")])
            _, error = await post(world, "get_execution", execution_id="e1")
            assert error["error"]["message"] == "The room was asked."

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["interrupt", "save", "shutdown_kernel"])
def test_a_request_to_a_notebook_that_is_not_open_opens_it(method: str) -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            assert (await post(world, method, document="nb-1"))[0] == 200
            assert world.opened == ["nb-1"]

    asyncio.run(scenario())


def test_a_load_that_takes_longer_than_the_caller_waits_ends_in_a_refusal() -> None:
    async def scenario() -> None:
        async with running() as world:
            await world.known()
            world.store.hold()
            held = world.store.append([accepted("e1")])
            status, error = await post(world, "interrupt", document="nb-1", timeout_s=0.02)
            assert (status, error["error"]["code"]) == (504, "DEADLINE_EXCEEDED")
            world.store.release()
            await held

    asyncio.run(scenario())
