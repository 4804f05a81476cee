"""Parameters of a run, by papermill's rules: how a value is read, and where it goes.

Floor 6, pure: it knows tags and source text, and nothing of daemons. The rules are papermill's
(its "Parameterize" page): a new cell tagged `injected-parameters` goes after the first cell tagged
`parameters`, or to the top; on a rerun the cell that was injected before is replaced.
"""

from __future__ import annotations

import json
import keyword
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from headway.errors import BadRequest

__all__ = [
    "INJECTED_TAG",
    "PARAMETERS_TAG",
    "Parameter",
    "Place",
    "Value",
    "find_place",
    "injected_source",
    "read_object",
    "read_pair",
    "read_raw_pair",
    "read_value",
]

PARAMETERS_TAG = "parameters"
INJECTED_TAG = "injected-parameters"

Value = int | float | bool | str | None | list[Any] | dict[str, Any]
"""What a parameter can be: lists and objects come from JSON only."""

_NO_VARIABLE = "__debug__"
"""A name that Python lets nobody assign."""

_WORDS: Mapping[str, Value] = {"True": True, "False": False, "None": None}


class Parameter(NamedTuple):
    """One `-p NAME VALUE`."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parameters go: into `replace` if it is there, else after `after`, else on top."""

    replace: str | None
    after: str | None


def read_value(text: str) -> Value:
    """A value as papermill reads it: True, False, None, an int, a float, else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_pair(words: Sequence[str]) -> Parameter:
    """A parameter from its two words. Raises BadRequest when the first is no Python name."""
    name, text = words
    if not name.isidentifier() or keyword.iskeyword(name) or name == _NO_VARIABLE:
        raise BadRequest(f"A parameter's name must be a Python name, and {name!r} is none.")
    return Parameter(name, read_value(text))


def read_raw_pair(words: Sequence[str]) -> Parameter:
    """A parameter from its two words, the value as text whatever it looks like."""
    name, text = words
    return Parameter(read_pair((name, "")).name, text)


def read_object(text: str, place: str) -> list[Parameter]:
    """The parameters in a JSON object; `place` says where it is. Raises BadRequest."""
    try:
        found = json.loads(text)
        _as_python(found)  # what is nested too deeply is found out now
    except ValueError as error:
        raise BadRequest(f"The parameters in {place} are not JSON: {error}.") from error
    except RecursionError as error:
        raise BadRequest(f"The parameters in {place} are nested too deeply.") from error
    if not isinstance(found, dict):
        raise BadRequest(f"The parameters in {place} are no JSON object.")
    return [Parameter(read_pair((name, "")).name, value) for name, value in found.items()]


def injected_source(parameters: Iterable[Parameter]) -> str:
    """The Python source of the injected cell; a name given twice has its last value."""
    values = {parameter.name: parameter.value for parameter in parameters}
    lines = [f"{name} = {_as_python(value)}" for name, value in values.items()]
    return "\n".join(["# Parameters", *lines])


def find_place(cells: Iterable[tuple[str, Mapping[str, Any]]]) -> Place:
    """Where the injected cell belongs, given each cell's id and metadata in order."""
    replace: str | None = None
    after: str | None = None
    for cell_id, metadata in cells:
        tags = metadata.get("tags")
        if not isinstance(tags, list):
            continue
        if replace is None and INJECTED_TAG in tags:
            replace = cell_id
        if after is None and PARAMETERS_TAG in tags:
            after = cell_id
    return Place(replace, after)


def _as_python(value: Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_as_python, value))}]"
    if isinstance(value, dict):
        inner = (f"{_quoted(name)}: {_as_python(each)}" for name, each in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, str):
        return _quoted(value)
    return repr(value)


def _quoted(text: str) -> str:
    """A string in double quotes, as formatters write them."""
    inner = repr("'" + text)[2:-1]
    return f'"{inner}"' if '"' not in text else repr(text)
