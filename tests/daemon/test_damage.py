"""A real daemon whose files were cut short, and whose store was damaged, while it looked away."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from headway.edges.paths import Paths
from headway_daemon import HeadwayDaemon, headway_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[HeadwayDaemon]:
    with headway_daemon() as running:
        yield running


def put_away(daemon: HeadwayDaemon, name: str, cells: int) -> str:
    """A saved notebook of so many cells, closed; gives its document id."""
    with daemon.open(name) as notebook:
        for number in range(cells):
            notebook.add_cell(f"cell {number}")
            notebook.confirm_sync()
        notebook.save()
    path = str(daemon.path(name))
    document = str(daemon.post("open", path=path).body["document"])
    assert daemon.post("close", document=document).status == 200
    return document


def rewrite(daemon: HeadwayDaemon, name: str, keep: int) -> None:
    path = daemon.path(name)
    content = json.loads(path.read_text())
    content["cells"] = content["cells"][:keep]
    path.write_text(json.dumps(content))


def test_a_file_that_lost_most_of_its_cells_is_refused_until_a_person_accepts_it(
    daemon: HeadwayDaemon,
) -> None:
    document = put_away(daemon, "halved", 6)
    rewrite(daemon, "halved", 1)
    path = str(daemon.path("halved"))
    cut = daemon.path("halved").read_bytes()
    for _ in range(2):
        refused = daemon.post("open", path=path)
        assert refused.code == "FILE_WOULD_EMPTY"
        assert refused.body["error"]["data"]["document"] == document
    by_id = daemon.post("open", document=document)
    assert by_id.status == 200
    assert [each["code"] for each in by_id.body["notices"]] == ["FILE_WOULD_EMPTY"]
    listed = daemon.post("list").body["notebooks"]
    assert [each["cells"] for each in listed if each["document"] == document] == [6]
    assert daemon.path("halved").read_bytes() == cut
    assert daemon.post("open", path=path, accept_file=True).status == 200
    with daemon.open("halved") as notebook:
        assert [cell.source for cell in notebook.cells] == ["cell 0"]


def test_a_file_that_would_empty_its_notebook_is_moved_away_and_the_notebook_saved(
    daemon: HeadwayDaemon,
) -> None:
    """As the refusal says."""
    put_away(daemon, "moved", 6)
    rewrite(daemon, "moved", 1)
    path = daemon.path("moved")
    refused = daemon.post("open", path=str(path))
    assert "move the file away, open its path again and save" in refused.body["error"]["message"]
    path.rename(path.with_name("away.ipynb"))
    with daemon.open("moved") as notebook:
        notebook.save()
    assert len(json.loads(path.read_text())["cells"]) == 6


@pytest.mark.parametrize("content", [b"", b'{"cells": [], "metadata": {}, "nbformat": 4}'])
def test_a_file_that_was_emptied_deletes_nothing(daemon: HeadwayDaemon, content: bytes) -> None:
    name = f"emptied-{len(content)}"
    document = put_away(daemon, name, 2)
    daemon.path(name).write_bytes(content)
    daemon.post("open", path=str(daemon.path(name)))
    opened = daemon.post("open", document=document)
    assert opened.status == 200
    assert opened.body["notices"]
    listed = daemon.post("list").body["notebooks"]
    assert [each["cells"] for each in listed if each["document"] == document] == [2]
    assert daemon.path(name).read_bytes() == content


def test_damage_in_the_store_is_told_and_the_file_brings_back_what_was_lost(
    daemon: HeadwayDaemon,
) -> None:
    document = put_away(daemon, "flipped", 6)
    with closing(sqlite3.connect(Paths.of(daemon.home).store)) as store, store:
        (middle,) = store.execute(
            "SELECT seq FROM updates WHERE document = ? ORDER BY seq LIMIT 1 OFFSET 3", (document,)
        ).fetchone()
        store.execute("UPDATE updates SET bytes = x'00' WHERE seq = ?", (middle,))
    opened = daemon.post("open", path=str(daemon.path("flipped"))).body
    assert opened["document"] == document
    assert [each["code"] for each in opened["notices"]] == ["STORE_DAMAGED"]
    assert document in daemon.post("status").body["notices"][0]
    with daemon.open("flipped") as notebook:
        assert [cell.source for cell in notebook.cells] == [f"cell {each}" for each in range(6)]


def test_a_history_that_is_lost_whole_makes_way_for_a_new_one_from_the_file(
    daemon: HeadwayDaemon,
) -> None:
    document = put_away(daemon, "lost", 3)
    with closing(sqlite3.connect(Paths.of(daemon.home).store)) as store, store:
        store.execute("UPDATE updates SET bytes = x'00' WHERE document = ?", (document,))
    opened = daemon.post("open", path=str(daemon.path("lost"))).body
    assert opened["created"]
    assert opened["document"] != document
    assert [each["code"] for each in opened["notices"]] == ["STORE_DAMAGED"]
    assert daemon.post("open", document=document).code == "STORE_DAMAGED"
    with daemon.open("lost") as notebook:
        assert [cell.source for cell in notebook.cells] == ["cell 0", "cell 1", "cell 2"]
