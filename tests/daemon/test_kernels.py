from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from headway.core.document.dependencies import Dependencies
from headway.core.kernel.events import Busy, Idle, KernelEvent, KernelInfo
from headway.core.room.effects import (
    AskKernel,
    Environment,
    ExecuteRequest,
    FolderEnvironment,
    InterruptKernel,
    LookAtEnvironment,
    NotebookEnvironment,
    StartKernel,
)
from headway.core.room.effects import StopKernel as Stop
from headway.core.room.inputs import (
    EnvironmentSeen,
    Input,
    KernelEnded,
    KernelFailed,
    KernelProgress,
    KernelReady,
    KernelSaid,
    KernelStopped,
)
from headway.core.room.opening import LivingKernel
from headway.core.wire.rpc import KernelEnvironment
from headway.daemon.kernels import RoomKernels
from headway.daemon.survivors import Ear, Survivor
from headway.edges.kernelspecs import Kernelspec, Kernelspecs
from headway.edges.memory_environments import MemoryEnvironments
from headway.edges.ports import AdoptableKernel, AdoptedKernel, KernelOwner, KernelSink
from headway.errors import EnvironmentNotFound, KernelDied, KernelStartFailed

DOCUMENT = "nb-1"


class Stub:
    """A kernel that remembers what is done to it."""

    def __init__(self) -> None:
        self.name = "python3"
        self.display_name = "Python 3"
        self.environment: KernelEnvironment | None = None
        self.info = KernelInfo("python")
        self.asked: list[Any] = []
        self.interrupted: list[str | None] = []
        self.holds: list[bool] = []
        self.stopped = 0

    def ask(self, request: Any) -> None:
        self.asked.append(request)

    def hear_anew(self, events: Any, ended: Any) -> str | None:
        del events, ended
        return None

    def hold(self, *, holds: bool) -> None:
        self.holds.append(holds)

    async def interrupt(self, execution_id: str | None = None) -> None:
        self.interrupted.append(execution_id)

    async def stop(self) -> None:
        self.stopped += 1


class Port:
    """Kernels that become ready when the test says so."""

    def __init__(self) -> None:
        self.may_start = asyncio.Event()
        self.errors: list[KernelStartFailed] = []
        """What the next starts fail with."""
        self.kernel = Stub()
        self.events: KernelSink
        self.ended: Callable[[str], None]
        self.begun = asyncio.Event()
        self.cancelled = 0
        self.folder = ""

    def installed(self) -> Kernelspecs:
        ir = Kernelspec("ir", "R", "R", ("R",), {}, "signal", "ipc", "")
        return Kernelspecs({"ir": ir}, {"odd": "it is not JSON"})

    async def start(
        self,
        name: str | None,
        language: str | None,
        folder: str,
        events: KernelSink,
        ended: Callable[[str], None],
        owner: KernelOwner | None = None,
        environment: KernelEnvironment | None = None,
    ) -> Stub:
        self.kernel.environment = environment
        self.owner = owner
        self.events, self.ended, self.folder = events, ended, folder
        self.begun.set()
        try:
            await self.may_start.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.errors:
            raise self.errors.pop(0)
        return self.kernel

    async def adoptable(self) -> tuple[AdoptableKernel, ...]:
        return ()

    async def adopt(
        self, found: AdoptableKernel, events: KernelSink, ended: Callable[[str], None]
    ) -> AdoptedKernel:
        raise KernelDied("It is gone.", reason="it is gone")

    async def close(self) -> None:
        return None


class Setting:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.port = Port()
        self.environments = MemoryEnvironments()
        self.fed: list[Input] = []
        self.jobs: list[asyncio.Task[None]] = []
        self._tasks = tasks
        self.kernels = RoomKernels(
            DOCUMENT, self.port, self.environments, self.fed.append, self.spawn
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self.jobs.append(task)
        return task

    async def begin(self) -> None:
        self.kernels.start(StartKernel(1, None, None), "/folder")
        await self.port.begun.wait()

    async def settle(self) -> None:
        while pending := [job for job in self.jobs if not job.done()]:
            await asyncio.wait(pending)


def run(scenario: Callable[[Setting], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            await scenario(Setting(tasks))

    asyncio.run(bounded())


def said(*events: KernelEvent) -> KernelSaid:
    return KernelSaid(1, events)


def test_whoever_looks_where_a_kernel_may_run_is_told_which_ones_are_there(tmp_path: Path) -> None:
    specs = tmp_path / "share" / "jupyter" / "kernels" / "ir"
    specs.mkdir(parents=True)
    (specs / "kernel.json").write_text('{"argv": ["R"], "display_name": "R", "language": "R"}')
    place = str(tmp_path)

    async def scenario(setting: Setting) -> None:
        setting.environments.folders[place] = False
        declared = NotebookEnvironment(Dependencies(("pandas",)))
        places: list[Environment | None] = [None, FolderEnvironment(place), declared]
        for each in places:
            setting.kernels.look(LookAtEnvironment(each))
            await setting.settle()
        assert setting.fed == [
            EnvironmentSeen(None, True, None, {"ir": "R"}, {"odd": "it is not JSON"}),
            EnvironmentSeen(FolderEnvironment(place), kernels={"python3": "python", "ir": "R"}),
            EnvironmentSeen(declared),
        ]

    run(scenario)


def test_where_no_kernel_may_run_is_said_and_nothing_else() -> None:
    async def scenario(setting: Setting) -> None:
        setting.kernels.look(LookAtEnvironment(FolderEnvironment("/nowhere")))
        await setting.settle()
        (seen,) = setting.fed
        assert isinstance(seen, EnvironmentSeen)
        assert isinstance(seen.error, EnvironmentNotFound)
        assert seen.kernels is None

    run(scenario)


def test_a_kernel_that_starts_is_ready_before_anything_it_said() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.begin()
        setting.port.events((Busy(None),))
        setting.port.events((Idle(None),))
        setting.port.may_start.set()
        await setting.settle()
        ready = KernelReady(1, setting.port.kernel.info, "python3", "Python 3")
        assert setting.fed == [ready, said(Busy(None)), said(Idle(None))]
        assert setting.port.folder == "/folder"
        assert setting.port.owner == KernelOwner(DOCUMENT, 1)
        setting.port.events((Busy("e"),))
        assert setting.fed[-1] == said(Busy("e"))

    run(scenario)


def test_a_kernel_that_ends_while_it_starts_is_ready_and_then_ended() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.begin()
        setting.port.ended("it was killed by signal 9")
        setting.port.may_start.set()
        await setting.settle()
        assert setting.fed[-1] == KernelEnded(1, "it was killed by signal 9")
        assert isinstance(setting.fed[0], KernelReady)
        assert setting.kernels.count == 0

    run(scenario)


def test_a_kernel_that_cannot_start_is_reported_and_forgotten() -> None:
    async def scenario(setting: Setting) -> None:
        error = KernelStartFailed("No.", stderr="")
        setting.port.errors = [error]
        setting.port.may_start.set()
        await setting.begin()
        await setting.settle()
        assert setting.fed == [KernelFailed(1, error)]
        assert setting.kernels.count == 0

    run(scenario)


DECLARED = NotebookEnvironment(Dependencies(("pandas",)))
PLACE = f"/environments/{DECLARED.dependencies.installation().digest}"


async def begin_where_it_is_declared(setting: Setting) -> None:
    setting.environments.folders[PLACE] = True
    setting.kernels.start(StartKernel(1, None, "python", DECLARED), "/folder")
    await setting.port.begun.wait()


def test_a_kernel_whose_environment_is_damaged_starts_again_when_that_is_made_anew() -> None:
    async def scenario(setting: Setting) -> None:
        await begin_where_it_is_declared(setting)
        setting.environments.damaged.add(PLACE)
        setting.port.errors = [KernelStartFailed("No module named ipykernel.", stderr="")]
        setting.port.events((Busy(None),))
        setting.port.ended("it exited with status 1")
        setting.port.may_start.set()
        await setting.settle()
        progress, ready = setting.fed
        assert isinstance(progress, KernelProgress)
        assert isinstance(ready, KernelReady)
        assert ready.environment == KernelEnvironment(path=PLACE, source="notebook")
        assert setting.environments.installed == [DECLARED.dependencies.installation()]

    run(scenario)


def test_a_kernel_that_does_not_start_where_nothing_is_damaged_is_reported() -> None:
    async def scenario(setting: Setting) -> None:
        await begin_where_it_is_declared(setting)
        error = KernelStartFailed("No module named zmq.", stderr="")
        setting.port.errors = [error]
        setting.port.may_start.set()
        await setting.settle()
        assert setting.fed == [KernelFailed(1, error)]

    run(scenario)


def test_a_kernel_that_does_not_start_in_what_was_made_anew_either_is_reported() -> None:
    async def scenario(setting: Setting) -> None:
        await begin_where_it_is_declared(setting)
        setting.environments.damaged.add(PLACE)
        errors = [KernelStartFailed(each, stderr="") for each in ("Once.", "Twice.", "Thrice.")]
        setting.port.errors = list(errors)
        setting.port.may_start.set()
        await setting.settle()
        assert setting.fed[-1] == KernelFailed(1, errors[1])
        assert setting.kernels.count == 0

    run(scenario)


def test_a_kernel_is_asked_and_interrupted_and_one_that_is_gone_is_not() -> None:
    async def scenario(setting: Setting) -> None:
        request = ExecuteRequest("e", "1")
        setting.kernels.ask(AskKernel(1, request))
        setting.port.may_start.set()
        await setting.begin()
        await setting.settle()
        setting.kernels.ask(AskKernel(1, request))
        setting.kernels.ask(AskKernel(2, request))
        setting.kernels.interrupt(InterruptKernel(1, "e"))
        await setting.settle()
        assert setting.port.kernel.asked == [request]
        assert setting.port.kernel.interrupted == ["e"]
        setting.port.ended("it exited")
        setting.kernels.ask(AskKernel(1, request))
        assert setting.port.kernel.asked == [request]

    run(scenario)


def test_nothing_is_heard_of_a_kernel_that_is_being_stopped() -> None:
    async def scenario(setting: Setting) -> None:
        setting.port.may_start.set()
        await setting.begin()
        await setting.settle()
        fed = list(setting.fed)
        setting.kernels.stop(Stop(1))
        setting.kernels.stop(Stop(1))
        setting.port.events((Idle(None),))
        setting.port.ended("it exited")
        await setting.settle()
        assert setting.fed == [*fed, KernelStopped(1)]
        assert setting.port.kernel.stopped == 1
        assert setting.kernels.count == 0

    run(scenario)


def test_stopping_a_kernel_that_still_starts_gives_the_start_up() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.begin()
        setting.kernels.stop_all()
        await setting.settle()
        assert setting.port.cancelled == 1
        assert setting.fed == [KernelStopped(1)]
        assert setting.kernels.count == 0

    run(scenario)


def test_what_an_earlier_daemons_kernel_said_is_kept_until_the_room_listens() -> None:
    async def scenario(setting: Setting) -> None:
        survivor = outlived(setting.port.kernel)
        setting.kernels.take_up(survivor)
        survivor.ear.said((Busy("e"),))
        survivor.ear.said((Idle("e"),))
        survivor.ear.ended("it was killed by signal 9")
        assert setting.fed == []
        assert setting.kernels.count == 1
        setting.kernels.listen(survivor)
        ended = KernelEnded(3, "it was killed by signal 9")
        assert setting.fed == [KernelSaid(3, (Busy("e"),)), KernelSaid(3, (Idle("e"),)), ended]
        assert setting.kernels.count == 0

    run(scenario)


def test_an_earlier_daemons_kernel_is_asked_and_stopped_like_any_other() -> None:
    async def scenario(setting: Setting) -> None:
        survivor = outlived(setting.port.kernel)
        setting.kernels.take_up(survivor)
        setting.kernels.listen(survivor)
        request = ExecuteRequest("e", "1")
        setting.kernels.ask(AskKernel(3, request))
        assert setting.port.kernel.asked == [request]
        setting.kernels.stop(Stop(3))
        survivor.ear.said((Busy("e"),))
        await setting.settle()
        assert setting.fed == [KernelStopped(3)]
        assert setting.port.kernel.stopped == 1
        assert setting.kernels.count == 0

    run(scenario)


def outlived(kernel: Stub) -> Survivor:
    return Survivor(LivingKernel(3, "python3", kernel.info, "e", 0.0), kernel, Ear())
