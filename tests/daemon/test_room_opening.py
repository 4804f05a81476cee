from __future__ import annotations

import hashlib
import os

import pytest

from file_content import image
from headway.core.document.crdt import Replica
from headway.core.document.edits import AddCell
from headway.core.document.notebook import NotebookDocument
from headway.core.room.effects import Persist, RuntimeReplaced
from headway.daemon.room_opening import open_room
from headway.edges.ports import FileContent, StoredNotebook
from headway.errors import NotebookUnreadable
from headway.ids import document_id
from headway.moments import Moment

NOW = Moment(1.0, 1.0)
NB = document_id("nb", os.urandom)
FILE = (
    b'{"cells": [{"cell_type": "code", "id": "one", "metadata": {}, "source": "1",'
    b' "execution_count": null, "outputs": []}],'
    b' "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
)


def stored(*updates: bytes, path: str | None = None) -> StoredNotebook:
    return StoredNotebook(NB, path, None, None, None, updates, None, None, ())


def history(count: int) -> list[bytes]:
    replica = Replica(7)
    notebook = NotebookDocument(replica)
    updates = []
    for number in range(count):
        before = replica.version()
        notebook.apply([AddCell(f"c{number}", source=str(number))], NOW, "test")
        updates.append(replica.export(before))
    return updates


def test_a_notebook_is_opened_from_its_updates_and_begins_a_runtime_document() -> None:
    opened = open_room(stored(*history(2)), None, os.urandom, NOW)
    assert opened.room.document == NB
    assert opened.room.summary().cells == 2
    records = [
        each for effect in opened.first if isinstance(effect, Persist) for each in effect.records
    ]
    assert [each.runtime for each in records if isinstance(each, RuntimeReplaced)] == [
        opened.room.runtime
    ]


def test_a_file_that_is_new_to_us_becomes_the_notebook() -> None:
    opened = open_room(stored(path="/a.ipynb"), FileContent(FILE, "0" * 64), os.urandom, NOW)
    assert opened.room.path == "/a.ipynb"
    assert opened.room.summary().cells == 1


def test_a_file_that_is_no_notebook_is_named_in_the_refusal() -> None:
    file = FileContent(None, "0" * 64, NotebookUnreadable("The file is not JSON."))
    with pytest.raises(NotebookUnreadable, match=r"/plans\.ipynb was not opened") as refused:
        open_room(stored(path="/plans.ipynb"), file, os.urandom, NOW)
    assert "not JSON" in str(refused.value)
    assert refused.value.data["path"] == "/plans.ipynb"


@pytest.mark.parametrize(
    ("file", "advice"),
    [
        (FILE.replace(b'"metadata": {}', b'"metadata": {"x": NaN}', 1), "write null or a text"),
        (FILE.replace(b'"nbformat": 4', b'"nbformat": 5'), "save it as format 4"),
        (FILE.replace(b'"code"', b'"widgetx"'), "write code, markdown or raw"),
    ],
)
def test_what_is_wrong_in_a_file_comes_with_what_to_write_instead(file: bytes, advice: str) -> None:
    content = FileContent(image(file), hashlib.sha256(file).hexdigest())
    with pytest.raises(NotebookUnreadable, match=r"/plans\.ipynb was not opened") as refused:
        open_room(stored(path="/plans.ipynb"), content, os.urandom, NOW)
    assert advice in str(refused.value)
    assert str(refused.value).endswith(" Correct the file and open it again.")


def test_a_known_notebook_whose_file_is_no_notebook_opens_without_it_and_says_so() -> None:
    file = FileContent(None, "0" * 64, NotebookUnreadable("The file is not JSON."))
    opened = open_room(stored(*history(2), path="/plans.ipynb"), file, os.urandom, NOW)
    assert isinstance(opened.refused_file, NotebookUnreadable)
    summary = opened.room.summary()
    assert summary.cells == 2
    assert not summary.saved
    assert [notice.code for notice in summary.notices] == ["NOTEBOOK_UNREADABLE"]
