"""What every blob store promises, in memory and on a disk; and what only a disk can break."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest

from headway.edges.blobs import FileBlobs, is_blob_id, read_blob
from headway.edges.memory import MemoryBlobs
from headway.edges.ports import Blobs
from headway.errors import StoreError, StoreFailed

T = TypeVar("T")
DATA = b"\x89PNG and so on"


def sha_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def run(scenario: Coroutine[None, None, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await scenario

    return asyncio.run(bounded())


def file_of(root: Path, data: bytes) -> Path:
    return root / sha_of(data)[:2] / sha_of(data)[2:]


@pytest.fixture(params=["memory", "files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return MemoryBlobs() if request.param == "memory" else FileBlobs(tmp_path / "blobs")


@pytest.mark.parametrize("data", [DATA, b"", b"x" * 3_000_000], ids=["small", "empty", "large"])
def test_what_is_put_is_got_with_its_size(blobs: Blobs, data: bytes) -> None:
    async def scenario() -> None:
        await blobs.put(sha_of(data), data)
        await blobs.put(sha_of(data), data)
        assert await blobs.get(sha_of(data)) == data
        assert await blobs.size(sha_of(data)) == len(data)

    run(scenario())


def test_an_unknown_blob_is_none(blobs: Blobs) -> None:
    assert run(blobs.get(sha_of(DATA))) is None
    assert run(blobs.size(sha_of(DATA))) is None


@pytest.mark.parametrize(
    "name",
    ["", "ab", "../../../etc/passwd", "A" * 64, "é" * 64, "0" * 63, "0" * 65, "0" * 63 + "\n"],
)
def test_a_name_that_is_no_hash_finds_nothing_and_stores_nothing(blobs: Blobs, name: str) -> None:
    assert not is_blob_id(name)
    assert run(blobs.get(name)) is None
    assert run(blobs.size(name)) is None
    with pytest.raises(StoreError):
        run(blobs.put(name, DATA))


def test_bytes_are_refused_under_a_hash_that_is_not_theirs(blobs: Blobs) -> None:
    with pytest.raises(StoreError):
        run(blobs.put(sha_of(b"other"), DATA))
    assert run(blobs.get(sha_of(b"other"))) is None


def test_many_at_once_are_all_stored(blobs: Blobs) -> None:
    async def scenario() -> None:
        pieces = [b"%d" % (number % 40) for number in range(120)]
        await asyncio.gather(*[blobs.put(sha_of(piece), piece) for piece in pieces])
        assert [await blobs.get(sha_of(piece)) for piece in pieces] == pieces

    run(scenario())


def test_a_damaged_blob_is_none_until_it_is_put_again(tmp_path: Path) -> None:
    files, memory = FileBlobs(tmp_path / "blobs"), MemoryBlobs()
    for each in (files, memory):
        run(each.put(sha_of(DATA), DATA))
    damaged = DATA[:-1] + b"?"
    file_of(tmp_path / "blobs", DATA).write_bytes(damaged)
    memory.contents[sha_of(DATA)] = damaged
    for each in (files, memory):
        assert run(each.get(sha_of(DATA))) is None
        run(each.put(sha_of(DATA), DATA))
        assert run(each.get(sha_of(DATA))) == DATA


def test_somebody_else_reads_what_is_whole_and_not_too_long(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    assert read_blob(root, sha_of(DATA), len(DATA)) is None
    run(FileBlobs(root).put(sha_of(DATA), DATA))
    assert read_blob(root, sha_of(DATA), len(DATA)) == DATA
    assert read_blob(root, sha_of(DATA), len(DATA) - 1) is None
    assert read_blob(root, "../store.db", 1_000_000) is None
    file_of(root, DATA).write_bytes(DATA[:-1] + b"?")
    assert read_blob(root, sha_of(DATA), len(DATA)) is None


def test_blobs_are_still_there_for_the_next_process_and_leftovers_are_not(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    run(FileBlobs(root).put(sha_of(DATA), DATA))
    (root / "incoming" / "half-written").write_bytes(b"...")
    assert run(FileBlobs(root).get(sha_of(DATA))) == DATA
    assert list((root / "incoming").iterdir()) == []


def test_blobs_are_private_to_their_owner(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    run(FileBlobs(root).put(sha_of(DATA), DATA))
    file = file_of(root, DATA)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_full_disk_fails_the_put_leaves_nothing_and_later_puts_work(tmp_path: Path) -> None:
    root, large = tmp_path / "blobs", os.urandom(100_000)
    blobs = FileBlobs(root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(StoreFailed, match="blobs"):
            run(blobs.put(sha_of(large), large))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run(blobs.get(sha_of(large))) is None
    assert list((root / "incoming").iterdir()) == []
    run(blobs.put(sha_of(large), large))
    assert run(blobs.get(sha_of(large))) == large


def test_a_folder_that_cannot_be_used_fails_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreFailed, match="file"):
        FileBlobs(tmp_path / "file" / "blobs")
    blobs = FileBlobs(tmp_path / "blobs")
    (tmp_path / "blobs" / sha_of(DATA)[:2]).write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreFailed, match="blobs"):
        run(blobs.put(sha_of(DATA), DATA))
    with pytest.raises(StoreFailed, match="blobs"):
        run(blobs.get(sha_of(DATA)))
