"""What another program does to the file of a notebook that is open."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from file_stage import PATH, FileStage, notebook, run, sha, shown
from headway.core.document.edits import AddCell, SetCellType, SetNotebookMetadata
from headway.core.kernel.events import CommMessage, CommOpened
from headway.core.room.autosave import AUTOSAVE_QUIET_S
from headway.core.room.effects import (
    FileRecorded,
    Persist,
    ReadFile,
    RuntimeReplaced,
    UpdateStored,
    WriteFile,
)
from headway.core.room.file import LOOK_AGAIN_S, MAX_RACES
from headway.core.room.file_errors import is_removed
from headway.core.room.inputs import FileAccepted, FileTouched, FileWritten, KernelEnded
from headway.core.room.opening import Opening
from headway.core.wire import rpc
from headway.errors import (
    FileChanged,
    FileError,
    FileNotWritable,
    FileWouldEmpty,
    NotebookUnreadable,
)
from room_stage import DOCUMENT, Stage

# Merging


def test_what_another_program_writes_is_a_commit_that_every_peer_sees() -> None:
    stage = FileStage()
    peer = stage.peer()
    stage.outside(notebook("1", "2", "3", title="T"))

    assert [cell.source for cell in peer.notebook.cells()] == ["1", "2", "3"]
    assert peer.notebook.metadata() == {"title": "T"}
    newest = stage.room.notebook.replica.history(1)[0]
    assert newest.message is not None
    assert newest.message.startswith("file: ")


def test_a_merge_and_the_base_it_makes_are_durable_together() -> None:
    stage = FileStage()
    before = len(stage.persists)
    content = notebook("1", "2", "3")
    stage.outside(content)

    (persist,) = stage.persists[before:]
    assert {type(record) for record in persist.records} == {UpdateStored, FileRecorded}
    (recorded,) = [each for each in persist.records if isinstance(each, FileRecorded)]
    assert (recorded.path, recorded.sha256, recorded.content) == (PATH, sha(content), content)


def test_a_file_that_says_all_there_is_after_a_merge_is_not_written() -> None:
    stage = FileStage()
    stage.outside(notebook("1", "2", "3"))
    stage.settle()

    assert stage.of(WriteFile) == []
    assert stage.room.is_idle
    assert stage.room.summary().saved


def test_unsaved_edits_and_those_of_the_file_are_both_kept_and_written() -> None:
    stage = FileStage()
    stage.peer().add_cell("ours", "ours")
    stage.outside(notebook("1 changed", "2"))
    stage.settle()

    assert stage.sources() == ["1 changed", "2", "ours"]
    assert stage.in_file() == stage.sources()


def test_a_save_that_meets_a_changed_file_merges_and_then_writes() -> None:
    stage = FileStage()
    stage.peer().add_cell("ours", "ours")
    stage.outside(notebook("1 changed", "2"), told=False)
    saved = stage.save()

    assert isinstance(saved, rpc.Saved)
    assert saved.sha256 == sha(stage.files[PATH])
    assert stage.in_file() == ["1 changed", "2", "ours"]
    seen = [each.sha256 for each in stage.records(FileRecorded)][-2]
    assert stage.of(WriteFile)[-1].expected_sha256 == seen


def test_a_writer_that_races_every_save_loses_nothing_and_ends_no_edit() -> None:
    stage = FileStage(holds_file=True)
    stage.peer().add_cell("ours", "ours")
    token = stage.ask(rpc.Save(document=DOCUMENT))
    races = 7
    for number in range(races):
        while not isinstance(stage.asked[0], WriteFile):
            stage.feed(stage._read(stage.asked.pop(0)))  # type: ignore[arg-type]
        added = [f"theirs {each}" for each in range(number + 1)]
        stage.outside(notebook("1", "2", *added), told=False)
        stage.feed(stage._write(stage.asked.pop(0)))  # type: ignore[arg-type]
        stage.wait(1.0)
    stage.holds_file = False
    stage.file()

    assert isinstance(stage.answer(token), rpc.Saved)
    theirs = [f"theirs {each}" for each in range(races)]
    assert sorted(stage.in_file()) == sorted(["1", "2", "ours", *theirs])
    assert stage.in_file() == stage.sources()


def test_a_save_gives_up_after_many_races_and_the_autosave_goes_on() -> None:
    stage = FileStage(holds_file=True)
    stage.peer().add_cell("ours", "ours")
    token = stage.ask(rpc.Save(document=DOCUMENT, timeout_s=600.0))
    races = 0
    while stage.answer(token) is None:
        if isinstance(stage.asked[0], WriteFile):
            races += 1
            stage.outside(notebook("1", "2", f"theirs {races}"), told=False)
            stage.feed(stage._write(stage.asked.pop(0)))  # type: ignore[arg-type]
        else:
            stage.feed(stage._read(stage.asked.pop(0)))  # type: ignore[arg-type]
        stage.wait(1.0)

    assert isinstance(stage.answer(token), FileChanged)
    assert races == MAX_RACES + 1
    stage.holds_file = False
    stage.file()
    stage.settle()
    assert stage.in_file() == ["1", "2", f"theirs {races}", "ours"]


def test_a_file_that_stays_open_for_writing_elsewhere_is_tried_seldom_and_told() -> None:
    stage = FileStage()
    stage.peer().add_cell("ours", "ours")
    stage.write_refusal = FileChanged("It is open for writing.", found_sha256="0" * 64)
    for _ in range(300):
        stage.wait(1.0)

    assert MAX_RACES < len(stage.of(WriteFile)) < MAX_RACES + 10
    assert stage.room.file_trouble is stage.write_refusal
    assert stage.save() is None
    for _ in range(20):
        stage.wait(1.0)
    assert stage.answer(stage.tokens) is stage.write_refusal
    stage.write_refusal = None
    stage.settle()
    assert stage.in_file() == ["1", "2", "ours"]
    assert stage.room.file_trouble is None


def test_a_save_of_what_is_in_the_file_already_looks_and_does_not_write() -> None:
    without_ids = json.loads(notebook("1", "2"))
    for cell in without_ids["cells"]:
        del cell["id"]
    content = json.dumps(without_ids).encode()
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=content))
    saved = stage.save()

    assert (saved.changed, saved.sha256) == (False, sha(content))
    assert stage.of(WriteFile) == []
    assert stage.files[PATH] == content


def test_while_the_file_is_written_nothing_is_due() -> None:
    stage = FileStage(holds_file=True)
    peer = stage.peer()
    peer.add_cell("ours", "ours")
    stage.settle()
    peer.add_cell("more", "more")
    stage.settle()
    assert [type(each) for each in stage.asked] == [WriteFile]
    assert stage.room.next_deadline() is None
    stage.holds_file = False
    stage.file()
    stage.settle()
    assert stage.in_file() == ["1", "2", "ours", "more"]


def test_our_own_write_is_not_taken_for_another_programs() -> None:
    stage = FileStage()
    stage.peer().add_cell("ours", "ours")
    stage.settle()
    commits = len(stage.records(UpdateStored))
    stage.feed(FileTouched())

    assert len(stage.of(ReadFile)) == 1
    assert len(stage.records(UpdateStored)) == commits
    assert stage.room.is_idle


def test_a_look_and_a_write_are_never_under_way_together() -> None:
    stage = FileStage(holds_file=True)
    stage.peer().add_cell("ours", "ours")
    stage.wait(AUTOSAVE_QUIET_S)
    assert len(stage.asked) == 1
    stage.feed(FileTouched())
    stage.save()
    assert [type(each) for each in stage.asked] == [WriteFile]
    stage.feed(stage._write(stage.asked.pop(0)))  # type: ignore[arg-type]
    assert [type(each) for each in stage.asked] == [ReadFile]
    stage.feed(FileTouched())
    assert [type(each) for each in stage.asked] == [ReadFile]
    assert not stage.room.is_idle


def test_typing_during_a_merge_and_after_a_save_is_not_reverted() -> None:
    stage = FileStage()
    peer = stage.peer()
    peer.add_cell("ours", "a")
    stage.settle()
    old = stage.files[PATH]
    peer.notebook.apply([], stage.moment(), "nobody")
    peer.add_cell("more", "b")
    stage.feed(FileTouched())

    assert stage.files[PATH] == old
    assert stage.sources() == ["1", "2", "a", "b"]
    stage.settle()
    assert stage.in_file() == ["1", "2", "a", "b"]


def test_a_program_that_drops_the_cell_ids_does_not_double_the_cells() -> None:
    stage = FileStage()
    stage.outside(notebook("1", "import second_thing"))
    content = json.loads(notebook("1", "import second_thing, more", "3"))
    for cell in content["cells"]:
        del cell["id"]
    stage.outside(json.dumps(content).encode())

    assert stage.sources() == ["1", "import second_thing, more", "3"]
    assert stage.room.notebook.order()[:2] == ["c0", "c1"]


def test_a_wholly_other_notebook_in_the_file_takes_the_place_of_what_was_there() -> None:
    stage = FileStage()
    others: list[Any] = [{"id": f"d{each}", "source": f"other {each}"} for each in range(3)]
    stage.outside(notebook(*others))

    assert stage.sources() == ["other 0", "other 1", "other 2"]


def test_a_cell_with_what_no_file_can_hold_is_deleted_as_any_other() -> None:
    stage = FileStage()
    peer = stage.peer()
    attached = AddCell("ours", "markdown", "ours", {}, {"x.png": {"image/png": "iVBORw=="}})
    peer.edit(attached, SetCellType("ours", "code"), SetNotebookMetadata("kernelspec", "python"))
    stage.settle()
    written = json.loads(stage.text)
    assert "attachments" not in written["cells"][2]
    assert written["metadata"] == {}
    assert stage.room.summary().saved
    del written["cells"][2]
    stage.outside(json.dumps(written).encode())
    stage.settle()

    assert stage.sources() == stage.in_file() == ["1", "2"]
    assert stage.room.notebook.metadata() == {"kernelspec": "python"}


# Outputs


def outputs_of(stage: Stage, cell: str) -> tuple[str | None, str]:
    latest = stage.runtime.latest(cell)
    record = None if latest is None else stage.runtime.execution(latest)
    if record is None:
        return None, ""
    return record.requested_by, "".join(each.get("text", "") for each in record.outputs)


def test_outputs_that_another_program_wrote_are_shown_as_a_run_of_the_file() -> None:
    opening = Opening(document=DOCUMENT, path=PATH, file=notebook(shown("old\n")))
    stage = FileStage(opening=opening)
    stage.outside(notebook(shown("new\n", 2)))

    assert outputs_of(stage, "c0") == ("file", "new\n")
    stage.outside(notebook(shown("newer\n", 3)))
    assert outputs_of(stage, "c0") == ("file", "newer\n")
    stage.settle()
    assert stage.of(WriteFile) == []


def test_outputs_that_another_program_cleared_are_cleared() -> None:
    opening = Opening(document=DOCUMENT, path=PATH, file=notebook(shown("old\n")))
    stage = FileStage(opening=opening)
    stage.outside(notebook({"source": "print()"}))

    assert outputs_of(stage, "c0") == ("file", "")


def test_a_cell_that_was_run_since_the_last_save_keeps_its_outputs() -> None:
    opening = Opening(document=DOCUMENT, path=PATH, file=notebook(shown("old\n")))
    stage = FileStage(opening=opening)
    run(stage, "c0", "ours", 1)
    stage.outside(notebook(shown("theirs\n", 9)))
    stage.settle()

    assert outputs_of(stage, "c0")[0] == "ada"
    assert "ours" in stage.text
    assert "theirs" not in stage.text


def test_a_cell_that_ran_while_the_file_was_saved_keeps_what_it_showed_after() -> None:
    stage = FileStage()
    stage.peer()
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id="c0", execution_id=stage.new_id()))
    stage.kernel_ready()
    assert isinstance(stage.save(), rpc.Saved)
    stage.kernel_finishes(value="ours")
    stage.outside(notebook(shown("theirs\n", 9), "2"))
    stage.settle()
    assert outputs_of(stage, "c0")[0] == "ada"
    assert "ours" in stage.text


def test_a_cell_that_was_run_and_saved_takes_the_files_outputs() -> None:
    stage = FileStage()
    run(stage, "c0", "ours", 1)
    stage.settle()
    content = json.loads(stage.text)
    content["cells"][0] |= shown("theirs\n", 9)
    stage.outside(json.dumps(content).encode())

    assert outputs_of(stage, "c0") == ("file", "theirs\n")


# A file that is gone


def test_a_removed_file_is_reported_and_not_brought_back_by_itself() -> None:
    stage = FileStage()
    peer = stage.peer()
    stage.outside(None)
    peer.add_cell("ours", "ours")
    stage.settle()

    assert stage.files == {}
    assert not stage.room.summary().saved
    assert isinstance(stage.room.file_trouble, FileChanged)
    assert "removed" in str(stage.room.file_trouble)
    assert stage.room.is_idle


def test_a_save_that_is_asked_for_writes_a_removed_file_again() -> None:
    stage = FileStage()
    stage.outside(None)
    saved = stage.save()

    assert isinstance(saved, rpc.Saved)
    assert stage.in_file() == ["1", "2"]
    assert stage.room.file_trouble is None
    assert stage.room.summary().saved


@pytest.mark.parametrize("path", [PATH, "/n/elsewhere.ipynb"])
def test_what_only_the_file_knew_is_written_where_there_is_none(path: str) -> None:
    cell = {"source": "1", "metadata": {"long": list(range(30_000))}, "their key": [1]}
    file = notebook(cell, "2", long=list(range(30_000)))
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=file))
    if path == PATH:
        stage.outside(None)
    saved = stage.save(path)

    assert isinstance(saved, rpc.Saved)
    assert json.loads(stage.files[path]) == json.loads(file) | {"cells": in_lines(file)}


def in_lines(file: bytes) -> list[dict[str, Any]]:
    cells = json.loads(file)["cells"]
    return [cell | {"source": [cell["source"]]} for cell in cells]


def test_a_save_that_finds_its_file_removed_writes_it_again() -> None:
    stage = FileStage()
    stage.peer().add_cell("ours", "ours")
    stage.outside(None, told=False)

    assert isinstance(stage.save(), rpc.Saved)
    assert stage.in_file() == ["1", "2", "ours"]


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("is_behind", [False, True])
def test_a_save_of_the_daemons_own_does_not_bring_a_removed_file_back(
    told: bool, is_behind: bool
) -> None:
    """Nor when the system's notice comes later than the daemon's end."""
    stage = FileStage()
    if is_behind:
        stage.peer().add_cell("ours", "ours")
    stage.outside(None, told=told)
    refused = stage.answer(stage.ask(rpc.Save(document=DOCUMENT), is_daemons=True))

    assert isinstance(refused, FileChanged)
    assert is_removed(refused)
    assert stage.files == {}
    assert isinstance(stage.save(), rpc.Saved)


def test_a_removal_between_the_daemons_look_and_its_write_is_respected_too() -> None:
    stage = FileStage(holds_file=True)
    stage.peer().add_cell("ours", "ours")
    token = stage.ask(rpc.Save(document=DOCUMENT), is_daemons=True)
    (write,) = stage.asked
    assert isinstance(write, WriteFile)
    stage.outside(None, told=False)
    stage.holds_file = False
    stage.file()

    assert is_removed(stage.answer(token))
    assert stage.files == {}


def test_a_save_of_the_daemons_own_is_no_word_against_the_brake() -> None:
    stage = emptied_stage()
    refused = stage.answer(stage.ask(rpc.Save(document=DOCUMENT), is_daemons=True))

    assert isinstance(refused, FileWouldEmpty)
    assert stage.in_file() == ["0"]


def test_an_autosave_that_finds_its_file_removed_leaves_it_so() -> None:
    stage = FileStage()
    stage.peer().add_cell("ours", "ours")
    stage.outside(None, told=False)
    stage.settle()

    assert stage.files == {}


def test_a_file_that_comes_back_is_merged_with_what_was_done_meanwhile() -> None:
    stage = FileStage()
    stage.outside(None)
    stage.peer().add_cell("ours", "ours")
    stage.outside(notebook("1 changed", "2"))
    stage.settle()

    assert stage.in_file() == ["1 changed", "2", "ours"]


def test_a_file_that_comes_back_as_it_was_is_known() -> None:
    stage = FileStage()
    content = stage.files[PATH]
    stage.outside(None)
    stage.outside(content)

    assert stage.room.file_trouble is None
    assert len(stage.records(FileRecorded)) == 1


def test_a_new_notebook_gets_its_file_although_there_was_never_one() -> None:
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH))
    stage.feed(FileTouched())
    assert stage.room.file_trouble is None
    stage.peer().add_cell("ours", "ours")
    stage.settle()

    assert stage.in_file() == ["ours"]


# A file that is no notebook

NO_TYPE = notebook({"source": "", "cell_type": "widgetx"})


@pytest.mark.parametrize(
    "content", [b"", b"  \n", NO_TYPE, b'{"cells": [', b"[]", b"<<<<<<< ours\n", b"\xff\xfe"]
)
def test_a_file_that_is_no_notebook_is_left_alone_until_it_is_one(content: bytes) -> None:
    stage = FileStage()
    stage.outside(content)
    stage.peer().add_cell("ours", "ours")
    stage.settle()

    assert stage.files[PATH] == content
    assert isinstance(stage.room.file_trouble, NotebookUnreadable)
    assert stage.room.is_idle
    refused = stage.save()
    assert isinstance(refused, NotebookUnreadable)
    assert refused.data["path"] == PATH
    assert PATH in str(refused)
    assert "Correct the file or remove it, or save the notebook elsewhere." in str(refused)
    assert stage.files[PATH] == content

    stage.outside(notebook("1", "2", "3"))
    stage.settle()
    assert stage.in_file() == ["1", "2", "3", "ours"]
    assert stage.room.file_trouble is None


def test_a_save_while_the_file_is_half_written_succeeds_once_it_was_repaired_unseen() -> None:
    stage = FileStage()
    whole = notebook("1", "2", "3")
    stage.outside(whole[:50])
    stage.outside(whole, told=False)

    assert isinstance(stage.save(), rpc.Saved)
    assert stage.sources() == ["1", "2", "3"]


def test_an_unreadable_file_can_be_saved_elsewhere() -> None:
    stage = FileStage()
    stage.outside(b"no")
    saved = stage.save("/n/b.ipynb")

    assert isinstance(saved, rpc.Saved)
    assert stage.files[PATH] == b"no"
    assert stage.room.path == "/n/b.ipynb"
    assert stage.room.file_trouble is None


def test_an_unreadable_file_that_is_removed_can_be_saved() -> None:
    stage = FileStage()
    stage.outside(b"no")
    stage.outside(None, told=False)

    assert isinstance(stage.save(), rpc.Saved)


def test_what_breaks_our_limits_is_unreadable_and_changes_nothing() -> None:
    stage = FileStage()
    cells: list[Any] = [{"id": f"d{number}", "source": ""} for number in range(30_000)]
    stage.outside(notebook("1", "2", *cells))

    assert isinstance(stage.room.file_trouble, NotebookUnreadable)
    assert "Divide it" in str(stage.room.file_trouble)
    assert stage.sources() == ["1", "2"]


def test_more_edits_than_one_call_takes_wait_for_the_next_opening_and_say_so() -> None:
    before: list[Any] = [{"source": ""} for _ in range(7_000)]
    opening = Opening(document=DOCUMENT, path=PATH, file=notebook(*before))
    stage = FileStage(opening=opening)
    stage.outside(notebook(*[{**cell, "metadata": {"a": 1, "b": 2, "c": 3}} for cell in before]))

    assert "when it is opened next" in str(stage.room.file_trouble)


def test_a_file_that_cannot_be_read_is_looked_at_again_if_that_may_help() -> None:
    stage = FileStage()
    stage.refusal = NotebookUnreadable("Too many open files.", transient=True)
    stage.outside(notebook("1", "2", "3"))
    assert isinstance(stage.room.file_trouble, NotebookUnreadable)
    stage.refusal = None
    stage.wait(LOOK_AGAIN_S)

    assert stage.sources() == ["1", "2", "3"]


def test_why_a_file_is_out_of_reach_is_told_as_it_is() -> None:
    stage = FileStage()
    stage.refusal = FileNotWritable("The disk is gone.", transient=True)
    stage.outside(notebook("1", "2", "3"))
    assert stage.room.file_trouble is stage.refusal


def test_a_folder_in_the_files_place_is_not_looked_at_for_ever() -> None:
    stage = FileStage()
    stage.peer().add_cell("ours", "ours")
    stage.refusal = NotebookUnreadable("It is a folder.", transient=False)
    stage.settle()
    stage.settle()
    stage.settle()

    assert len(stage.of(WriteFile)) == 1
    assert len(stage.of(ReadFile)) == 1
    assert stage.room.next_deadline() is None
    stage.refusal = None
    stage.outside(notebook("1", "2"))
    stage.settle()
    assert stage.in_file() == ["1", "2", "ours"]


def test_a_folder_that_refuses_for_good_is_not_asked_for_ever() -> None:
    stage = FileStage()
    peer = stage.peer()
    peer.add_cell("ours", "ours")
    stage.refusal = FileNotWritable("No permission.", transient=False)
    for _ in range(5):
        stage.settle()
    assert len(stage.of(WriteFile)) == 1
    assert stage.room.is_idle
    assert isinstance(stage.room.file_trouble, FileNotWritable)

    assert stage.save() is stage.refusal
    stage.refusal = None
    stage.settle()
    peer.add_cell("more", "more")
    stage.settle()
    assert stage.in_file() == ["1", "2", "ours", "more"]


def test_a_file_that_was_written_without_an_output_says_so_until_it_has_it() -> None:
    stage = FileStage(holds_file=True)
    peer = stage.peer()
    for number, lost in enumerate([1, 0]):
        peer.add_cell(f"ours{number}", "ours")
        stage.wait(60)
        (write,) = stage.asked
        assert isinstance(write, WriteFile)
        stage.asked.clear()
        written = stage._write(write)
        assert isinstance(written, FileWritten)
        stage.feed(replace(written, lost=lost))
        codes = [each.code for each in stage.room.summary().notices]
        assert codes == (["FILE_ERROR"] if lost else [])
        assert stage.room.summary().saved
    assert stage.in_file() == ["1", "2", "ours", "ours"]


# The brake


def emptied_stage() -> FileStage:
    cells = [str(number) for number in range(6)]
    opening = Opening(document=DOCUMENT, path=PATH, file=notebook(*cells))
    stage = FileStage(opening=opening)
    stage.outside(notebook("0"))
    return stage


def test_a_file_that_would_take_most_of_the_notebook_is_not_merged() -> None:
    stage = emptied_stage()
    content = stage.files[PATH]
    stage.peer().add_cell("ours", "ours")
    stage.settle()

    assert len(stage.sources()) == 7
    assert stage.files[PATH] == content
    assert isinstance(stage.room.file_trouble, FileWouldEmpty)
    assert str(stage.room.file_trouble).startswith(f"{PATH} was not merged, and left as it is.")
    assert stage.room.is_idle


def test_a_save_after_the_brake_keeps_what_is_here() -> None:
    stage = emptied_stage()
    assert isinstance(stage.save(), rpc.Saved)

    assert stage.in_file() == [str(number) for number in range(6)]
    assert stage.room.file_trouble is None


def test_a_save_that_meets_the_brake_for_the_first_time_is_refused() -> None:
    cells = [str(number) for number in range(6)]
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=notebook(*cells)))
    stage.peer().add_cell("ours", "ours")
    stage.outside(notebook("0"), told=False)

    assert isinstance(stage.save(), FileWouldEmpty)
    assert stage.in_file() == ["0"]


def test_a_save_does_not_write_over_what_came_after_the_brake() -> None:
    stage = emptied_stage()
    stage.outside(notebook("0 again"), told=False)

    assert isinstance(stage.save(), FileWouldEmpty)
    assert stage.in_file() == ["0 again"]
    assert isinstance(stage.save(), rpc.Saved)


def test_a_file_that_is_accepted_takes_cells_away() -> None:
    stage = emptied_stage()
    stage.feed(FileAccepted())

    assert stage.sources() == ["0"]
    assert stage.room.file_trouble is None
    stage.settle()
    assert stage.of(WriteFile) == []


def test_an_accepted_file_without_cells_empties_the_notebook() -> None:
    stage = FileStage()
    stage.outside(notebook())
    assert isinstance(stage.room.file_trouble, FileWouldEmpty)
    stage.feed(FileAccepted())

    assert stage.sources() == []


# Elsewhere


def test_a_save_elsewhere_does_not_write_over_a_file_and_keeps_the_path() -> None:
    stage = FileStage()
    stage.files["/n/b.ipynb"] = b"precious"
    refused = stage.save("/n/b.ipynb")

    assert isinstance(refused, FileError)
    assert "already" in str(refused)
    assert stage.files["/n/b.ipynb"] == b"precious"
    assert stage.room.path == PATH


def test_after_a_save_elsewhere_the_old_file_is_nobodys_business() -> None:
    stage = FileStage()
    stage.save("/n/b.ipynb")
    stage.outside(notebook("changed"))
    stage.peer().add_cell("ours", "ours")
    stage.settle()

    assert stage.sources() == ["1", "2", "ours"]
    assert stage.in_file() == ["changed"]


# From one life of the daemon to the next


@pytest.mark.parametrize(
    ("base", "refused"),
    [(notebook("1", "2"), None), (None, NotebookUnreadable("It is half a notebook."))],
)
def test_a_file_that_was_not_read_at_the_opening_is_looked_at_before_anything_is_written(
    base: bytes | None, refused: NotebookUnreadable | None
) -> None:
    stage = FileStage()
    updates = tuple(
        each.update for each in stage.records(UpdateStored) if each.document == DOCUMENT
    )
    opening = Opening(document=DOCUMENT, path=PATH, updates=updates, base=base, refused=refused)
    later = FileStage(seed=1, opening=opening, holds_file=True)
    later.outside(b"half", told=False)
    later.holds_file = False
    later.file()
    later.peer().add_cell("ours", "ours")
    later.settle()

    assert isinstance(later.room.file_trouble, NotebookUnreadable)
    assert later.files[PATH] == b"half"
    assert [type(each) for each in later.log if isinstance(each, Persist | ReadFile)].count(
        ReadFile
    ) == 1


def next_life(stage: FileStage, file: bytes) -> FileStage:
    """The daemon ends; its successor finds `file`, that another program wrote meanwhile."""
    (runtime,) = stage.records(RuntimeReplaced)
    updates = stage.records(UpdateStored)
    opening = Opening(
        document=DOCUMENT,
        path=PATH,
        updates=tuple(each.update for each in updates if each.document == DOCUMENT),
        runtime_snapshot=runtime.snapshot,
        runtime_updates=tuple(e.update for e in updates if e.document == runtime.runtime),
        base=stage.files.get(PATH),
        file=file,
    )
    return FileStage(seed=1, opening=opening)


def test_a_file_that_came_where_none_was_is_merged_with_what_was_never_saved() -> None:
    before = FileStage(opening=Opening(document=DOCUMENT, path=PATH))
    before.peer().add_cell("ours", "ours")
    stage = next_life(before, notebook("1", "2"))
    assert sorted(stage.sources()) == ["1", "2", "ours"]
    stage.settle()
    assert stage.in_file() == stage.sources()


@pytest.mark.parametrize("second", ["2", "theirs"])
def test_outputs_in_the_file_stay_there_when_the_store_has_lost_the_runs(second: str) -> None:
    before = FileStage()
    run(before, "c0", "shown", 1)
    before.settle()
    file = before.text.replace('"2"', f'"{second}"').encode()
    lost = replace(next_life(before, file).opening, runtime_snapshot=None, runtime_updates=())
    stage = FileStage(seed=2, opening=lost)
    stage.peer().add_cell("ours", "ours")
    stage.settle()
    assert stage.in_file() == ["1", second, "ours"]
    assert json.loads(stage.text)["cells"][0] == json.loads(file)["cells"][0]


@pytest.mark.parametrize(
    ("file", "merged"),
    [
        (notebook("1", "2", "theirs"), ["1", "2", "ours", "theirs"]),
        (notebook("1"), ["1", "ours"]),
        (notebook("one", "2"), ["one", "2", "ours"]),
    ],
)
def test_unsaved_edits_of_an_earlier_daemon_are_merged_with_those_of_another_program(
    file: bytes, merged: list[str]
) -> None:
    before = FileStage()
    before.peer().add_cell("ours", "ours")
    stage = next_life(before, file)
    assert sorted(stage.sources()) == sorted(merged)
    stage.settle()
    assert stage.in_file() == stage.sources()


def test_an_empty_file_is_being_written_unless_somebody_accepts_it() -> None:
    before = FileStage()
    with pytest.raises(NotebookUnreadable):
        next_life(before, b"")
    accepted = replace(next_life(before, notebook("1")).opening, file=b"", accept_file=True)
    assert FileStage(seed=2, opening=accepted).sources() == []


def test_outputs_from_before_are_those_of_their_run_when_another_program_wrote_the_file() -> None:
    before = FileStage()
    before.peer()
    run(before, "c0", "shown", 1)
    before.settle()
    file = json.loads(before.text)
    file["cells"][1]["source"] = "theirs"
    ran = before.runtime.latest("c0")
    stage = next_life(before, json.dumps(file).encode())
    assert stage.sources() == ["1", "theirs"]
    assert stage.runtime.latest("c0") == ran
    stage.settle()
    assert stage.of(WriteFile) == []

    file["cells"][0] |= {"outputs": [], "execution_count": None}
    stage = next_life(before, json.dumps(file).encode())
    cleared = stage.runtime.latest("c0")
    assert cleared not in (None, ran)
    record = stage.runtime.execution(str(cleared))
    assert record is not None
    assert (record.requested_by, record.outputs) == ("file", ())


def state_of(value: int) -> dict[str, Any]:
    """Widget state as a file has it."""
    names = {"model_name": "M", "model_module": "m", "model_module_version": "1"}
    fields = {"_model_name": "M", "_model_module": "m", "_model_module_version": "1"}
    model = {**names, "state": {**fields, "value": value}}
    form = {"state": {"w": model}, "version_major": 2, "version_minor": 0}
    return {"application/vnd.jupyter.widget-state+json": form}


def in_file(stage: FileStage) -> Any:
    return json.loads(stage.text)["metadata"].get("widgets")


def saved(stage: FileStage) -> Any:
    reference = stage.runtime.comms.saved_widgets
    return None if reference is None else json.loads(stage.blobs[reference["blob"]])


def make_widget(stage: FileStage, value: int) -> None:
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    data = {"state": state_of(value)[next(iter(state_of(0)))]["state"]["w"]["state"]}
    stage.kernel_says(CommOpened(None, "w", "jupyter.widget", data))
    stage.wait(AUTOSAVE_QUIET_S + 1)
    stage.wait(AUTOSAVE_QUIET_S + 1)


def test_widget_state_of_the_file_is_shown_apart_from_the_metadata_and_stays_as_it_is() -> None:
    file = notebook("1", kept=1, widgets=state_of(1))
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=file))
    assert stage.room.notebook.metadata() == {"kept": 1}
    assert saved(stage) == state_of(1)
    stage.wait(AUTOSAVE_QUIET_S + 1)
    assert stage.files[PATH] == file
    stage.outside(notebook("1", kept=1, widgets=state_of(2)))
    assert saved(stage) == state_of(2)
    stage.outside(notebook("1", kept=1))
    assert saved(stage) is None
    stage.peer().add_cell("new", "2")
    stage.wait(AUTOSAVE_QUIET_S + 1)
    assert len(stage.in_file()) == 2
    assert in_file(stage) is None


def test_widgets_of_a_kernel_take_the_place_of_those_in_the_file() -> None:
    file = notebook("1", widgets=state_of(1))
    stage = FileStage(opening=Opening(document=DOCUMENT, path=PATH, file=file))
    make_widget(stage, 7)
    assert in_file(stage) == state_of(7)
    assert saved(stage) is None
    update = {"method": "update", "state": {"value": 8}, "buffer_paths": []}
    stage.kernel_says(CommMessage(None, "w", update))
    stage.show()
    stage.settle()
    assert in_file(stage) == state_of(8)
    stage.outside(notebook("1", "2", widgets=state_of(2)))
    stage.wait(AUTOSAVE_QUIET_S + 1)
    assert in_file(stage) == state_of(8), "the kernel lives, and knows better"


def test_widgets_of_an_ended_kernel_are_kept_until_another_program_writes_others() -> None:
    stage = FileStage()
    make_widget(stage, 7)
    stage.feed(KernelEnded(stage.room.kernel_state.incarnation, "it was killed"))
    stage.peer().add_cell("new", "2")
    stage.wait(AUTOSAVE_QUIET_S + 1)
    assert in_file(stage) == state_of(7)
    changed = json.loads(stage.text)
    changed["cells"][0]["source"] = "theirs"
    stage.outside(json.dumps(changed).encode())
    stage.show()
    assert stage.runtime.comms.records() != []
    changed["metadata"]["widgets"] = state_of(2)
    stage.outside(json.dumps(changed).encode())
    stage.wait(AUTOSAVE_QUIET_S + 1)
    assert saved(stage) == state_of(2)
    assert stage.runtime.comms.records() == []
    assert in_file(stage) == state_of(2)
