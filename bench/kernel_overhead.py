"""What our kernel edge costs over jupyter_client's blocking client: `1 + 1` until idle and reply.

Both in one run, in turns, on fresh kernels, because the machine's speed drifts: read the ratio.

    python bench/kernel_overhead.py [rounds] [executions]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from jupyter_client.manager import KernelManager

from headway.core.kernel.events import ExecuteReply, Idle, KernelEvent
from headway.core.room.effects import ExecuteRequest
from headway.edges.kernels import JupyterKernels

WARM_UP = 30
CODE = "1 + 1"


def blocking_client(executions: int) -> list[float]:
    """Seconds of each execution with jupyter_client's blocking client, over TCP, its default."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    taken = []
    for _ in range(executions + WARM_UP):
        begun = time.perf_counter()
        request = client.execute(CODE)
        while not _is_idle(client.get_iopub_msg(timeout=60), request):
            pass
        while client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != request:
            pass
        taken.append(time.perf_counter() - begun)
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return taken[WARM_UP:]


def _is_idle(message: dict[str, Any], request: str) -> bool:
    if message["parent_header"].get("msg_id") != request or message["msg_type"] != "status":
        return False
    return bool(message["content"]["execution_state"] == "idle")


async def our_edge(executions: int) -> list[float]:
    """Seconds of each execution through `JupyterKernels`."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    missing = 0

    def hear(events: tuple[KernelEvent, ...]) -> None:
        nonlocal missing
        for event in events:
            if isinstance(event, Idle | ExecuteReply):
                missing -= 1
                if missing == 0:
                    done.set_result(None)

    kernels = JupyterKernels()
    kernel = await kernels.start(None, None, "/", hear, print)
    taken = []
    for number in range(executions + WARM_UP):
        done, missing = loop.create_future(), 2
        begun = time.perf_counter()
        kernel.ask(ExecuteRequest(f"execution-{number}", CODE))
        await done
        taken.append(time.perf_counter() - begun)
    await kernels.close()
    return taken[WARM_UP:]


def main() -> None:
    given = [int(text) for text in sys.argv[1:3]]
    rounds, executions = given + [3, 300][len(given) :]
    contenders: dict[str, Callable[[], list[float]]] = {
        "jupyter_client": lambda: blocking_client(executions),
        "headway": lambda: asyncio.run(our_edge(executions)),
    }
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        pass
    else:
        contenders["headway, uvloop"] = lambda: uvloop.run(our_edge(executions))
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            taken[name] += contender()
    median_s = {name: statistics.median(seconds) for name, seconds in taken.items()}
    floor_s = median_s["jupyter_client"]
    report = {
        name: {"p50_ms": round(seconds * 1000, 3), "ratio": round(seconds / floor_s, 3)}
        for name, seconds in median_s.items()
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
