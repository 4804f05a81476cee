"""Every scenario that must hold is told in this folder, and none of them waits by time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent

REQUIRED = [
    *(f"S{number}" for number in range(1, 16)),
    *(f"S{number}" for number in range(20, 31)),
    "S40",
    "S41",
    *(f"S{number}" for number in range(43, 50)),
    "S52",
    "S53",
    "S54",
    *(f"S{number}" for number in range(60, 66)),
]

_NAMED = re.compile(r"\bS\d+\b")


def scenarios_in(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def told() -> dict[str, list[str]]:
    """Scenario id -> the tests whose docstrings name it."""
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        for test in scenarios_in(path):
            for scenario in _NAMED.findall(ast.get_docstring(test) or ""):
                found.setdefault(scenario, []).append(f"{path.name}::{test.name}")
    return found


@pytest.mark.parametrize("scenario", REQUIRED)
def test_a_required_scenario_is_told_by_a_test(scenario: str) -> None:
    assert told().get(scenario)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("test_*.py")), ids=lambda path: path.name)
def test_no_scenario_waits_by_time(path: Path) -> None:
    called = [
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    assert "sleep" not in called
