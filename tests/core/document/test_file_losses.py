from __future__ import annotations

import json
from typing import Any

from file_content import image
from headway.core.document.file_losses import without_lost
from headway.core.document.forms import file_form
from headway.core.document.mime import BlobPart, JoinedText, parts_of
from headway.core.document.notices import lost_marker

MARKER = file_form(lost_marker())
LOST, KEPT = "0" * 64, "1" * 64


def picture(sha256: str) -> dict[str, Any]:
    data = {"image/png": BlobPart(sha256, "image/png")}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def stream(text: Any, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def notebook(*outputs: dict[str, Any], count: int | None = 3, **metadata: Any) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "one",
        "metadata": {},
        "source": "1",
        "execution_count": count,
        "outputs": list(outputs),
    }
    text = {"cell_type": "markdown", "id": "two", "metadata": {}, "source": "2"}
    return {"cells": [cell, text], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def outputs_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    return list(content["cells"][0]["outputs"])


def there(*outputs: dict[str, Any], count: int | None = 3) -> bytes:
    return image(json.dumps(notebook(*outputs, count=count)).encode())


def test_a_line_stands_where_an_output_was_whose_content_is_nowhere() -> None:
    content = notebook(picture(KEPT), picture(LOST))
    written, missing = without_lost(content, {LOST}, None)
    assert outputs_of(written) == [picture(KEPT), MARKER]
    assert missing == 1
    assert outputs_of(content) == [picture(KEPT), picture(LOST)]


def test_a_text_that_the_file_has_still_is_taken_from_it_however_it_was_divided() -> None:
    """The store had it in other pieces than a reading of the file makes."""
    content = notebook(picture(KEPT), stream(JoinedText((BlobPart(LOST, "text/plain"), "end"))))
    file = there(stream(""), stream("a line of many\n" * 10_000))
    written, missing = without_lost(content, {LOST}, file)
    assert missing == 0
    (first, second) = outputs_of(written)
    assert first == picture(KEPT)
    assert isinstance(second["text"], JoinedText)
    assert LOST not in {part.sha256 for part in parts_of(second)}


def test_what_the_file_shows_of_another_run_is_not_taken_for_this_one() -> None:
    shown = {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}
    for file in (
        there(shown, count=2),
        there(shown, shown),
        there(stream("x")),
        image(b"no notebook"),
    ):
        written, missing = without_lost(notebook(picture(LOST)), {LOST}, file)
        assert (outputs_of(written), missing) == ([MARKER], 1)


def test_a_line_that_stands_there_from_the_last_time_is_no_output() -> None:
    content = notebook(stream(JoinedText((BlobPart(LOST, "text/plain"),)), "stderr"))
    written, missing = without_lost(content, {LOST}, there(MARKER))
    assert (outputs_of(written), missing) == ([MARKER], 1)


def test_widget_state_that_is_lost_is_left_to_the_file() -> None:
    widgets = {"state": BlobPart(LOST, "application/json")}
    written, missing = without_lost(notebook(widgets=widgets, title="T"), {LOST}, None)
    assert written["metadata"] == {"title": "T"}
    assert missing == 1
