"""What an Output widget shows of what it caught."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.document import captured as captured_module
from headway.core.document.captured import CapturedOutputs


def display(text: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def test_neighbouring_pieces_of_a_stream_are_one_output_as_a_terminal_shows_it() -> None:
    caught = CapturedOutputs()
    for text in ("one\n", "10%", "\r100", "%\n"):
        caught.stream("stdout", text)
        caught.outputs()
    caught.stream("stderr", "other")
    caught.stream("stdout", "last")
    assert caught.outputs() == [stream("one\n100%\n"), stream("other", "stderr"), stream("last")]


def test_what_is_there_goes_on() -> None:
    caught = CapturedOutputs([stream("first ")])
    caught.stream("stdout", "and then")
    assert caught.outputs() == [stream("first and then")]


def test_outputs_that_were_given_away_do_not_change() -> None:
    caught = CapturedOutputs()
    caught.stream("stdout", "a")
    given = caught.outputs()
    caught.stream("stdout", "b")
    assert given == [stream("a")]


def test_a_display_is_updated_wherever_it_is_shown() -> None:
    caught = CapturedOutputs()
    caught.show(display("a"), "d")
    caught.stream("stdout", "text")
    caught.show(display("a"), "d")
    assert caught.update_display("d", {"text/plain": "b"}, {"m": 1})
    assert not caught.update_display("unknown", {}, {})
    assert [each.get("data") for each in caught.outputs()] == [
        {"text/plain": "b"},
        None,
        {"text/plain": "b"},
    ]


def test_clearing_may_wait_for_the_next_output() -> None:
    caught = CapturedOutputs([stream("a")])
    caught.clear(wait=True)
    assert caught.outputs() == [stream("a")]
    caught.show(display("b"))
    assert caught.outputs() == [display("b")]
    caught.clear(wait=False)
    assert caught.outputs() == []


def test_what_finds_no_room_is_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured_module, "MAX_CAPTURED_BYTES", 100)
    caught = CapturedOutputs()
    caught.stream("stdout", "x" * 90)
    caught.stream("stdout", "y" * 20)
    caught.stream("stdout", "z")
    *shown, marker = caught.outputs()
    assert shown == [stream("x" * 90)]
    assert "left out 21 bytes" in marker["text"]
    caught.clear(wait=False)
    caught.stream("stdout", "room again")
    assert caught.outputs() == [stream("room again")]
