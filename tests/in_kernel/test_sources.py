"""What is sent to an ipykernel must run there: with an older Python, and without us."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from headway import in_kernel

SOURCES = sorted(Path(in_kernel.__path__[0]).glob("[!_]*.py"))
OLDEST_PYTHON = (3, 9)
OF_THE_KERNEL = {"IPython", "jupyter_client", "zmq"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_it_is_understood_by_an_older_python(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=OLDEST_PYTHON)
    names = {
        alias.name
        for each in ast.walk(tree)
        if isinstance(each, ast.ImportFrom) and each.module == "__future__"
        for alias in each.names
    }
    assert "annotations" in names, "its annotations are of this Python, and must stay text"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_it_imports_nothing_that_is_not_there(path: Path) -> None:
    imported: set[str] = set()
    for each in ast.walk(ast.parse(path.read_text())):
        if isinstance(each, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in each.names}
        elif isinstance(each, ast.ImportFrom):
            assert each.level == 0
            imported.add((each.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names | OF_THE_KERNEL
