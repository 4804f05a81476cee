from __future__ import annotations

from typing import Any

import pytest

from headway.core.document.prompts import (
    END_OF_INPUT,
    MAX_PROMPT_CHARACTERS,
    Prompt,
    echo,
    prompt_form,
    read_prompt,
)


@pytest.mark.parametrize("password", [True, False])
def test_a_prompt_is_read_as_it_was_written(password: bool) -> None:
    prompt = Prompt.of("p1", "Name? \U0001f600", password=password)
    assert read_prompt(prompt_form(prompt)) == prompt


@pytest.mark.parametrize(
    "value", [None, "x", 1, [], {}, {"id": "p"}, {"text": "x"}, {"id": 1, "text": "x"}]
)
def test_what_has_not_its_form_is_no_prompt(value: Any) -> None:
    assert read_prompt(value) is None


@pytest.mark.parametrize("password", [None, 1, "yes", False])
def test_only_true_makes_a_password(password: Any) -> None:
    assert read_prompt({"id": "p", "text": "", "password": password}) == Prompt("p", "")


@pytest.mark.parametrize("length", [0, MAX_PROMPT_CHARACTERS, MAX_PROMPT_CHARACTERS + 1, 10**6])
def test_a_long_text_is_cut_where_one_sees_it(length: int) -> None:
    text = Prompt.of("p", "x" * length, password=False).text
    assert len(text) == min(length, MAX_PROMPT_CHARACTERS)
    assert text.endswith("\u2026") == (length > MAX_PROMPT_CHARACTERS)


@pytest.mark.parametrize("value", ["", "a", "hunter2", END_OF_INPUT, "x" * 1_000])
def test_the_echo_of_a_password_says_nothing_of_it(value: str) -> None:
    assert echo(Prompt("p", "Key: ", password=True), value) == "Key: ········\n"


def test_the_echo_of_a_line_is_what_a_terminal_shows() -> None:
    prompt = Prompt("p", "Name? ")
    assert echo(prompt, "Ada") == "Name? Ada\n"
    assert echo(prompt, "") == "Name? \n"
    assert echo(prompt, END_OF_INPUT) == "Name? ^D\n"
