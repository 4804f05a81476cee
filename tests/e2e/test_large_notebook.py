"""A notebook of any size that a file may have can be joined."""

from __future__ import annotations

import json
import random
from pathlib import Path

from daemon_here import place
from headway.core.wire.fragments import MAX_UPDATE_BYTES
from headway_daemon import bounded

ATTACHMENT_BYTES = 4 * 1024 * 1024


def put_attachments(path: Path, cells: int) -> None:
    """A notebook of Markdown cells with an attachment each, of bytes that cannot be compressed."""
    data = random.Random(0).randbytes(ATTACHMENT_BYTES // 2).hex()
    cell = {"cell_type": "markdown", "metadata": {}, "source": "", "attachments": {}}
    attachments = [{f"{number}.png": {"image/png": data}} for number in range(cells)]
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {**cell, "id": f"cell-{number}", "attachments": each}
            for number, each in enumerate(attachments)
        ],
    }
    path.write_text(json.dumps(content))


def test_a_notebook_larger_than_any_update_of_a_peer_can_be_joined() -> None:
    cells = MAX_UPDATE_BYTES // ATTACHMENT_BYTES + 1

    async def scenario() -> None:
        with place() as here:
            put_attachments(here.path("large"), cells)
            async with here.daemon(), here.open("large") as opened:
                assert [each.id for each in opened.cells] == [f"cell-{n}" for n in range(cells)]

    bounded(scenario())
