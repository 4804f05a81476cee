"""Real kernel processes for a test: what one of them said, and a deadline for it all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from headway.core.kernel.events import ExecuteReply, Idle, Stream
from headway.edges.kernels import JupyterKernel, JupyterKernels

LIMIT_S = 30


class Heard:
    """Takes what a kernel says and why it ended."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.reasons: list[str] = []
        self.changed = asyncio.Event()

    def hear(self, events: tuple[Any, ...]) -> None:
        self.events.extend(events)
        self.changed.set()

    def end(self, reason: str) -> None:
        self.reasons.append(reason)
        self.events.append("ended")
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def finished(self, execution_id: str) -> None:
        await self.until(
            lambda: (
                Idle(execution_id) in self.events
                and any(
                    isinstance(e, ExecuteReply) and e.execution_id == execution_id
                    for e in self.events
                )
            )
        )

    def text(self, name: str = "stdout") -> str:
        return "".join(e.text for e in self.events if isinstance(e, Stream) and e.name == name)


Scenario = Callable[[JupyterKernels], Awaitable[None]]


def play(scenario: Scenario, folder: Path | None = None) -> None:
    async def run() -> None:
        kernels = JupyterKernels(folder)
        try:
            async with asyncio.timeout(LIMIT_S):
                await scenario(kernels)
        finally:
            await kernels.close()

    asyncio.run(run())


async def started(kernels: JupyterKernels, name: str | None = None) -> tuple[JupyterKernel, Heard]:
    heard = Heard()
    return await kernels.start(name, None, "/", heard.hear, heard.end), heard
