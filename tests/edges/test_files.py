"""What every keeper of notebook files promises, in memory and on a disk; and the disk's part."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, TypeVar

import pytest

from file_content import got, put
from headway.edges import files as files_module
from headway.edges.files import TEMPORARY_PREFIX, DiskFiles
from headway.edges.memory import MemoryFiles
from headway.edges.ports import Files
from headway.errors import FileChanged, FileNotWritable, FolderNotFound, NotebookUnreadable

T = TypeVar("T")
OLD, NEW, FOREIGN = b"old\n", b"new\n", b"by somebody else\n"


def sha_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run(scenario: Coroutine[None, None, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await scenario

    return asyncio.run(bounded())


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def leftovers(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if name.startswith(TEMPORARY_PREFIX)]


@pytest.fixture(params=["memory", "disk"])
def files(request: pytest.FixtureRequest) -> Files:
    return MemoryFiles() if request.param == "memory" else DiskFiles()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.ipynb")


def test_a_file_that_is_not_there_is_none(files: Files, path: str) -> None:
    assert run(got(files, path)) is None


def test_a_new_file_holds_what_was_written(files: Files, path: str) -> None:
    assert run(put(files, path, NEW, None)) is True
    assert run(got(files, path)) == NEW


def test_a_known_file_is_replaced(files: Files, path: str) -> None:
    run(put(files, path, OLD, None))
    assert run(put(files, path, NEW, sha_of(OLD))) is True
    assert run(got(files, path)) == NEW


@pytest.mark.parametrize("expected", [None, sha_of(OLD), sha_of(NEW)])
def test_writing_what_is_there_already_changes_nothing_whatever_was_expected(
    files: Files, path: str, expected: str | None
) -> None:
    run(put(files, path, NEW, None))
    assert run(put(files, path, NEW, expected)) is False


@pytest.mark.parametrize("expected", [None, sha_of(OLD)])
def test_a_file_of_another_program_is_never_overwritten(
    files: Files, path: str, expected: str | None
) -> None:
    run(put(files, path, FOREIGN, None))
    with pytest.raises(FileChanged) as caught:
        run(put(files, path, NEW, expected))
    assert caught.value.data == {"path": path, "found_sha256": sha_of(FOREIGN)}
    assert run(got(files, path)) == FOREIGN


def test_a_file_that_was_removed_is_not_made_again_unasked(files: Files, path: str) -> None:
    with pytest.raises(FileChanged) as caught:
        run(put(files, path, NEW, sha_of(OLD)))
    assert caught.value.data["found_sha256"] is None
    assert run(got(files, path)) is None


def test_a_folder_that_is_there_is_no_reason_against_a_new_file(files: Files, path: str) -> None:
    run(files.check_folder(path))


def test_a_folder_that_is_not_there_is_told(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    if isinstance(files, MemoryFiles):
        files.missing_folders.add(str(folder))
    with pytest.raises(FolderNotFound) as caught:
        run(files.check_folder(str(folder / "a.ipynb")))
    assert caught.value.data == {"path": str(folder / "a.ipynb"), "folder": str(folder)}


def test_the_memory_files_refuse_as_they_are_told() -> None:
    files = MemoryFiles()
    files.refusals["/a"] = FileNotWritable("The disk is full.", path="/a")
    with pytest.raises(FileNotWritable, match="full"):
        run(put(files, "/a", NEW, None))


def test_permission_bits_survive_and_new_files_follow_the_umask(tmp_path: Path) -> None:
    kept, fresh = tmp_path / "kept.ipynb", tmp_path / "fresh.ipynb"
    kept.write_bytes(OLD)
    kept.chmod(0o664)
    before = os.umask(0o027)
    try:
        run(put(DiskFiles(), str(kept), NEW, sha_of(OLD)))
        run(put(DiskFiles(), str(fresh), NEW, None))
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o664
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o640


def test_a_symbolic_link_stays_one_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target.ipynb", tmp_path / "link.ipynb"
    link.symlink_to(target)
    assert run(put(DiskFiles(), str(link), OLD, None)) is True
    assert run(put(DiskFiles(), str(link), NEW, sha_of(OLD))) is True
    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert leftovers(tmp_path) == leftovers(tmp_path / "far") == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", errno.EISDIR),
        ("file/a.ipynb", errno.ENOTDIR),
        ("missing/a.ipynb", errno.ENOENT),
        ("circle", errno.ELOOP),
        ("fifo", errno.EINVAL),
        ("x" * 300, errno.ENAMETOOLONG),
        ("nul\0byte", errno.EINVAL),
        ("surrogate\ud800", errno.EINVAL),
    ],
)
def test_what_cannot_be_written_is_refused_with_advice_and_leaves_nothing(
    tmp_path: Path, name: str, reason: int
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "fifo")
    before = names_in(tmp_path)
    with pytest.raises(FileNotWritable) as caught:
        run(put(DiskFiles(), f"{tmp_path}/{name}", NEW, None))
    assert caught.value.data["reason"] == errno.errorcode[reason]
    assert caught.value.data["transient"] is False
    assert "cannot be written: " in caught.value.message
    assert caught.value.message.count(".") >= 2
    assert names_in(tmp_path) == before
    if reason != errno.ENOENT:
        with pytest.raises(NotebookUnreadable, match="cannot be read: "):
            run(got(DiskFiles(), f"{tmp_path}/{name}"))


def test_a_file_too_large_to_hold_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "MAX_FILE_BYTES", 3)
    (tmp_path / "a").write_bytes(b"1234")
    with pytest.raises(NotebookUnreadable, match="Make it smaller"):
        run(got(DiskFiles(), str(tmp_path / "a")))


def test_a_full_disk_leaves_the_old_file_and_no_other_and_the_next_write_works(
    tmp_path: Path,
) -> None:
    path, large = tmp_path / "a.ipynb", os.urandom(100_000)
    path.write_bytes(OLD)
    files = DiskFiles()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(FileNotWritable):
            run(put(files, str(path), large, sha_of(OLD)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == OLD
    assert names_in(tmp_path) == ["a.ipynb"]
    assert run(put(files, str(path), large, sha_of(OLD))) is True


def test_a_write_during_ours_is_seen_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(OLD)
    real_fsync = os.fsync

    def fsync_while_another_writes(descriptor: int) -> None:
        real_fsync(descriptor)
        path.write_bytes(FOREIGN)

    monkeypatch.setattr(os, "fsync", fsync_while_another_writes)
    with pytest.raises(FileChanged):
        run(put(DiskFiles(), str(path), NEW, sha_of(OLD)))
    assert path.read_bytes() == FOREIGN
    path.unlink()
    with pytest.raises(FileChanged):
        run(put(DiskFiles(), str(path), NEW, None))
    assert path.read_bytes() == FOREIGN
    assert names_in(tmp_path) == ["a.ipynb"]


def void(_: object) -> None:
    """For what gives a value that nobody needs."""


def in_the_last_instant(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> list[bool]:
    """Another program acts between our last comparison and the exchange; what is given tells."""
    real = files_module.exchange
    done: list[bool] = []

    def exchange(one: Path, other: Path) -> bool:
        if not done:
            done.append(True)
            happens()
        return real(one, other)

    monkeypatch.setattr(files_module, "exchange", exchange)
    return done


def test_a_file_renamed_into_place_in_the_last_instant_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "a.ipynb", tmp_path / "other"
    path.write_bytes(OLD)
    other.write_bytes(FOREIGN)
    in_the_last_instant(monkeypatch, lambda: void(other.rename(path)))
    with pytest.raises(FileChanged):
        run(put(DiskFiles(), str(path), NEW, sha_of(OLD)))
    assert path.read_bytes() == FOREIGN
    assert names_in(tmp_path) == ["a.ipynb"]


def test_a_file_written_in_place_in_the_last_instant_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(OLD)
    in_the_last_instant(monkeypatch, lambda: void(path.write_bytes(FOREIGN)))
    with pytest.raises(FileChanged):
        run(put(DiskFiles(), str(path), NEW, sha_of(OLD)))
    assert path.read_bytes() == FOREIGN


def test_a_file_removed_in_the_last_instant_is_not_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(OLD)
    in_the_last_instant(monkeypatch, path.unlink)
    with pytest.raises(FileChanged):
        run(put(DiskFiles(), str(path), NEW, sha_of(OLD)))
    assert names_in(tmp_path) == []


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="the system has no leases")
def test_a_file_that_another_program_has_open_for_writing_is_not_even_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(OLD)
    exchanged = in_the_last_instant(monkeypatch, lambda: None)
    with path.open("r+b"), pytest.raises(FileChanged, match="open for writing") as refused:
        run(put(DiskFiles(), str(path), NEW, sha_of(OLD)))
    assert refused.value.data["found_sha256"] == sha_of(OLD)
    assert exchanged == []


def test_nothing_comes_between_the_last_comparison_and_the_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another program writes there is put back, and a reader may have seen ours meanwhile."""
    path = tmp_path / "a.ipynb"
    path.write_bytes(OLD)
    steps: list[str] = []

    def noted(name: str) -> None:
        real = getattr(files_module, name)

        def step(*arguments: object) -> object:
            steps.append(name)
            return real(*arguments)

        monkeypatch.setattr(files_module, name, step)

    for name in ("_hash_now", "_is_being_written", "exchange"):
        noted(name)
    assert run(put(DiskFiles(), str(path), NEW, sha_of(OLD))) is True
    before = steps[: steps.index("exchange")]
    assert before[-2:] == ["_is_being_written", "_hash_now"]


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="the system has no leases")
def test_a_file_that_is_opened_for_writing_in_the_last_instant_is_left_to_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(OLD)
    writers: list[BinaryIO] = []
    in_the_last_instant(monkeypatch, lambda: writers.append(path.open("r+b")))
    with pytest.raises(FileChanged, match="open for writing"):
        run(put(DiskFiles(), str(path), NEW, sha_of(OLD)))
    with writers[0] as writing:
        writing.write(FOREIGN)
    assert path.read_bytes() == FOREIGN
    assert run(put(DiskFiles(), str(path), NEW, sha_of(FOREIGN))) is True


def is_open_in(folder: Path) -> bool:
    """Whether this process has a file of the folder open, be its name gone."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()).startswith(f"{folder}/"):
                return True
    return False


def test_a_replacement_that_is_called_off_while_it_is_written_leaves_nothing(
    tmp_path: Path,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    taken: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        for piece in (b"one", b"two", b"three"):
            taken.append(piece)
            yield piece
            begun.set()
            go_on.wait(20)

    async def ready(_: str) -> bool:
        raise AssertionError("nobody is asked any more")

    async def scenario() -> None:
        path = str(tmp_path / "a.ipynb")
        replacing = asyncio.create_task(DiskFiles().replace(path, pieces(), None, ready))
        await asyncio.to_thread(begun.wait, 20)
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing
        assert is_open_in(tmp_path), "the thread has it in hand"
        go_on.set()
        while names_in(tmp_path) or is_open_in(tmp_path):
            await asyncio.sleep(0)

    run(scenario())
    assert taken == [b"one", b"two"]


def test_a_replacement_that_is_called_off_as_it_takes_its_place_puts_back_what_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "a.ipynb", tmp_path / "other"
    path.write_bytes(OLD)
    other.write_bytes(FOREIGN)
    exchanged, go_on = threading.Event(), threading.Event()
    real = files_module.exchange

    def exchange(one: Path, another: Path) -> bool:
        if not exchanged.is_set():
            other.rename(path)
            real(one, another)
            exchanged.set()
            return go_on.wait(20)
        return real(one, another)

    monkeypatch.setattr(files_module, "exchange", exchange)

    async def scenario() -> None:
        replacing = asyncio.create_task(put(DiskFiles(), str(path), NEW, sha_of(OLD)))
        await asyncio.to_thread(exchanged.wait, 20)
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing
        go_on.set()
        while names_in(tmp_path) != ["a.ipynb"]:
            await asyncio.sleep(0)

    run(scenario())
    assert path.read_bytes() == FOREIGN


def test_a_system_that_cannot_exchange_files_replaces_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "_renameat2", None)
    path = tmp_path / "a.ipynb"
    path.write_bytes(OLD)
    assert run(put(DiskFiles(), str(path), NEW, sha_of(OLD))) is True
    assert path.read_bytes() == NEW
    assert names_in(tmp_path) == ["a.ipynb"]


def test_of_many_that_create_one_file_exactly_one_succeeds(tmp_path: Path) -> None:
    path = str(tmp_path / "a.ipynb")
    contents = [b"%d" % number * 1000 for number in range(8)]

    async def scenario() -> list[bool | BaseException]:
        attempts = [put(DiskFiles(), path, content, None) for content in contents]
        return await asyncio.gather(*attempts, return_exceptions=True)

    outcomes = run(scenario())
    assert outcomes.count(True) == 1
    assert sum(isinstance(outcome, FileChanged) for outcome in outcomes) == 7
    assert Path(path).read_bytes() == contents[outcomes.index(True)]
    assert leftovers(tmp_path) == []


def test_a_reader_never_sees_a_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    versions = [bytes([65 + number]) * 200_000 for number in range(40)]
    path.write_bytes(versions[0])
    seen: set[bytes] = set()
    finished = threading.Event()

    def look() -> None:
        while not finished.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    files = DiskFiles()
    try:
        for old, new in pairwise(versions):
            run(put(files, str(path), new, sha_of(old)))
    finally:
        finished.set()
        reader.join(timeout=10)
    assert len(seen) > 1
    assert seen <= set(versions)


def test_leftovers_of_a_killed_process_are_removed_and_those_in_use_are_not(
    tmp_path: Path,
) -> None:
    abandoned = tmp_path / f"{TEMPORARY_PREFIX}0123456789abcdef.tmp"
    abandoned.write_bytes(b"half")
    unrelated = tmp_path / f"{TEMPORARY_PREFIX}notes.txt"
    unrelated.write_bytes(b"mine")
    in_use = files_module._Temporary(tmp_path, None)
    run(put(DiskFiles(), str(tmp_path / "a.ipynb"), NEW, None))
    assert in_use.path.exists()
    in_use.remove()
    assert not abandoned.exists()
    assert unrelated.exists()


AS_NOBODY = """
import asyncio, concurrent.futures.thread, os, sys
from headway.edges.files import DiskFiles
from headway.errors import HeadwayError

os.setgroups([]); os.setgid(65534); os.setuid(65534)

async def ready(sha256):
    return True

for path, expected in ((sys.argv[1], None), (sys.argv[2], sys.argv[4]), (sys.argv[3], sys.argv[4])):
    try:
        asyncio.run(DiskFiles().replace(path, [b"new"], expected, ready))
    except HeadwayError as error:
        print(error.code, error.data["reason"])
"""


def test_folders_and_files_without_permission_are_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become nobody; the permission errors were not tried")
    for parent in [tmp_path, *list(tmp_path.parents)[:2]]:
        parent.chmod(0o755)
    locked, read_only = tmp_path / "locked", tmp_path / "open" / "read-only.ipynb"
    locked.mkdir(mode=0o755)
    (locked / "there.ipynb").write_bytes(OLD)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    read_only.write_bytes(OLD)
    read_only.chmod(0o444)
    paths = [locked / "new.ipynb", locked / "there.ipynb", read_only]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *map(str, paths), sha_of(OLD)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout.splitlines() == ["FILE_NOT_WRITABLE EACCES"] * 3
    assert read_only.read_bytes() == OLD
