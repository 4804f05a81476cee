"""The client on the official JavaScript server of the protocol: documents, and nothing run."""

from __future__ import annotations

import asyncio
import os

import pytest

import headway
from headway.errors import UnknownMethod
from headway_daemon import bounded
from javascript import javascript_peer, plain_server

WAIT_S = 20.0
OK = 0


def test_two_python_clients_and_a_javascript_one_converge_on_the_official_server() -> None:
    async def scenario() -> None:
        async with (
            plain_server() as url,
            headway.connect_async(url, "nb-room") as first,
            headway.connect_async(url, "nb-room") as second,
        ):
            cell = first.add_cell("x = '🙂'").id
            await first.confirm_sync(WAIT_S)
            async with javascript_peer(url, "nb-room") as third:
                await second.wait_until(lambda: len(second.cells) == 1, timeout=WAIT_S)
                assert second.source(cell) == "x = '🙂'"
                second.append_source(cell, "  # 👩\u200d🔬")
                await third.ask("splice", cell=cell, find="🙂", offset=2, insert="🇫🇷")
                first.splice_source(cell, 0, 1, "y")
                await first.confirm_sync(WAIT_S)
                await second.confirm_sync(WAIT_S)
                (batch,) = await third.ask("acknowledged")
                assert batch["status"] == OK
                text = "y = '🙂🇫🇷'  # 👩\u200d🔬"
                await first.wait_until(lambda: first.source(cell) == text, timeout=WAIT_S)
                await second.wait_until(lambda: second.source(cell) == text, timeout=WAIT_S)
                heads = headway.heads_to_text(first.heads)
                assert await third.ask("until_holds", heads=heads) == heads
                assert await third.ask("cells") == [{"id": cell, "source": text}]
                assert first.heads == second.heads

    bounded(scenario())


def test_a_confirmation_there_says_accepted_and_not_durable() -> None:
    async def scenario() -> None:
        async with plain_server() as url, headway.connect_async(url, "nb-room") as notebook:
            notebook.add_cell("x = 1")
            assert not notebook.is_synced
            confirmation = await notebook.confirm_sync(WAIT_S)
            assert confirmation.confirmed
            assert confirmation.durability == "accepted"
            assert confirmation.heads == notebook.heads == notebook.remote_heads
            assert notebook.is_synced

    bounded(scenario())


def test_a_request_there_is_refused_with_a_sentence_that_says_why() -> None:
    async def scenario() -> None:
        async with plain_server() as url, headway.connect_async(url, "nb-room") as notebook:
            cell = notebook.add_cell("1 + 1")
            with pytest.raises(UnknownMethod, match="only synchronises documents"):
                await notebook.execute_cell(cell, timeout=WAIT_S)
            with pytest.raises(UnknownMethod, match="only synchronises documents"):
                await notebook.save()
            await notebook.confirm_sync(WAIT_S)

    bounded(scenario())


def test_the_synchronous_client_meets_it_too() -> None:
    async def scenario() -> None:
        async with plain_server() as url:
            await asyncio.to_thread(use, url)

    def use(url: str) -> None:
        with headway.connect(url, "nb-room") as notebook:
            cell = notebook.add_cell("x = 1")
            assert notebook.confirm_sync(WAIT_S).durability == "accepted"
            with pytest.raises(UnknownMethod):
                notebook.execute_cell(cell)

    bounded(scenario())


def test_an_update_larger_than_a_message_goes_in_fragments() -> None:
    async def scenario() -> None:
        # Both are in the room first: this server cannot cut what it sends in answer to a join.
        async with (
            plain_server() as url,
            headway.connect_async(url, "nb-large") as first,
            headway.connect_async(url, "nb-large") as second,
        ):
            for number in range(4):
                first.add_cell(f"{number} {os.urandom(60_000).hex()}")
            await first.confirm_sync(WAIT_S)
            await second.wait_until(lambda: len(second.cells) == 4, timeout=WAIT_S)
            assert [c.source for c in second.cells] == [c.source for c in first.cells]

    bounded(scenario())


def test_what_others_show_of_themselves_is_seen() -> None:
    async def scenario() -> None:
        async with (
            plain_server() as url,
            headway.connect_async(url, "nb-presence") as first,
            headway.connect_async(url, "nb-presence") as second,
        ):
            first.set_presence({"name": "ada"})
            await second.wait_until(lambda: {"name": "ada"} in second.presence().values())
            first.set_presence(None)
            await second.wait_until(lambda: second.presence() == {})

    bounded(scenario())


def test_nobody_at_the_url_is_a_typed_error_at_once() -> None:
    with pytest.raises(headway.ConnectionFailed):
        headway.connect("ws://127.0.0.1:9", "nb-room", timeout=10)
