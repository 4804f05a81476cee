"""What commands print is lines, and nothing drives the terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.cli.terminal import complain, plain, say_json, short_path, table


@given(st.text())
def test_plain_text_is_one_line_without_control_characters(text: str) -> None:
    shown = plain(text)
    assert shown.splitlines() in ([], [shown])
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in shown)


def test_emoji_families_stay_whole_and_reversed_text_is_shown_as_such() -> None:
    assert plain("👩‍👩‍👧‍👦") == "👩‍👩‍👧‍👦"
    assert plain("gpj\u202etxt") == "gpj�txt"


def test_a_table_has_columns_as_wide_as_their_widest_entry() -> None:
    assert table(("A", "LONG"), [("xxx", "y"), ("", "z\nz")]) == ["A    LONG", "xxx  y", "     z z"]


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"a": "ü\n"})
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert json.loads(said) == {"a": "ü\n"}


def test_a_complaint_is_one_line_with_the_programs_name(capsys: pytest.CaptureFixture[str]) -> None:
    complain("First\nsecond")
    assert capsys.readouterr().err == "headway: First second\n"


def test_a_path_below_the_current_folder_is_shown_from_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)
    assert short_path(str(folder / "a" / "b.ipynb")) == "a/b.ipynb"
    assert short_path("/far/b.ipynb") == "/far/b.ipynb"
    assert short_path(None) == "(untitled)"
