"""The notebook's file and everybody else who has it: S46, S47, S48, and the races between them.

The long form of the races: HEADWAY_TORTURE=1.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.errors import NotebookUnreadable
from headway_daemon import HeadwayDaemon, bounded

IS_LONG = os.environ.get("HEADWAY_TORTURE") == "1"

SAVES = 2_000 if IS_LONG else 200
"""Saves while a reader polls the file."""

OUTSIDE_EDITS = 1_000 if IS_LONG else 60
"""Edits of another program that race ours."""

RACE_LIMIT_S = 900.0 if IS_LONG else 50.0

LATER_S = 10.0


def notebook(*sources: str, ids: bool = True) -> dict[str, Any]:
    cells = []
    for number, source in enumerate(sources):
        cell: dict[str, Any] = {
            "cell_type": "code",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        cells.append({"id": f"cell-{number}", **cell} if ids else cell)
    minor = 5 if ids else 4
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": minor}


def put(path: Path, content: dict[str, Any] | bytes) -> bytes:
    """Write as most programs do: a temporary file, renamed."""
    data = content if isinstance(content, bytes) else json.dumps(content, indent=4).encode()
    replacement = path.with_name(f"{path.name}.new")
    replacement.write_bytes(data)
    replacement.rename(path)
    return data


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))


def in_file(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in read(path)["cells"]]


def sources(opened: headway.AsyncNotebook | headway.Notebook) -> list[str]:
    return [cell.source for cell in opened.cells]


async def shows(opened: headway.AsyncNotebook, expected: list[str]) -> None:
    await opened.wait_until(lambda: sources(opened) == expected, timeout=LATER_S)


async def summary(daemon: HeadwayDaemon, document: str) -> dict[str, Any]:
    listed = (await daemon.post_async("list")).body["notebooks"]
    (found,) = [each for each in listed if each["document"] == document]
    return dict(found)


async def reported(
    daemon: HeadwayDaemon, document: str, is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The notebook's line once it says so; each question is answered by the daemon, in turn."""
    async with asyncio.timeout(LATER_S):
        while not is_so(found := await summary(daemon, document)):
            pass
    return found


def codes(found: dict[str, Any]) -> list[str]:
    return [notice["code"] for notice in found["notices"]]


# S46


def test_typing_goes_on_through_autosaves_and_nothing_is_reverted(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S46: a file that is written all the time while its notebook is edited."""

    async def scenario() -> None:
        async with daemon.open_async(name) as opened:
            cell = opened.add_cell("")
            text = ""
            for number in range(300):
                opened.append_source(cell, f"line {number}\n")
                text += f"line {number}\n"
                if number % 10 == 0:
                    await opened.save()
                assert opened.source(cell) == text
            await opened.save()
            assert opened.source(cell) == text
            assert in_file(daemon.path(name)) == [text]

    bounded(scenario())


# S47


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without ids"])
def test_a_file_that_is_opened_and_closed_is_the_same_to_the_byte(
    daemon: HeadwayDaemon, name: str, ids: bool
) -> None:
    """S47: also one without cell ids, with other indentation than ours."""
    path = daemon.path(name)
    content = put(path, notebook("x = 1", "y = 2", ids=ids))
    with daemon.open(name) as opened:
        document = opened.id
        assert sources(opened) == ["x = 1", "y = 2"]
        opened.save()
    assert daemon.post("close", document=document).status == 200
    assert path.read_bytes() == content


def test_a_file_without_ids_goes_round_and_keeps_its_cells(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S47: through our edits, a tool that drops the ids again, and another opening."""
    path = daemon.path(name)
    put(path, notebook("import one", "import two", ids=False))

    async def scenario() -> None:
        async with daemon.open_async(name) as opened:
            first = [cell.id for cell in opened.cells]
            opened.add_cell("import three")
            await opened.save()
            put(path, notebook("import one", "import two as t", "import three", ids=False))
            await shows(opened, ["import one", "import two as t", "import three"])
            assert [cell.id for cell in opened.cells][:2] == first
            document = opened.id
        assert (await daemon.post_async("close", document=document)).status == 200
        async with daemon.open_async(name) as opened:
            assert sources(opened) == ["import one", "import two as t", "import three"]

    bounded(scenario())


# S48


def test_an_edit_of_another_program_is_seen_by_everybody(daemon: HeadwayDaemon, name: str) -> None:
    """S48: edited, moved, added, deleted and new outputs; ours are kept."""
    path = daemon.path(name)
    put(path, notebook("a = 1", "b = 2", "c = 3", "d = 4", "e = 5"))

    async def scenario() -> None:
        async with daemon.open_async(name) as one, daemon.open_async(name) as other:
            one.add_cell("ours")
            await one.save()
            theirs = read(path)
            cells = theirs["cells"]
            cells[0]["source"] = "a = 100"
            cells[0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hello\n"}]
            cells[0]["execution_count"] = 7
            del cells[1]
            cells.insert(0, {"cell_type": "markdown", "id": "new", "metadata": {}, "source": "T"})
            put(path, theirs)
            expected = ["T", "a = 100", "c = 3", "d = 4", "e = 5", "ours"]
            await shows(one, expected)
            await shows(other, expected)
            await other.wait_until(
                lambda: bool(other.cell("cell-0").outputs) and not other.queue, timeout=LATER_S
            )
            assert other.cell("cell-0").outputs[0]["text"] == "hello\n"
            assert other.cell("cell-0").execution_count == 7

    bounded(scenario())


def test_a_wholly_other_file_takes_the_notebooks_place(daemon: HeadwayDaemon, name: str) -> None:
    """S48: wholesale replacement, then an edit on top of it."""
    path = daemon.path(name)
    put(path, notebook("old 1", "old 2"))

    async def scenario() -> None:
        async with daemon.open_async(name) as opened:
            fresh = notebook("new 1", "new 2", "new 3")
            for number, cell in enumerate(fresh["cells"]):
                cell["id"] = f"fresh-{number}"
            put(path, fresh)
            await shows(opened, ["new 1", "new 2", "new 3"])
            opened.add_cell("ours")
            await opened.save()
            assert in_file(path) == ["new 1", "new 2", "new 3", "ours"]

    bounded(scenario())


def test_a_removed_file_stays_removed_until_a_person_saves(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S48: the notebook stays open and says so; closing does not bring the file back."""
    path = daemon.path(name)
    put(path, notebook("x"))

    async def scenario() -> None:
        async with daemon.open_async(name) as opened:
            path.unlink()
            found = await reported(daemon, opened.id, lambda each: not each["saved"])
            assert codes(found) == ["FILE_CHANGED"]
            opened.add_cell("y")
            await opened.confirm_sync()
            assert not path.exists()
            await opened.save()
            assert in_file(path) == ["x", "y"]
            assert codes(await summary(daemon, opened.id)) == []
            path.unlink()
            await reported(daemon, opened.id, lambda each: not each["saved"])
            document = opened.id
        assert (await daemon.post_async("close", document=document)).status == 200
        assert not path.exists()
        async with daemon.open_async(name) as opened:
            assert opened.id == document
            assert sources(opened) == ["x", "y"]

    bounded(scenario())


@pytest.mark.parametrize("broken", [b"", b'{"cells": [{"cell_', b"<<<<<<< HEAD\n{}\n=======\n"])
def test_a_file_that_is_no_notebook_is_left_alone_until_it_is_one_again(
    daemon: HeadwayDaemon, name: str, broken: bytes
) -> None:
    """S48: empty, cut off, in the middle of a merge."""
    path = daemon.path(name)
    put(path, notebook("x", "y"))

    async def scenario() -> None:
        async with daemon.open_async(name) as opened:
            path.write_bytes(broken)
            found = await reported(daemon, opened.id, lambda each: not each["saved"])
            assert codes(found) == ["NOTEBOOK_UNREADABLE"]
            opened.add_cell("ours")
            with pytest.raises(NotebookUnreadable):
                await opened.save()
            assert path.read_bytes() == broken
            put(path, notebook("x", "y changed"))
            await shows(opened, ["x", "y changed", "ours"])
            await opened.save()
            assert in_file(path) == ["x", "y changed", "ours"]

    bounded(scenario())


def test_a_folder_in_the_files_place_or_no_folder_is_told_and_ends_with_its_cause(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S48: permanent errors; what was typed meanwhile is saved once the way is free."""
    path = daemon.folder / name / "inner.ipynb"
    path.parent.mkdir()
    put(path, notebook("x"))

    async def scenario() -> None:
        async with daemon.open_async(f"{name}/inner") as opened:
            path.unlink()
            path.mkdir()
            with pytest.raises(NotebookUnreadable, match="folder"):
                await opened.save()
            path.rmdir()
            path.parent.rmdir()
            opened.add_cell("y")
            with pytest.raises(headway.HeadwayError, match="folder does not exist"):
                await opened.save()
            path.parent.mkdir()
            await opened.save()
            assert in_file(path) == ["x", "y"]

    bounded(scenario())


# Races


def test_a_reader_never_finds_an_invalid_or_empty_file(daemon: HeadwayDaemon, name: str) -> None:
    """S46: polled as fast as it goes while it is saved many times."""
    path = daemon.path(name)
    ended = threading.Event()
    read_times: list[int] = []
    bad: list[bytes] = []

    def poll() -> None:
        times = 0
        while not ended.is_set():
            content = path.read_bytes()
            times += 1
            try:
                is_good = bool(json.loads(content)["cells"])
            except (ValueError, KeyError):
                is_good = False
            if not is_good:
                bad.append(content)
        read_times.append(times)

    async def scenario() -> None:
        async with daemon.open_async(name) as opened:
            cell = opened.add_cell("start")
            await opened.save()
            reader = threading.Thread(target=poll)
            reader.start()
            try:
                for number in range(SAVES):
                    opened.update_source(cell, f"version {number} " + "x" * (number % 97) * 50)
                    saved = await opened.save()
                    assert saved.changed
            finally:
                ended.set()
                await asyncio.to_thread(reader.join)

    bounded(scenario(), RACE_LIMIT_S)
    print(f"{SAVES} saves, {read_times[0]} readings, {len(bad)} of them bad")
    assert bad == []
    assert read_times[0] >= SAVES // 4


def test_edits_of_another_program_that_race_ours_are_all_kept(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S48: a program that writes at any time, by a rename or in place, and a person who types."""
    path = daemon.path(name)
    put(path, notebook("start"))
    program = Path(__file__).with_name("racing_program.py")

    async def scenario() -> tuple[int, str, str]:
        async with daemon.open_async(name) as opened:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(program),
                str(path),
                str(OUTSIDE_EDITS),
                stdout=asyncio.subprocess.PIPE,
            )
            ended = asyncio.ensure_future(process.communicate())
            ours = 0
            unreadable = 0
            while not ended.done():
                opened.append_source("cell-0", f"\nours {ours}")
                ours += 1
                try:
                    await opened.save()
                except NotebookUnreadable:
                    unreadable += 1
            said, _ = await ended
            assert said == b"done\n"
            await opened.save()
            expected = "".join(f"theirs {number}\n" for number in range(OUTSIDE_EDITS))
            await opened.wait_until(
                lambda: opened.source("racing-program") == expected, timeout=LATER_S
            )
            await opened.save()
            print(f"{OUTSIDE_EDITS} edits of theirs, {ours} of ours, {unreadable} saves put off")
            return ours, opened.source("cell-0"), expected

    async def run() -> None:
        ours, text, theirs = await scenario()
        assert text == "start" + "".join(f"\nours {number}" for number in range(ours))
        assert in_file(path) == [text, theirs]

    bounded(run(), RACE_LIMIT_S)
