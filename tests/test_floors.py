"""The floors of the house: who may import whom, and what the core may not touch.

Read from the source by its syntax tree; nothing is imported. The rules are those of
ARCHITECTURE.md; each has a test that it catches a planted breach.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"

# The longest prefix counts. Modules of one group may import each other; groups of one floor
# may not, except on floor 0.
FLOORS = {
    "headway.ids": 0,
    "headway.errors": 0,
    "headway.moments": 0,
    "headway.in_kernel": -1,  # runs elsewhere, and knows nothing of us
    "headway.core.document": 1,
    "headway.core.wire": 1,
    "headway.core.kernel": 1,
    "headway.core.sync": 2,
    "headway.core.room": 3,
    "headway.core.session": 3,
    "headway.edges": 4,
    "headway.client": 5,
    "headway.daemon": 5,
    "headway.cli": 6,
    "headway.mcp": 6,
    "headway.web": 6,
    "headway.__main__": 7,
    "headway": 7,  # the door
}
CORE_FLOORS = range(4)

ENGINE_IMPORTERS = {"headway.core.document.crdt"}
LIBRARIES_OF_THE_CORE = {
    "loro": ENGINE_IMPORTERS,
    "nbformat": {"headway.core.document.upgrade"},
    "msgspec": None,  # anywhere
    "packaging": {"headway.core.document.dependencies"},
}
LOCK_KEEPERS = {"headway.core.document.gate"}

# Of the standard library, what neither waits, nor looks at the world, nor changes it.
PURE = frozenset(
    [
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "codecs",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "inspect",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "struct",
        "tomllib",
        "types",
        "typing",
        "unicodedata",
    ]
)
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "breakpoint"})

SERVE = "headway.cli.serve"


@dataclass(frozen=True)
class Module:
    """A module: its dotted name and its source."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def imports(self) -> Iterator[str]:
        """The dotted names it imports, wherever in it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name} imports relatively"
                assert node.module is not None
                # `from headway.cli import run` names a module; `from x import Y` a member.
                yield from (
                    f"{node.module}.{alias.name}"
                    if f"{node.module}.{alias.name}" in MODULES
                    else node.module
                    for alias in node.names
                )


def _modules() -> dict[str, Module]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path.read_text(encoding="utf-8"))
    return found


MODULES: dict[str, Module] = {}
MODULES.update(_modules())


def group_of(name: str) -> str:
    """The group of the house that a module belongs to."""
    fitting = [prefix for prefix in FLOORS if f"{name}.".startswith(f"{prefix}.")]
    return max(fitting, key=len)


def is_core(name: str) -> bool:
    return FLOORS[group_of(name)] in CORE_FLOORS


def floor_breaches(module: Module) -> list[str]:
    """Imports that point up or aside."""
    if module.name == "headway.core":
        return [f"{module.name} imports {name}" for name in module.imports if "headway" in name]
    here = group_of(module.name)
    breaches = []
    for imported in module.imports:
        if not f"{imported}.".startswith("headway."):
            continue
        there = group_of(imported)
        is_aside = there != here and FLOORS[there] == FLOORS[here] != 0
        is_serving = (here, there) == ("headway.cli", "headway.daemon") and module.name != SERVE
        if FLOORS[there] > FLOORS[here] or is_aside or is_serving:
            breaches.append(f"{module.name} imports {imported}")
    return breaches


def impurities(module: Module) -> list[str]:
    """What a module of the core does that the core must not do."""
    found = []
    for imported in module.imports:
        library = imported.partition(".")[0]
        if library == "headway" or library in PURE:
            continue
        if library in LIBRARIES_OF_THE_CORE:
            importers = LIBRARIES_OF_THE_CORE[library]
            if importers is None or module.name in importers:
                continue
        elif library == "threading" and module.name in LOCK_KEEPERS:
            continue
        found.append(f"{module.name} imports {imported}")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append(f"{module.name}:{node.lineno} is asynchronous")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in IMPURE_CALLS
        ):
            found.append(f"{module.name}:{node.lineno} calls {node.func.id}")
    return found


def lock_uses(module: Module) -> list[str]:
    """What a lock keeper takes from threading besides its lock."""
    return [
        f"{module.name} uses threading.{node.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "threading"
        and node.attr != "RLock"
    ]


def test_there_is_a_house() -> None:
    assert len(MODULES) > 50
    assert {group_of(name) for name in MODULES} >= set(FLOORS) - {
        "headway.mcp",
        "headway.web",
    }


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_only_point_down(name: str) -> None:
    assert floor_breaches(MODULES[name]) == []


@pytest.mark.parametrize("name", sorted(name for name in MODULES if is_core(name)))
def test_the_core_neither_waits_nor_looks_at_the_world(name: str) -> None:
    assert impurities(MODULES[name]) == []


def test_nobody_outside_the_core_imports_the_engine_either() -> None:
    importers = {
        module.name
        for module in MODULES.values()
        if any(name.partition(".")[0] == "loro" for name in module.imports)
    }
    assert importers == ENGINE_IMPORTERS


def test_the_core_has_threading_for_the_lock_of_a_replica_alone() -> None:
    for keeper in LOCK_KEEPERS:
        assert lock_uses(MODULES[keeper]) == []


def test_every_pure_library_is_of_the_standard_library() -> None:
    assert set(sys.stdlib_module_names) >= PURE


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("headway.core.document.x", "from headway.core.wire.messages import Update"),
        ("headway.core.document.x", "import headway.core.sync.confirm"),
        ("headway.core.room.x", "from headway.core.session.session import Session"),
        ("headway.core.sync.x", "from headway.core.room.room import Room"),
        ("headway.edges.x", "from headway.client.aio import open_async"),
        ("headway.client.x", "def f():\n    from headway.daemon.main import main"),
        ("headway.daemon.x", "from headway.client import discovery"),
        ("headway.cli.x", "from headway.daemon import main"),
        ("headway.cli.x", "import headway"),
        ("headway.mcp.x", "from headway.cli.main import main"),
        ("headway.ids", "from headway.core.document.crdt import Version"),
    ],
)
def test_a_planted_import_up_or_aside_is_caught(name: str, text: str) -> None:
    assert floor_breaches(Module(name, text)) != []


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio",
        "import time",
        "import random",
        "import os",
        "import logging",
        "import socket",
        "import threading",
        "import secrets",
        "from datetime import datetime",
        "from pathlib import Path",
        "import loro",
        "from nbformat import read",
        "async def f(): ...",
        "def f():\n    return open('x')",
        "print('x')",
    ],
)
def test_a_planted_impurity_of_the_core_is_caught(text: str) -> None:
    assert impurities(Module("headway.core.room.x", text)) != []


def test_a_planted_thread_in_the_gate_is_caught() -> None:
    planted = "import threading\nthreading.Thread()"
    assert lock_uses(Module("headway.core.document.gate", planted)) != []
