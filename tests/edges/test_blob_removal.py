from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest

from headway.edges.blobs import FileBlobs, quarantined_blobs

NOW_S = 1_800_000_000.0
DAY_S = 24 * 3600.0


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put_long_ago(root: Path, *contents: bytes) -> list[str]:
    """Blobs that an earlier process put ten days before NOW_S."""
    earlier = FileBlobs(root)
    for data in contents:
        earlier.put_now(name_of(data), data)
        path = earlier._path(name_of(data))
        os.utime(path, (NOW_S - 10 * DAY_S, NOW_S - 10 * DAY_S))
    return [name_of(data) for data in contents]


def test_only_blobs_that_were_long_not_put_are_unused(tmp_path: Path) -> None:
    old = put_long_ago(tmp_path, b"old")

    async def scenario() -> None:
        blobs = FileBlobs(tmp_path)
        await blobs.put(name_of(b"new"), b"new")
        assert await blobs.unused_since(NOW_S - 7 * DAY_S) == set(old)
        assert await blobs.unused_since(NOW_S - 11 * DAY_S) == set()

    asyncio.run(scenario())


def test_a_blob_that_was_put_again_is_used_whatever_the_clock_says(tmp_path: Path) -> None:
    (name,) = put_long_ago(tmp_path, b"old")

    async def scenario() -> None:
        blobs = FileBlobs(tmp_path)
        await blobs.put(name, b"old")
        assert await blobs.unused_since(NOW_S) == set()
        assert await blobs.unused_since(NOW_S + 1000 * DAY_S) == set()
        assert await blobs.remove([name], NOW_S + 1000 * DAY_S) == 0
        assert await blobs.get(name) == b"old"

    asyncio.run(scenario())


def test_what_is_removed_is_gone_and_can_be_put_again(tmp_path: Path) -> None:
    one, two = put_long_ago(tmp_path, b"one", b"two")

    async def scenario() -> None:
        blobs = FileBlobs(tmp_path)
        assert await blobs.remove([one, "no name", "0" * 64], NOW_S) == 1
        assert (await blobs.get(one), await blobs.get(two)) == (None, b"two")
        await blobs.put(one, b"one")
        assert await blobs.get(one) == b"one"

    asyncio.run(scenario())


def test_whatever_is_put_while_it_is_being_removed_is_there_afterwards(tmp_path: Path) -> None:
    contents = [b"%d" % number for number in range(300)]
    names = put_long_ago(tmp_path, *contents)
    blobs = FileBlobs(tmp_path)
    begin = threading.Barrier(2)

    def remove() -> None:
        begin.wait(10)
        blobs._remove_now(names, NOW_S)

    remover = threading.Thread(target=remove)
    remover.start()
    begin.wait(10)
    for data in reversed(contents):
        blobs.put_now(name_of(data), data)
    remover.join(10)
    assert [blobs.get_now(name) for name in names] == contents


@pytest.mark.parametrize("content", [b"damaged!", b""])
def test_a_damaged_blob_is_none_and_kept_apart_and_can_be_put_again(
    tmp_path: Path, content: bytes
) -> None:
    name = name_of(b"image")

    async def scenario() -> None:
        blobs = FileBlobs(tmp_path)
        await blobs.put(name, b"image")
        blobs._path(name).write_bytes(content)
        assert await blobs.get(name) is None
        assert (tmp_path / "quarantine" / name).read_bytes() == content
        assert quarantined_blobs(tmp_path) == 1
        assert await blobs.size(name) is None
        assert await blobs.unused_since(NOW_S + 1000 * DAY_S) == set()
        await blobs.put(name, b"image")
        assert await blobs.get(name) == b"image"

    asyncio.run(scenario())
