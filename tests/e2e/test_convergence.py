"""Everybody ends with the same notebook, and nobody ever sees half of a thing.

S20 to S30 (of S30 the half between Python peers; the other half is with the JavaScript peers).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import pytest

import headway
from headway.edges.paths import Paths
from headway_daemon import HeadwayDaemon, bounded
from stalling_relay import StallingRelay, relayed

CALL_S = 20.0

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
"""Five code points, eight UTF-16 units, one figure."""

CHESS = "\U0001d4d2\U0001f3f4"
"""Two characters outside the basic plane: a surrogate pair each in UTF-16."""


@contextlib.asynccontextmanager
async def two(
    daemon: HeadwayDaemon, name: str
) -> AsyncIterator[tuple[headway.AsyncNotebook, headway.AsyncNotebook]]:
    async with daemon.open_async(name) as first, daemon.open_async(name) as second:
        yield first, second


@contextlib.asynccontextmanager
async def apart(
    daemon: HeadwayDaemon, name: str
) -> AsyncIterator[tuple[headway.AsyncNotebook, headway.AsyncNotebook, StallingRelay]]:
    """Two clients and the relay that can keep the first one to itself."""
    front = daemon.front()
    async with (
        relayed(daemon.socket, Paths.of(front).socket) as relay,
        daemon.open_async(name, home=front) as first,
        daemon.open_async(name) as second,
    ):
        yield first, second, relay


def separate(relay: StallingRelay) -> None:
    relay.to_daemon.hold()
    relay.to_client.hold()


def reunite(relay: StallingRelay) -> None:
    relay.to_daemon.release()
    relay.to_client.release()


async def until_equal(
    first: headway.AsyncNotebook, second: headway.AsyncNotebook
) -> list[headway.Cell]:
    """Wait until both have all changes of both; they must then be equal in everything shown."""

    def have_all() -> bool:
        return first.heads == second.heads

    for notebook in (first, second):
        await notebook.confirm_sync(CALL_S)
    for notebook in (first, second):
        await notebook.wait_until(have_all, timeout=CALL_S)
    shown, other = (
        [(cell.id, cell.source, cell.metadata) for cell in notebook.cells]
        for notebook in (first, second)
    )
    assert shown == other
    return first.cells


def test_a_cell_made_by_one_is_seen_by_the_other_with_its_id_and_source(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S20: and never without its source, at no moment in between."""

    async def scenario() -> None:
        async with two(daemon, name) as (first, second):
            seen: dict[str, str] = {}

            def look() -> int:
                for cell in second.cells:
                    seen.setdefault(cell.id, cell.source)
                return len(seen)

            made: dict[str, str] = {}
            for number in range(50):
                source = f"# cell {number}\n" + "x" * number
                made[first.add_cell(source).id] = source
                if number % 5 == 0:
                    await second.wait_until(lambda: look() == len(made), timeout=CALL_S)
            await second.wait_until(lambda: look() == len(made), timeout=CALL_S)
            assert seen == made

    bounded(scenario())


def test_tokens_that_two_peers_append_in_turn_all_survive(daemon: HeadwayDaemon, name: str) -> None:
    """S21."""

    async def append(notebook: headway.AsyncNotebook, cell: headway.Cell, mark: str) -> None:
        for number in range(100):
            notebook.append_source(cell, f"{mark}{number};")
            if number % 10 == 0:
                await notebook.confirm_sync(CALL_S)

    async def scenario() -> None:
        async with two(daemon, name) as (first, second):
            cell = first.add_cell("")
            await second.wait_until(lambda: len(second.cells) == 1, timeout=CALL_S)
            await asyncio.gather(append(first, cell, "a"), append(second, cell, "b"))
            (merged,) = await until_equal(first, second)
            tokens = merged.source.split(";")[:-1]
            assert len(tokens) == 200
            for mark in "ab":
                # Each peer's own tokens are in its own order.
                own = [token for token in tokens if token[0] == mark]
                assert own == [f"{mark}{number}" for number in range(100)]

    bounded(scenario())


def test_ten_parallel_edits_of_one_session_are_all_there_for_a_fresh_client(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S22."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:

            async def create_and_edit(number: int) -> None:
                cell = notebook.add_cell(f"draft {number}")
                await notebook.confirm_sync(CALL_S)
                notebook.update_source(cell, f"final {number}")
                await notebook.confirm_sync(CALL_S)

            await asyncio.gather(*(create_and_edit(number) for number in range(10)))
            assert notebook.status == "live"
            async with daemon.open_async(name) as fresh:
                sources = sorted(cell.source for cell in fresh.cells)
                assert sources == [f"final {number}" for number in range(10)]

    bounded(scenario())


def test_cells_and_executions_under_the_pressure_of_outputs_converge(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S23: 24 cells and 24 queued executions while outputs stream, in 20 seconds."""

    async def scenario() -> None:
        async with two(daemon, name) as (first, second):
            jobs = []
            for number in range(24):
                source = f"for line in range(50):\n    print({number}, line, flush=True)"
                jobs.append(await first.queue_cell(first.add_cell(source), timeout=CALL_S))
                if number % 2:
                    second.add_cell(f"note {number}", cell_type="markdown")
            results = [await job.result(CALL_S) for job in jobs]
            for number, result in enumerate(results):
                expected = "".join(f"{number} {line}\n" for line in range(50))
                assert (result.status, result.text) == ("ok", expected)
            cells = await until_equal(first, second)
            assert len(cells) == 36
            await second.wait_until(
                lambda: [cell.status for cell in second.cells].count("ok") == 24, timeout=CALL_S
            )
            assert [cell.outputs for cell in second.cells] == [cell.outputs for cell in first.cells]

    bounded(scenario(), 20.0)


def test_cells_added_from_many_threads_are_all_there(daemon: HeadwayDaemon, name: str) -> None:
    """S24."""
    with daemon.open(name) as notebook:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                cell = notebook.add_cell(f"print({number}")
                notebook.append_source(cell, ")")
                result = notebook.execute_cell(cell, timeout=CALL_S)
                assert result.text == f"{number}\n"
            except BaseException as failure:  # noqa: BLE001 - shown by the test's own thread
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(CALL_S)
            assert not thread.is_alive()
        assert failures == []
        with daemon.open(name) as fresh:
            sources = sorted(cell.source for cell in fresh.cells)
            assert sources == sorted(f"print({number})" for number in range(20))


def test_ten_parallel_requests_are_answered_out_of_order_each_to_its_caller(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S25: a slow one holds up none of the others."""

    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            answered: list[str] = []

            async def start() -> None:
                assert (await notebook.restart_kernel(timeout=CALL_S)).status == "idle"
                answered.append("kernel")

            async def fail(number: int) -> None:
                identity = f"00000000-0000-7000-8000-{number:012d}"
                with pytest.raises(headway.RequestFailed) as refused:
                    await notebook.get_execution(identity, timeout=CALL_S)
                assert refused.value.data["execution_id"] == identity
                answered.append(identity)

            await notebook.start_kernel(timeout=CALL_S)
            await asyncio.gather(start(), *(fail(number) for number in range(9)))
            assert len(answered) == 10
            assert answered[-1] == "kernel"
            completions = await asyncio.gather(
                *(notebook.complete(f"imp{'or'[:number]}", timeout=CALL_S) for number in range(3))
            )
            assert [each.end for each in completions] == [3, 4, 5]
            results = await asyncio.gather(
                *(notebook.run(f"{number} + 0", timeout=CALL_S) for number in range(10))
            )
            assert [result.text for result in results] == [f"{number}" for number in range(10)]

    bounded(scenario())


def test_deletes_and_moves_reach_the_others(daemon: HeadwayDaemon, name: str) -> None:
    """S26."""

    async def scenario() -> None:
        async with two(daemon, name) as (first, second):
            one, doomed, three = (first.add_cell(text) for text in ("one", "doomed", "three"))
            await until_equal(first, second)
            second.delete_cell(doomed)
            second.move_cell(three, before=one)
            assert [cell.source for cell in await until_equal(first, second)] == ["three", "one"]
            with pytest.raises(headway.CellNotFound):
                first.source(doomed)

    bounded(scenario())


def test_a_move_and_an_edit_at_the_same_time_both_hold(daemon: HeadwayDaemon, name: str) -> None:
    """S26."""

    async def scenario() -> None:
        async with apart(daemon, name) as (first, second, relay):
            cells = [first.add_cell(f"{number}") for number in range(4)]
            await until_equal(first, second)
            separate(relay)
            first.move_cell(cells[0], index=3)
            first.append_source(cells[2], " from the first")
            second.append_source(cells[0], " edited meanwhile")
            second.move_cell(cells[2], index=0)
            await second.confirm_sync(CALL_S)
            assert second.cells[1].source == "0 edited meanwhile"
            reunite(relay)
            merged = [cell.source for cell in await until_equal(first, second)]
            assert merged == ["2 from the first", "1", "3", "0 edited meanwhile"]

    bounded(scenario())


def test_two_moves_of_one_cell_at_the_same_time_leave_one_cell(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S26."""

    async def scenario() -> None:
        async with apart(daemon, name) as (first, second, relay):
            cells = [first.add_cell(f"{number}") for number in range(4)]
            await until_equal(first, second)
            separate(relay)
            first.move_cell(cells[1], index=3)
            second.move_cell(cells[1], index=0)
            reunite(relay)
            merged = [cell.source for cell in await until_equal(first, second)]
            assert sorted(merged) == ["0", "1", "2", "3"]

    bounded(scenario())


def test_three_notebooks_at_once_do_not_leak_into_each_other(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S27."""

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            notebooks = [
                await stack.enter_async_context(daemon.open_async(f"{name}-{which}"))
                for which in "abc"
            ]

            async def fill(which: int, notebook: headway.AsyncNotebook) -> None:
                await notebook.run(f"mine = {which}", timeout=CALL_S)
                for number in range(10):
                    result = await notebook.run(f"mine, {number}", timeout=CALL_S)
                    assert result.text == f"({which}, {number})"

            await asyncio.gather(*(fill(which, each) for which, each in enumerate(notebooks)))
            for which, notebook in enumerate(notebooks):
                assert [cell.source for cell in notebook.cells] == [
                    f"mine = {which}",
                    *(f"mine, {number}" for number in range(10)),
                ]
            assert len({notebook.id for notebook in notebooks}) == 3

    bounded(scenario())


def test_what_one_client_defined_another_can_use(daemon: HeadwayDaemon, name: str) -> None:
    """S28."""
    with daemon.open(name) as first, daemon.open(name) as second:
        first.run("shared = {'answer': 42}", timeout=CALL_S)
        assert second.run("shared['answer']", timeout=CALL_S).text == "42"
        second.run("shared['answer'] += 1", timeout=CALL_S)
        assert first.run("shared['answer']", timeout=CALL_S).text == "43"


def test_metadata_under_different_keys_at_the_same_time_all_survives(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S29."""

    async def scenario() -> None:
        async with apart(daemon, name) as (first, second, relay):
            cell = first.add_cell("1", metadata={"kept": [1, {"deep": None}]})
            await until_equal(first, second)
            separate(relay)
            first.set_cell_metadata(cell, "tags", ["first"])
            second.set_cell_metadata(cell, "collapsed", True)
            first.set_metadata("title", "a notebook")
            second.set_metadata("authors", [{"name": "second"}])
            reunite(relay)
            (merged,) = await until_equal(first, second)
            assert merged.metadata == {
                "kept": [1, {"deep": None}],
                "tags": ["first"],
                "collapsed": True,
            }
            for notebook in (first, second):
                assert notebook.metadata["title"] == "a notebook"
                assert notebook.metadata["authors"] == [{"name": "second"}]

    bounded(scenario())


def test_splices_around_characters_of_many_units_hit_what_they_meant(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S30: positions are code points, here and at the other peer."""

    async def scenario() -> None:
        async with two(daemon, name) as (first, second):
            cell = first.add_cell(f"a{FAMILY}b{CHESS}c")
            await until_equal(first, second)
            place = second.source(cell).index("b")
            second.splice_source(cell, place, 1, "B")
            second.splice_source(cell, place + 1, 1, "")
            await until_equal(first, second)
            first.splice_source(cell, 1, len(FAMILY), "\U0001f600")
            (merged,) = await until_equal(first, second)
            assert merged.source == f"a\U0001f600B{CHESS[1]}c"
            first.update_source(cell, f"print('{FAMILY}{CHESS}')")
            result = await first.execute_cell(cell, timeout=CALL_S)
            assert result.text == f"{FAMILY}{CHESS}\n"

    bounded(scenario())


def test_splices_at_the_same_time_between_characters_of_many_units_all_survive(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S30."""

    async def scenario() -> None:
        async with apart(daemon, name) as (first, second, relay):
            cell = first.add_cell(f"{FAMILY}|{CHESS}|{FAMILY}")
            await until_equal(first, second)
            separate(relay)
            first.splice_source(cell, len(FAMILY), 0, "\U0001f4a5")
            first.splice_source(cell, 0, len(FAMILY), "")
            second.splice_source(cell, len(FAMILY) + 2, 1, "\U0001f9d1\u200d\U0001f680")
            second.append_source(cell, "e\u0301")
            reunite(relay)
            (merged,) = await until_equal(first, second)
            assert merged.source == (
                f"\U0001f4a5|{CHESS[0]}\U0001f9d1\u200d\U0001f680|{FAMILY}e\u0301"
            )

    bounded(scenario())


def test_half_of_a_surrogate_pair_is_refused_and_changes_nothing(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S30."""
    with daemon.open(name) as notebook:
        cell = notebook.add_cell(CHESS)
        for half in ("\ud835", "\udcd2"):
            with pytest.raises(headway.InvalidEdit):
                notebook.append_source(cell, half)
            with pytest.raises(headway.InvalidEdit):
                notebook.add_cell(half)
        assert [each.source for each in notebook.cells] == [CHESS]
        assert notebook.confirm_sync(CALL_S).confirmed
