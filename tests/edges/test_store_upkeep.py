from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from headway.core.document.crdt import Replica, Version
from headway.core.document.runtime import ExecutionRecord
from headway.core.document.runtime_writing import RuntimeDocument
from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    FileRecorded,
    RuntimeReplaced,
    UpdateStored,
)
from headway.edges import store_upkeep
from headway.edges.memory import FakeClock
from headway.edges.store import SqliteStore
from headway.errors import StoreError
from headway.ids import execution_id
from headway.moments import Moment

T = TypeVar("T")
NB, RT, RT2 = "nb-" + "1" * 32, "rt-" + "1" * 32, "rt-" + "2" * 32
DAY_S = 24 * 3600.0
NOW_S = 1_800_000_000.0


def within(path: Path, work: Callable[[SqliteStore], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60):
            store = await SqliteStore.open(path, FakeClock(wall_s=NOW_S))
            try:
                return await work(store)
            finally:
                await store.close()

    return asyncio.run(bounded())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def identity(days_ago: float) -> str:
    return execution_id(NOW_S - days_ago * DAY_S, os.urandom)


def finished(each: str) -> list[ExecutionAccepted | ExecutionFinished]:
    return [ExecutionAccepted(NB, each, each, "c", "s"), ExecutionFinished(NB, each, b"{}")]


def keep_of(path: Path, ids: list[str], *more: ExecutionAccepted) -> tuple[list[str], int]:
    async def work(store: SqliteStore) -> tuple[list[str], int]:
        await store.create(NB, None)
        for each in ids:
            await store.append(finished(each))
        await store.append(more)
        await store.tidy()
        stored = await store.load(NB)
        assert stored is not None
        return list(stored.taken), stored.horizon_ms

    return within(path, work)


def test_few_executions_are_kept_however_old(path: Path) -> None:
    ids = [identity(400 - number) for number in range(10)]
    assert keep_of(path, ids) == (ids, 0)


def test_of_many_those_older_than_a_month_are_forgotten_and_leave_a_horizon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_upkeep, "EXECUTIONS_KEPT", 3)
    monkeypatch.setattr(store_upkeep, "_FORGET_AT_ONCE", 2)
    ids = [identity(days) for days in (50, 40, 35, 20, 10, 5, 4)]
    kept, horizon_ms = keep_of(path, ids)
    assert kept == ids[3:]
    assert horizon_ms == int((NOW_S - 35 * DAY_S) * 1000)


def test_what_is_not_finished_and_what_has_no_time_is_never_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_upkeep, "EXECUTIONS_KEPT", 1)
    running, timeless = identity(60), "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
    old, new = identity(50), identity(1)
    waiting = ExecutionAccepted(NB, running, running, "c", "s")
    kept, _ = keep_of(path, [old, timeless], waiting, ExecutionAccepted(NB, new, new, "c", "s"))
    assert set(kept) == {running, timeless, new}


def test_no_notebook_keeps_more_than_the_most_but_the_last_day_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_upkeep, "EXECUTIONS_KEPT", 2)
    monkeypatch.setattr(store_upkeep, "MAX_EXECUTIONS", 3)
    ids = [identity(days) for days in (9, 8, 7, 6, 5, 0.5, 0.4, 0.3, 0.2)]
    kept, horizon_ms = keep_of(path, ids)
    assert kept == ids[5:]
    assert horizon_ms < int((NOW_S - DAY_S) * 1000)


def test_one_that_ran_as_a_forgotten_one_is_not_unfinished(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_upkeep, "EXECUTIONS_KEPT", 1)
    old, alias = identity(60), identity(2)

    async def work(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([*finished(old), ExecutionAccepted(NB, alias, old, "c", "s")])
        assert await store.tidy() == 1
        stored = await store.load(NB)
        assert stored is not None
        assert stored.unfinished == ()
        assert stored.taken == {alias: old}

    within(path, work)


def test_rows_of_a_runtime_document_that_was_replaced_do_not_stay(path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([RuntimeReplaced(NB, RT, b"first"), UpdateStored(RT, b"one")])
        await store.append([RuntimeReplaced(NB, RT2, b"second"), UpdateStored(RT, b"late")])
        await store.append([UpdateStored(NB, b"n"), UpdateStored(RT2, b"two")])
        await store.tidy()
        stored = await store.load(NB)
        assert stored is not None
        assert (stored.updates, stored.runtime_updates) == ((b"n",), (b"two",))

    within(path, work)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM updates").fetchone() == (2,)


def test_space_is_given_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_upkeep, "FREE_PAGES_KEPT", 16)

    async def work(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([UpdateStored(NB, os.urandom(4000)) for _ in range(1500)])
        await store.compact(NB, b"short")
        await store.tidy()

    within(path, work)
    assert path.stat().st_size < 1_000_000
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def names(count: int) -> list[str]:
    return [hashlib.sha256(b"%d" % number).hexdigest() for number in range(count)]


def runtime_with(shown: list[str]) -> RuntimeDocument:
    document = RuntimeDocument(Replica(random.getrandbits(60)))
    for number, name in enumerate(shown):
        data = {"image/png": {"blob": name, "size": 3}}
        output = {"output_type": "display_data", "data": data, "metadata": {}}
        document.add_execution(
            ExecutionRecord(execution_id=f"e{number}", cell_id=f"c{number % 7}", outputs=(output,))
        )
        document.commit(Moment(0.0, float(number)))
    return document


def test_no_reference_in_a_snapshot_is_overlooked(path: Path) -> None:
    # The engine compresses snapshots: a plain search in one misses some of these.
    shown = names(2_000)
    replica = runtime_with(shown).replica
    plain = replica.export()
    assert any(name.encode() not in plain for name in shown)

    async def work(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([RuntimeReplaced(NB, RT, plain)])
        strangers = [hashlib.sha256(name.encode()).hexdigest() for name in shown]
        assert await store.referenced([*shown, *strangers]) == frozenset(shown)

    within(path, work)


def test_references_are_found_wherever_they_stand_and_in_the_past_too(path: Path) -> None:
    snapshot, update, past, record, file, none = names(6)
    document = runtime_with([snapshot, past])
    stored = document.replica.export()
    before = document.replica.version()
    document.carry_over(runtime_with([update]).reader)
    document.commit(Moment(0.0, 9.0))
    tail = document.replica.export(before)
    content = f"![]({file})".encode()

    async def work(store: SqliteStore) -> None:
        await store.create(NB, "/a.ipynb")
        await store.append([RuntimeReplaced(NB, RT, stored), UpdateStored(RT, tail)])
        await store.append([ExecutionAccepted(NB, "e", "e", "c", "s")])
        await store.append([ExecutionFinished(NB, "e", f'{{"blob":"{record}"}}'.encode())])
        sha256 = hashlib.sha256(content).hexdigest()
        await store.append([FileRecorded(NB, "/a.ipynb", sha256, content)])
        found = await store.referenced([snapshot, update, past, record, file, none])
        assert found == {snapshot, update, past, record, file}

    within(path, work)


def test_a_name_within_a_longer_run_of_digits_counts(path: Path) -> None:
    (name,) = names(1)

    async def work(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([ExecutionFinished(NB, "e", f"ab{name}cd".encode())])
        assert await store.referenced([name]) == {name}

    within(path, work)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE updates SET bytes = x'00'",
        "UPDATE snapshots SET bytes = x'00'",
        "UPDATE executions SET record = x'00'",
        "INSERT INTO quarantine (found_s, notebook, what, reason) VALUES (0, '', '', '')",
    ],
)
def test_with_anything_unreadable_nothing_is_known(path: Path, harm: str) -> None:
    document = runtime_with(names(2))
    version = Version.EMPTY

    async def write(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([RuntimeReplaced(NB, RT, document.replica.export())])
        await store.append([UpdateStored(RT, document.replica.export(version))])
        await store.append([ExecutionFinished(NB, "e", b"{}")])
        assert await store.referenced(names(2)) == frozenset(names(2))

    async def ask(store: SqliteStore) -> None:
        with pytest.raises(StoreError, match="none is removed"):
            await store.referenced(names(2))

    within(path, write)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(harm)
    within(path, ask)


def test_bytes_that_are_no_document_leave_nothing_known(path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.create(NB, None)
        await store.append([UpdateStored(NB, b"not of the engine")])
        with pytest.raises(StoreError):
            await store.referenced(names(1))

    within(path, work)
