"""The floor: jupyter_client's own client on an ipykernel as it comes. It has no document at all."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from jupyter_client.manager import AsyncKernelManager, KernelManager

from serving import block_of, serve

LIMIT_S = 120.0
CODE = "1+1"
WARM_UP = 20


class BlockingKernel:
    """`BlockingKernelClient`, as a program that has no event loop would use it."""

    async def start(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(stderr=subprocess.DEVNULL)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=LIMIT_S)
        await self.execute(WARM_UP)

    def _run(self, code: str) -> None:
        request = self._client.execute(code)
        while not is_idle(self._client.get_iopub_msg(timeout=LIMIT_S), request):
            pass
        while not answers(self._client.get_shell_msg(timeout=LIMIT_S), request):
            pass

    async def run(self, code: str) -> None:
        self._run(code)

    async def execute(self, count: int, code: str = CODE) -> Any:
        taken = []
        for _ in range(count):
            begun = time.perf_counter()
            self._run(code)
            taken.append(time.perf_counter() - begun)
        return taken

    async def first_output(self, count: int, code: str) -> Any:
        """Run a cell that shows something and goes on; seconds until it is here."""
        taken = []
        for _ in range(count):
            begun = time.perf_counter()
            request = self._client.execute(code)
            shown_s = None
            while not is_idle(message := self._client.get_iopub_msg(timeout=LIMIT_S), request):
                is_stream = message["msg_type"] == "stream" and answers(message, request)
                if is_stream and shown_s is None:
                    shown_s = time.perf_counter() - begun
            while not answers(self._client.get_shell_msg(timeout=LIMIT_S), request):
                pass
            assert shown_s is not None, "the cell shows something"
            taken.append(shown_s)
        return taken

    async def flood(self, code: str) -> Any:
        begun = time.perf_counter()
        self._run(code)
        return {"s": time.perf_counter() - begun}

    async def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


class AsyncKernel:
    """`AsyncKernelClient`, as a program on asyncio would use it."""

    async def start(self) -> None:
        self._manager = AsyncKernelManager(kernel_name="python3")
        await self._manager.start_kernel(stderr=subprocess.DEVNULL)
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=LIMIT_S)
        await self.execute(WARM_UP)

    async def run(self, code: str) -> None:
        request = self._client.execute(code)
        while not is_idle(await self._client.get_iopub_msg(timeout=LIMIT_S), request):
            pass
        while not answers(await self._client.get_shell_msg(timeout=LIMIT_S), request):
            pass

    async def execute(self, count: int, code: str = CODE) -> Any:
        return await block_of(count, lambda: self.run(code))

    async def close(self) -> None:
        self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)


def is_idle(message: dict[str, Any], request: str) -> bool:
    """Whether the kernel says that it is done with a request."""
    if not answers(message, request) or message["msg_type"] != "status":
        return False
    return bool(message["content"]["execution_state"] == "idle")


def answers(message: dict[str, Any], request: str) -> bool:
    """Whether a message belongs to a request."""
    return bool(message["parent_header"].get("msg_id") == request)


if __name__ == "__main__":
    serve(BlockingKernel() if sys.argv[1] == "blocking" else AsyncKernel())
