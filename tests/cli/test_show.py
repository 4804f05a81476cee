"""How outputs look in a terminal."""

from __future__ import annotations

import base64
from itertools import takewhile
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.cli.show import (
    LINE_CHARACTERS,
    StreamLines,
    Window,
    human_size,
    join_text,
    output_lines,
    safe_line,
    without_escapes,
)
from headway.cli.stream_text import StreamText

TEXTS = st.text(alphabet="ab\n", max_size=6)


def safe_lines(output: dict[str, Any], *, colours: bool) -> list[str]:
    return [safe_line(line, colours=colours) for line in output_lines(output)]


def test_an_image_is_one_line_with_its_size() -> None:
    picture = base64.b64encode(b"x" * 34_210).decode()
    output = {
        "output_type": "display_data",
        "data": {"text/plain": "<Figure>", "image/png": picture},
    }
    assert safe_lines(output, colours=False) == ["[image/png 34 kB]"]


def test_a_value_kept_in_a_blob_is_shown_by_its_media_type_and_size() -> None:
    output = {
        "output_type": "display_data",
        "data": {"image/png": {"blob": "ab" * 32, "size": 1_200_000}},
    }
    assert safe_lines(output, colours=False) == ["[image/png 1.2 MB]"]


def test_a_value_shows_its_plain_text() -> None:
    output = {
        "output_type": "execute_result",
        "data": {"text/html": "<b>x</b>", "text/plain": ["a\n", "b"]},
    }
    assert safe_lines(output, colours=False) == ["a", "b"]


def test_a_value_without_text_is_named() -> None:
    output = {"output_type": "display_data", "data": {"application/json": {"a": 1}}}
    assert safe_lines(output, colours=False) == ["[application/json 8 B]"]


def test_an_error_shows_its_traceback_with_colours_only_where_they_are_wanted() -> None:
    output = {
        "output_type": "error",
        "ename": "E",
        "evalue": "v",
        "traceback": ["\x1b[31mE\x1b[0m", "v"],
    }
    assert safe_lines(output, colours=False) == ["E", "v"]
    assert safe_lines(output, colours=True)[0].startswith("\x1b[31mE")


def test_an_error_without_a_traceback_shows_its_name_and_value() -> None:
    output = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}
    assert safe_lines(output, colours=False) == ["E: v"]
    assert safe_lines(output | {"evalue": ""}, colours=False) == ["E"]
    assert safe_lines(output | {"ename": "", "evalue": "1"}, colours=False) == ["Error: 1"]


def test_an_output_cannot_drive_the_terminal() -> None:
    hostile = "\x1b]0;title\x07a\x1b[2Jb\x07\x1b[31mc\x08"
    (line,) = safe_lines({"output_type": "stream", "text": hostile}, colours=True)
    assert "\x07" not in line
    assert "\x1b[2J" not in line
    assert "\x1b]0" not in line
    assert "\x1b[31m" in line


def test_an_overwritten_line_shows_its_last_state() -> None:
    output = {"output_type": "stream", "text": "10 %\r50 %\r100 %\n"}
    assert safe_lines(output, colours=False) == ["100 %"]


@given(st.text())
def test_without_colours_no_escape_is_left(text: str) -> None:
    for line in safe_lines({"output_type": "stream", "text": text}, colours=False):
        assert "\x1b" not in line
        assert "\r" not in line


@given(st.lists(st.text(alphabet="ab\n", max_size=8)))
def test_each_complete_line_is_given_once_however_the_text_grows(parts: list[str]) -> None:
    text, given_lines = StreamText(), []
    lines = StreamLines(text)
    for part in parts:
        text.grow(part)
        given_lines += lines.complete()
    whole = "".join(parts)
    assert given_lines == whole.split("\n")[:-1]
    assert lines.end() == whole.split("\n")[-1]


@given(st.lists(st.tuples(st.lists(TEXTS, max_size=2), TEXTS)))
def test_a_line_that_changed_is_given_again_with_those_after_it(
    changes: list[tuple[list[str], str]],
) -> None:
    text = StreamText()
    lines = StreamLines(text)
    shown: list[str] = []
    before = ""
    for sealed, rest in changes:
        text.become(sealed, rest)
        whole = text.part(0)
        pairs = zip(before, whole, strict=False)
        same = list(takewhile(lambda pair: pair[0] == pair[1], pairs))
        del shown[same.count(("\n", "\n")) :]
        shown += lines.complete()
        assert shown == whole.split("\n")[:-1]
        assert lines.open_line(2) == whole.split("\n")[-1][:2]
        before = whole


def test_a_text_that_is_another_is_given_again_from_its_start() -> None:
    text = StreamText()
    lines = StreamLines(text)
    text.become(["a\n"], "b\n")
    assert lines.complete() == ["a", "b"]
    text.begin_again("stdout")
    text.become((), "a\nc\n")
    assert lines.complete() == ["a", "c"]


def test_a_window_shows_the_ends_and_counts_the_middle() -> None:
    shown: list[str] = []
    window = Window(shown.append, head=2, tail=1)
    window.add(str(number) for number in range(10))
    window.close()
    assert shown == ["0", "1", "... 7 more lines ...", "9"]


def test_of_a_long_line_a_window_shows_the_beginning() -> None:
    shown: list[str] = []
    window = Window(shown.append, head=2, colours=True)
    window.add(
        ["\x1b[31m" + "x" * (LINE_CHARACTERS - 1) + "yz\x1b[0m", "\x1b[31mred" + "\x1b[0m" * 999]
    )
    assert shown[0] == "x" * (LINE_CHARACTERS - 1) + "y ... 1 more character ..."
    assert shown[1] == "red"
    everything = Window(shown.append, head=None)
    everything.add(["x" * LINE_CHARACTERS * 2])
    assert shown[2] == "x" * LINE_CHARACTERS * 2


def test_a_window_that_hides_nothing_says_nothing() -> None:
    shown: list[str] = []
    window = Window(shown.append, head=2, tail=3)
    window.add("abcde")
    window.close()
    assert shown == list("abcde")


def test_sizes_are_for_people() -> None:
    assert [human_size(size) for size in (0, 999, 1000, 34_210, 1_234_567, 72_800_000_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "34 kB",
        "1.2 MB",
        "73 GB",
    ]


def test_text_may_come_as_a_list_of_lines() -> None:
    assert join_text(["a\n", "b"]) == "a\nb"
    assert without_escapes("\x1b[1mbold\x1b[0m") == "bold"
