"""A crash between a file and the store's note of it, as the worlds showed it (without a seed)."""

from __future__ import annotations

import json

from headway.core.document.edits import AppendSource, UpdateSource
from headway.core.room.effects import RuntimeReplaced, UpdateStored
from headway.core.room.opening import Opening
from room_stage import DOCUMENT, Stage

PATH = "/notebooks/a.ipynb"


def file_with(source: str) -> bytes:
    cell = {"cell_type": "code", "id": "one", "metadata": {}, "source": [source], "outputs": []}
    cells = [{**cell, "execution_count": None}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook).encode()


def test_a_crash_between_the_file_and_its_note_repeats_no_text() -> None:
    before, written = file_with("x = 1"), file_with("x = 12")
    stage = Stage(opening=Opening(document=DOCUMENT, path=PATH, file=before))
    peer = stage.peer()
    peer.edit(AppendSource("one", "2"))
    # Here the file is written with `x = 12`; then there is another edit, and the power is gone.
    peer.edit(UpdateSource("one", "y = 123"))
    records = [record for persist in stage.persists for record in persist.records]
    updates = [e for e in records if isinstance(e, UpdateStored) and e.document == DOCUMENT]
    runtime = next(each for each in records if isinstance(each, RuntimeReplaced))
    later = Stage(
        seed=1,
        opening=Opening(
            document=DOCUMENT,
            path=PATH,
            updates=tuple(each.update for each in updates),
            runtime_snapshot=runtime.snapshot,
            base=before,
            intended=written,
            file=written,
        ),
    )
    assert later.room.notebook.source("one") == "y = 123"
