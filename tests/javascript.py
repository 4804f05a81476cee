"""Node.js for the tests: found or said to be missing, and peers of it that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["FOLDER", "SCRIPT_S", "Peer", "javascript_peer", "node", "plain_server", "run_script"]

FOLDER = Path(__file__).with_name("js")
"""The scripts, and the packages that they use."""

SCRIPT_S = 40.0
"""How long a script may take. The waits inside it end earlier, with a better sentence."""

_LINE_BYTES = 16 * 1024 * 1024


def node() -> str:
    """The path of Node.js.

    Without it, or without the packages, the test fails in CI and is skipped elsewhere.
    """
    beside = Path(sys.executable).with_name("node")
    found = shutil.which("node") or (str(beside) if beside.exists() else None)
    if found is None:
        _missing("Node.js is not there")
    if not (FOLDER / "node_modules").is_dir():
        _missing("the packages of tests/js are not installed")
    return str(found)


def _missing(what: str) -> None:
    sentence = f"{what}; `make node` sees to it"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextlib.asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        node(),
        *arguments,
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            # The `node` from PyPI is a program that starts it: both are killed.
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()  # until nobody has the pipes any more


async def run_script(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Run a script to its end; gives the report it prints. Its complaints go to stderr."""
    async with asyncio.timeout(SCRIPT_S), _process(name, json.dumps(options)) as process:
        said, _ = await process.communicate()
    assert process.returncode == 0, f"{name} ended with {process.returncode}; see its stderr"
    report: dict[str, Any] = json.loads(said)
    return report


@dataclass
class Peer:
    """A peer in a Node.js process of its own, made of the official packages (`js/peer.mjs`)."""

    process: asyncio.subprocess.Process

    async def ask(self, do: str, **parameters: Any) -> Any:
        """Have it do something; gives the result. What it could not do fails the test."""
        assert self.process.stdin is not None
        line = json.dumps({"do": do, **parameters}) + "\n"
        self.process.stdin.write(line.encode())
        async with asyncio.timeout(SCRIPT_S):
            await self.process.stdin.drain()
            return await self.answer(do)

    async def answer(self, do: str) -> Any:
        """The next line that it says."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, f"the JavaScript peer ended during {do!r}; see its stderr"
        answer = json.loads(line)
        assert "error" not in answer, f"{do}: {answer['error']}"
        return answer["result"]


@contextlib.asynccontextmanager
async def javascript_peer(url: str, room: str, **options: Any) -> AsyncIterator[Peer]:
    """A peer that has joined `room` at `url` and holds what the server held."""
    described = json.dumps({"url": url, "room": room, **options})
    async with _process("peer.mjs", described) as process:
        peer = Peer(process)
        async with asyncio.timeout(SCRIPT_S):
            await peer.answer("join")
        yield peer
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(SCRIPT_S):
            assert await process.wait() == 0


@contextlib.asynccontextmanager
async def plain_server() -> AsyncIterator[str]:
    """The official server of the protocol, unmodified; gives its URL."""
    async with _process("simple_server.mjs") as process:
        assert process.stdout is not None
        async with asyncio.timeout(SCRIPT_S):
            port = int(await process.stdout.readline())
        yield f"ws://127.0.0.1:{port}"
