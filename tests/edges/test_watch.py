"""What everybody who watches files promises, in memory and on a disk; and the disk's part."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from watchfiles._rust_notify import RustNotify

from headway.edges import watch as watch_module
from headway.edges.memory_watch import MemoryWatching
from headway.edges.ports import Watching
from headway.edges.watch import FolderWatching

LIMIT_S = 20.0


class Told:
    """Counts what it is told, and waits for more."""

    def __init__(self) -> None:
        self.times = 0
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self.times += 1
        self._event.set()

    async def again(self) -> None:
        """Return once it was told at least once since the last call."""
        await self._event.wait()
        self._event.clear()


Change = Callable[[Path, bytes | None], None]
Scenario = Callable[[Watching, Change], Awaitable[None]]


def on_disk(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.fixture(params=["memory", "disk"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Runs a scenario with a watcher, and a way to change files that it notices."""

    async def bounded(scenario: Scenario) -> None:
        async with asyncio.timeout(LIMIT_S):
            if request.param == "memory":
                memory = MemoryWatching()
                await scenario(memory, lambda path, _: memory.happened(str(path)))
                return
            watching = FolderWatching()
            try:
                await scenario(watching, on_disk)
            finally:
                await watching.close()

    return lambda scenario: asyncio.run(bounded(scenario))


def test_a_watch_tells_when_it_begins_and_when_the_file_is_made_changed_and_removed(
    run: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(watching: Watching, change: Change) -> None:
        told, path = Told(), tmp_path / "a.ipynb"
        watching.watch(str(path), told)
        assert told.times == 0
        await told.again()
        for content in (b"1", b"2", None, b"3"):
            change(path, content)
            await told.again()

    run(scenario)


def test_a_watch_is_not_told_of_other_files(
    run: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(watching: Watching, change: Change) -> None:
        one, other = Told(), Told()
        watching.watch(str(tmp_path / "a.ipynb"), one)
        watching.watch(str(tmp_path / "b.ipynb"), other)
        await one.again()
        await other.again()
        change(tmp_path / "b.ipynb", b"1")
        await other.again()
        assert one.times == 1

    run(scenario)


def test_two_watches_of_one_file_are_both_told(
    run: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(watching: Watching, change: Change) -> None:
        one, other, path = Told(), Told(), tmp_path / "a.ipynb"
        watching.watch(str(path), one)
        watching.watch(str(path), other)
        await one.again()
        await other.again()
        change(path, b"1")
        await one.again()
        await other.again()

    run(scenario)


def test_a_watch_that_is_closed_tells_nothing_more(
    run: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(watching: Watching, change: Change) -> None:
        closed, told, path = Told(), Told(), tmp_path / "a.ipynb"
        watch = watching.watch(str(path), closed)
        watching.watch(str(path), told)
        await told.again()
        watch.close()
        watch.close()
        before = closed.times
        change(path, b"1")
        await told.again()
        assert closed.times == before

    run(scenario)


def test_a_watcher_that_is_closed_tells_nobody_anything(
    run: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(watching: Watching, change: Change) -> None:
        told, path = Told(), tmp_path / "a.ipynb"
        watching.watch(str(path), told)
        await told.again()
        await watching.close()
        change(path, b"1")
        assert told.times == 1

    run(scenario)


# The disk


async def with_disk(scenario: Callable[[FolderWatching], Awaitable[None]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        watching = FolderWatching()
        try:
            await scenario(watching)
        finally:
            await watching.close()


def test_a_file_that_is_renamed_over_the_watched_one_is_told(tmp_path: Path) -> None:
    async def scenario(watching: FolderWatching) -> None:
        told, path = Told(), tmp_path / "a.ipynb"
        path.write_bytes(b"1")
        watching.watch(str(path), told)
        await told.again()
        other = tmp_path / "other"
        other.write_bytes(b"2")
        other.rename(path)
        await told.again()

    asyncio.run(with_disk(scenario))


def test_a_folder_that_is_made_later_is_watched_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "CHECK_S", 0.05)

    async def scenario(watching: FolderWatching) -> None:
        told, path = Told(), tmp_path / "later" / "a.ipynb"
        watching.watch(str(path), told)
        await told.again()
        path.parent.mkdir()
        await told.again()
        path.write_bytes(b"1")
        await told.again()

    asyncio.run(with_disk(scenario))


def test_a_folder_that_is_removed_and_made_again_is_watched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "CHECK_S", 0.05)

    async def scenario(watching: FolderWatching) -> None:
        told, folder = Told(), tmp_path / "folder"
        folder.mkdir()
        path = folder / "a.ipynb"
        path.write_bytes(b"1")
        watching.watch(str(path), told)
        await told.again()
        shutil.rmtree(folder)
        await told.again()
        folder.mkdir()
        await told.again()
        path.write_bytes(b"2")
        await told.again()

    asyncio.run(with_disk(scenario))


def test_watching_another_folder_misses_nothing_in_the_first(tmp_path: Path) -> None:
    async def scenario(watching: FolderWatching) -> None:
        told, path = Told(), tmp_path / "a.ipynb"
        watching.watch(str(path), told)
        await told.again()
        for number in range(10):
            folder = tmp_path / f"folder {number}"
            folder.mkdir()
            path.write_bytes(str(number).encode())
            watching.watch(str(folder / "b.ipynb"), Told())
            await told.again()

    asyncio.run(with_disk(scenario))


def test_a_system_without_notices_is_asked_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def refuse_notices(folders: list[str], *, force_polling: bool, **options: object) -> object:
        made.append(force_polling)
        if not force_polling:
            raise OSError(24, "too many watches")
        return notify(folders, force_polling=True, **options)  # type: ignore[arg-type]

    notify = RustNotify
    monkeypatch.setattr(watch_module, "RustNotify", refuse_notices)
    monkeypatch.setattr(watch_module, "_POLL_MS", 50)

    async def scenario(watching: FolderWatching) -> None:
        told, path = Told(), tmp_path / "a.ipynb"
        watching.watch(str(path), told)
        await told.again()
        path.write_bytes(b"1")
        await told.again()
        assert made == [False, True]

    asyncio.run(with_disk(scenario))


@pytest.mark.parametrize("step", ["empty", "wait"])
@pytest.mark.parametrize("failure", [RuntimeError, OSError, BaseException])
def test_when_watching_fails_it_is_logged_and_begun_anew_for_everybody(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: type[BaseException],
    step: str,
) -> None:
    notify, failures = RustNotify, [failure("lost its way")]

    class Fragile:
        def __init__(self, folders: list[str], **options: Any) -> None:
            self.real = notify(folders, **options)
            self.close = self.real.close

        def watch(self, debounce_ms: int, *others: Any) -> object:
            happening = "empty" if debounce_ms == 1 else "wait"
            if happening == step and failures:
                raise failures.pop()
            return self.real.watch(debounce_ms, *others)

    monkeypatch.setattr(watch_module, "RustNotify", Fragile)
    monkeypatch.setattr(watch_module, "CHECK_S", 0.05)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    paths = tmp_path / "one" / "a.ipynb", tmp_path / "two" / "b.ipynb"

    async def scenario(watching: FolderWatching) -> None:
        told = Told(), Told()
        watching.watch(str(paths[0]), told[0])
        await told[0].again()
        watching.watch(str(paths[1]), told[1])  # the folders change: the former handle is emptied
        await told[1].again()
        await told[0].again()
        assert not failures
        for path, each in zip(paths, told, strict=True):
            path.write_bytes(b"1")
            await each.again()

    asyncio.run(with_disk(scenario))
    (logged,) = [each for each in caplog.records if each.name == "headway.watch"]
    assert logged.exc_info is not None
    assert "begun anew" in logged.getMessage()


def test_one_thread_serves_all_and_is_gone_at_the_end(tmp_path: Path) -> None:
    def threads() -> int:
        return sum(each.name == "headway-watch" for each in threading.enumerate())

    async def scenario(watching: FolderWatching) -> None:
        for number in range(5):
            told = Told()
            watching.watch(str(tmp_path / f"{number}.ipynb"), told)
            await told.again()
        assert threads() == 1

    asyncio.run(with_disk(scenario))
    assert threads() == 0
