"""What the in-memory kernels let a test do, beyond the port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headway.core.kernel.events import (
    Busy,
    ErrorOutput,
    ExecuteInput,
    ExecuteReply,
    ExecuteResult,
    Idle,
    KernelEvent,
    Stream,
)
from headway.core.room.effects import ExecuteRequest
from headway.edges.memory_kernels import MemoryKernel, MemoryKernels, ScriptedKernel
from headway.errors import KernelNotFound, KernelStartFailed


def run_out(script: ScriptedKernel) -> list[KernelEvent]:
    """Step until there is nothing to do."""
    said: list[KernelEvent] = []
    while (events := script.step()) is not None:
        said.extend(events)
    return said


def test_each_statement_is_a_step() -> None:
    script = ScriptedKernel()
    script.ask(ExecuteRequest("e", 'print("a")\n1 + 1'))
    assert script.step() == (Busy("e"), ExecuteInput("e", 1))
    assert script.step() == (Stream("e", "stdout", "a\n"),)
    assert script.step() == (ExecuteResult("e", {"text/plain": "2"}, {}, 1),)
    assert script.step() == (ExecuteReply("e", "ok", 1), Idle("e"))
    assert script.step() == ()
    assert script.step() is None


def test_idle_may_come_before_the_reply() -> None:
    script = ScriptedKernel(idle_first=True)
    script.ask(ExecuteRequest("e", "pass"))
    assert run_out(script)[-2:] == [Idle("e"), ExecuteReply("e", "ok", 1)]


def test_code_sleeps_until_it_is_released() -> None:
    script = ScriptedKernel()
    script.ask(ExecuteRequest("e", 'sleep(1)\nprint("awake")'))
    assert Idle("e") not in run_out(script)
    assert script.is_asleep
    assert not script.can_step
    script.release()
    assert Stream("e", "stdout", "awake\n") in run_out(script)


def test_an_interrupt_ends_a_sleep_with_an_error() -> None:
    script = ScriptedKernel()
    script.ask(ExecuteRequest("e", "sleep(1)"))
    run_out(script)
    (error,) = script.interrupt()
    assert isinstance(error, ErrorOutput)
    assert error.name == "KeyboardInterrupt"
    assert run_out(script)[-1] == Idle("e")


def test_an_interrupt_after_the_last_statement_does_nothing() -> None:
    script = ScriptedKernel()
    script.ask(ExecuteRequest("e", "pass"))
    while Idle("e") not in (script.step() or ()):
        pass
    assert script.interrupt() == ()
    script.ask(ExecuteRequest("f", "pass"))
    assert run_out(script)[-1] == Idle("f")


def test_code_that_is_no_python_is_an_error() -> None:
    script = ScriptedKernel()
    script.ask(ExecuteRequest("e", "1 +"))
    errors = [event.name for event in run_out(script) if isinstance(event, ErrorOutput)]
    assert errors == ["SyntaxError"]


def test_what_was_said_before_dying_is_given_with_it() -> None:
    script = ScriptedKernel()
    script.ask(ExecuteRequest("e", 'print("last")\ndie("it exploded")'))
    script.ask(ExecuteRequest("f", "1"))
    assert Stream("e", "stdout", "last\n") in run_out(script)
    assert script.death == "it exploded"
    script.ask(ExecuteRequest("g", "1"))
    assert script.step() is None


Scenario = Callable[[MemoryKernels], Awaitable[None]]


def play(scenario: Scenario) -> None:
    async def run() -> None:
        async with asyncio.timeout(5):
            await scenario(MemoryKernels({"python3": "python", "ir": "R"}))

    asyncio.run(run())


async def started(kernels: MemoryKernels, language: str | None = None) -> MemoryKernel:
    return await kernels.start(None, language, "/", lambda _: None, lambda _: None)


def test_a_language_chooses_among_the_installed() -> None:
    async def scenario(kernels: MemoryKernels) -> None:
        assert (await started(kernels, "r")).name == "ir"
        assert (await started(kernels, "cobol")).name == "python3"
        with pytest.raises(KernelNotFound):
            await kernels.start("julia", None, "/", lambda _: None, lambda _: None)
        assert [kernel.name for kernel in kernels.started] == ["ir", "python3"]

    play(scenario)


def test_a_failure_can_be_planted() -> None:
    async def scenario(kernels: MemoryKernels) -> None:
        kernels.failure = KernelStartFailed("planted", stderr="x")
        with pytest.raises(KernelStartFailed, match="planted"):
            await started(kernels)
        kernels.failure = None
        await started(kernels)

    play(scenario)


def test_a_start_waits_for_the_gate() -> None:
    async def scenario(kernels: MemoryKernels) -> None:
        kernels.gate = asyncio.Event()
        starting = asyncio.create_task(started(kernels))
        await asyncio.sleep(0)
        assert not starting.done()
        kernels.gate.set()
        assert (await starting).name == "python3"

    play(scenario)


def test_a_kernel_by_hand_does_nothing_by_itself() -> None:
    async def scenario(kernels: MemoryKernels) -> None:
        kernels.by_hand = True
        heard: list[KernelEvent] = []
        kernel = await kernels.start(None, None, "/", heard.extend, lambda _: None)
        kernel.ask(ExecuteRequest("e", "1"))
        await asyncio.sleep(0)
        assert heard == []
        assert kernel.step()
        assert heard == [Busy("e"), ExecuteInput("e", 1)]

    play(scenario)


def test_a_death_from_outside_is_told_once() -> None:
    async def scenario(kernels: MemoryKernels) -> None:
        reasons: list[str] = []
        kernel = await kernels.start(None, None, "/", lambda _: None, reasons.append)
        kernel.die("it was killed by signal 9 (SIGKILL)")
        kernel.die("again")
        await kernel.stop()
        assert reasons == ["it was killed by signal 9 (SIGKILL)"]

    play(scenario)
