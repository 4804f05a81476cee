from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable

import pytest

from daemon_world import FakeRoom, World, obliging, running
from file_content import got, put
from headway.core.room.effects import Effect, Refuse
from headway.core.room.inputs import FileTouched, Input, Requested, Tick
from headway.core.wire import rpc
from headway.daemon import rooms as rooms_module
from headway.daemon.rooms import Rooms
from headway.errors import (
    Busy,
    DaemonUnavailable,
    EngineFailure,
    FileError,
    FolderNotFound,
    NotebookNotFound,
    NotebookUnreadable,
)


def run(scenario: Callable[[World, Rooms], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with running() as world:
            await scenario(world, world.service.rooms)

    asyncio.run(bounded())


def test_a_notebook_is_loaded_once_however_many_ask() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        await world.known()
        hosts = await asyncio.gather(*(rooms.load("nb-1") for _ in range(10)))
        assert len({id(host) for host in hosts}) == 1
        assert world.opened == ["nb-1"]
        assert await rooms.load(world.rooms["nb-1"].runtime) is hosts[0]

    run(scenario)


def test_many_who_open_a_new_path_at_once_get_one_notebook_that_one_of_them_made() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        opened = await asyncio.gather(
            *(rooms.open_path("/new.ipynb", create=True) for _ in range(10))
        )
        assert len({host.document for host, _ in opened}) == 1
        assert [known.path for known in await world.store.known()] == ["/new.ipynb"]
        again, created = await rooms.open_path("/new.ipynb", create=True)
        assert (again.document, created) == (opened[0][0].document, False)

    run(scenario)


def test_a_known_path_continues_its_notebook_even_without_a_file() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        await world.known("nb-old", "/old.ipynb")
        host, created = await rooms.open_path("/old.ipynb", create=False)
        assert (host.document, created) == ("nb-old", False)

    run(scenario)


def test_a_path_without_file_or_history_is_not_made_unless_asked() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        with pytest.raises(NotebookNotFound):
            await rooms.open_path("/none.ipynb", create=False)
        assert await world.store.known() == []

    run(scenario)


def test_where_there_is_no_folder_no_notebook_is_made_and_none_loses_its_path() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        world.files.missing_folders.add("/gone")
        await world.known("nb-old", "/gone/old.ipynb")
        for refused in (
            rooms.open_path("/gone/new.ipynb", create=True),
            rooms.create("/gone/new.ipynb"),
            rooms.create("/gone/old.ipynb"),
        ):
            with pytest.raises(FolderNotFound, match="'/gone' does not exist"):
                await refused
        assert [known.path for known in await world.store.known()] == ["/gone/old.ipynb"]
        with pytest.raises(NotebookNotFound):
            await rooms.open_path("/gone/new.ipynb", create=False)
        host, created = await rooms.open_path("/gone/old.ipynb", create=True)
        assert (host.document, created) == ("nb-old", False)

    run(scenario)


def test_a_notebook_is_not_created_where_one_is() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        await put(world.files, "/there.ipynb", b"{}", None)
        with pytest.raises(FileError, match="already"):
            await rooms.create("/there.ipynb")
        made = await rooms.create("/new.ipynb")
        with pytest.raises(FileError, match="already"):
            await rooms.create("/new.ipynb")
        assert rooms.at_path("/new.ipynb") is made

    run(scenario)


def test_a_notebook_may_be_created_where_a_known_one_used_to_be() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        await world.known("nb-old", "/a.ipynb")
        made = await rooms.create("/a.ipynb")
        assert made.document != "nb-old"
        assert await world.store.find_path("/a.ipynb") == made.document
        assert (await rooms.load("nb-old")).room.path is None

    run(scenario)


def test_the_file_of_an_open_notebook_is_watched_and_hints_reach_its_room() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        host, _ = await rooms.open_path("/a.ipynb", create=True)
        room = world.rooms[host.document]
        assert world.watching.paths == ["/a.ipynb"]
        await room.until(lambda each: len(each.seen(FileTouched)) == 1)
        world.watching.happened("/a.ipynb")
        await room.until(lambda each: len(each.seen(FileTouched)) == 2)
        room.path = "/b.ipynb"
        host.feed(Tick())
        assert world.watching.paths == ["/b.ipynb"]
        host.end()
        assert world.watching.paths == []
        await host.ended.wait()

    run(scenario)


def test_a_path_that_a_notebook_is_being_saved_to_is_nobody_elses() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        one, other = await rooms.create(None), await rooms.create(None)
        world.rooms[one.document].is_idle = False
        await rooms.claim("/a.ipynb", one)
        await rooms.claim("/a.ipynb", one)
        for refused in (
            rooms.claim("/a.ipynb", other),
            rooms.open_path("/a.ipynb", create=True),
            rooms.create("/a.ipynb"),
        ):
            with pytest.raises(FileError):
                await refused
        # The save came to nothing.
        world.rooms[one.document].is_idle = True
        await rooms.claim("/a.ipynb", other)

    run(scenario)


def test_a_path_is_free_again_when_the_save_to_it_was_refused() -> None:
    def refusing(room: FakeRoom, event: Input) -> list[Effect]:
        match event:
            case Requested(token, _, rpc.Save()):
                return [Refuse(token, FileError("There is a file already."))]
        return obliging(room, event)

    async def scenario(world: World, rooms: Rooms) -> None:
        world.script = refusing
        host = await rooms.create(None)
        world.rooms[host.document].is_idle = False
        asked = json.dumps({"document": host.document, "path": "/a.ipynb"}).encode()
        saved = await world.post("save", asked)
        assert b"There is a file already." in saved.body
        await rooms.open_path("/a.ipynb", create=True)

    run(scenario)


def test_a_room_that_has_ended_claims_no_path_and_is_not_kept() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        host = await rooms.create(None)
        world.rooms[host.document].is_idle = False
        await rooms.claim("/a.ipynb", host)
        host.end()
        await host.ended.wait()
        while rooms.all():
            await asyncio.sleep(0)
        assert rooms._claims == {}

    run(scenario)


def test_untitled_notebooks_have_no_path_and_are_found_by_id() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        one, two = await rooms.create(None), await rooms.create(None)
        assert one.document != two.document
        assert one.room.path is None
        assert await rooms.load(one.document) is one

    run(scenario)


def test_a_file_that_is_no_notebook_leaves_no_trace_and_may_be_tried_again() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        def unreadable(stored: object, file: object) -> None:
            raise NotebookUnreadable("That is no notebook.", path="/bad.ipynb")

        world.opening = unreadable
        await put(world.files, "/bad.ipynb", b"not a notebook", None)
        for _ in range(2):
            with pytest.raises(NotebookUnreadable):
                await rooms.open_path("/bad.ipynb", create=True)
        assert await world.store.known() == []
        world.opening = lambda stored, file: None
        assert (await rooms.open_path("/bad.ipynb", create=True))[1]

    run(scenario)


def test_a_known_notebook_whose_file_is_broken_opens_from_its_history() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        files: list[object] = []

        def unreadable(stored: object, file: object) -> None:
            files.append(file)
            if file is not None:
                raise NotebookUnreadable("That is no notebook.", path="/a.ipynb")

        world.opening = unreadable
        await world.known("nb-1", "/a.ipynb")
        await put(world.files, "/a.ipynb", b"half a note", None)
        host, created = await rooms.open_path("/a.ipynb", create=True)
        assert (host.document, created) == ("nb-1", False)
        assert files[1:] == [None]
        content = await got(world.files, "/a.ipynb")
        assert content is not None
        assert content == b"half a note"

    run(scenario)


def test_a_failure_of_our_own_while_loading_is_told_and_may_be_tried_again() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        def fails(stored: object, file: object) -> None:
            raise ZeroDivisionError

        world.opening = fails
        await world.known()
        with pytest.raises(EngineFailure):
            await rooms.load("nb-1")
        world.opening = lambda stored, file: None
        assert (await rooms.load("nb-1")).is_open

    run(scenario)


def test_one_caller_who_gives_up_does_not_end_the_load_of_another() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        begun, may_open = threading.Event(), threading.Event()

        def slow(stored: object, file: object) -> None:
            begun.set()
            may_open.wait(10)

        world.opening = slow
        await world.known()
        async with asyncio.TaskGroup() as tasks:
            impatient = tasks.create_task(rooms.load("nb-1"))
            patient = tasks.create_task(rooms.load("nb-1"))
            await asyncio.to_thread(begun.wait, 10)
            impatient.cancel()
            may_open.set()
            assert (await patient).document == "nb-1"
        assert impatient.cancelled()

    run(scenario)


def test_a_notebook_that_is_ending_is_loaded_again_once_it_has_ended() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        await world.known()
        first = await rooms.load("nb-1")
        first.end()
        second = await rooms.load("nb-1")
        assert first.ended.is_set()
        assert second is not first
        assert second.is_open

    run(scenario)


def test_an_unknown_document_or_runtime_is_not_found() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        for room in ("nb-none", "rt-none", "anything"):
            with pytest.raises(NotebookNotFound):
                await rooms.load(room)

    run(scenario)


def test_nothing_opens_any_more_once_the_doors_are_closed() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        await world.known()
        rooms.close_doors()
        with pytest.raises(DaemonUnavailable):
            await rooms.load("nb-1")
        with pytest.raises(DaemonUnavailable):
            await rooms.create(None)

    run(scenario)


def test_a_load_that_the_end_of_the_daemon_overtakes_opens_nothing() -> None:
    async def scenario(world: World, rooms: Rooms) -> None:
        begun, may_open = threading.Event(), threading.Event()

        def slow(stored: object, file: object) -> None:
            begun.set()
            may_open.wait(10)

        world.opening = slow
        await world.known()
        loading = asyncio.ensure_future(rooms.load("nb-1"))
        await asyncio.to_thread(begun.wait, 10)
        rooms.close_doors()
        may_open.set()
        with pytest.raises(DaemonUnavailable):
            await loading
        assert rooms.all() == []

    run(scenario)


def test_there_is_a_bound_on_open_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_module, "MAX_OPEN_NOTEBOOKS", 1)

    async def scenario(world: World, rooms: Rooms) -> None:
        await rooms.create(None)
        with pytest.raises(Busy):
            await rooms.create(None)

    run(scenario)
