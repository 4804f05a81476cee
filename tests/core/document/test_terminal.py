from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.terminal import MAX_LINE_CHARACTERS, TerminalText

Columns = list[tuple[str, tuple[str, ...]]]

PIECES = [
    "a",
    "bc",
    "def",
    "é",
    "漢",
    "\n",
    "\r",
    "\r\n",
    "\b",
    "\x1b[31m",
    "\x1b[1;32m",
    "\x1b[0m",
    "\x1b[m",
    "\x1b[39m",
    "\x1b[38;5;9m",
    "\x1b[K",
    "\x1b[1K",
    "\x1b[2K",
    " ",
]
ODD = ["\x1b", "[", "\x1b[", "3", "m", "\x1b]8;;u\x1b\\", "\x1b]0;t\x07", "\x1b[A", "K", "]"]

written = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
odd = st.lists(st.sampled_from(PIECES + ODD), max_size=60).map("".join)


class Model:
    """A terminal of one growing page, written for simplicity: a step a token, colours as a set."""

    def __init__(self) -> None:
        self.lines: list[Columns] = [[]]
        self.cursor = 0
        self.colours: dict[str, str] = {}

    def run(self, text: str) -> list[Columns]:
        for token in re.findall(r"\x1b\[[0-9;]*[mK]|(?s:.)", text):
            line = self.lines[-1]
            if token == "\n":
                self.lines.append([])
                self.cursor = 0
            elif token == "\r":
                self.cursor = 0
            elif token == "\b":
                self.cursor = max(0, self.cursor - 1)
            elif token.endswith("m") and token[0] == "\x1b":
                self.colour(token[2:-1])
            elif token.endswith("K") and token[0] == "\x1b":
                self.erase(line, token[2:-1])
            else:
                line[self.cursor : self.cursor + 1] = [
                    (token, tuple(sorted(self.colours.values())))
                ]
                self.cursor += 1
        return self.lines

    def colour(self, parameters: str) -> None:
        if parameters in {"", "0"}:
            self.colours.clear()
        elif parameters == "39":
            self.colours.pop("c", None)
        else:
            codes = re.findall("38;5;9|[0-9]+", parameters)
            for code in codes:
                if code == "0":
                    self.colours.clear()
                else:
                    self.colours["b" if code == "1" else "c"] = code

    def erase(self, line: Columns, which: str) -> None:
        if which == "1":
            for column in range(min(self.cursor + 1, len(line))):
                line[column] = (" ", ())
            return
        del line[self.cursor :]
        if which == "2":
            line[:] = [(" ", ())] * self.cursor


def shown(*pieces: str) -> str:
    terminal = TerminalText()
    return "".join([terminal.feed(piece) for piece in pieces]) + terminal.line


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    return [text[i:j] for i, j in zip([0, *places], [*places, len(text)], strict=True)]


@given(written)
def test_the_text_looks_as_a_terminal_would_show_it(text: str) -> None:
    result = shown(text)
    assert "\r" not in result
    assert "\b" not in result
    assert Model().run(result) == Model().run(text)


@given(odd, st.lists(st.integers(0, 1000), max_size=8))
def test_how_the_text_is_cut_into_pieces_makes_no_difference(text: str, cuts: list[int]) -> None:
    assert shown(*pieces_of(text, cuts)) == shown(text)


@given(st.integers(1, 4), odd, st.lists(st.integers(0, 200_000), max_size=8), st.booleans())
def test_nor_does_it_for_lines_longer_than_the_limit(
    times: int, text: str, cuts: list[int], first: bool
) -> None:
    long = "0123456789" * (MAX_LINE_CHARACTERS // 10 + 7) * times
    whole = long + text + long if first else text + long
    assert shown(*pieces_of(whole, cuts)) == shown(whole)


@given(st.text(st.characters(exclude_characters="\r\b\x1b", exclude_categories=["Cs"])))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


def test_coloured_text_that_nothing_is_written_over_stays_as_it_is() -> None:
    text = "\x1b[0;31mred\x1b[0m\n\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x1b[A\x1b[?25l\n\x1b[1m"
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("10%\r20%\r100%\n", "100%\n"),
        ("long line\rshort", "shortline"),
        ("long line\r\x1b[Kshort", "short"),
        ("long line\x1b[2K\rshort", "short    "),
        ("abc\b\bX", "aXc"),
        ("abc\b", "abc"),
        ("abc\r", "abc"),
        ("abc\r\nx", "abc\nx"),
        ("\rabc", "abc"),
        ("a\n\b\b\rb", "a\nb"),
        ("\x1b[31mred\x1b[0m\rX", "X\x1b[31med\x1b[0m"),
        ("\x1b[31mone\ntwo\x1b[0m\rX", "\x1b[31mone\n\x1b[0mX\x1b[31mwo\x1b[0m"),
    ],
)
def test_known_cases(text: str, result: str) -> None:
    assert shown(text) == result


def test_a_long_line_is_finished_in_pieces() -> None:
    terminal = TerminalText()
    finished = terminal.feed("x" * (3 * MAX_LINE_CHARACTERS + 5))
    assert len(finished) == 3 * MAX_LINE_CHARACTERS
    assert terminal.line == "xxxxx"


def test_endless_sequences_without_a_column_do_not_grow_the_open_line() -> None:
    terminal = TerminalText()
    finished = terminal.feed("a\rb" + "\x1b[A" * 50_000)
    assert len(terminal.line) <= MAX_LINE_CHARACTERS
    assert len(finished) + len(terminal.line) == 1 + 3 * 50_000


def test_a_thousand_steps_of_a_progress_bar_take_no_time() -> None:
    steps = "".join(f"\r{i / 10:5.1f}%|{'█' * (i // 20):<50}| {i}/1000" for i in range(1001))
    started = perf_counter()
    terminal = TerminalText()
    assert terminal.feed(steps) == ""
    assert perf_counter() - started < 0.5
    assert terminal.line == f"100.0%|{'█' * 50}| 1000/1000"
