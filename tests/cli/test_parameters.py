"""The command line's parameters, by papermill's rules."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.cli.parameters import (
    Parameter,
    Place,
    find_place,
    injected_source,
    read_object,
    read_pair,
    read_raw_pair,
    read_value,
)
from headway.errors import BadRequest

LEVELS = 900 if sys.version_info < (3, 12) else 2_000
DEEP = '{"a": ' + "[" * LEVELS + "]" * LEVELS + "}"
"""So deep that JSON can be read, and what is in it not be written. Since 3.12 calls in C, as those
that read it, are not counted with those in Python, which write it."""
DEEPER = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-20", -20),
        ("1_000", 1000),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("True", True),
        ("False", False),
        ("None", None),
        ("true", "true"),
        ("", ""),
        ("1.2.3", "1.2.3"),
        ("2024-02-29", "2024-02-29"),
    ],
)
def test_a_value_is_read_as_papermill_reads_it(text: str, value: object) -> None:
    read = read_value(text)
    assert read == value
    assert type(read) is type(value)


def test_nan_and_infinity_are_floats() -> None:
    nan = read_value("nan")
    assert isinstance(nan, float)
    assert math.isnan(nan)
    assert read_value("-inf") == -math.inf


def test_a_name_that_python_would_refuse_is_refused() -> None:
    with pytest.raises(BadRequest, match="2fast"):
        read_pair(("2fast", "1"))


VALUES = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.none(), st.text(st.characters(codec="utf-8"))
)


@given(st.dictionaries(st.sampled_from(["alpha", "beta", "gamma"]), VALUES))
def test_the_injected_source_defines_exactly_the_values_given(
    values: dict[str, int | float | bool | str | None],
) -> None:
    namespace: dict[str, object] = {}
    source = injected_source(Parameter(name, value) for name, value in values.items())
    exec(source, {"__builtins__": {"float": float}}, namespace)
    assert repr(namespace) == repr(values)


def test_a_name_given_twice_has_its_last_value() -> None:
    source = injected_source([Parameter("x", 1), Parameter("y", "it's"), Parameter("x", 2)])
    assert source == '# Parameters\nx = 2\ny = "it\'s"'


def test_the_cell_injected_before_is_replaced() -> None:
    cells = [
        ("a", {}),
        ("b", {"tags": ["parameters"]}),
        ("c", {"tags": ["other", "injected-parameters"]}),
    ]
    assert find_place(cells) == Place(replace="c", after="b")


def test_the_new_cell_goes_after_the_first_cell_tagged_parameters() -> None:
    cells = [("a", {}), ("b", {"tags": ["parameters"]}), ("c", {"tags": ["parameters"]})]
    assert find_place(cells) == Place(replace=None, after="b")


def test_without_a_tagged_cell_it_goes_to_the_top() -> None:
    assert find_place([("a", {"tags": "parameters"}), ("b", {})]) == Place(None, None)


def test_a_raw_value_is_text_whatever_it_looks_like() -> None:
    assert read_raw_pair(("zip", "01234")) == Parameter("zip", "01234")
    with pytest.raises(BadRequest):
        read_raw_pair(("no name", "1"))


def test_an_object_brings_lists_and_objects_as_python() -> None:
    text = '{"years": [2023, 2024], "places": {"here": true, "\'there\'": null}, "big": 1e999}'
    names: dict[str, object] = {}
    exec(injected_source(read_object(text, "-y")), names)
    assert names["years"] == [2023, 2024]
    assert names["places"] == {"here": True, "'there'": None}
    assert names["big"] == float("inf")


@pytest.mark.parametrize("name", ["class", "None", "__debug__", "1x", ""])
def test_a_name_that_cannot_be_assigned_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="must be a Python name"):
        read_pair((name, "1"))


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"no name": 1}', '{"class": 1}', DEEP, DEEPER])
def test_what_is_no_object_of_parameters_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_object(text, "-y")
