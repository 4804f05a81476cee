"""The wire to a kernel, against a peer that the test plays itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from headway.edges.kernel_wire import BOUNDED_QUEUE, ChannelName, ConnectionInfo, KernelWire

LIMIT_S = 20
KEY = "secret"


class Peer:
    """A kernel's sockets, used by the test directly."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], folder: Path) -> None:
        self.session = Session(key=KEY.encode(), signature_scheme="hmac-sha256")
        self.connection: ConnectionInfo = {
            "transport": "ipc",
            "ip": str(folder / "k"),
            "key": KEY,
            "signature_scheme": "hmac-sha256",
            "shell_port": 1,
            "iopub_port": 2,
            "control_port": 3,
            "stdin_port": 4,
        }
        self.shell = context.socket(zmq.ROUTER)
        self.iopub = context.socket(zmq.XPUB)
        for socket, port in ((self.shell, 1), (self.iopub, 2)):
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.LINGER, LIMIT_S * 1000)
            socket.bind(f"ipc://{folder}/k-{port}")

    def publish(self, text: str) -> None:
        message = self.session.msg("stream", {"name": "stdout", "text": text})
        self.iopub.send_multipart(self.session.serialize(message))

    def close(self) -> None:
        self.shell.close()
        self.iopub.close()


class Taken:
    """What the wire delivered."""

    def __init__(self) -> None:
        self.messages: list[tuple[ChannelName, dict[str, Any]]] = []
        self.changed = asyncio.Event()

    def __call__(self, channel: ChannelName, messages: Sequence[dict[str, Any]]) -> None:
        self.messages.extend((channel, message) for message in messages)
        self.changed.set()

    def texts(self) -> list[str]:
        return [message["content"]["text"] for _, message in self.messages]

    async def count(self, number: int) -> None:
        while len(self.messages) < number:
            self.changed.clear()
            await self.changed.wait()


Scenario = Callable[[Peer, KernelWire, Taken], Awaitable[None]]


def play(scenario: Scenario, folder: Path) -> None:
    async def run() -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        peer, taken = Peer(context, folder), Taken()
        wire = KernelWire(context, peer.connection, taken)
        try:
            async with asyncio.timeout(LIMIT_S):
                assert peer.iopub.poll(LIMIT_S * 1000)  # the subscription
                await scenario(peer, wire, taken)
        finally:
            wire.close()
            peer.close()
            context.term()

    asyncio.run(run())


def test_everything_sent_before_the_peer_went_is_delivered(tmp_path: Path) -> None:
    number = 5_000

    async def scenario(peer: Peer, wire: KernelWire, taken: Taken) -> None:
        wire.send("shell", "kernel_info_request", {}, "r")
        assert peer.shell.poll(LIMIT_S * 1000)
        for index in range(number):
            peer.publish(str(index))
        peer.close()
        await wire.disconnected(LIMIT_S * 2)  # longer than the test: no time-out helps here
        assert taken.texts() == [str(index) for index in range(number)]

    play(scenario, tmp_path)


@pytest.mark.parametrize("before", [10, BOUNDED_QUEUE - 1, BOUNDED_QUEUE, 2 * BOUNDED_QUEUE + 1])
def test_a_queue_that_is_bounded_while_the_peer_talks_goes_on(tmp_path: Path, before: int) -> None:
    async def scenario(peer: Peer, wire: KernelWire, taken: Taken) -> None:
        for index in range(before):
            peer.publish(str(index))
        await taken.count(before)
        wire.bound()
        for index in range(before, before + 500):
            peer.publish(str(index))
        await taken.count(before + 500)
        assert taken.texts() == [str(index) for index in range(before + 500)]

    play(scenario, tmp_path)


def test_a_peer_that_stays_is_not_waited_for_beyond_the_limit(tmp_path: Path) -> None:
    async def scenario(peer: Peer, wire: KernelWire, taken: Taken) -> None:
        peer.publish("a")
        await taken.count(1)
        await wire.disconnected(0.01)
        assert taken.texts() == ["a"]

    play(scenario, tmp_path)


def test_a_request_carries_the_id_it_was_given_and_our_signature(tmp_path: Path) -> None:
    async def scenario(peer: Peer, wire: KernelWire, taken: Taken) -> None:
        wire.send("shell", "execute_request", {"code": "1"}, "our-id")
        assert peer.shell.poll(LIMIT_S * 1000)
        _, parts = peer.session.feed_identities(peer.shell.recv_multipart())
        message = peer.session.deserialize(parts)
        assert message["header"]["msg_id"] == "our-id"
        assert message["header"]["msg_type"] == "execute_request"
        assert message["content"] == {"code": "1"}

    play(scenario, tmp_path)


@pytest.mark.parametrize(
    "frames",
    [
        [b"no delimiter"],
        [b"<IDS|MSG>"],
        [b"<IDS|MSG>", b"bad signature", b"{}", b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"", b"[]", b"1", b"x", b"\xff"],
    ],
)
def test_what_is_no_signed_message_is_dropped_and_the_next_one_is_taken(
    tmp_path: Path, frames: list[bytes]
) -> None:
    async def scenario(peer: Peer, wire: KernelWire, taken: Taken) -> None:
        peer.iopub.send_multipart(frames)
        peer.publish("sound")
        await taken.count(1)
        assert taken.texts() == ["sound"]

    play(scenario, tmp_path)


def test_a_signed_message_without_form_is_dropped(tmp_path: Path) -> None:
    async def scenario(peer: Peer, wire: KernelWire, taken: Taken) -> None:
        for header in (b"[]", b"7", b"{}", b"nonsense", b"[" * 100_000):
            parts = [header, b"{}", b"{}", b"{}"]
            peer.iopub.send_multipart([b"<IDS|MSG>", peer.session.sign(parts), *parts])
        peer.publish("sound")
        await taken.count(1)
        assert taken.texts() == ["sound"]

    play(scenario, tmp_path)


def test_nothing_happens_once_it_is_closed(tmp_path: Path) -> None:
    async def scenario(peer: Peer, wire: KernelWire, taken: Taken) -> None:
        wire.close()
        wire.send("shell", "kernel_info_request", {}, "r")
        wire.close()
        assert not peer.shell.poll(0)

    play(scenario, tmp_path)
