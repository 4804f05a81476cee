from __future__ import annotations

import asyncio

import pytest

import headway


def test_a_forgotten_await_is_told() -> None:
    opening = headway.open_async("a")
    with pytest.raises(AttributeError, match=r"'cells'.*awaited.*entered"):
        opening.cells  # type: ignore[attr-defined]  # noqa: B018 - to look is the test
    with pytest.raises(AttributeError, match=r"'run'.*awaited"):
        opening.run("1")  # type: ignore[attr-defined]


def test_what_asks_whether_it_can_be_awaited_or_entered_is_told_the_truth() -> None:
    opening = headway.open_async("a")
    assert hasattr(opening, "__await__")
    assert not hasattr(opening, "__enter__")
    assert not hasattr(opening, "_ipython_display_")
    assert not asyncio.iscoroutine(opening)
