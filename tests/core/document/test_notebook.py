"""The notebook document: edits, order, sources, and sources as they were."""

from __future__ import annotations

from typing import Any, cast

import pytest

from headway.core.document.crdt import Replica
from headway.core.document.edits import (
    DELETE,
    MAX_COMMIT_OPERATIONS,
    MAX_SOURCE_CHARACTERS,
    AddCell,
    AppendSource,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellAttachment,
    SetCellMetadata,
    SetCellType,
    SetNotebookMetadata,
    SpliceSource,
    UndeleteCell,
    UpdateSource,
)
from headway.core.document.notebook import Cell, NotebookDocument
from headway.core.document.schema import CELLS, ORDER, check_import
from headway.core.document.undo import Undo
from headway.errors import (
    CellNotFound,
    EngineFailure,
    HeadsTooOld,
    HeadsUnknown,
    InvalidEdit,
    InvalidUpdate,
)
from headway.ids import Heads
from headway.moments import Moment

NOW = Moment(1.0, 1000.0)


def notebook_of(*cell_ids: str, peer: int = 1) -> NotebookDocument:
    made = NotebookDocument(Replica(peer))
    made.apply([AddCell(cell_id, source=f"# {cell_id}") for cell_id in cell_ids], NOW, "test")
    return made


def copy_of(notebook: NotebookDocument, peer: int) -> NotebookDocument:
    return NotebookDocument(notebook.replica.rebuilt(peer))


def exchange(one: NotebookDocument, two: NotebookDocument) -> None:
    one.replica.import_update(two.replica.export(one.replica.version()))
    two.replica.import_update(one.replica.export(two.replica.version()))
    assert one.cells() == two.cells()


def test_a_cell_reads_back_as_it_was_added() -> None:
    notebook = NotebookDocument(Replica(1))
    metadata = {"tags": ["a", {"deep": None}], "jupyter": {"hidden": True, "level": {"n": 1.5}}}
    attachments = {"image.png": {"image/png": "aGk="}}
    edit = AddCell("a-1_B", "markdown", "# Ünïcode 😀", metadata, attachments)
    notebook.apply([edit], NOW, "test")
    assert notebook.cells() == [Cell("a-1_B", "markdown", "# Ünïcode 😀", metadata, attachments)]
    assert notebook.cell_type("a-1_B") == "markdown"


def test_cells_are_placed_at_an_index_after_before_or_at_the_end() -> None:
    notebook = notebook_of("a", "b")
    edits = [
        AddCell("end"),
        AddCell("start", index=0),
        AddCell("after", after="a"),
        AddCell("before", before="a"),
        AddCell("last", index=6),
    ]
    notebook.apply(edits, NOW, "test")
    assert notebook.order() == ["start", "before", "a", "after", "b", "end", "last"]
    assert len(notebook) == 7


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("to", range(4))
def test_a_moved_cell_is_at_its_index_afterwards_whatever_is_hidden(start: int, to: int) -> None:
    notebook = notebook_of("x", "a", "y", "b", "c", "z", "d")
    notebook.apply([DeleteCell("x"), DeleteCell("y"), DeleteCell("z")], NOW, "test")
    expected = ["a", "b", "c", "d"]
    cell_id = expected.pop(start)
    expected.insert(to, cell_id)
    notebook.apply([MoveCell(cell_id, index=to)], NOW, "test")
    assert notebook.order() == expected
    assert copy_of(notebook, 2).order() == expected


def test_a_cell_moves_after_and_before_another() -> None:
    notebook = notebook_of("a", "b", "c")
    notebook.apply([MoveCell("a", after="c")], NOW, "test")
    assert notebook.order() == ["b", "c", "a"]
    notebook.apply([MoveCell("a", before="c")], NOW, "test")
    assert notebook.order() == ["b", "a", "c"]


def test_edits_of_one_list_build_on_each_other_and_make_one_commit() -> None:
    notebook = NotebookDocument(Replica(1))
    edits: list[Edit] = [
        AddCell("a", source="x"),
        AppendSource("a", "😀y"),
        SpliceSource("a", 1, 1, "-"),
        AddCell("b", after="a"),
        MoveCell("b", index=0),
        SetCellType("a", "raw"),
        DeleteCell("b"),
        UndeleteCell("b"),
    ]
    notebook.apply(edits, NOW, "ann")
    assert notebook.order() == ["b", "a"]
    assert notebook.source("a") == "x-y"
    (entry,) = notebook.replica.history()
    assert entry.wall_s == 1000
    assert entry.message.startswith("ann: add cell, edit source, move cell")


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (AddCell("a"), InvalidEdit),
        (AddCell("gone"), InvalidEdit),
        (AddCell("c", metadata=cast("Any", ["tags"])), InvalidEdit),
        (AddCell("no spaces"), InvalidEdit),
        (AddCell("é"), InvalidEdit),
        (AddCell("n", index=3), InvalidEdit),
        (AddCell("n", index=-1), InvalidEdit),
        (AddCell("n", index=0, after="a"), InvalidEdit),
        (AddCell("n", after="gone"), CellNotFound),
        (AddCell("n", source="\ud800"), InvalidEdit),
        (AddCell("n", metadata={"k": float("nan")}), InvalidEdit),
        (AddCell("n", metadata={"k": 2**63}), InvalidEdit),
        (AddCell("n", cell_type="heading"), InvalidEdit),  # type: ignore[arg-type]
        (DeleteCell("gone"), CellNotFound),
        (DeleteCell("never"), CellNotFound),
        (UndeleteCell("never"), CellNotFound),
        (MoveCell("a"), InvalidEdit),
        (MoveCell("a", index=2), InvalidEdit),
        (MoveCell("a", after="a"), InvalidEdit),
        (MoveCell("gone", index=0), CellNotFound),
        (UpdateSource("gone", "x"), CellNotFound),
        (UpdateSource("a", "x" * 1_000_001), InvalidEdit),
        (AppendSource("never", "x"), CellNotFound),
        (SpliceSource("a", 4, 0, ""), InvalidEdit),
        (SpliceSource("a", 0, 4, ""), InvalidEdit),
        (SpliceSource("a", 0, -1, ""), InvalidEdit),
        (SetCellMetadata("gone", "k", 1), CellNotFound),
        (SetCellMetadata("a", "k", {1: 2}), InvalidEdit),
        (SetCellMetadata("a", "k", object()), InvalidEdit),
        (SetCellAttachment("gone", "k", {}), CellNotFound),
        (SetCellType("gone", "raw"), CellNotFound),
        (SetNotebookMetadata("\udfff", 1), InvalidEdit),
    ],
)
def test_one_bad_edit_refuses_the_whole_list_and_nothing_is_written(
    bad: Edit, error: type[Exception]
) -> None:
    notebook = notebook_of("a", "b", "gone")
    notebook.apply([DeleteCell("gone")], NOW, "test")
    before = notebook.heads(), notebook.cells()
    with pytest.raises(error):
        notebook.apply([AppendSource("b", "!"), bad], NOW, "test")
    assert notebook.replica.pending_operations() == 0
    assert (notebook.heads(), notebook.cells()) == before


def test_an_edit_of_a_cell_deleted_earlier_in_the_list_is_refused() -> None:
    notebook = notebook_of("a")
    with pytest.raises(CellNotFound):
        notebook.apply([DeleteCell("a"), AppendSource("a", "x")], NOW, "test")
    assert notebook.order() == ["a"]


def test_edits_that_change_nothing_write_nothing() -> None:
    notebook = notebook_of("a", "b")
    notebook.apply([SetCellMetadata("a", "k", {"x": [1]}), SetCellType("a", "raw")], NOW, "test")
    before = notebook.heads()
    edits: list[Edit] = [
        UpdateSource("a", "# a"),
        AppendSource("a", ""),
        SpliceSource("a", 1, 0, ""),
        MoveCell("a", index=0),
        MoveCell("b", after="a"),
        SetCellMetadata("a", "k", {"x": [1]}),
        SetCellMetadata("a", "absent", DELETE),
        SetCellType("a", "raw"),
        UndeleteCell("a"),
        SetNotebookMetadata("absent", DELETE),
    ]
    assert notebook.apply(edits, NOW, "test") == before
    assert notebook.apply([], NOW, "test") == before
    assert notebook.heads() == before


def test_a_commit_over_the_operations_the_daemon_takes_is_refused_unless_unlimited() -> None:
    source = "x" * (MAX_COMMIT_OPERATIONS // 4)
    edits = [AddCell(str(number), source=source) for number in range(4)]
    with pytest.raises(InvalidEdit, match="too much at once"):
        NotebookDocument(Replica(1)).apply(edits, NOW, "client")
    daemon = NotebookDocument(Replica(1), max_operations=None)
    daemon.apply(edits, NOW, "daemon")
    assert len(daemon) == 4


@pytest.mark.parametrize("odd", ["python", 1, None, ["code"], {"code": True}])
def test_a_type_that_no_notebook_has_reads_as_raw_whoever_wrote_it(odd: object) -> None:
    notebook = notebook_of("a")
    cell = notebook.replica.map(CELLS).map("a")
    assert cell is not None
    cell.set("type", odd)
    notebook.replica.commit(NOW.wall_s, "another client")
    assert notebook.cell_type("a") == "raw"
    assert notebook.cell("a").cell_type == "raw"


def test_the_largest_source_is_pasted_at_once_and_taken_by_another_replica() -> None:
    writer = notebook_of("a")
    reader = copy_of(writer, 2)
    before = writer.replica.version()
    writer.apply([UpdateSource("a", "😀" * MAX_SOURCE_CHARACTERS)], NOW, "test")
    imported = reader.replica.import_update(writer.replica.export(before))
    check_import(reader.replica, imported)
    assert reader.source("a") == "😀" * MAX_SOURCE_CHARACTERS


def test_a_small_change_in_a_large_source_is_not_too_much() -> None:
    notebook = NotebookDocument(Replica(1))
    large = "x = 1\n" * 30_000
    notebook.apply([AddCell("a", source=large)], NOW, "test")
    notebook.apply([UpdateSource("a", large[:90_000] + "y" + large[90_000:])], NOW, "test")
    assert len(notebook.source("a")) == 180_001


def test_metadata_of_different_keys_set_at_once_survives_at_every_level() -> None:
    one = notebook_of("a")
    one.apply([SetCellMetadata("a", "jupyter", {"hidden": False})], NOW, "one")
    two = copy_of(one, 2)
    one.apply([SetCellMetadata("a", "jupyter", {"hidden": False, "one": 1})], NOW, "one")
    two.apply([SetCellMetadata("a", "jupyter", {"hidden": False, "two": 2})], NOW, "two")
    one.apply([SetCellMetadata("a", "x", 1), SetNotebookMetadata("one", {})], NOW, "one")
    two.apply([SetCellMetadata("a", "y", None), SetNotebookMetadata("two", [])], NOW, "two")
    exchange(one, two)
    assert one.cell("a").metadata == {
        "jupyter": {"hidden": False, "one": 1, "two": 2},
        "x": 1,
        "y": None,
    }
    assert one.metadata() == {"one": {}, "two": []}


def test_metadata_keys_left_out_of_an_object_are_removed() -> None:
    notebook = notebook_of("a")
    notebook.apply([SetCellMetadata("a", "k", {"x": 1, "y": {"z": 1}})], NOW, "test")
    notebook.apply([SetCellMetadata("a", "k", {"y": {}})], NOW, "test")
    assert notebook.cell("a").metadata == {"k": {"y": {}}}
    notebook.apply([SetCellMetadata("a", "k", DELETE)], NOW, "test")
    assert notebook.cell("a").metadata == {}


def test_whole_sources_written_at_once_in_different_places_both_survive() -> None:
    one = notebook_of("a")
    one.apply([UpdateSource("a", "x = 1\ny = 2\nz = 3\n")], NOW, "one")
    two = copy_of(one, 2)
    one.apply([UpdateSource("a", "x = 10\ny = 2\nz = 3\n")], NOW, "one")
    two.apply([UpdateSource("a", "x = 1\ny = 2\nz = 3  # 😀\n")], NOW, "two")
    exchange(one, two)
    assert one.source("a") == "x = 10\ny = 2\nz = 3  # 😀\n"


def test_a_move_survives_an_edit_and_a_deletion_survives_a_move() -> None:
    one = notebook_of("a", "b", "c")
    two = copy_of(one, 2)
    one.apply([MoveCell("a", index=2), DeleteCell("b")], NOW, "one")
    two.apply([AppendSource("a", "!"), MoveCell("b", index=0)], NOW, "two")
    exchange(one, two)
    assert one.order() == two.order() == ["c", "a"]
    assert one.source("a") == "# a!"


def test_one_id_added_by_two_peers_is_shown_once() -> None:
    one, two = notebook_of("z", peer=1), NotebookDocument(Replica(2))
    two.replica.import_update(one.replica.export())
    one.apply([AddCell("same", source="one")], NOW, "one")
    two.apply([AddCell("same", source="two", index=0)], NOW, "two")
    exchange(one, two)
    assert sorted(one.order()) == ["same", "z"]
    one.apply([MoveCell("same", after="z")], NOW, "one")
    exchange(one, two)
    assert sorted(two.order()) == ["same", "z"]


def test_ids_without_a_cell_and_junk_in_the_order_are_not_shown() -> None:
    notebook = notebook_of("a")
    order = notebook.replica.order(ORDER)
    order.insert(0, "ghost")
    order.insert(0, "a")
    notebook.replica.commit(1, "")
    assert notebook.order() == ["a"]
    with pytest.raises(InvalidEdit):
        notebook.apply([AddCell("ghost")], NOW, "test")


def test_a_removed_cell_disappears_from_the_order() -> None:
    notebook = notebook_of("a", "b")
    notebook.replica.map(CELLS).delete("a")
    notebook.replica.commit(1, "")
    assert notebook.order() == ["b"]
    assert "a" not in notebook
    with pytest.raises(CellNotFound):
        notebook.cell("a")


def test_undo_takes_back_only_what_this_peer_did() -> None:
    one = notebook_of("a", "b")
    two = copy_of(one, 2)
    undo = Undo(one.replica)
    assert not undo.can_undo
    one.apply([UpdateSource("a", "# a, mine"), MoveCell("b", index=0)], NOW, "one")
    two.apply([AppendSource("a", ", theirs")], NOW, "two")
    exchange(one, two)
    assert undo.undo(1001, "one: undo")
    assert one.source("a") == "# a, theirs"
    assert one.order() == ["a", "b"]
    assert undo.redo(1002, "one: redo")
    assert one.order() == ["b", "a"]
    assert not undo.can_redo
    assert not undo.redo(1003, "one: redo")
    one.apply([AppendSource("b", "!")], NOW, "one")
    assert one.replica.history(1)[0].message == "one: edit source"


def test_a_failure_half_way_is_an_engine_failure_and_ends_the_replica(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = notebook_of("a")

    def fail(cell_id: str) -> None:
        raise InvalidEdit("planted")

    monkeypatch.setattr(notebook._index, "hidden", fail)
    with pytest.raises(EngineFailure):
        notebook.apply([AppendSource("a", "!"), DeleteCell("a")], NOW, "test")
    with pytest.raises(EngineFailure):
        notebook.replica.export()


def test_ctrl_c_half_way_is_not_swallowed_and_commits_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = notebook_of("a")

    def interrupt(cell_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(notebook._index, "hidden", interrupt)
    with pytest.raises(KeyboardInterrupt):
        notebook.apply([AppendSource("a", "!"), DeleteCell("a")], NOW, "test")
    with pytest.raises(EngineFailure):
        notebook.apply([AppendSource("a", "?")], NOW, "test")


# --- the past -----------------------------------------------------------------------------------


def test_the_source_at_earlier_heads_is_what_was_seen_there_emoji_included() -> None:
    notebook = notebook_of("a", "b")
    seen: list[tuple[Heads, str]] = [(notebook.heads(), "# a")]
    for text in ("😀 print('é')", "😀🎉 print('é')", "", "x\n" * 50, "🎉"):
        seen.append((notebook.apply([UpdateSource("a", text)], NOW, "test"), text))
    for heads, text in seen:
        assert notebook.source_at("a", heads) == text
        assert notebook.source_at("b", heads) == "# b"


def test_the_source_of_a_cell_that_came_just_now_is_read_at_once() -> None:
    notebook, other = notebook_of("a"), notebook_of("b", peer=2)
    notebook.replica.import_update(other.replica.export())
    assert notebook.source_at("b", notebook.replica.heads()) == "# b"


def test_what_came_since_too_long_ago_to_be_followed_is_read_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook, other = notebook_of("a", "b"), notebook_of("c", peer=2)
    assert notebook.order() == ["a", "b"]

    def refuse(*_: object) -> None:
        raise HeadsTooOld("These heads lie far back.")

    monkeypatch.setattr(notebook.replica, "touched", refuse)
    notebook.replica.import_update(other.replica.export())
    assert sorted(notebook.order()) == ["a", "b", "c"]


def test_the_source_at_my_heads_leaves_out_what_others_typed_at_once() -> None:
    mine = notebook_of("a")
    daemon = copy_of(mine, 2)
    heads = mine.apply([UpdateSource("a", "# a, mine 😀")], NOW, "me")
    daemon.apply([SpliceSource("a", 0, 1, "//🎉")], NOW, "them")
    daemon.replica.import_update(mine.replica.export(daemon.replica.version()))
    daemon.apply([AppendSource("a", "...")], NOW, "them")
    assert daemon.source("a") == "//🎉 a, mine 😀..."
    assert daemon.source_at("a", heads) == "# a, mine 😀"


def test_the_source_of_a_cell_moved_or_retyped_since_is_found() -> None:
    notebook = notebook_of("a", "b")
    heads = notebook.heads()
    notebook.apply([MoveCell("a", index=1), SetCellType("a", "raw"), AddCell("c")], NOW, "test")
    assert notebook.source_at("a", heads) == "# a"


def test_a_cell_deleted_now_or_not_there_then_has_no_source() -> None:
    notebook = notebook_of("a")
    heads = notebook.heads()
    notebook.apply([AddCell("b"), DeleteCell("a")], NOW, "test")
    for cell_id in ("a", "b", "never"):
        with pytest.raises(CellNotFound):
            notebook.source_at(cell_id, heads)


def test_heads_too_far_back_are_refused_only_if_the_cell_was_written_to() -> None:
    notebook = notebook_of("a", "b")
    heads = notebook.heads()
    notebook.apply([AppendSource("a", "x" * 20)], NOW, "test")
    assert notebook.source_at("b", heads, limit=5) == "# b"
    with pytest.raises(HeadsTooOld):
        notebook.source_at("a", heads, limit=5)


def test_heads_of_another_notebook_are_unknown_and_garbage_is_invalid() -> None:
    notebook = notebook_of("a")
    with pytest.raises(HeadsUnknown):
        notebook.source_at("a", notebook_of("z", peer=9).heads())
    with pytest.raises(InvalidUpdate):
        notebook.source_at("a", Heads(b"garbage"))


def test_the_numbers_and_the_runtime_are_empty_until_the_daemon_writes_them() -> None:
    notebook = NotebookDocument(Replica(1))
    assert notebook.meta().schema is None
    notebook.initialize(NOW, "daemon")
    notebook.set_runtime("rt-1", NOW, "daemon")
    meta = notebook.meta()
    assert (meta.schema, meta.nbformat, meta.nbformat_minor, meta.runtime) == (1, 4, 5, "rt-1")
