"""Peers made of the official npm packages, unmodified: loro-websocket, loro-adaptors, loro-crdt.

S30, and what a browser or any other program of the protocol may expect of the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

import headway
from headway.core.document.edits import MAX_SOURCE_CHARACTERS
from headway_daemon import bounded
from http_daemon import HttpDaemon, http_daemon
from javascript import Peer, javascript_peer, node, run_script

RUN_S = 30.0
WAIT_S = 20.0

OK = 0

FRAGMENT_BYTES = 240 * 1024
"""What the official client puts into one message."""

SCIENTIST = "👩\u200d🔬"
FAMILY = "👨\u200d👩\u200d👧\u200d👦"
FLAG = "🇫🇷"
ASTRONAUT = "👩🏽\u200d🚀"


@pytest.fixture(scope="module")
def served() -> Iterator[HttpDaemon]:
    node()
    with http_daemon() as running:
        yield running


@contextlib.asynccontextmanager
async def together(
    daemon: HttpDaemon, name: str, source: str
) -> AsyncIterator[tuple[headway.AsyncNotebook, Peer, str]]:
    """A Python and a JavaScript peer in one notebook with one cell, and the cell's id."""
    async with daemon.open_async(name) as notebook:
        cell = notebook.add_cell(source).id
        await notebook.confirm_sync(WAIT_S)
        async with javascript_peer(daemon.sync_url, notebook.id) as peer:
            yield notebook, peer, cell


async def until_same(notebook: headway.AsyncNotebook, peer: Peer, cell: str) -> str:
    """Wait until each holds all that the other had; gives the cell's text, the same on both."""
    theirs = headway.heads_from_text(await peer.ask("heads"))
    await notebook.wait_until(lambda: holds(notebook, theirs), timeout=WAIT_S)
    ours = headway.heads_to_text(notebook.heads)
    assert await peer.ask("until_holds", heads=ours) == ours, "the same history on both sides"
    text = notebook.source(cell)
    assert {"id": cell, "source": text} in await peer.ask("cells")
    return text


def holds(notebook: headway.AsyncNotebook, heads: headway.Heads) -> bool:
    return notebook._document.replica.contains(heads)


@contextlib.asynccontextmanager
async def typing_elsewhere(daemon: HttpDaemon, name: str, count: int) -> AsyncIterator[list[int]]:
    """Python peers that type all the time, each in a cell of its own; gives their counts."""
    typed = [0] * count

    async def type_on(number: int, notebook: headway.AsyncNotebook, begun: asyncio.Event) -> None:
        cell = notebook.add_cell("", cell_type="markdown")
        for keystroke in itertools.cycle("typing 🙂 "):
            notebook.append_source(cell, keystroke)
            await notebook.confirm_sync(WAIT_S)
            typed[number] += 1
            begun.set()

    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(daemon.open_async(name)) for _ in range(count)]
        begun = [asyncio.Event() for _ in opened]
        tasks = [
            asyncio.create_task(type_on(number, notebook, begun[number]))
            for number, notebook in enumerate(opened)
        ]
        try:
            for each in begun:
                await each.wait()
            yield typed
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


def test_an_official_client_runs_exactly_its_own_edit_while_others_type(
    served: HttpDaemon, name: str
) -> None:
    """And has its Ack first, sees the outputs arrive, and may not write what the machine did."""

    async def scenario() -> None:
        async with served.open_async(name) as notebook:
            cell = notebook.add_cell(f'# {FLAG}\nprint("{SCIENTIST}")').id
            await notebook.start_kernel()
            await notebook.confirm_sync(WAIT_S)
            await notebook.wait_until(
                lambda: notebook.kernel.get("name") is not None, timeout=WAIT_S
            )
            before = notebook.kernel
            async with typing_elsewhere(served, name, 2) as typed:
                counted = sum(typed)
                options = {
                    "http": served.http,
                    "token": served.token,
                    "path": str(served.path(name)),
                }
                report = await run_script("run_a_cell.mjs", options)
                assert sum(typed) > counted, "the others typed all the while"
            print({key: value for key, value in report.items() if key.endswith("Ms")})

            # The same as Python sees it, here and in a replica that is new.
            assert report["cellId"] == cell
            heads = headway.heads_from_text(report["heads"])
            await notebook.wait_until(lambda: holds(notebook, heads), timeout=WAIT_S)
            assert notebook.source(cell) == report["text"]
            assert hashlib.sha256(report["text"].encode()).hexdigest() == report["sha256"]
            async with served.open_async(name) as fresh:
                result = await (await fresh.get_execution(report["executionId"])).result(RUN_S)
                assert result.success
                assert result.source_sha256 == report["sha256"]
                assert result.heads == report["heads"]
                assert result.text == report["printed"]
                assert fresh.kernel == notebook.kernel
                assert fresh.kernel["name"] == before["name"] == report["kernel"]["name"]
                assert (await fresh.run("1 + 1", timeout=RUN_S)).text == "2"

    bounded(scenario())


def test_what_runs_is_the_text_at_the_callers_heads_while_another_types_in_the_same_cell(
    served: HttpDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with together(served, name, f"print('{FAMILY}')") as (notebook, peer, cell):
            text = await peer.ask("splice", cell=cell, find=FAMILY, offset=3, insert=f"{SCIENTIST}")
            heads = await peer.ask("heads")
            await notebook.wait_until(lambda: notebook.source(cell) == text, timeout=WAIT_S)
            notebook.append_source(cell, " + unfinished 🙂")
            await notebook.confirm_sync(WAIT_S)
            accepted = await served.post_async(
                "execute",
                document=notebook.id,
                cell_id=cell,
                execution_id="01890a5d-ac96-774b-bcce-b302099a8057",
                required_heads=heads,
            )
            assert accepted.body["source_sha256"] == hashlib.sha256(text.encode()).hexdigest()
            result = await (await notebook.get_execution(accepted.body["execution_id"])).result(
                RUN_S
            )
            assert text == f"print('{result.text.strip()}')"
            assert SCIENTIST in result.text

    bounded(scenario())


def test_concurrent_edits_between_emoji_converge_to_one_text(served: HttpDaemon, name: str) -> None:
    """S30: joined sequences, flags and modifiers; code points here, UTF-16 units there."""

    async def scenario() -> None:
        source = f"a{FAMILY}b{FLAG}c{ASTRONAUT}d🎲e"
        async with together(served, name, source) as (notebook, peer, cell):
            for number in range(20):
                notebook.splice_source(cell, 1 + number % 5, number % 2, f"{FLAG}{number}")
                await peer.ask("splice", cell=cell, find="🎲", delete=0, insert=f"{ASTRONAUT}")
                await peer.ask("splice", cell=cell, find="🚀", offset=2, insert="é\u0301🙂")
                notebook.append_source(cell, "🙂")
            text = await until_same(notebook, peer, cell)
            assert text.count("é\u0301🙂") == 20
            assert text.endswith("🙂" * 20)
            assert "\ufffd" not in text

            # Half of a character is no position, and the refusal changes nothing.
            with pytest.raises(AssertionError, match="middle of the codepoint"):
                await peer.ask("splice", cell=cell, find="🎲", offset=1, insert="!")
            assert await until_same(notebook, peer, cell) == text

    bounded(scenario())


def test_an_undo_on_the_javascript_side_takes_back_its_own_edit_alone(
    served: HttpDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with together(served, name, f"x = '{SCIENTIST}'") as (notebook, peer, cell):
            await peer.ask("splice", cell=cell, find="👩", delete=2, insert="👨🏿")
            notebook.append_source(cell, f"  # {FLAG}")
            await until_same(notebook, peer, cell)
            await peer.ask("undo")
            assert await until_same(notebook, peer, cell) == f"x = '{SCIENTIST}'  # {FLAG}"
            assert all(batch["status"] == OK for batch in await peer.ask("acknowledged"))

    bounded(scenario())


def test_both_sides_are_first_to_write_into_a_cells_metadata(served: HttpDaemon, name: str) -> None:
    async def scenario() -> None:
        async with together(served, name, "x = 1") as (notebook, peer, cell):
            for number in range(20):
                each = notebook.add_cell(str(number), after=cell)
                await until_same(notebook, peer, each.id)
                notebook.set_cell_metadata(each, "python", number)
                await peer.ask("set_metadata", cell=each.id, key="javascript", value=number)
                await until_same(notebook, peer, each.id)
                expected = {"python": number, "javascript": number}
                assert notebook.cell(each).metadata == expected
                assert await peer.ask("set_metadata", cell=each.id) == expected
            assert all(batch["status"] == OK for batch in await peer.ask("acknowledged"))

    bounded(scenario())


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["told", "killed"])
def test_edits_made_while_the_daemon_was_away_arrive_when_it_is_back(
    name: str, ending: signal.Signals
) -> None:
    node()

    async def scenario(daemon: HttpDaemon) -> None:
        async with together(daemon, name, "before 🙂\n") as (notebook, peer, cell):
            await peer.ask("append", cell=cell, text="acknowledged 🙂\n")
            assert {batch["status"] for batch in await peer.ask("acknowledged")} == {OK}
            await asyncio.to_thread(daemon.end, ending)
            await peer.ask("until_away")
            await peer.ask("append", cell=cell, text="offline in JavaScript 👩🏽\u200d🚀\n")
            notebook.append_source(cell, "offline in Python 🎲\n")
            await asyncio.to_thread(daemon.start)
            await peer.ask("until_joined")
            assert {batch["status"] for batch in await peer.ask("acknowledged")} == {OK}
            await notebook.confirm_sync(WAIT_S)
            text = await until_same(notebook, peer, cell)
            assert text.startswith("before 🙂\nacknowledged 🙂\n")
            assert "offline in JavaScript 👩🏽\u200d🚀\n" in text
            assert "offline in Python 🎲\n" in text

    with http_daemon() as daemon:
        bounded(scenario(daemon))


def test_edits_made_after_leaving_arrive_on_coming_back(served: HttpDaemon, name: str) -> None:
    async def scenario() -> None:
        async with together(served, name, "x") as (notebook, peer, cell):
            await peer.ask("disconnect")
            await peer.ask("append", cell=cell, text=" = 1")
            notebook.append_source(cell, "  # 🙂")
            await notebook.confirm_sync(WAIT_S)
            await peer.ask("reconnect")
            await peer.ask("until_joined")
            assert {batch["status"] for batch in await peer.ask("acknowledged")} == {OK}
            text = await until_same(notebook, peer, cell)
            assert sorted(text.removeprefix("x")) == sorted(" = 1  # 🙂")

    bounded(scenario())


def test_large_texts_go_in_fragments_both_ways(served: HttpDaemon, name: str) -> None:
    async def scenario() -> None:
        async with together(served, name, "#") as (notebook, peer, cell):
            await paste(peer, cell, 400_000)
            text = await until_same(notebook, peer, cell)
            assert text == "#" + "0123456789" * 40_000

            # To JavaScript: as an update to one who is there, and as all there is to a newcomer.
            other = notebook.add_cell("x" * 400_000).id
            await notebook.confirm_sync(WAIT_S)
            assert await until_same(notebook, peer, other) == "x" * 400_000
            async with javascript_peer(served.sync_url, notebook.id) as newcomer:
                assert await until_same(notebook, newcomer, other) == "x" * 400_000
            assert await peer.ask("refusals") == []

    bounded(scenario())


def test_the_largest_source_that_a_cell_may_have_can_be_pasted_at_once(
    served: HttpDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with together(served, name, "#" * 10) as (notebook, peer, cell):
            await paste(peer, cell, MAX_SOURCE_CHARACTERS - 10)
            text = await until_same(notebook, peer, cell)
            assert len(text) == MAX_SOURCE_CHARACTERS
            other = notebook.add_cell("x" * MAX_SOURCE_CHARACTERS).id
            assert len(await until_same(notebook, peer, other)) == MAX_SOURCE_CHARACTERS

    bounded(scenario())


async def paste(peer: Peer, cell: str, characters: int) -> None:
    """Have it append so many digits, and see that the update was cut and taken whole."""
    await peer.ask("append", cell=cell, text="0123456789", times=characters // 10)
    (batch,) = await peer.ask("acknowledged")
    print(batch)
    assert batch["status"] == OK
    assert batch["bytes"] > characters
    assert batch["messages"] == 1 + -(-batch["bytes"] // FRAGMENT_BYTES)


def test_presence_is_seen_both_ways(served: HttpDaemon, name: str) -> None:
    async def scenario() -> None:
        async with together(served, name, "x") as (notebook, peer, cell):
            ada = {"name": "ada 👩🏽\u200d🚀", "cell": cell, "at": 3}
            grace = {"name": "grace", "typing": True}
            await peer.ask("show", key="node", value=ada)
            await notebook.wait_until(lambda: ada in notebook.presence().values(), timeout=WAIT_S)
            notebook.set_presence(grace)
            await peer.ask("until_shown", value=grace)
            async with javascript_peer(served.sync_url, notebook.id) as newcomer:
                await newcomer.ask("show", key="late")
                await newcomer.ask("until_shown", value=ada)
                await newcomer.ask("until_shown", value=grace)
            notebook.set_presence(None)
            await peer.ask("until_hidden", value=grace)
            await peer.ask("show", key="node", value=None)
            await notebook.wait_until(
                lambda: ada not in notebook.presence().values(), timeout=WAIT_S
            )

    bounded(scenario())
