from __future__ import annotations

import os
from pathlib import Path

import pytest

from headway.edges.private_file import open_to_append


def append(path: Path, content: bytes) -> None:
    with os.fdopen(open_to_append(path), "wb") as file:
        file.write(content)


@pytest.mark.parametrize("mode", [None, 0o600, 0o644, 0o666])
def test_only_its_owner_reads_it_whoever_made_it(tmp_path: Path, mode: int | None) -> None:
    path = tmp_path / "file"
    if mode is not None:
        path.write_bytes(b"one")
        path.chmod(mode)
    before = os.umask(0)
    try:
        append(path, b"two")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == (b"two" if mode is None else b"onetwo")


def test_what_is_no_ordinary_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    path.chmod(0o644)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    append(path, b"x")
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    assert path.stat().st_mode & 0o777 == 0o644
