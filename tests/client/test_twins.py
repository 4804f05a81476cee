from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from headway.client import aio, executions, sync, sync_execution

PAIRS = [
    (aio.AsyncNotebook, sync.Notebook),
    (executions.AsyncExecution, sync_execution.Execution),
]


def waiting_methods(kind: type) -> dict[str, Callable[..., Any]]:
    found = {}
    for name, member in inspect.getmembers(kind):
        is_async = inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
        if is_async and not name.startswith("_"):
            found[name] = member
    return found


def public_names(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("original", "twin"), PAIRS)
def test_each_waiting_method_has_its_twin_with_the_same_parameters_and_words(
    original: type, twin: type
) -> None:
    methods = waiting_methods(original)
    assert methods
    for name, method in methods.items():
        other = getattr(twin, name)
        assert not inspect.iscoroutinefunction(other), name
        ours = inspect.signature(method, eval_str=True).parameters
        theirs = inspect.signature(other, eval_str=True).parameters
        assert list(ours) == list(theirs), name
        for each in ours:
            assert ours[each].kind == theirs[each].kind, (name, each)
            assert ours[each].default == theirs[each].default, (name, each)
            assert ours[each].annotation == theirs[each].annotation, (name, each)
        assert inspect.getdoc(method) == inspect.getdoc(other), name


def test_the_two_notebooks_have_the_same_public_names() -> None:
    assert public_names(aio.AsyncNotebook) == public_names(sync.Notebook)


def test_the_two_ways_in_take_the_same_arguments() -> None:
    for original, twin in ((aio.open_async, sync.open), (aio.connect_async, sync.connect)):
        ours, theirs = inspect.signature(original), inspect.signature(twin)
        assert ours.parameters == theirs.parameters
        assert inspect.getdoc(original) == inspect.getdoc(twin)
