"""The schema: what an import may leave behind, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from headway.core.document.crdt import Replica
from headway.core.document.edits import AddCell, DeleteCell, Edit, MoveCell, SetCellMetadata
from headway.core.document.notebook import NotebookDocument
from headway.core.document.schema import check_import
from headway.errors import InvalidUpdate
from headway.moments import Moment

NOW = Moment(1.0, 1000.0)


def check_written(write: Callable[[Replica], object]) -> None:
    """Import and check what a foreign peer wrote into a notebook with one cell."""
    daemon = NotebookDocument(Replica(1))
    daemon.apply([AddCell("a")], NOW, "daemon")
    foreign = daemon.replica.rebuilt(2)
    write(foreign)
    foreign.commit(1, "foreign")
    imported = daemon.replica.import_update(foreign.export(daemon.replica.version()))
    assert imported.changed
    check_import(daemon.replica, imported)


def test_everything_that_apply_writes_passes() -> None:
    def write(replica: Replica) -> None:
        edits: list[Edit] = [
            AddCell("n", "raw", "x", {"k": {"deep": [1, {"x": {}}]}}, {"a.png": {"image/png": ""}}),
            DeleteCell("a"),
            MoveCell("n", index=0),
            SetCellMetadata("n", "k", {"deep": {"er": {}}}),
        ]
        NotebookDocument(replica).apply(edits, NOW, "peer")

    check_written(write)


def test_native_lists_in_metadata_pass() -> None:
    check_written(lambda replica: replica.map("metadata").new_list("authors").append_map())


@pytest.mark.parametrize(
    "write",
    [
        lambda replica: replica.map("outputs").set("k", 1),
        lambda replica: replica.list("order").append("a"),
        lambda replica: replica.map("order").set("k", 1),
        lambda replica: replica.map("cells").new_text("t", "no map"),
        lambda replica: replica.map("cells").new_map("n").set("type", "code"),
        lambda replica: replica.map("cells").new_map("n").new_text("source", "x"),
        lambda replica: replica.map("cells").map("a").set("type", "heading"),
        lambda replica: replica.map("cells").map("a").set("source", "plain"),
        lambda replica: replica.map("cells").map("a").new_list("metadata").append(1),
        lambda replica: replica.map("cells").set("a", 5),
        lambda replica: replica.map("cells").set("n", {"type": "code"}),
        lambda replica: replica.map("cells").new_map("n"),
        lambda replica: replica.map("cells").map("a").set("type", {"a": 1}),
        lambda replica: replica.map("cells").map("a").set("metadata", 5),
        lambda replica: replica.map("cells").map("a").new_map("metadata").set("k", math.nan),
        lambda replica: replica.map("cells").map("a").new_map("metadata").set("k", b"bytes"),
        lambda replica: replica.map("cells").map("a").new_map("attachments").set("k", [math.inf]),
        lambda replica: replica.map("metadata").set("k", {"deep": [b"bytes"]}),
    ],
    ids=[
        "an unknown root",
        "a list as order",
        "a map as order",
        "a text as cell",
        "no source",
        "no type",
        "an unknown type",
        "a plain source",
        "a list as metadata",
        "a number in the place of a cell",
        "a plain value as a cell",
        "an empty cell",
        "a map as type",
        "a number as metadata",
        "no number in metadata",
        "bytes in metadata",
        "infinity in attachments",
        "bytes in the notebook's metadata",
    ],
)
def test_what_leaves_the_schema_is_refused(write: Callable[[Replica], object]) -> None:
    with pytest.raises(InvalidUpdate):
        check_written(write)


@pytest.mark.parametrize("value", [5, {"type": "code"}])
def test_what_is_no_cell_any_more_is_not_shown(value: object) -> None:
    """Where nobody checks imports: a client of a plain server."""
    reader = NotebookDocument(Replica(1))
    reader.apply([AddCell("a"), AddCell("b", source="1")], NOW, "reader")
    foreign = reader.replica.rebuilt(2)
    foreign.map("cells").set("a", value)
    foreign.commit(1, "foreign")
    reader.replica.import_update(foreign.export(reader.replica.version()))
    assert reader.order() == ["b"]
    assert [cell.source for cell in reader.cells()] == ["1"]


def test_metadata_nested_too_deep_is_refused() -> None:
    def write(replica: Replica) -> None:
        inside = replica.map("metadata")
        for _ in range(45):
            inside = inside.new_map("a")

    with pytest.raises(InvalidUpdate, match="levels deep"):
        check_written(write)


def test_an_import_that_changed_nothing_passes() -> None:
    replica = Replica(1)
    replica.map("anything").set("k", 1)
    replica.commit(1, "")
    check_import(replica, replica.import_update(replica.export()))
