"""Undo and redo: an added cell is hidden and shown, and what others did to it stays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.document.crdt import Replica
from headway.core.document.edits import (
    DELETE,
    AddCell,
    AppendSource,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellAttachment,
    SetCellMetadata,
    SpliceSource,
    UndeleteCell,
    UpdateSource,
)
from headway.core.document.notebook import Cell, NotebookDocument
from headway.core.document.schema import CELLS, ORDER
from headway.core.document.undo import Undo
from headway.errors import EditError
from headway.moments import Moment

NOW = Moment(0.0, 1000.0)


class Person:
    """A replica of the notebook of `start`, and the steps made on it."""

    def __init__(self, peer: int, start: bytes) -> None:
        self.notebook = NotebookDocument(Replica.load(peer, start, ()))
        self.steps = Undo(self.notebook.replica)

    def apply(self, *edits: Edit) -> None:
        self.notebook.apply(edits, NOW, "person")

    def undo(self) -> bool:
        return self.steps.undo(1, "undo")

    def redo(self) -> bool:
        return self.steps.redo(1, "redo")

    def receive(self, other: Person) -> None:
        known = self.notebook.replica.version()
        self.notebook.replica.import_update(other.notebook.replica.export(known))

    @property
    def cells(self) -> list[Cell]:
        return self.notebook.cells()

    @property
    def sources(self) -> list[str]:
        return [cell.source for cell in self.cells]


def two() -> tuple[Person, Person]:
    start = NotebookDocument(Replica(100))
    start.apply([AddCell("first", source="first"), AddCell("last", source="last")], NOW, "start")
    snapshot = start.replica.export()
    return Person(1, snapshot), Person(2, snapshot)


def exchange(one: Person, two: Person) -> None:
    one.receive(two)
    two.receive(one)
    assert one.cells == two.cells


def test_what_another_types_into_a_cell_whose_adding_is_undone_is_there_after_redo() -> None:
    mine, theirs = two()
    mine.apply(AddCell("new", source="x = 1", after="first"))
    exchange(mine, theirs)
    theirs.apply(AppendSource("new", " + 1"), SetCellMetadata("new", "tags", ["kept"]))
    assert mine.undo()
    exchange(mine, theirs)
    assert mine.sources == ["first", "last"]
    assert mine.redo()
    exchange(mine, theirs)
    assert mine.sources == ["first", "x = 1 + 1", "last"]
    assert mine.notebook.cell("new").metadata == {"tags": ["kept"]}


def test_the_other_can_show_the_cell_again_with_what_was_typed() -> None:
    mine, theirs = two()
    mine.apply(AddCell("new", source="x = 1", after="first"))
    exchange(mine, theirs)
    theirs.apply(AppendSource("new", " + 1"))
    mine.undo()
    exchange(mine, theirs)
    assert theirs.notebook.deleted() == ["new"]
    theirs.apply(UndeleteCell("new"))
    exchange(mine, theirs)
    assert mine.sources == ["first", "x = 1 + 1", "last"]


def test_undo_of_an_added_cell_writes_its_mark_and_touches_nothing_else() -> None:
    mine, _ = two()
    mine.apply(AddCell("new", source="x", index=1))
    mine.undo()
    cell = mine.notebook.replica.map(CELLS).map("new")
    assert cell is not None
    assert cell.to_json() == {"type": "code", "source": "x", "deleted": True}
    assert mine.notebook.replica.order(ORDER).ids() == ["first", "new", "last"]


def test_an_added_cell_carries_no_mark_and_is_one_step_and_one_entry_of_the_history() -> None:
    mine, _ = two()
    mine.apply(AddCell("new", source="x"))
    cell = mine.notebook.replica.map(CELLS).map("new")
    assert cell is not None
    assert "deleted" not in cell
    assert [entry.message for entry in mine.notebook.replica.history()] == [
        "person: add cell",
        "start: add cell",
    ]
    assert mine.undo()
    assert not mine.undo()


def test_steps_of_every_kind_are_taken_back_and_made_again_in_their_order() -> None:
    mine, _ = two()
    seen = [mine.cells]
    for edits in (
        [AddCell("a", source="a", index=0)],
        [AppendSource("a", "bc")],
        [MoveCell("a", index=2)],
        [AddCell("b", source="b", before="a"), UpdateSource("first", "1")],
        [SpliceSource("b", 0, 1, "B")],
        [DeleteCell("a")],
        [MoveCell("last", index=0), UndeleteCell("a"), AddCell("c", source="c", after="last")],
        [MoveCell("c", index=3)],
    ):
        mine.apply(*edits)
        seen.append(mine.cells)
    for before in reversed(seen[:-1]):
        assert mine.undo()
        assert mine.cells == before
    assert not mine.undo()
    for after in seen[1:]:
        assert mine.redo()
        assert mine.cells == after
    assert not mine.redo()


def test_a_step_that_left_nothing_to_see_is_passed_over() -> None:
    mine, _ = two()
    mine.apply(AppendSource("first", "!"))
    mine.apply(AddCell("d", source="d"), DeleteCell("d"))
    assert mine.undo()
    assert mine.sources == ["first", "last"]
    assert mine.redo()
    assert mine.sources == ["first!", "last"]
    assert not mine.redo()


def test_a_list_that_adds_gives_the_same_notebook_with_undo_and_without() -> None:
    edits: list[Edit] = [
        AddCell("a", source="a", index=0),
        AddCell("b", source="b", after="a"),
        DeleteCell("first"),
        AddCell("c", source="c", index=1),
        MoveCell("last", index=0),
        AddCell("d", source="d", before="last"),
        AppendSource("d", "!"),
        AddCell("e", source="e"),
    ]
    mine, theirs = two()
    without = NotebookDocument(Replica.load(3, theirs.notebook.replica.export(), ()))
    without.apply(edits, NOW, "somebody")
    mine.apply(*edits)
    assert mine.cells == without.cells()
    assert NotebookDocument(mine.notebook.replica).cells() == without.cells()


def test_a_cell_that_another_deleted_stays_deleted_when_its_adding_is_undone_and_redone() -> None:
    mine, theirs = two()
    mine.apply(AddCell("new", source="x"))
    exchange(mine, theirs)
    theirs.apply(DeleteCell("new"))
    mine.undo()
    exchange(mine, theirs)
    assert mine.sources == theirs.sources == ["first", "last"]


def test_a_cell_whose_place_was_undone_is_hidden_and_can_be_shown_again() -> None:
    mine, theirs = two()
    # Its place depends on a move, so it is part of the step; one delete hides the cell besides.
    theirs.apply(MoveCell("last", index=0), AddCell("new", source="x", index=0))
    exchange(mine, theirs)
    mine.apply(DeleteCell("new"))
    theirs.undo()
    exchange(mine, theirs)
    mine.undo()
    exchange(mine, theirs)
    for each in (mine, theirs):
        assert each.sources == ["first", "last"]
        assert each.notebook.deleted() == ["new"]
    mine.apply(UndeleteCell("new"))
    exchange(mine, theirs)
    assert mine.sources == theirs.sources == ["first", "last", "x"]


def test_two_who_are_first_to_write_into_a_cells_metadata_write_into_the_same() -> None:
    mine, theirs = two()
    mine.apply(SetCellMetadata("first", "mine", 1), SetCellAttachment("first", "m.png", {}))
    theirs.apply(SetCellMetadata("first", "theirs", 2), SetCellAttachment("first", "t.png", {}))
    exchange(mine, theirs)
    assert mine.notebook.cell("first").metadata == {"mine": 1, "theirs": 2}
    assert mine.notebook.cell("first").attachments == {"m.png": {}, "t.png": {}}
    assert mine.undo()
    exchange(mine, theirs)
    assert mine.notebook.cell("first").metadata == {"theirs": 2}
    assert mine.notebook.cell("first").attachments == {"t.png": {}}
    assert mine.redo()
    exchange(mine, theirs)
    assert mine.notebook.cell("first").metadata == {"mine": 1, "theirs": 2}


def test_metadata_that_another_peer_made_a_plain_value_can_be_written_into() -> None:
    mine, theirs = two()
    cell = theirs.notebook.replica.map(CELLS).map("first")
    assert cell is not None
    cell.set("metadata", 5)
    theirs.notebook.replica.commit(1, "no map")
    mine.receive(theirs)
    assert mine.notebook.cell("first").metadata == {}
    mine.apply(SetCellMetadata("first", "mine", 1))
    exchange(mine, theirs)
    assert theirs.notebook.cell("first").metadata == {"mine": 1}


CELL = st.integers(0, 9)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["undo", "redo", "exchange"]), CELL, CELL),
    st.tuples(
        st.sampled_from(
            ["add", "append", "move", "move and add", "delete", "undelete", "tag", "untag", "note"]
        ),
        CELL,
        CELL,
    ),
)


@settings(max_examples=150, deadline=None)
@given(script=st.lists(st.tuples(st.integers(0, 1), ACTIONS), max_size=40))
def test_two_who_undo_and_redo_converge_and_no_added_cell_is_ever_gone(
    script: list[tuple[int, tuple[str, int, int]]],
) -> None:
    people = two()
    ids = ["first", "last"]
    typed: dict[str, list[str]] = {}
    noted: dict[str, dict[str, int]] = {}

    def visit(person: Person, number: int, edit: Edit) -> None:
        """Somebody who undoes nothing of it edits: in a commit of a replica without undo."""
        visitor = NotebookDocument(
            Replica.load(1000 + number, person.notebook.replica.export(), ())
        )
        visitor.apply([edit], NOW, "visitor")
        person.notebook.replica.import_update(visitor.replica.export())

    for number, (who, (action, first, second)) in enumerate(script):
        person = people[who]
        cell_id = ids[first % len(ids)]
        fresh = f"new-{number}"
        place = second % max(1, len(person.notebook))
        try:
            match action:
                case "undo":
                    person.undo()
                case "redo":
                    person.redo()
                case "exchange":
                    exchange(*people)
                case "add":
                    person.apply(AddCell(fresh, source="s", index=place))
                    ids.append(fresh)
                case "move and add":
                    person.apply(MoveCell(cell_id, index=place), AddCell(fresh, index=place))
                    ids.append(fresh)
                case "append":
                    visit(person, number, AppendSource(cell_id, f"<{number}>"))
                    typed.setdefault(cell_id, []).append(f"<{number}>")
                case "note":
                    visit(person, number, SetCellMetadata(cell_id, f"note {number}", number))
                    noted.setdefault(cell_id, {})[f"note {number}"] = number
                case "tag":
                    person.apply(SetCellMetadata(cell_id, "tag", number))
                case "untag":
                    person.apply(SetCellMetadata(cell_id, "tag", DELETE))
                case "move":
                    person.apply(MoveCell(cell_id, index=place))
                case "delete":
                    person.apply(DeleteCell(cell_id))
                case _:
                    person.apply(UndeleteCell(cell_id))
        except EditError:
            pass
        assert person.cells == NotebookDocument(person.notebook.replica).cells()
    exchange(*people)
    notebook = people[0].notebook
    assert set(notebook.order()) | set(notebook.deleted()) == set(ids)
    hidden = notebook.deleted()
    if hidden:
        people[0].apply(*[UndeleteCell(each) for each in hidden])
    for cell_id, pieces in typed.items():
        for piece in pieces:
            assert piece in notebook.source(cell_id)
    for cell_id, notes in noted.items():
        metadata = notebook.cell(cell_id).metadata
        metadata.pop("tag", None)
        assert metadata == notes
