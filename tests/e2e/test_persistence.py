"""What outlives a room, a daemon and a connection: every edit, under one identity."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

import headway
from daemon_here import Place, evicted, place
from headway.core.wire import rpc
from headway.errors import FileError, NotebookReplaced
from headway_daemon import bounded

AT_ONCE: dict[str, Any] = {"idle_room_s": 0.0}
"""Rooms are put away as soon as nobody and nothing needs them."""

LATER_S = 10.0


@pytest.fixture
def here() -> Iterator[Place]:
    with place() as made:
        yield made


def sources(notebook: headway.AsyncNotebook) -> list[str]:
    return [cell.source for cell in notebook.cells]


def in_file(here: Place, name: str) -> list[str]:
    cells = json.loads(here.path(name).read_bytes())["cells"]
    return ["".join(cell["source"]) for cell in cells]


@pytest.mark.parametrize("rounds", [20])
def test_the_last_edit_before_a_disconnect_is_there_at_a_reconnect_during_eviction(
    here: Place, rounds: int
) -> None:
    """S40: add, disconnect, connect at once; the room is being put away at that moment."""

    async def scenario() -> None:
        async with here.daemon(**AT_ONCE):
            expected: list[str] = []
            for number in range(rounds):
                async with here.open("a") as notebook:
                    assert sources(notebook) == expected
                    for part in range(3):
                        notebook.add_cell(f"{number} {part}")
                        expected.append(f"{number} {part}")
                    if number % 2:
                        # Nothing keeps the room now but this client.
                        await notebook.save()

    bounded(scenario())


def test_a_room_with_a_save_to_come_is_put_away_only_after_it(here: Place) -> None:
    """S49: the autosave is pending when the last peer leaves; it is made first."""

    async def scenario() -> None:
        async with here.daemon(**AT_ONCE) as service:
            async with here.open("a") as notebook:
                document = notebook.id
                notebook.add_cell("x = 1")
            await evicted(service, document)
            assert in_file(here, "a") == ["x = 1"]
            async with here.open("a") as notebook:
                assert notebook.id == document
                assert sources(notebook) == ["x = 1"]

    bounded(scenario())


def test_an_untitled_notebook_outlives_its_room_and_its_daemon(here: Place) -> None:
    """S41: no file anywhere, and all of it is there after an eviction and after a restart."""

    async def scenario() -> None:
        async with here.daemon(**AT_ONCE) as service:
            document = (await service.rooms.create(None)).document
            expected: list[str] = []
            for number in range(3):
                async with await here.open_document(document) as notebook:
                    assert sources(notebook) == expected
                    notebook.add_cell(f"cell {number}")
                    expected.append(f"cell {number}")
                await evicted(service, document)
        async with here.daemon(**AT_ONCE), await here.open_document(document) as notebook:
            assert notebook.path is None
            assert sources(notebook) == expected

    bounded(scenario())


def test_a_notebook_with_a_file_is_joined_by_its_path_after_a_restart(here: Place) -> None:
    """S43: the same document, the same cells, the same history."""

    async def scenario() -> None:
        async with here.daemon(), here.open("a") as notebook:
            document = notebook.id
            notebook.add_cell("before")
            await notebook.save()
        async with here.daemon(), here.open("a") as notebook:
            assert notebook.id == document
            assert sources(notebook) == ["before"]
            assert len(notebook.history()) >= 2

    bounded(scenario())


def test_an_open_client_sees_the_end_of_the_daemon_and_comes_back_by_itself(here: Place) -> None:
    """S45: the loss is visible, readiness is not taken back, what was here stays readable."""

    async def scenario() -> None:
        async with here.daemon():
            notebook = await here.open("a")
            notebook.add_cell("before")
            await notebook.confirm_sync()
        await notebook.wait_until(lambda: notebook.status != "live", timeout=LATER_S)
        assert notebook.status == "reconnecting"
        assert sources(notebook) == ["before"]
        async with here.daemon():
            await notebook.wait_until(lambda: notebook.status == "live", timeout=LATER_S)
            notebook.add_cell("after")
            await notebook.confirm_sync()
            await notebook.close()
            async with here.open("a") as other:
                assert sources(other) == ["before", "after"]

    bounded(scenario())


def test_edits_made_while_the_daemon_was_away_are_merged_when_it_is_back(here: Place) -> None:
    """S43: a client that returns late has the same lineage; meanwhile others went on."""

    async def scenario() -> None:
        async with here.daemon():
            notebook = await here.open("a")
            notebook.add_cell("before")
            await notebook.save()
        await notebook.wait_until(lambda: notebook.status != "live", timeout=LATER_S)
        for number in range(50):
            notebook.add_cell(f"offline {number}")
        cells = json.loads(here.path("a").read_bytes())
        cells["cells"].append(
            {"cell_type": "markdown", "id": "late", "metadata": {}, "source": "by another program"}
        )
        here.path("a").write_text(json.dumps(cells))
        async with here.daemon():
            await notebook.confirm_sync(LATER_S)
            found = sources(notebook)
            assert sorted(found) == sorted(
                ["before", *(f"offline {number}" for number in range(50)), "by another program"]
            )
            assert notebook.rejected == []
            await notebook.save()
            await notebook.close()
            assert in_file(here, "a") == found

    bounded(scenario())


def test_a_client_of_a_lost_history_is_told_and_nothing_is_doubled(here: Place) -> None:
    """S43: the store was deleted between two lives of the daemon."""

    async def scenario() -> None:
        async with here.daemon():
            notebook = await here.open("a")
            notebook.add_cell("saved")
            await notebook.save()
            document = notebook.id
        await notebook.wait_until(lambda: notebook.status != "live", timeout=LATER_S)
        notebook.add_cell("unsent")
        here.lose_store()
        async with here.daemon():
            async with here.open("a") as other:
                assert other.id != document
                assert sources(other) == ["saved"]
            with pytest.raises(NotebookReplaced) as told:
                await notebook.confirm_sync(LATER_S)
            assert told.value.data["document"] == document
            await notebook.wait_until(lambda: notebook.status == "live", timeout=LATER_S)
            assert notebook.id == told.value.data["found"]
            assert sources(notebook) == ["saved"]
            (kept,) = notebook.rejected
            assert kept.status == "replaced"
            assert [cell.source for cell in kept.cells] == ["saved", "unsent"]
            notebook.add_cell("goes on")
            await notebook.save()
            await notebook.close()
            assert in_file(here, "a") == ["saved", "goes on"]

    bounded(scenario())


def test_a_notebook_saved_elsewhere_keeps_its_identity_and_leaves_its_old_file(
    here: Place,
) -> None:
    """S43: save-as; the old path opened again is another notebook, and no path has two."""

    async def scenario() -> None:
        async with here.daemon(**AT_ONCE) as service:
            async with here.open("a") as notebook:
                document = notebook.id
                notebook.add_cell("x")
                await notebook.save()
                await notebook.save(here.path("b"))
                assert notebook.path == str(here.path("b").resolve())
                notebook.add_cell("y")
                await notebook.save()
                async with here.open("a") as old:
                    assert old.id != document
                    assert sources(old) == ["x"]
                    with pytest.raises(headway.HeadwayError, match="another open notebook"):
                        await old.save(here.path("b"))
                async with here.open("b") as same:
                    assert same.id == document
            await evicted(service, document)
        async with here.daemon(), here.open("b") as notebook:
            assert notebook.id == document
            assert sources(notebook) == ["x", "y"]
            assert in_file(here, "a") == ["x"]

    bounded(scenario())


def test_of_many_notebooks_saved_to_one_new_path_at_once_one_gets_it(here: Place) -> None:
    async def scenario() -> None:
        async with here.daemon() as service, contextlib.AsyncExitStack() as clients:
            hosts = [await service.rooms.create(None) for _ in range(4)]
            notebooks = [
                await clients.enter_async_context(await here.open_document(host.document))
                for host in hosts
            ]
            saves = [notebook.save(here.path("b")) for notebook in notebooks]
            outcomes = await asyncio.gather(*saves, return_exceptions=True)
            assert sum(isinstance(each, rpc.Saved) for each in outcomes) == 1
            assert all(isinstance(each, rpc.Saved | FileError) for each in outcomes)
            owners = [host for host in hosts if host.room.path is not None]
            assert len(owners) == 1
            async with here.open("b") as same:
                assert same.id == owners[0].document

    bounded(scenario())


def test_names_of_one_file_are_one_notebook_through_links_and_two_through_hard_links(
    here: Place,
) -> None:
    """A symbolic link is followed. A hard link is a name of its own: a save parts the two."""

    async def scenario() -> None:
        async with here.daemon(), here.open("a") as notebook:
            notebook.add_cell("x")
            await notebook.save()
            here.path("soft").symlink_to(here.path("a"))
            here.path("hard").hardlink_to(here.path("a"))
            async with here.open("soft") as soft, here.open("hard") as hard:
                assert soft.id == notebook.id
                assert hard.id != notebook.id
                soft.add_cell("y")
                await soft.save()
                assert here.path("soft").is_symlink()
                assert in_file(here, "a") == ["x", "y"]
                assert in_file(here, "hard") == ["x"]

    bounded(scenario())
