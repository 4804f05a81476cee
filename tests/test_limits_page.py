"""The page of limits says what the code does."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "limits.md"
ROW = re.compile(r"^\| [^|]+ \| ([\d.,]+)(?: (\w+))? \| `([\w.]+)\.(\w+)` \|$", re.MULTILINE)
UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "s": 1, "h": 3600, "days": 86_400}

ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))


def test_every_row_of_the_page_is_compared() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(ROWS) == sum(line.startswith("| ") and "`" in line for line in lines)
    assert len(ROWS) > 30


@pytest.mark.parametrize(("number", "unit", "module", "name"), ROWS)
def test_a_limit_on_the_page_is_the_one_in_the_code(
    number: str, unit: str, module: str, name: str
) -> None:
    stated = float(number.replace(",", "")) * UNITS[unit]
    if name.endswith("_MS"):
        stated *= 1000
    assert getattr(importlib.import_module(module), name) == pytest.approx(stated)
