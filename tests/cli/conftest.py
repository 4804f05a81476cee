from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import Shell, new_home


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Path]:
    """One home, with one daemon, for the tests that leave it running."""
    with new_home() as home:
        yield home


@pytest.fixture
def shell(shared_home: Path, tmp_path: Path) -> Shell:
    return Shell(shared_home, tmp_path)


@pytest.fixture
def lonely_shell(tmp_path: Path) -> Iterator[Shell]:
    """In a home of its own, where no daemon runs yet."""
    with new_home() as home:
        yield Shell(home, tmp_path)
