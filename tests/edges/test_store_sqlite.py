"""What only a store on a disk can break: faults, damage, crashes, versions."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from headway.core.room.effects import (
    ExecutionAccepted,
    FileRecorded,
    UpdateStored,
)
from headway.edges import store_rows, store_schema, store_writer
from headway.edges.store import SqliteStore
from headway.edges.store_rows import acceptance_fields, checksum
from headway.edges.store_schema import SCHEMA_VERSION, failure
from headway.errors import StoreDamaged, StoreFailed, StoreTooNew

T = TypeVar("T")
NB, RT = "nb-" + "1" * 32, "rt-" + "1" * 32


def run(scenario: Coroutine[None, None, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await scenario

    return asyncio.run(bounded())


def sha_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def fill(path: Path, *updates: bytes) -> None:
    store = await SqliteStore.open(path)
    await store.create(NB, None)
    for update in updates:
        await store.append([UpdateStored(NB, update)])
    await store.close()


async def updates_in(path: Path) -> tuple[bytes, ...]:
    store = await SqliteStore.open(path)
    try:
        stored = await store.load(NB)
        assert stored is not None
        return stored.updates
    finally:
        await store.close()


@contextmanager
def files_no_larger_than(limit: int) -> Iterator[None]:
    """A disk that is full: the kernel refuses to make any file of this process longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_fails_its_append_and_every_later_one_and_reading_goes_on(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        await store.append([UpdateStored(NB, b"kept")])
        with files_no_larger_than(200_000):
            lost = store.append([UpdateStored(NB, os.urandom(1_000_000))])
            same_fate = store.append([UpdateStored(NB, b"queued behind it")])
            with pytest.raises(StoreFailed, match=r"store\.db"):
                await lost
            with pytest.raises(StoreFailed):
                await same_fate
        with pytest.raises(StoreFailed):
            await store.append([UpdateStored(NB, b"the disk is well again, the store is not")])
        with pytest.raises(StoreFailed):
            await store.create("nb-new", None)
        assert store.backlog_bytes == 0
        stored = await store.load(NB)
        assert stored is not None
        assert stored.updates == (b"kept",)
        await store.close()

    run(scenario())
    assert run(updates_in(tmp_path / "store.db")) == (b"kept",)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_store_whose_file_is_gone_confirms_nothing(tmp_path: Path, is_replaced: bool) -> None:
    path = tmp_path / "store.db"

    async def scenario() -> None:
        store = await SqliteStore.open(path)
        await store.create(NB, None)
        await store.append([UpdateStored(NB, b"kept")])
        for part in tmp_path.glob("store.db*"):
            part.unlink()
        if is_replaced:
            path.touch()
        with pytest.raises(StoreFailed, match="removed it, or put another file in its place"):
            await store.append([UpdateStored(NB, b"lost")])
        with pytest.raises(StoreDamaged, match="has lost updates that were confirmed"):
            await store.reopened()

    run(scenario())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("SQLITE_FULL", "goes on by itself"),
        ("SQLITE_CORRUPT", "move it away"),
        ("SQLITE_CORRUPT_INDEX", "move it away"),
        ("SQLITE_IOERR_FSYNC", "Check the disk"),
    ],
)
def test_the_advice_is_for_what_happened(tmp_path: Path, name: str, advice: str) -> None:
    error = sqlite3.OperationalError("oh")
    error.sqlite_errorname = name
    assert advice in str(failure(tmp_path, error, "writing"))


def test_a_store_of_a_newer_headway_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    run(fill(path, b"one"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreTooNew, match="Upgrade") as caught:
        run(updates_in(path))
    assert caught.value.data["found"] == SCHEMA_VERSION + 1
    assert path.read_bytes() == before


def test_a_store_of_an_older_headway_keeps_every_execution_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    names = [f"e{number}" for number in range(20)]

    async def make_old() -> None:
        store = await SqliteStore.open(path)
        await store.create(NB, None)
        await store.close()

    def fill_old() -> None:
        rows = [
            acceptance_fields(ExecutionAccepted(NB, each, each, "a", "ab" * 32)) for each in names
        ]
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany(
                "INSERT INTO executions (id, notebook, runs_as, cell_id, source_sha256, checksum)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(*row, checksum(*row)) for row in rows],
            )
            connection.execute(
                "UPDATE executions SET record = ?, record_checksum = ? WHERE id = 'e3'",
                (b"done", checksum("e3", b"done")),
            )

    async def read() -> None:
        store = await SqliteStore.open(path)
        stored = await store.load(NB)
        assert stored is not None
        assert list(stored.taken) == names
        assert [each.execution_id for each in stored.unfinished] == [*names[:3], *names[4:]]
        found = await store.find_execution("e3", NB)
        assert found is not None
        assert found.record == b"done"
        await store.close()

    with monkeypatch.context() as older:
        older.setattr(store_schema, "MIGRATIONS", store_schema.MIGRATIONS[:4])
        run(make_old())
    fill_old()
    run(read())


@pytest.mark.parametrize("content", [b"This is a letter to my aunt. " * 300, b"\x00" * 8192])
def test_a_file_that_is_no_database_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreFailed, match=r"store\.db"):
        run(updates_in(path))
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreFailed, match="another program"):
        run(updates_in(path))
    assert path.read_bytes() == before


def test_a_store_whose_folder_is_missing_or_that_is_a_folder_fails_with_its_path(
    tmp_path: Path,
) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing" / "store.db", tmp_path / "folder"):
        with pytest.raises(StoreFailed, match=path.name):
            run(updates_in(path))


def test_an_interrupted_creation_is_taken_up_again(tmp_path: Path) -> None:
    empty, without_tables = tmp_path / "empty.db", tmp_path / "tables.db"
    empty.touch()
    with closing(sqlite3.connect(without_tables)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    for path in (empty, without_tables):
        run(fill(path, b"one"))
        assert run(updates_in(path)) == (b"one",)


def test_a_crash_while_the_store_is_made_leaves_one_that_opens(
    tmp_path: Path,
) -> None:
    # A rollback journal beside the file would have to be played back before it can be read.
    program = (
        "import asyncio, sys; from pathlib import Path; from headway.edges.store import SqliteStore"
        "; asyncio.run(SqliteStore.open(Path(sys.argv[1])))"
    )
    if shutil.which("strace") is None and not os.environ.get("CI"):
        pytest.skip("strace is not installed")
    for count in (1, 2, 3):
        path = tmp_path / str(count) / "store.db"
        path.parent.mkdir()
        kill = f"inject=unlink:signal=KILL:when={count}"
        tracer = ("strace", "-qq", "-f", "-o", str(tmp_path / "trace"), "-e", kill)
        ended = subprocess.run([*tracer, sys.executable, "-c", program, str(path)], timeout=60)
        assert ended.returncode == -signal.SIGKILL
        run(fill(path, b"one"))
        assert run(updates_in(path)) == (b"one",)


def test_the_store_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        await store.close()
        assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)

    run(scenario())


def test_a_file_too_large_for_a_base_is_recorded_without_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_rows, "MAX_BASE_BYTES", 10)

    async def scenario() -> tuple[bytes | None, bytes | None]:
        store = await SqliteStore.open(tmp_path / "store")
        await store.create(NB, "/a.ipynb")
        kept = []
        for content in (b"short", b"longer than ten"):
            await store.append([FileRecorded(NB, "/a.ipynb", sha_of(content), content)])
            stored = await store.load(NB)
            assert stored is not None
            assert stored.file_sha256 == sha_of(content)
            kept.append(stored.file_content)
        await store.close()
        return kept[0], kept[1]

    assert run(scenario()) == (b"short", None)


def test_closing_leaves_one_file_and_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()

    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        await store.load(NB)
        await store.close()
        await store.close()
        names = {thread.name for thread in threading.enumerate()}
        assert not [name for name in names if name.startswith("headway-store")]

    run(scenario())
    assert [file.name for file in tmp_path.iterdir()] == ["store.db"]
    assert threading.active_count() == before


def test_appends_of_one_moment_share_their_commits(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        statements: list[str] = []
        store._writer._connection.set_trace_callback(statements.append)
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # The first commit has to wait until all are queued.
            futures = [store.append([UpdateStored(NB, b"x")])]
            while not statements:  # until the writer has taken this one, and only it
                await asyncio.sleep(0)
            futures += [store.append([UpdateStored(NB, b"x")]) for _ in range(499)]
            other.execute("ROLLBACK")
        await asyncio.gather(*futures)
        await store.close()
        return [statement.split()[0] for statement in statements]

    words = run(scenario())
    assert words.count("COMMIT") == 1
    assert words.count("INSERT") <= 10


def test_a_loop_that_waits_long_for_a_commit_lends_the_interpreter_to_the_writer_until_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        lent = asyncio.Semaphore(0)
        monkeypatch.setattr("headway.edges.store.time.sleep", lambda _: lent.release())
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            future = store.append([UpdateStored(NB, b"x")])
            await lent.acquire()
            await lent.acquire()
            other.execute("ROLLBACK")
        await future
        while store._lending:
            await asyncio.sleep(0)
        await store.close()

    run(scenario())


def test_the_log_is_checkpointed_when_idle_and_under_load_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "CHECKPOINT_BYTES", 100_000)
    written = [os.urandom(5_000) for _ in range(100)]

    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        for update in written:
            await store.append([UpdateStored(NB, update)])
        assert (tmp_path / "store.db").stat().st_size > 200_000
        assert (tmp_path / "store.db-wal").stat().st_size < 400_000
        await store.close()

    run(scenario())
    assert run(updates_in(tmp_path / "store.db")) == tuple(written)


def test_a_failed_checkpoint_ends_the_writing_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "CHECKPOINT_BYTES", 1)

    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        await store.create(NB, None)
        await store.append([UpdateStored(NB, b"kept" * 10_000)])
        grown = (tmp_path / "store.db").stat().st_size
        updates = [UpdateStored(NB, os.urandom(4_000)) for _ in range(500)]
        with files_no_larger_than(grown):
            done = [await asyncio.wait([store.append([update])]) for update in updates]
        errors = [future.exception() for finished, _ in done for future in finished]
        assert isinstance(errors[-1], StoreFailed)
        await store.close()

    run(scenario())
    assert run(updates_in(tmp_path / "store.db"))[0] == b"kept" * 10_000


APPENDER = """
import asyncio, sys
from pathlib import Path
from headway.core.room.effects import UpdateStored
from headway.edges.store import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await store.create(sys.argv[2], None)
    number = int(sys.argv[3])
    while True:
        group = range(number, number + 7)
        await asyncio.gather(*[
            store.append([UpdateStored(sys.argv[2], b"%d" % each)]) for each in group
        ])
        number += 7
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()

asyncio.run(main())
"""


def test_what_was_confirmed_survives_a_killed_process(tmp_path: Path) -> None:
    path, confirmed = tmp_path / "store.db", 0
    for cycle in range(4):
        arguments = [sys.executable, "-c", APPENDER, str(path), NB, str(confirmed)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20 + 13 * cycle):
                confirmed = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                confirmed = int(line)
        found = [int(update) for update in run(updates_in(path))]
        assert set(range(confirmed)) <= set(found)
        # What was under way may be there, but in order and without a hole.
        assert found[-1] < confirmed + 7
        confirmed = confirmed if found[-1] < confirmed else found[-1] + 1


ONE_BY_ONE = """
import asyncio, os, sys
from pathlib import Path
from headway.core.room.effects import UpdateStored
from headway.edges.store import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await store.create("nb", None)
    for _ in range(10):
        os.write(1, b"ask")
        await store.append([UpdateStored("nb", b"x")])
        os.write(1, b"answer")
    await store.close()

asyncio.run(main())
"""


def test_every_append_is_fsynced_before_it_is_confirmed(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: that each commit reaches the disk was not verified")
    trace = tmp_path / "trace"
    calls = "trace=write,fsync,fdatasync"
    program = [sys.executable, "-c", ONE_BY_ONE, str(tmp_path / "store.db")]
    done = subprocess.run(
        [strace, "-f", "-y", "-e", calls, "-o", str(trace), *program],
        capture_output=True,
        timeout=50,
    )
    if done.returncode != 0 and b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here: that each commit reaches the disk was not verified")
    assert done.returncode == 0, done.stderr
    synced, confirmed = False, 0
    for line in trace.read_text().splitlines():
        if '"ask"' in line:
            synced = False
        elif "sync(" in line and "store.db-wal" in line:
            synced = True
        elif '"answer"' in line:
            assert synced
            confirmed += 1
    assert confirmed == 10


def test_an_input_output_error_of_fsync_is_never_confirmed(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: the failing fsync was not tried")
    for call in range(5, 9):  # Those before are of opening and creating.
        path = tmp_path / f"{call}.db"
        run(fill(path, b"before"))
        fault = f"inject=fdatasync,fsync:error=EIO:when={call}"
        command = [strace, "-f", "-o", os.devnull, "-e", "trace=fsync,fdatasync", "-e", fault]
        done = subprocess.run(
            [*command, sys.executable, "-c", ONE_BY_ONE, str(path)],
            capture_output=True,
            timeout=50,
        )
        if done.returncode != 0 and b"ptrace" in done.stderr:
            pytest.skip("strace may not trace here: the failing fsync was not tried")
        assert b"StoreFailed" in done.stderr
        confirmed = done.stdout.count(b"answer")
        assert done.stdout.count(b"ask") == confirmed + 1
        with closing(sqlite3.connect(path)) as connection:
            (found,) = connection.execute("SELECT count(*) FROM updates").fetchone()
        assert found - 1 in {confirmed, confirmed + 1}
