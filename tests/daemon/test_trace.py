from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from headway.core.kernel.events import Stream
from headway.core.room.effects import (
    Answer,
    Effect,
    ExecuteRequest,
    FileRecorded,
    Persist,
    Refuse,
    Send,
    UpdateStored,
    WriteFile,
)
from headway.core.room.effects import AskKernel as Ask
from headway.core.room.inputs import FileWritten, Input, KernelSaid, Received, Requested
from headway.core.wire import rpc
from headway.core.wire.messages import Join, Kind
from headway.daemon.trace import describe, trace_effect, trace_input
from headway.errors import CellNotFound

SECRET = "hunter2 is what the cell prints"
BYTES = SECRET.encode()

VALUES: list[Input | Effect] = [
    Received(1, Join(Kind.DOCUMENT, "nb-1", BYTES, BYTES)),
    Requested(1, 2, rpc.Complete(document="nb-1", code=SECRET, cursor=1), 1.0, SECRET),
    KernelSaid(1, (Stream("e", "stdout", SECRET),)),
    FileWritten(1, "/a.ipynb", "ab", True, BYTES),
    Send(1, (BYTES, BYTES)),
    Persist(1, (UpdateStored("nb-1", BYTES), FileRecorded("nb-1", "/a", "ab", BYTES))),
    Answer(1, rpc.Inspection(found=True, data={"text/plain": SECRET})),
    Refuse(1, CellNotFound(SECRET, source=SECRET)),
    Ask(1, ExecuteRequest("e", SECRET)),
    WriteFile(1, "/a.ipynb", {"cells": [SECRET]}, None),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_source_no_output_and_no_bytes_are_ever_described(value: Any) -> None:
    described = json.dumps(describe(value))
    assert "hunter2" not in described
    assert type(value).__name__ in described


def test_names_and_sizes_are_described() -> None:
    send = describe(Send(3, (b"ab", b"c")))
    assert send == {"is": "Send", "peer": 3, "frames": "2 frames, 3 bytes"}
    received = describe(Received(3, Join(Kind.DOCUMENT, "nb-1", b"", b"abc")))
    assert received["message"]["room"] == "nb-1"
    assert received["message"]["version"] == "3 bytes"


def test_inputs_and_effects_are_logged_at_debug_level_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "headway.room"):
        trace_input("nb-1", Received(1, Join(Kind.DOCUMENT, "nb-1", b"", b"")))
        assert caplog.records == []
    with caplog.at_level(logging.DEBUG, "headway.room"):
        trace_effect("nb-1", Send(1, (b"a",)))
    assert [record.getMessage() for record in caplog.records] == ["effect"]
