"""What modules offer: every `__all__` is there, right and sorted, and the door offers the face."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

import headway
from headway import errors

SOURCE = Path(__file__).resolve().parents[1] / "src"

MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in SOURCE.rglob("*.py")
    if path.name != "__init__.py"
)

FACE = {
    "open",
    "open_async",
    "connect",
    "connect_async",
    "Notebook",
    "AsyncNotebook",
    "Execution",
    "AsyncExecution",
    "ExecutionResult",
    "Cell",
    "HeadwayError",
}


def defined_names(module: types.ModuleType) -> tuple[set[str], set[str]]:
    """A module's public names, and which of them are classes or functions of its own."""
    assert module.__file__ is not None
    names: set[str] = set()
    callables: set[str] = set()
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                callables.add(node.name)
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.ImportFrom(module=str(source), names=aliases):
                if source.startswith("headway."):  # a part of it that is kept in another file
                    names.update(alias.asname or alias.name for alias in aliases)
    callables = {name for name in callables if not name.startswith("_")}
    return names | callables, callables


@pytest.mark.parametrize("name", MODULES)
def test_a_module_offers_what_it_has_and_nothing_else(name: str) -> None:
    module = importlib.import_module(name)
    offered = list(module.__all__)
    own, callables = defined_names(module)
    assert len(offered) == len(set(offered)), "offered twice"
    assert set(offered) - own == set(), "offered and made elsewhere"
    assert callables - set(offered) == set(), "public and not offered"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is(name: str) -> None:
    assert importlib.import_module(name).__doc__


def test_the_door_offers_the_face() -> None:
    assert set(headway.__all__) >= FACE


def test_the_door_offers_what_its_readers_see_and_nothing_else() -> None:
    assert headway.__file__ is not None
    tree = ast.parse(Path(headway.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.asname or alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(headway.__all__) == set(seen)
    assert seen == headway._HOMES, "what type checkers see is what programs get"


def test_every_error_can_be_caught_by_its_name_at_the_door() -> None:
    assert set(errors.__all__) <= set(headway.__all__)
    assert all(getattr(headway, name) is getattr(errors, name) for name in errors.__all__)


def test_the_door_is_light() -> None:
    program = "import sys, headway; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "headway" in loaded
    assert not {"loro", "asyncio", "websockets", "msgspec", "headway.client"} & set(loaded)


def test_the_door_shows_what_it_offers_and_nothing_of_how() -> None:
    assert dir(headway) == sorted(headway.__all__)


def test_the_door_says_what_it_does_not_have() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        headway.nosuch  # type: ignore[attr-defined]  # noqa: B018 - to look is the test


@pytest.mark.parametrize("name", sorted(headway.__all__))
def test_what_the_door_offers_is_documented_where_it_comes_from(name: str) -> None:
    offered = getattr(headway, name)
    home = getattr(offered, "__module__", None)
    if isinstance(home, str) and home.startswith("headway."):
        assert name in importlib.import_module(home).__all__
        assert offered.__doc__
