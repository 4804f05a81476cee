"""Confirmed means merged and durable at the daemon, whatever happens on the way there.

S5, S6, S7, S8, S10, S11. Between client and daemon is a relay that stalls by event: the test
decides which bytes have passed at the moment it looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

import headway
from headway.edges.paths import Paths
from headway_daemon import HeadwayDaemon, Reply, bounded
from stalling_relay import StallingRelay, relayed

CALL_S = 20.0
SHORT_S = 0.3
"""A deadline that is meant to pass."""

SLACK_S = 5.0
"""How late a deadline may be noticed on a machine that is busy."""


@dataclass
class World:
    """One notebook: a client behind the relay, and another straight at the daemon."""

    relay: StallingRelay
    notebook: headway.AsyncNotebook
    other: headway.AsyncNotebook


@contextlib.asynccontextmanager
async def world(daemon: HeadwayDaemon, name: str) -> AsyncIterator[World]:
    front = daemon.front()
    async with (
        relayed(daemon.socket, Paths.of(front).socket) as relay,
        daemon.open_async(name, home=front) as notebook,
        daemon.open_async(name) as other,
    ):
        await notebook.confirm_sync(CALL_S)
        yield World(relay, notebook, other)
        relay.to_daemon.release()
        relay.to_client.release()


async def until_source(notebook: headway.AsyncNotebook, cell: headway.Cell, expected: str) -> None:
    await notebook.wait_until(lambda: notebook.source(cell) == expected, timeout=CALL_S)


def test_a_change_that_others_built_upon_is_confirmed(daemon: HeadwayDaemon, name: str) -> None:
    """S5: the daemon's heads are not ours when its answer comes, and contain ours."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_client.hold()
            cell = its.notebook.add_cell("x=1")
            confirming = asyncio.create_task(its.notebook.confirm_sync(CALL_S))
            await its.other.wait_until(lambda: len(its.other.cells) == 1, timeout=CALL_S)
            its.other.update_source(cell, "x = 1  # formatted")
            its.other.set_cell_metadata(cell, "formatted", True)
            await its.other.confirm_sync(CALL_S)
            assert its.other.heads != its.notebook.heads
            assert not confirming.done()
            its.relay.to_client.release()
            confirmation = await confirming
            assert confirmation.confirmed
            await until_source(its.notebook, cell, "x = 1  # formatted")

    bounded(scenario())


def test_changes_are_confirmed_while_another_never_stops_writing(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S5: confirmation is containment, so no pause of the others is needed."""

    async def write(its: World, ended: asyncio.Event) -> int:
        cell = its.other.add_cell("")
        written = 0
        while not ended.is_set():
            its.other.append_source(cell, "x")
            await its.other.confirm_sync(CALL_S)
            written += 1
        return written

    async def scenario() -> None:
        async with world(daemon, name) as its:
            ended = asyncio.Event()
            writing = asyncio.create_task(write(its, ended))
            for number in range(100):
                its.notebook.add_cell(f"cell {number}")
                assert (await its.notebook.confirm_sync(CALL_S)).confirmed
            ended.set()
            assert await writing > 10

    bounded(scenario())


def test_a_stalled_daemon_is_waited_for_and_then_confirms(daemon: HeadwayDaemon, name: str) -> None:
    """S6: it has read our frame, and its answer is held."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_client.hold()
            its.notebook.add_cell("1")
            confirming = asyncio.create_task(its.notebook.confirm_sync(CALL_S))
            await its.relay.to_client.until_waiting()
            assert not confirming.done()
            assert not its.notebook.is_synced
            its.relay.to_client.release()
            confirmation = await confirming
            assert confirmation.heads == its.notebook.heads == its.notebook.remote_heads
            assert its.notebook.is_synced

    bounded(scenario())


@pytest.mark.parametrize("way", ["to_daemon", "to_client"])
def test_a_daemon_that_stalls_for_ever_is_a_typed_failure_within_the_deadline(
    daemon: HeadwayDaemon, name: str, way: str
) -> None:
    """S6: stalled before it read our frame, and after."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            getattr(its.relay, way).hold()
            its.notebook.add_cell("1")
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            with pytest.raises(headway.ConfirmTimeout) as late:
                await its.notebook.confirm_sync(SHORT_S)
            assert SHORT_S <= loop.time() - began_s < SHORT_S + SLACK_S
            assert late.value.data["missing"] == headway.heads_to_text(its.notebook.heads)
            forgiving = await its.notebook.confirm_sync(SHORT_S, required=False)
            assert not forgiving.confirmed
            assert isinstance(forgiving.error, headway.ConfirmTimeout)

    bounded(scenario())


def test_nothing_runs_from_a_notebook_whose_changes_did_not_arrive(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S6: the request fails in its deadline, and the cell that never arrived never ran."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.accepting = False
            its.relay.cut()
            await its.notebook.wait_until(lambda: its.notebook.status != "live", timeout=CALL_S)
            cell = its.notebook.add_cell("ran = True")
            with pytest.raises(headway.ConnectionLost) as lost:
                await its.notebook.execute_cell(cell, timeout=SHORT_S)
            assert lost.value.data["execution_id"]
            its.relay.accepting = True
            await its.notebook.confirm_sync(CALL_S)
            reply = await daemon.post_async(
                "get_execution", execution_id=lost.value.data["execution_id"]
            )
            assert reply.code == "EXECUTION_NOT_FOUND"
            assert (await its.notebook.run("'ran' in dir()", timeout=CALL_S)).text == "False"

    bounded(scenario())


def test_a_request_that_was_stalled_on_its_way_ends_in_its_deadline_and_runs_at_most_once(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S6: its bytes were under way already; what became of it is told by its id."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_daemon.hold()
            cell = its.notebook.add_cell("runs = globals().get('runs', 0) + 1; runs")
            with pytest.raises(headway.DeadlineExceeded) as late:
                await its.notebook.execute_cell(cell, timeout=SHORT_S)
            its.relay.to_daemon.release()
            await its.notebook.confirm_sync(CALL_S)
            found = await its.notebook.get_execution(late.value.data["execution_id"])
            assert (await found.result(CALL_S)).text == "1"
            assert (await its.notebook.execute_cell(cell, timeout=CALL_S)).text == "2"

    bounded(scenario())


def test_a_frame_of_somebody_else_does_not_confirm_ours(daemon: HeadwayDaemon, name: str) -> None:
    """S7: it was in flight when we wrote, and comes in while we wait."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_client.hold()
            theirs = its.other.add_cell("theirs")
            await its.other.confirm_sync(CALL_S)
            await its.relay.to_client.until_waiting()
            its.relay.to_daemon.hold()
            mine = its.notebook.add_cell("mine")
            confirming = asyncio.create_task(its.notebook.confirm_sync(CALL_S))
            its.relay.to_client.release()
            await its.notebook.wait_until(lambda: len(its.notebook.cells) == 2, timeout=CALL_S)
            for number in range(5):
                its.other.append_source(theirs, f" {number}")
                await its.other.confirm_sync(CALL_S)
                expected = its.other.source(theirs)
                await until_source(its.notebook, theirs, expected)
                assert not confirming.done()
                assert not its.notebook.is_synced
            assert mine.id not in [cell.id for cell in its.other.cells]
            its.relay.to_daemon.release()
            assert (await confirming).confirmed
            await its.other.wait_until(lambda: len(its.other.cells) == 2, timeout=CALL_S)

    bounded(scenario())


async def execute_over_http(
    daemon: HeadwayDaemon, its: World, cell: headway.Cell, heads: str, timeout_s: float
) -> Reply:
    number = hashlib.sha256(f"{cell.id} {heads}".encode()).hexdigest()
    identity = f"{number[:8]}-{number[8:12]}-7{number[13:16]}-8{number[17:20]}-{number[20:32]}"
    return await daemon.post_async(
        "execute",
        document=its.notebook.id,
        required_heads=heads,
        cell_id=cell.id,
        execution_id=identity,
        timeout_s=timeout_s,
    )


def test_a_request_whose_heads_are_there_does_not_wait(daemon: HeadwayDaemon, name: str) -> None:
    """S8."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            cell = its.notebook.add_cell("'seen'")
            await its.notebook.confirm_sync(CALL_S)
            heads = headway.heads_to_text(its.notebook.heads)
            accepted = await execute_over_http(daemon, its, cell, heads, CALL_S)
            assert accepted.status == 200
            found = await its.notebook.get_execution(accepted.body["execution_id"])
            assert (await found.result(CALL_S)).text == "'seen'"

    bounded(scenario())


def test_a_request_waits_for_its_heads_and_then_runs_what_they_hold(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S8."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_daemon.hold()
            cell = its.notebook.add_cell("'arrived'")
            heads = headway.heads_to_text(its.notebook.heads)
            asking = asyncio.create_task(execute_over_http(daemon, its, cell, heads, CALL_S))
            # Another request comes and goes in between, so the first has long been read.
            for _ in range(5):
                await daemon.post_async("list")
            assert not asking.done()
            its.relay.to_daemon.release()
            accepted = await asking
            assert accepted.status == 200
            found = await its.notebook.get_execution(accepted.body["execution_id"])
            assert (await found.result(CALL_S)).text == "'arrived'"

    bounded(scenario())


def test_a_request_whose_heads_never_come_is_refused_at_its_deadline(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S8."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_daemon.hold()
            cell = its.notebook.add_cell("never = 1")
            heads = headway.heads_to_text(its.notebook.heads)
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            refused = await execute_over_http(daemon, its, cell, heads, SHORT_S)
            assert SHORT_S <= loop.time() - began_s < SHORT_S + SLACK_S
            assert refused.code == "HEADS_TIMEOUT"
            its.relay.to_daemon.release()
            await its.notebook.confirm_sync(CALL_S)
            assert (await its.notebook.run("'never' in dir()", timeout=CALL_S)).text == "False"

    bounded(scenario())


@pytest.mark.parametrize("heads", ["!!!", "AQID", "", "////////////"])
def test_malformed_heads_are_refused_at_once(daemon: HeadwayDaemon, name: str, heads: str) -> None:
    """S8."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            cell = its.notebook.add_cell("1")
            await its.notebook.confirm_sync(CALL_S)
            refused = await execute_over_http(daemon, its, cell, heads, CALL_S)
            assert refused.code == "BAD_REQUEST"
            assert refused.body["error"]["data"]["field"] == "required_heads"

    bounded(scenario())


def test_ten_confirmations_and_many_other_frames_get_through_a_narrow_pipe(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S10: 128 bytes at a time both ways, 32 requests in between, 15 seconds."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_daemon.piece = its.relay.to_client.piece = 128

            async def edit_and_confirm(number: int) -> None:
                its.notebook.add_cell(f"mine {number}\n" * 50)
                assert (await its.notebook.confirm_sync(15.0)).confirmed

            async def others_edit(number: int) -> None:
                its.other.add_cell(f"theirs {number}")
                await its.other.confirm_sync(15.0)

            async with asyncio.TaskGroup() as tasks:
                for number in range(10):
                    tasks.create_task(edit_and_confirm(number))
                    tasks.create_task(others_edit(number))
                for _ in range(32):
                    tasks.create_task(its.notebook.interrupt(timeout=15.0))
            await its.notebook.wait_until(lambda: len(its.notebook.cells) == 20, timeout=CALL_S)
            await its.other.wait_until(lambda: len(its.other.cells) == 20, timeout=CALL_S)
            assert its.notebook.cells == its.other.cells

    bounded(scenario(), 15.0)


def test_each_confirmation_ends_at_its_own_deadline(daemon: HeadwayDaemon, name: str) -> None:
    """S11."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_client.hold()
            its.notebook.add_cell("1")
            patient = asyncio.create_task(its.notebook.confirm_sync(CALL_S))
            with pytest.raises(headway.ConfirmTimeout):
                await its.notebook.confirm_sync(SHORT_S)
            assert not patient.done()
            its.relay.to_client.release()
            assert (await patient).confirmed

    bounded(scenario())


def test_one_acknowledgement_settles_every_confirmation_it_covers_and_no_other(
    daemon: HeadwayDaemon, name: str
) -> None:
    """S11."""

    async def scenario() -> None:
        async with world(daemon, name) as its:
            its.relay.to_client.hold()
            its.notebook.add_cell("early")
            covered = [asyncio.create_task(its.notebook.confirm_sync(CALL_S)) for _ in range(10)]
            await its.relay.to_client.until_waiting()
            its.relay.to_daemon.hold()
            its.notebook.add_cell("late")
            uncovered = asyncio.create_task(its.notebook.confirm_sync(CALL_S))
            await its.relay.to_daemon.until_waiting()
            its.relay.to_client.release()
            confirmations = await asyncio.gather(*covered)
            assert all(each.confirmed for each in confirmations)
            assert len({each.heads for each in confirmations}) == 1
            assert not uncovered.done()
            assert not its.notebook.is_synced
            its.relay.to_daemon.release()
            assert (await uncovered).heads == its.notebook.heads

    bounded(scenario())
