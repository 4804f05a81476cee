"""Changes: what a reader is told between two versions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from headway.core.document.changes import (
    CellAdded,
    CellChanged,
    CellDeleted,
    CellMoved,
    Change,
    NotebookChanged,
    SourceChanged,
    changes_between,
)
from headway.core.document.crdt import Replica
from headway.core.document.differences import TextSplice
from headway.core.document.edits import (
    AddCell,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellMetadata,
    SetCellType,
    SetNotebookMetadata,
    SpliceSource,
    UndeleteCell,
    UpdateSource,
)
from headway.core.document.notebook import NotebookDocument
from headway.errors import HeadsUnknown
from headway.moments import Moment

NOW = Moment(1.0, 1000.0)


@pytest.fixture
def notebook() -> NotebookDocument:
    made = NotebookDocument(Replica(1))
    made.apply([AddCell("a", source="héllo 😀"), AddCell("b"), AddCell("c")], NOW, "test")
    return made


def changes_of(notebook: NotebookDocument, edits: Sequence[Edit]) -> tuple[Change, ...]:
    before = notebook.heads()
    after = notebook.apply(edits, NOW, "test")
    return changes_between(notebook.replica, before, after)


def test_a_new_cell_is_told_once_and_without_its_parts(notebook: NotebookDocument) -> None:
    edits = [AddCell("n", source="x", metadata={"k": {"deep": 1}}, index=0)]
    assert changes_of(notebook, edits) == (CellAdded("n"),)


def test_a_cell_added_and_deleted_in_between_is_not_told(notebook: NotebookDocument) -> None:
    assert changes_of(notebook, [AddCell("n"), DeleteCell("n")]) == ()


def test_a_deleted_and_a_restored_cell_are_told(notebook: NotebookDocument) -> None:
    assert changes_of(notebook, [DeleteCell("b")]) == (CellDeleted("b"),)
    assert changes_of(notebook, [UndeleteCell("b")]) == (CellAdded("b"),)


def test_a_moved_cell_is_told_and_its_neighbours_are_not(notebook: NotebookDocument) -> None:
    assert changes_of(notebook, [MoveCell("c", index=0)]) == (CellMoved("c"),)


def test_source_splices_turn_the_old_text_into_the_new_in_code_points(
    notebook: NotebookDocument,
) -> None:
    edits: list[Edit] = [SpliceSource("a", 6, 1, "🎉🎉"), SpliceSource("a", 0, 1, "H")]
    (change,) = changes_of(notebook, edits)
    assert isinstance(change, SourceChanged)
    text = "héllo 😀"
    for splice in change.splices:
        text = text[: splice.index] + splice.insert + text[splice.index + splice.delete :]
    assert text == "Héllo 🎉🎉" == notebook.source("a")


def test_one_splice_is_told_as_it_was_made(notebook: NotebookDocument) -> None:
    told = changes_of(notebook, [UpdateSource("a", "héllo you 😀")])
    assert told == (SourceChanged("a", (TextSplice(6, 0, "you "),)),)


def test_type_and_metadata_of_a_cell_are_told_as_one_change(notebook: NotebookDocument) -> None:
    edits: list[Edit] = [SetCellMetadata("b", "k", {"x": {"y": 1}}), SetCellType("b", "markdown")]
    assert changes_of(notebook, edits) == (CellChanged("b"),)


def test_metadata_of_the_notebook_is_told(notebook: NotebookDocument) -> None:
    edits = [SetNotebookMetadata("kernelspec", {"name": "python3"})]
    assert changes_of(notebook, edits) == (NotebookChanged(),)


def test_nothing_is_told_between_equal_versions(notebook: NotebookDocument) -> None:
    assert changes_between(notebook.replica, notebook.heads(), notebook.heads()) == ()


def test_heads_that_are_not_here_are_refused(notebook: NotebookDocument) -> None:
    other = NotebookDocument(Replica(2))
    foreign = other.apply([AddCell("z")], NOW, "test")
    with pytest.raises(HeadsUnknown):
        changes_between(notebook.replica, notebook.heads(), foreign)


def test_what_an_import_brought_is_told_like_own_edits(notebook: NotebookDocument) -> None:
    other = NotebookDocument(notebook.replica.rebuilt(2))
    other.apply([AddCell("n", after="a"), DeleteCell("c"), UpdateSource("b", "x")], NOW, "other")
    imported = notebook.replica.import_update(other.replica.export(notebook.replica.version()))
    told = changes_between(notebook.replica, imported.heads_before, imported.heads_after)
    assert set(told) == {
        CellAdded("n"),
        CellDeleted("c"),
        SourceChanged("b", (TextSplice(0, 0, "x"),)),
    }
