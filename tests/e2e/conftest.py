"""The daemon that the scenarios of one file share; each scenario has notebooks of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from headway_daemon import HeadwayDaemon, headway_daemon

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def daemon() -> Iterator[HeadwayDaemon]:
    with headway_daemon() as running:
        yield running


@pytest.fixture
def name() -> str:
    """A notebook name that no other scenario has."""
    return f"notebook-{next(_numbers)}"
