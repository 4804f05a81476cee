from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.crdt import Replica
from headway.core.document.edits import (
    DELETE,
    AddCell,
    DeleteCell,
    Edit,
    MoveCell,
    SetCellAttachment,
    SetCellMetadata,
    SetCellType,
    SetNotebookMetadata,
    UndeleteCell,
    UpdateSource,
)
from headway.core.document.nbformat import ParsedCell, ParsedNotebook
from headway.core.document.notebook import NotebookDocument
from headway.core.document.reconcile import aligned, reconcile
from headway.moments import Moment

NOW = Moment(1.0, 1_700_000_000.0)
peers = itertools.count(5000)

Cells = list[ParsedCell]


def cell(cell_id: str, source: str = "", **fields: Any) -> ParsedCell:
    return ParsedCell(
        id=cell_id, cell_type=fields.pop("cell_type", "code"), source=source, **fields
    )


def parsed(*cells: ParsedCell, **metadata: Any) -> ParsedNotebook:
    return ParsedNotebook(cells=cells, metadata=metadata)


def document(notebook: ParsedNotebook) -> NotebookDocument:
    made = NotebookDocument(Replica(next(peers)))
    made.initialize(NOW, "daemon")
    made.apply(reconcile(None, notebook, [], {}), NOW, "file")
    return made


def merge(
    made: NotebookDocument, base: ParsedNotebook | None, theirs: ParsedNotebook
) -> list[Edit]:
    edits = reconcile(base, theirs, made.cells(), made.metadata(), made.deleted())
    made.apply(edits, NOW, "file")
    return edits


def content(notebook: NotebookDocument | ParsedNotebook) -> tuple[Any, Any]:
    if isinstance(notebook, ParsedNotebook):
        cells: Sequence[Any] = notebook.cells
        metadata = notebook.metadata
    else:
        cells, metadata = notebook.cells(), notebook.metadata()
    return metadata, [
        (each.id, each.cell_type, each.source, each.metadata, each.attachments) for each in cells
    ]


entries = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2) | st.booleans(), max_size=2)


@st.composite
def changed(draw: st.DrawFn, cells: Cells, side: str) -> Cells:
    """The cells after some edits, each new line and id named for its side."""
    result: Cells = []
    for number, each in enumerate(cells):
        step = draw(st.sampled_from(["keep", "keep", "delete", "write", "type", "data", "add"]))
        if step == "add":
            result.append(cell(f"{side}-{number}", f"{side} new {number}"))
        if step == "delete":
            continue
        changes: dict[str, Any] = {}
        if step == "write":
            lines = each.source.split("\n")
            at = draw(st.integers(0, len(lines)))
            lines[at : at + draw(st.integers(0, 1))] = [f"{side} {number}"]
            changes["source"] = "\n".join(lines)
        if step == "type":
            changes["cell_type"] = "markdown"
        if step == "data":
            changes["metadata"] = draw(entries)
            changes["attachments"] = draw(
                st.dictionaries(st.just("f.png"), st.just({"image/png": side}))
            )
        result.append(replace(each, **changes))
    return draw(st.permutations(result)) if draw(st.booleans()) else result


@st.composite
def histories(draw: st.DrawFn) -> tuple[ParsedNotebook, ParsedNotebook, ParsedNotebook]:
    base = [
        cell(
            f"c{i}",
            "\n".join(f"base {i}.{j}" for j in range(draw(st.integers(1, 4)))),
            metadata=draw(entries),
        )
        for i in range(draw(st.integers(0, 5)))
    ]
    return (
        parsed(*base, **draw(entries)),
        parsed(*draw(changed(base, "theirs")), **draw(entries)),
        parsed(*draw(changed(base, "ours")), **draw(entries)),
    )


@given(histories())
def test_a_file_that_is_the_base_changes_nothing(histories: Any) -> None:
    base, _, ours = histories
    made = document(ours)
    assert reconcile(base, base, made.cells(), made.metadata(), made.deleted()) == []


@given(histories())
def test_a_document_that_is_the_base_becomes_the_file(histories: Any) -> None:
    base, theirs, _ = histories
    made = document(base)
    merge(made, base, theirs)
    wanted = theirs if theirs.cells else replace(theirs, cells=base.cells)
    assert content(made) == content(wanted)
    assert reconcile(theirs, theirs, made.cells(), made.metadata(), made.deleted()) == []


@given(histories())
def test_nothing_of_either_side_is_lost_that_the_other_did_not_touch(histories: Any) -> None:
    base, theirs, ours = histories
    made = document(base)
    merge(made, base, ours)  # so that what ours deleted is deleted in the document
    if not ours.cells:
        return
    merge(made, base, theirs)
    result = {each.id: each for each in made.cells()}
    sides = [{each.id: each for each in side.cells} for side in (base, theirs, ours)]
    in_base, in_theirs, in_ours = sides
    for side, other in ((in_theirs, in_ours), (in_ours, in_theirs)):
        for cell_id, each in side.items():
            before = in_base.get(cell_id)
            is_changed = before is None or before.source != each.source
            if is_changed or cell_id in other:
                new = set(each.source.split("\n")) - set(
                    before.source.split("\n") if before else ()
                )
                assert new <= set(result[cell_id].source.split("\n"))
    for cell_id in result:
        assert cell_id in in_theirs or cell_id in in_ours
    for cell_id in set(in_theirs) & set(in_ours) & set(in_base):
        kept = set(in_theirs[cell_id].source.split("\n")) & set(in_ours[cell_id].source.split("\n"))
        assert kept <= set(result[cell_id].source.split("\n"))


@given(histories())
def test_without_a_base_nothing_is_deleted(histories: Any) -> None:
    _, theirs, ours = histories
    made = document(ours)
    edits = merge(made, None, theirs)
    assert not any(isinstance(edit, DeleteCell | MoveCell) for edit in edits)
    assert not any(getattr(edit, "value", None) is DELETE for edit in edits)
    result = {each.id: each for each in made.cells()}
    for each in (*theirs.cells, *ours.cells):
        assert set(each.source.split("\n")) <= set(result[each.id].source.split("\n"))


def test_each_change_of_the_file_is_the_smallest_edit() -> None:
    base = parsed(cell("a", "1", metadata={"x": 1, "y": 1}), cell("b", "2"), cell("c"), title="t")
    theirs = parsed(
        cell("c"),
        cell("a", "1!", metadata={"x": 2}, attachments={"f": {"image/png": "A"}}),
        cell("new", "n"),
        cell("b", "2", cell_type="markdown"),
        other=[1],
    )
    made = document(base)
    assert merge(made, base, theirs) == [
        SetNotebookMetadata("other", [1]),
        SetNotebookMetadata("title", DELETE),
        MoveCell("c", index=0),
        UpdateSource("a", "1!"),
        SetCellMetadata("a", "x", 2),
        SetCellMetadata("a", "y", DELETE),
        SetCellAttachment("a", "f", {"image/png": "A"}),
        AddCell("new", "code", "n", {}, {}, after="a"),
        SetCellType("b", "markdown"),
    ]


def test_a_cell_deleted_in_the_file_stays_if_it_was_changed_here() -> None:
    base = parsed(cell("a", "1"), cell("b", "2"), cell("c", "3"))
    made = document(base)
    made.apply([UpdateSource("b", "2!")], NOW, "me")
    merge(made, base, parsed(cell("a", "1")))
    assert made.order() == ["a", "b"]


def test_a_cell_deleted_here_comes_back_only_if_the_file_changed_it() -> None:
    base = parsed(cell("a", "1"), cell("b", "2"), cell("c", "3"))
    made = document(base)
    made.apply([DeleteCell("a"), DeleteCell("b")], NOW, "me")
    merge(made, base, parsed(cell("a", "1"), cell("b", "2!"), cell("c", "3")))
    assert [(each.id, each.source) for each in made.cells()] == [("b", "2!"), ("c", "3")]


def test_an_old_version_of_the_file_restores_deleted_cells() -> None:
    old = parsed(cell("a", "1"), cell("b", "2"))
    made = document(old)
    made.apply([DeleteCell("b")], NOW, "me")
    edits = merge(made, parsed(cell("a", "1")), old)
    assert UndeleteCell("b") in edits
    assert content(made) == content(old)


def test_a_file_without_cells_deletes_none() -> None:
    base = parsed(cell("a", "1"))
    made = document(base)
    assert merge(made, base, parsed()) == []


def minted(*sources: str, start: int = 0) -> ParsedNotebook:
    return parsed(*(cell(f"m{start + i}", source, minted=True) for i, source in enumerate(sources)))


def test_a_file_without_ids_is_matched_by_what_its_cells_say() -> None:
    base = minted("import os", "x = 1\nprint(x)", "y = 2", start=0)
    made = document(base)
    again = minted("import os", "x = 1\nprint(x)", "y = 2", start=10)
    assert merge(made, again, minted("import os", "x = 1\nprint(x)", "y = 2", start=20)) == []
    made.apply([UpdateSource("m2", "y = 2\nz = 3")], NOW, "me")
    theirs = minted("import os", "# new", "x = 1\nprint(x, x)", "y = 2", start=30)
    edits = merge(made, again, theirs)
    assert edits == [
        AddCell("m31", "code", "# new", {}, {}, after="m0"),
        UpdateSource("m1", "x = 1\nprint(x, x)"),
    ]
    assert made.source("m2") == "y = 2\nz = 3"


def test_a_tool_that_drops_the_ids_loses_no_cell() -> None:
    base = parsed(cell("a", "one"), cell("b", "two"), cell("c", "three"))
    made = document(base)
    theirs = minted("three", "one", "two two")
    _, named = aligned(base, theirs, made.cells())
    assert {each.id for each in named.cells} >= {"a", "b"}
    merge(made, base, theirs)
    assert sorted(each.source for each in made.cells()) == ["one", "three", "two two"]


def test_outputs_follow_their_cells_when_ids_are_matched() -> None:
    theirs = replace(minted("one"), outputs={"m0": (3, ())})  # type: ignore[dict-item]
    _, named = aligned(None, theirs, document(parsed(cell("a", "one"))).cells())
    assert list(named.outputs) == ["a"]
    assert not named.cells[0].minted


def test_a_cell_rewritten_between_its_old_neighbours_keeps_its_id() -> None:
    base = minted("one", "two", "three")
    made = document(base)
    assert merge(made, base, minted("one", "completely", "three", start=10)) == [
        UpdateSource("m1", "completely")
    ]
