from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from headway.client import output_events
from headway.client.models import DisplayUpdated, Output, OutputsCleared
from headway.client.output_events import OutputEvents

Form = dict[str, Any]
BLOBS = {"a": "first ", "b": "second ", "c": "other "}


def stream(text: str, *sealed: str, name: str = "stdout") -> Form:
    form: Form = {"output_type": "stream", "name": name, "text": text}
    return form | {"sealed": [{"blob": each, "size": 9} for each in sealed]} if sealed else form


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blobs that were fetched, in order."""
    found: list[str] = []

    async def resolve(_: Path | None, outputs: Sequence[Form]) -> list[Form]:
        written = []
        for output in outputs:
            parts = [part["blob"] for part in output.get("sealed") or ()]
            found.extend(parts)
            text = "".join(BLOBS[part] for part in parts) + output["text"]
            written.append({k: v for k, v in output.items() if k != "sealed"} | {"text": text})
        return written

    monkeypatch.setattr(output_events, "resolve_outputs", resolve)
    return found


def told(*looks: tuple[Form, ...], resolve: bool = True) -> list[Any]:
    async def scenario() -> list[Any]:
        events = OutputEvents(None, resolve=resolve)
        return [event for look in looks async for event in events.since(look)]

    return asyncio.run(scenario())


def test_a_stream_that_grows_is_told_by_its_new_text(fetched: list[str]) -> None:
    assert told((stream("ab"),), (stream("abc"),)) == [
        Output(0, stream("ab")),
        Output(0, stream("c")),
    ]
    assert fetched == []


def test_a_stream_that_was_sealed_meanwhile_is_told_by_its_new_text_too(
    fetched: list[str],
) -> None:
    looks = ((stream("first se"),), (stream("tail", "a", "b"),), (stream("tail!", "a", "b"),))
    texts = [event.output["text"] for event in told(*looks)]
    assert texts == ["first se", "cond tail", "!"]
    assert fetched == ["a", "b"]


def test_each_sealed_part_is_fetched_once(fetched: list[str]) -> None:
    looks = ((stream("second y", "a"),), (stream("yz", "a", "b"),))
    assert [event.output["text"] for event in told(*looks)] == ["first second y", "z"]
    assert fetched == ["a", "b"]


def test_text_that_is_only_kept_elsewhere_is_no_news(fetched: list[str]) -> None:
    assert len(told((stream("second y", "a"),), (stream("y", "a", "b"),))) == 1
    assert fetched == ["a", "b"]


def test_text_that_was_written_over_is_another_output(fetched: list[str]) -> None:
    assert told((stream("50%"),), (stream("done"),))[1] == DisplayUpdated(0, stream("done"))
    assert fetched == []


def test_fewer_outputs_than_before_were_cleared(fetched: list[str]) -> None:
    before = (stream("a"), stream("b", name="stderr"))
    assert told(before, (stream("c"),))[2:] == [OutputsCleared(), Output(0, stream("c"))]
    assert fetched == []


def test_nothing_is_fetched_for_whoever_takes_references(fetched: list[str]) -> None:
    looks = ((stream("first se"),), (stream("tail", "a", "b"),), (stream("tail!", "a", "b"),))
    assert told(*looks, resolve=False) == [
        Output(0, stream("first se")),
        DisplayUpdated(0, stream("tail", "a", "b")),
        Output(0, stream("!", "a", "b")),
    ]
    assert fetched == []
