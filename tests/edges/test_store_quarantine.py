"""Damage on the disk: found, told, put aside; what is sound before it goes on."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    FileIntended,
    FileRecorded,
    RuntimeReplaced,
    UpdateStored,
)
from headway.edges import store_schema
from headway.edges.ports import StoredNotebook, known_files
from headway.edges.store import SqliteStore
from headway.edges.store_check import examine
from headway.errors import StoreDamaged

T = TypeVar("T")
NB, OTHER, RT = "nb-" + "1" * 32, "nb-" + "2" * 32, "rt-" + "1" * 32
CONTENT = b"MARK-FILE"
SHA = hashlib.sha256(CONTENT).hexdigest()
INTENDED = b"INTENDED-FILE"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def within(path: Path, work: Callable[[SqliteStore], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):
            store = await SqliteStore.open(path)
            try:
                return await work(store)
            finally:
                await store.close()

    return asyncio.run(bounded())


def load(path: Path) -> StoredNotebook:
    stored = within(path, lambda store: store.load(NB))
    assert stored is not None
    return stored


def write(path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.create(NB, "/a.ipynb")
        await store.create(OTHER, None)
        await store.append([UpdateStored(NB, b"one"), UpdateStored(NB, b"MARK-TWO")])
        await store.append([UpdateStored(NB, b"three"), UpdateStored(OTHER, b"other")])
        await store.append([RuntimeReplaced(NB, RT, b"MARK-RUNTIME"), UpdateStored(RT, b"r1")])
        await store.append([UpdateStored(RT, b"MARK-R-TWO"), UpdateStored(RT, b"r3")])
        await store.append([FileRecorded(NB, "/a.ipynb", SHA, CONTENT)])
        await store.append([ExecutionAccepted(NB, "e1", "e1", "MARK-CELL", "s")])
        await store.append([ExecutionFinished(NB, "e1", b"MARK-RECORD")])

    within(path, work)


def intend(path: Path) -> None:
    """The daemon ends between writing the file and recording that."""

    async def work(store: SqliteStore) -> None:
        sha256 = hashlib.sha256(INTENDED).hexdigest()
        await store.append([FileIntended(NB, sha256, INTENDED)])

    within(path, work)
    assert load(path).intended_content == INTENDED


def flip(path: Path, mark: bytes) -> None:
    content = path.read_bytes()
    at = content.index(mark) + len(mark) - 1
    path.write_bytes(content[:at] + bytes([content[at] ^ 0x04]) + content[at + 1 :])


def quarantine(path: Path) -> list[tuple[str, bytes]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT what, bytes FROM quarantine ORDER BY id").fetchall()


def test_of_an_execution_whose_admission_is_damaged_the_id_is_left(
    path: Path,
) -> None:
    async def admit(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([UpdateStored(NB, b"one")])
        await store.append([ExecutionAccepted(NB, "e1", "e1", "a", "s", b"MARK-ADMISSION")])

    within(path, admit)
    flip(path, b"MARK-ADMISSION")
    stored = load(path)
    assert stored.unfinished == (ExecutionAccepted(NB, "e1", "e1", "", ""),)
    assert stored.taken == {"e1": "e1"}
    ((what, kept),) = quarantine(path)
    assert what == "execution e1"
    assert str(kept).startswith("e1 a s MARK-ADM")


def test_the_updates_before_a_damaged_one_are_loaded_and_the_rest_is_kept_apart(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path)
    flip(path, b"MARK-TWO")
    with caplog.at_level(logging.ERROR):
        stored = load(path)
    assert stored.updates == (b"one",)
    assert len(caplog.records) == 1
    assert "2 stored parts were damaged" in stored.notices[0]
    assert [what for what, _ in quarantine(path)] == [f"update 2 of {NB}", f"update 3 of {NB}"]
    assert [kept for _, kept in quarantine(path)][1] == b"three"
    # A shortened notebook must not be taken for one whose author deleted cells.
    assert (stored.file_sha256, stored.file_content) == (None, None)
    assert stored.path == "/a.ipynb"


def test_what_the_file_was_about_to_hold_is_not_known_to_a_shortened_history(path: Path) -> None:
    """Taken for what the history left there, the file would lose what was put aside."""
    write(path)
    intend(path)
    flip(path, b"MARK-TWO")
    stored = load(path)
    assert stored.updates == (b"one",)
    assert known_files(stored) == ()


def test_nothing_of_its_file_is_known_to_a_notebook_without_a_history(path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.create(NB, "/a.ipynb")
        await store.append([UpdateStored(NB, b"MARK-ONE"), FileRecorded(NB, "/a", SHA, CONTENT)])

    within(path, work)
    intend(path)
    flip(path, b"MARK-ONE")
    with pytest.raises(StoreDamaged):
        load(path)
    with closing(sqlite3.connect(path)) as connection:
        columns = "path, file_sha256, file_content, intended_sha256, intended_content"
        (row,) = connection.execute(f"SELECT {columns} FROM documents").fetchall()
    assert row == (None,) * 5


def test_what_the_file_was_about_to_hold_is_known_although_its_last_content_is_damaged(
    path: Path,
) -> None:
    write(path)
    intend(path)
    flip(path, b"MARK-FILE")
    stored = load(path)
    assert (stored.file_content, stored.intended_content) == (None, INTENDED)


def test_damage_is_found_once_and_told_for_good(path: Path) -> None:
    write(path)
    flip(path, b"MARK-TWO")
    first = load(path)
    again = load(path)
    assert again == first
    assert len(quarantine(path)) == 2
    assert within(path, _notices) == first.notices


async def _notices(store: SqliteStore) -> tuple[str, ...]:
    return store.notices()


def test_what_is_written_after_damage_was_found_is_kept(path: Path) -> None:
    write(path)
    flip(path, b"MARK-TWO")

    async def go_on(store: SqliteStore) -> None:
        await store.load(NB)
        await store.append([UpdateStored(NB, b"new")])

    within(path, go_on)
    assert load(path).updates == (b"one", b"new")


def test_other_notebooks_do_not_notice(path: Path) -> None:
    write(path)
    flip(path, b"MARK-TWO")
    other = within(path, lambda store: store.load(OTHER))
    assert other is not None
    assert (other.updates, other.notices) == ((b"other",), ())


def test_a_damaged_update_of_the_runtime_document_costs_its_tail_only(path: Path) -> None:
    write(path)
    flip(path, b"MARK-R-TWO")
    stored = load(path)
    assert (stored.runtime_snapshot, stored.runtime_updates) == (b"MARK-RUNTIME", (b"r1",))
    assert stored.updates == (b"one", b"MARK-TWO", b"three")
    assert stored.file_content == CONTENT


def test_a_runtime_document_without_its_beginning_is_made_anew(path: Path) -> None:
    write(path)
    flip(path, b"MARK-RUNTIME")
    stored = load(path)
    assert (stored.runtime, stored.runtime_snapshot, stored.runtime_updates) == (None, None, ())
    assert stored.updates == (b"one", b"MARK-TWO", b"three")
    assert len(quarantine(path)) == 4


def test_a_damaged_base_of_the_file_is_no_base(path: Path) -> None:
    write(path)
    flip(path, b"MARK-FILE")
    stored = load(path)
    assert (stored.file_sha256, stored.file_content) == (None, None)
    assert stored.updates == (b"one", b"MARK-TWO", b"three")
    assert len(stored.notices) == 1


def test_an_execution_whose_acceptance_is_damaged_stays_taken(path: Path) -> None:
    write(path)
    flip(path, b"MARK-CELL")
    stored = load(path)
    assert stored.taken == {"e1": "e1"}
    found = within(path, lambda store: store.find_execution("e1"))
    assert found is not None
    assert (found.accepted.notebook, found.record) == (NB, b"MARK-RECORD")


def test_a_damaged_result_is_not_served_and_its_execution_ends_anew(path: Path) -> None:
    write(path)
    flip(path, b"MARK-RECORD")
    found = within(path, lambda store: store.find_execution("e1"))
    assert found is not None
    assert found.record is None
    assert [each.execution_id for each in load(path).unfinished] == ["e1"]

    async def finish(store: SqliteStore) -> None:
        await store.append([ExecutionFinished(NB, "e1", b"lost")])

    within(path, finish)
    again = within(path, lambda store: store.find_execution("e1"))
    assert again is not None
    assert again.record == b"lost"


def test_a_notebook_whose_history_is_lost_says_so_and_frees_its_path(path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.create(NB, "/a.ipynb")
        await store.append([UpdateStored(NB, b"early")])
        await store.compact(NB, b"MARK-SNAPSHOT")
        await store.append([UpdateStored(NB, b"late")])

    within(path, work)
    flip(path, b"MARK-SNAPSHOT")
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="cannot be read"):
            load(path)
    assert within(path, lambda store: store.find_path("/a.ipynb")) is None
    assert [kept for _, kept in quarantine(path)][1] == b"late"


def test_a_page_of_the_database_that_is_garbage_is_typed_and_harms_nothing_else(
    path: Path,
) -> None:
    async def large(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.create(OTHER, None)
        await store.append([UpdateStored(OTHER, b"small")])
        await store.append([UpdateStored(NB, b"x" * 600) for _ in range(300)])

    within(path, large)
    content = path.read_bytes()
    at = content.index(b"x" * 500, len(content) // 2) // 4096 * 4096
    path.write_bytes(content[:at] + b"\xff" * 4096 + content[at + 4096 :])
    with pytest.raises(StoreDamaged):
        load(path)
    other = within(path, lambda store: store.load(OTHER))
    assert other is not None
    assert other.updates == (b"small",)
    assert any("damaged" in each for each in examine(path))


def test_a_log_torn_at_any_place_gives_a_prefix_of_what_was_written(
    path: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "torn"

    async def work(store: SqliteStore) -> None:
        await store.create(NB, None)
        for number in range(12):
            await store.append([UpdateStored(NB, b"%d" % number * 300)])
        torn.mkdir()
        for name in ("store.db", "store.db-wal"):
            shutil.copy(path.with_name(name), torn / name)

    within(path, work)
    database, log = (torn / "store.db").read_bytes(), (torn / "store.db-wal").read_bytes()
    seen = set()
    for cut in range(0, len(log), 1 + len(log) // 40):
        for tail in (b"", b"\0" * 5000, b"\xa5" * 5000):
            for leftover in torn.iterdir():
                leftover.unlink()
            (torn / "store.db").write_bytes(database)
            (torn / "store.db-wal").write_bytes(log[:cut] + tail)
            stored = within(torn / "store.db", lambda store: store.load(NB))
            if stored is not None:
                found = [int(update[: len(update) // 300]) for update in stored.updates]
                assert found == list(range(len(found)))
                assert stored.notices == ()
                seen.add(len(found))
    assert len(seen) > 5


def test_a_migration_that_was_cut_off_is_begun_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path)
    later = (*store_schema.MIGRATIONS, ("CREATE TABLE extra (id INTEGER)", "SYNTAX ERROR"))
    with monkeypatch.context() as broken:
        broken.setattr(store_schema, "MIGRATIONS", later)
        with pytest.raises(Exception, match="SYNTAX"):
            load(path)
    assert load(path).updates == (b"one", b"MARK-TWO", b"three")
    mended = (*store_schema.MIGRATIONS, ("CREATE TABLE extra (id INTEGER)",))
    monkeypatch.setattr(store_schema, "MIGRATIONS", mended)
    monkeypatch.setattr(store_schema, "SCHEMA_VERSION", len(mended))
    assert load(path).updates == (b"one", b"MARK-TWO", b"three")


def test_the_examination_tells_what_is_wrong_and_nothing_when_all_is_well(path: Path) -> None:
    assert examine(path) == ()
    write(path)
    assert examine(path) == ()
    flip(path, b"MARK-TWO")
    load(path)
    (problem,) = examine(path)
    assert NB in problem


def test_the_examination_of_a_file_that_is_no_store_says_so_and_changes_nothing(
    path: Path,
) -> None:
    path.write_bytes(b"a letter to my aunt" * 500)
    (problem,) = examine(path)
    assert str(path) in problem
    assert path.read_bytes().startswith(b"a letter")
