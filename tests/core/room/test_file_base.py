"""Which version of the file another program started from, told by what it wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_stage import PATH, FileStage, notebook, run, shown
from headway.core.document.edits import (
    AddCell,
    Edit,
    SetCellMetadata,
    SetNotebookMetadata,
    UpdateSource,
)
from headway.core.room.opening import Opening
from room_stage import DOCUMENT

Version = list[str]


@st.composite
def rounds(draw: st.DrawFn) -> list[tuple[Version, str]]:
    """Versions that a script makes, and after each what we do that changes no text."""
    version = st.lists(st.sampled_from("abcd"), min_size=4, max_size=4)
    ours = st.sampled_from(["tag", "name", "run", "nothing"])
    return draw(st.lists(st.tuples(version, ours), max_size=6))


@given(rounds())
def test_a_notebook_that_a_script_makes_anew_each_time_is_the_scripts(
    made: list[tuple[Version, str]],
) -> None:
    """The cells keep their ids, and some of a version are by chance as they were in another."""
    stage = FileStage()
    peer = stage.peer()
    runs = 0
    for number, (version, ours) in enumerate(made):
        stage.outside(notebook(*version))
        assert stage.sources() == version
        if ours == "tag":
            peer.edit(SetCellMetadata(f"c{number % 4}", "seen", number))
        elif ours == "name":
            peer.edit(SetNotebookMetadata("round", number))
        elif ours == "run":
            runs += 1
            run(stage, f"c{number % 4}", "1", runs)
        stage.settle()
        assert stage.sources() == stage.in_file() == version


def saved_one_by_one(*edits: Edit) -> FileStage:
    """A notebook of four cells after edits of ours, each of which was saved."""
    file = notebook("0", "1", "2", "3")
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=file))
    peer = stage.peer()
    for edit in edits:
        peer.edit(edit)
        stage.settle()
    return stage


ADDED: list[Edit] = [AddCell(f"ours{each}", source=f"ours {each}") for each in range(3)]
WRITTEN: list[Edit] = [UpdateSource(f"c{each}", f"{each} and more") for each in range(3)]
TAGGED: list[Edit] = [SetCellMetadata(f"c{each}", "tags", ["ours"]) for each in range(3)]


def undone(content: bytes, edit: Edit) -> bytes:
    """The file with what an edit of ours did to it taken back."""
    read = json.loads(content)
    cells = {cell["id"]: cell for cell in read["cells"]}
    match edit:
        case AddCell(cell_id=cell_id):
            read["cells"].remove(cells[cell_id])
        case UpdateSource(cell_id=cell_id):
            cells[cell_id]["source"] = cell_id.removeprefix("c")
        case SetCellMetadata(cell_id=cell_id):
            cells[cell_id]["metadata"] = {}
        case _:
            raise AssertionError(edit)
    return json.dumps(read).encode()


def content_of(stage: FileStage) -> list[tuple[str, str, dict[str, Any]]]:
    return [(each.id, each.source, each.metadata) for each in stage.room.notebook.cells()]


def content_in_file(stage: FileStage) -> list[tuple[str, str, dict[str, Any]]]:
    cells = json.loads(stage.text)["cells"]
    return [(each["id"], "".join(each["source"]), each["metadata"]) for each in cells]


@st.composite
def edits_and_the_undone(draw: st.DrawFn) -> tuple[list[Edit], list[Edit]]:
    """Some edits in some order, and some of them but not the last one."""
    chosen = st.lists(
        st.sampled_from([*ADDED, *WRITTEN, *TAGGED]), min_size=2, max_size=6, unique_by=str
    )
    edits = draw(chosen)
    places = draw(st.sets(st.integers(0, len(edits) - 2), min_size=1))
    return edits, [edits[each] for each in sorted(places)]


@given(edits_and_the_undone())
def test_a_program_that_leaves_what_we_wrote_last_has_read_what_it_takes_away(
    edits: tuple[list[Edit], list[Edit]],
) -> None:
    stage = saved_one_by_one(*edits[0])
    content = stage.files[PATH]
    for edit in edits[1]:
        content = undone(content, edit)
    stage.outside(content)
    expected = content_in_file(stage)
    stage.settle()

    assert content_of(stage) == content_in_file(stage) == expected


def test_two_of_three_cells_that_another_program_deletes_are_deleted() -> None:
    stage = saved_one_by_one(*ADDED)
    stage.outside(undone(undone(stage.files[PATH], ADDED[0]), ADDED[1]))
    stage.settle()

    assert stage.sources() == stage.in_file() == ["0", "1", "2", "3", "ours 2"]


def test_a_cell_of_ours_that_another_program_rewrites_proves_that_it_was_read() -> None:
    stage = saved_one_by_one(*ADDED)
    read = json.loads(undone(undone(stage.files[PATH], ADDED[0]), ADDED[1]))
    read["cells"][-1]["source"] = "theirs"
    stage.outside(json.dumps(read).encode())

    assert stage.sources() == ["0", "1", "2", "3", "theirs"]


def test_two_of_three_texts_that_another_program_puts_back_stay_so() -> None:
    stage = saved_one_by_one(*WRITTEN)
    stage.outside(undone(undone(stage.files[PATH], WRITTEN[0]), WRITTEN[1]))
    stage.settle()

    assert stage.sources() == stage.in_file() == ["0", "1", "2 and more", "3"]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=6), st.data())
def test_a_program_that_read_any_earlier_version_takes_nothing_of_ours_away(
    texts: list[tuple[int, str]], data: st.DataObject
) -> None:
    """Also where we wrote a text again that had been there before."""
    stage = FileStage(
        opening=Opening(document=DOCUMENT, path=PATH, file=notebook("a", "a", "a", "a"))
    )
    peer = stage.peer()
    versions = [stage.files[PATH]]
    for number, (place, text) in enumerate(texts):
        peer.edit(UpdateSource(f"c{place}", text), AddCell(f"ours{number}", source="ours"))
        stage.settle()
        versions.append(stage.files[PATH])
    before = stage.sources()
    stage.outside(with_cell(data.draw(st.sampled_from(versions)), "theirs"))

    assert sorted(stage.sources()) == sorted([*before, "theirs"])
    assert [each for each in stage.sources() if each != "theirs"] == before


def test_a_program_that_read_a_file_without_ids_deletes_nothing_of_ours() -> None:
    without_ids = json.loads(notebook("first", "second"))
    for cell in without_ids["cells"]:
        del cell["id"]
    before = json.dumps(without_ids).encode()
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=before))
    stage.peer().add_cell("ours", "ours")
    stage.settle()
    without_ids["cells"].insert(0, {**without_ids["cells"][0], "source": "theirs"})
    stage.outside(json.dumps(without_ids).encode())

    assert sorted(stage.sources()) == ["first", "ours", "second", "theirs"]


def cleared(content: bytes) -> bytes:
    read = json.loads(content)
    for cell in read["cells"]:
        cell |= {"outputs": [], "execution_count": None}
    return json.dumps(read).encode()


def shown_of(stage: FileStage) -> list[int]:
    latest = stage.runtime.latest_by_cell().values()
    records = [stage.runtime.execution(each) for each in latest]
    return [len(record.outputs) for record in records if record is not None]


@pytest.mark.parametrize("saves_each", [False, True])
def test_outputs_that_another_program_clears_right_after_the_runs_do_not_come_back(
    saves_each: bool,
) -> None:
    stage = FileStage()
    for number, cell in enumerate(("c0", "c1"), 1):
        run(stage, cell, "1", number)
        if saves_each:
            stage.settle()
    stage.settle()
    assert "text/plain" in stage.text
    stage.outside(cleared(stage.files[PATH]))
    assert shown_of(stage) == [0, 0]
    stage.peer().add_cell("ours", "ours")
    stage.settle()

    assert stage.in_file() == ["1", "2", "ours"]
    assert "text/plain" not in stage.text


def test_outputs_that_another_program_clears_with_those_from_before_do_not_come_back() -> None:
    file = notebook("1", shown("old\n"))
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=file))
    for number in range(1, 3):
        stage.peer(number).add_cell(f"c{number + 1}", "print()")
    stage.settle()
    for number, cell in enumerate(("c0", "c2", "c3"), 1):
        run(stage, cell, "1", number)
        stage.settle()
    stage.outside(cleared(stage.files[PATH]))

    assert shown_of(stage) == [0, 0, 0, 0]


def test_a_program_that_read_the_file_before_the_last_run_does_not_bring_the_one_before() -> None:
    stage = FileStage()
    run(stage, "c0", "old", 1)
    stage.settle()
    before = stage.files[PATH]
    run(stage, "c0", "new", 2)
    stage.settle()
    stage.outside(with_cell(before, "theirs"))
    stage.settle()

    assert "new" in stage.text
    assert stage.in_file() == ["1", "2", "theirs"]


def test_what_others_wrote_over_each_other_is_no_edit_of_ours() -> None:
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=notebook("p = 1", "q")))
    stage.outside(notebook("p = 2", "q"))
    stage.outside(notebook("p = 1", "q + 1"))
    assert stage.sources() == ["p = 1", "q + 1"]


def saved_twice() -> tuple[FileStage, list[bytes]]:
    """A notebook whose file we wrote twice, and what was in it before, between and after."""
    stage = FileStage()
    versions = [stage.files[PATH]]
    for number in range(2):
        stage.peer(number + 1).add_cell(f"ours{number}", f"ours {number}")
        stage.settle()
        versions.append(stage.files[PATH])
    return stage, versions


def with_cell(content: bytes, source: str) -> bytes:
    read = json.loads(content)
    read["cells"].append({"cell_type": "raw", "id": "new", "metadata": {}, "source": source})
    return json.dumps(read).encode()


@pytest.mark.parametrize("version", [0, 1])
def test_a_program_that_read_the_file_before_we_wrote_it_deletes_nothing_of_ours(
    version: int,
) -> None:
    stage, versions = saved_twice()
    stage.outside(with_cell(versions[version], "theirs"))
    stage.settle()

    assert sorted(stage.sources()) == ["1", "2", "ours 0", "ours 1", "theirs"]
    assert sorted(stage.in_file()) == ["1", "2", "ours 0", "ours 1", "theirs"]


def test_a_program_that_read_the_file_before_we_changed_a_cell_does_not_change_it_back() -> None:
    stage = FileStage()
    before = stage.files[PATH]
    peer = stage.peer()
    peer.edit(UpdateSource("c0", "1 and more"))
    stage.settle()
    stage.outside(with_cell(before, "theirs"))

    assert stage.sources() == ["1 and more", "2", "theirs"]


def test_a_file_that_is_put_back_as_it_was_takes_back_what_came_since() -> None:
    stage, versions = saved_twice()
    stage.outside(versions[1])

    assert stage.sources() == ["1", "2", "ours 0"]


def test_a_cell_that_another_program_deletes_from_the_latest_file_is_deleted() -> None:
    stage, versions = saved_twice()
    read = json.loads(with_cell(versions[2], "theirs"))
    del read["cells"][0]
    stage.outside(json.dumps(read).encode())

    assert stage.sources() == ["2", "ours 0", "ours 1", "theirs"]
