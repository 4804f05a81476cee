"""Streams of a real ipykernel: closed by its cells, taken away, and written to when none runs."""

from __future__ import annotations

import asyncio
import os

import pytest

from headway.core.kernel.events import (
    DisplayData,
    ErrorOutput,
    ExecuteResult,
    KernelEvent,
    Stream,
)
from headway.core.room.effects import ExecuteRequest
from headway.edges import kernel_replies
from headway.edges.kernels import JupyterKernels
from real_kernels import play, started


@pytest.mark.parametrize(
    "close",
    [
        "with sys.stdout as file: print('seen', file=file)",
        "print('seen'); sys.stdout.close(); sys.stderr.close()",
    ],
)
def test_the_notebooks_own_streams_are_flushed_by_who_closes_them_and_stay_open(close: str) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", f"import sys; sys.stdout.flush_interval = 3600\n{close}"))
        kernel.ask(ExecuteRequest("e2", "print('well'); print('so', file=sys.stderr)"))
        kernel.ask(ExecuteRequest("e3", "import os; os.system('echo past Python')"))
        await heard.finished("e3")
        assert heard.text() == "seen\nwell\npast Python\n"
        assert heard.text("stderr") == "so\n"

    play(scenario)


@pytest.mark.parametrize(
    ("shows", "kind"),
    [("1 + 1", ExecuteResult), ("display(1)", DisplayData), ("1 / 0", ErrorOutput)],
)
def test_whoever_has_no_stream_to_print_to_is_shown_everything_else(
    shows: str, kind: type[KernelEvent]
) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", f"import sys; sys.stdout = sys.stderr = None; {shows}"))
        kernel.ask(ExecuteRequest("e2", f"print('nowhere'); {shows}"))
        await heard.finished("e2")
        assert sum(isinstance(event, kind) for event in heard.events) == 2
        assert sum(isinstance(event, ErrorOutput) for event in heard.events) in {0, 2}
        assert heard.text() == heard.text("stderr") == ""

    play(scenario)


def test_what_a_thread_prints_belongs_to_its_cell_though_the_kernel_was_asked_something_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel_replies, "LONG_S", 0.0)

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        pipes = [os.pipe(), os.pipe()]
        cell, thread = (f"open('/proc/{os.getpid()}/fd/{reading}').read(1)" for reading, _ in pipes)
        talk = f"lambda: ({thread}, print('said late', flush=True))"
        kernel.ask(
            ExecuteRequest(
                "e1", f"import threading; threading.Thread(target={talk}).start(); {cell}"
            )
        )
        while not kernel._replies._probes:
            await asyncio.sleep(0)
        os.write(pipes[0][1], b".")
        while kernel._replies._probes:  # not answered before the cell has ended
            await asyncio.sleep(0)
        os.write(pipes[1][1], b".")
        await heard.until(lambda: heard.text() == "said late\n")
        assert Stream("e1", "stdout", "said late\n", is_flushed=True) in heard.events
        for pipe in pipes:
            os.close(pipe[0])
            os.close(pipe[1])

    play(scenario)
