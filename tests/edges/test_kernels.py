"""What every implementation of the kernels port does: the in-memory one and the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headway.core.kernel.events import (
    Busy,
    ClearOutput,
    CommClosed,
    CommInfo,
    CommMessage,
    CommOpened,
    CompleteReply,
    DisplayData,
    ErrorOutput,
    ExecuteInput,
    ExecuteReply,
    ExecuteResult,
    HistoryReply,
    Idle,
    InputRequest,
    InspectReply,
    IsCompleteReply,
    KernelEvent,
    Stream,
    UpdateDisplay,
)
from headway.core.room.effects import (
    CommInfoRequest,
    CommRequest,
    CompleteRequest,
    ExecuteRequest,
    HistoryRequest,
    InputReply,
    InspectRequest,
    IsCompleteRequest,
)
from headway.edges.kernels import JupyterKernels
from headway.edges.memory_kernels import MemoryKernels
from headway.edges.ports import AdoptedKernel, Kernel, KernelOwner, Kernels
from headway.errors import KernelDied, KernelNotFound, KernelStartFailed

LIMIT_S = 30

OWNER = KernelOwner("nb-1", 3)

COMM_EVENTS = (CommOpened, CommMessage, CommClosed)


@dataclass
class Dialect:
    """One implementation, and how its kernels are told what this suite needs."""

    make: Callable[[Path], Kernels]
    succeed: Callable[[Kernels, Path], Awaitable[Kernels]]
    """The daemon is killed; what the next one has."""
    wait_for_ever: str
    die: str
    reason: str
    prelude: str
    passwords: str


async def jupyter_successor(killed: Kernels, folder: Path) -> Kernels:
    assert isinstance(killed, JupyterKernels)
    await killed.abandon()
    return JupyterKernels(folder / "kernels")


async def memory_successor(killed: Kernels, _folder: Path) -> Kernels:
    assert isinstance(killed, MemoryKernels)
    return killed.successor()


DIALECTS = {
    "memory": Dialect(
        make=lambda _: MemoryKernels(),
        succeed=memory_successor,
        wait_for_ever='print("begun")\nsleep(600)',
        die='die("it exited with status 3")',
        reason="it exited with status 3",
        prelude="import sys",
        passwords="",
    ),
    "jupyter": Dialect(
        make=lambda folder: JupyterKernels(folder / "kernels"),
        succeed=jupyter_successor,
        wait_for_ever='import time\nprint("begun", flush=True)\ntime.sleep(600)',
        die="import os; os._exit(3)",
        reason="it exited with status 3",
        prelude=(
            "import sys; from IPython.display import clear_output, update_display;"
            "import comm; from comm import create_comm;"
            "register_target = comm.get_comm_manager().register_target"
        ),
        passwords="from getpass import getpass",
    ),
}


@dataclass
class Listener:
    """Takes what a kernel says, and waits for it."""

    events: list[KernelEvent] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, events: tuple[KernelEvent, ...]) -> None:
        self.events.extend(events)
        self.changed.set()

    def end(self, reason: str) -> None:
        self.reasons.append(reason)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def of(self, execution_id: str) -> list[KernelEvent]:
        return [
            event for event in self.events if getattr(event, "execution_id", "") == execution_id
        ]

    async def finished(self, execution_id: str) -> list[KernelEvent]:
        """Everything the execution said, once both its reply and its idle status came."""

        def both() -> bool:
            said = {type(event) for event in self.of(execution_id)}
            return {ExecuteReply, Idle} <= said

        await self.until(both)
        return self.of(execution_id)

    async def begun(self, execution_id: str) -> None:
        """Until the code of `Dialect.wait_for_ever` itself runs.

        Not only until ExecuteInput: ipykernel ignores a SIGINT between that and the code.
        """
        await self.until(
            lambda: any(
                isinstance(event, Stream) and event.text == "begun\n"
                for event in self.of(execution_id)
            )
        )

    async def asked(self, count: int = 1) -> InputRequest:
        """The request for input with this number."""

        def found() -> list[InputRequest]:
            return [event for event in self.events if isinstance(event, InputRequest)]

        await self.until(lambda: len(found()) >= count)
        return found()[count - 1]

    async def ended(self) -> str:
        await self.until(lambda: bool(self.reasons))
        return self.reasons[0]


def published_of(story: list[KernelEvent]) -> list[KernelEvent]:
    """What was published: replies have a socket of their own, and stand anywhere among the rest."""
    return [event for event in story if not isinstance(event, ExecuteReply)]


class Bench:
    """One implementation under test."""

    def __init__(self, kernels: Kernels, dialect: Dialect, folder: str) -> None:
        self.kernels = kernels
        self.dialect = dialect
        self.folder = folder

    async def start(
        self,
        name: str | None = None,
        language: str | None = None,
        owner: KernelOwner | None = None,
    ) -> tuple[Kernel, Listener]:
        listener = Listener()
        kernel = await self.kernels.start(
            name, language, self.folder, listener.hear, listener.end, owner
        )
        return kernel, listener

    async def next_daemon(self) -> None:
        """The daemon is killed, and another has come."""
        self.kernels = await self.dialect.succeed(self.kernels, Path(self.folder))

    async def adopt(self) -> tuple[AdoptedKernel, Listener]:
        """Take up the only kernel that was left."""
        (found,) = await self.kernels.adoptable()
        assert found.owner == OWNER
        listener = Listener()
        adopted = await self.kernels.adopt(found, listener.hear, listener.end)
        return adopted, listener


Scenario = Callable[[Bench], Awaitable[None]]


@pytest.fixture(params=list(DIALECTS))
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    dialect = DIALECTS[request.param]

    @asynccontextmanager
    async def opened() -> AsyncIterator[Bench]:
        bench = Bench(dialect.make(tmp_path), dialect, str(tmp_path))
        try:
            yield bench
        finally:
            await bench.kernels.close()

    async def run(scenario: Scenario) -> None:
        async with asyncio.timeout(LIMIT_S), opened() as bench:
            await scenario(bench)

    return lambda scenario: asyncio.run(run(scenario))


Play = Callable[[Scenario], None]


def test_the_default_kernel_is_installed_and_speaks_python(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.kernels.installed().kernels["python3"].language == "python"
        kernel, _ = await bench.start()
        assert kernel.name == "python3"
        assert kernel.info.language == "python"
        assert kernel.info.language_info["file_extension"] == ".py"

    play(scenario)


def test_a_language_finds_its_kernel_whatever_its_case(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, _ = await bench.start(language="PYTHON")
        assert kernel.name == "python3"

    play(scenario)


def test_a_name_that_is_not_installed_is_refused_with_those_that_are(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(KernelNotFound, match="no-such-kernel") as refused:
            await bench.start(name="no-such-kernel", language="python")
        assert refused.value.data["name"] == "no-such-kernel"
        assert "python3" in refused.value.data["installed"]

    play(scenario)


def test_an_execution_tells_its_whole_story_in_order(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "1 + 1"))
        story = await listener.finished("e1")
        published = published_of(story)
        assert published == [
            Busy("e1"),
            ExecuteInput("e1", 1),
            ExecuteResult("e1", {"text/plain": "2"}, {}, 1),
            Idle("e1"),
        ]
        assert [e for e in story if isinstance(e, ExecuteReply)] == [ExecuteReply("e1", "ok", 1)]

    play(scenario)


def test_nothing_is_heard_before_something_is_asked(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        assert listener.events == []
        kernel.ask(ExecuteRequest("e1", "1"))
        story = await listener.finished("e1")
        assert published_of(story)[:2] == [Busy("e1"), ExecuteInput("e1", 1)]

    play(scenario)


def test_what_is_printed_arrives_as_streams_before_idle(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e0", bench.dialect.prelude))
        kernel.ask(ExecuteRequest("e1", 'print("out")\nprint("err", file=sys.stderr)'))
        story = await listener.finished("e1")
        published = published_of(story)
        assert isinstance(published[-1], Idle)
        for name, text in (("stdout", "out\n"), ("stderr", "err\n")):
            said = [e.text for e in story if isinstance(e, Stream) and e.name == name]
            assert "".join(said) == text

    play(scenario)


def test_an_error_is_an_output_and_in_the_reply(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", 'print("before")\nraise ValueError("x")\nprint("after")'))
        story = await listener.finished("e1")
        (error,) = [event for event in story if isinstance(event, ErrorOutput)]
        assert (error.name, error.value) == ("ValueError", "x")
        assert error.traceback
        assert ExecuteReply("e1", "error", 1, "ValueError", "x") in story
        assert "after" not in "".join(e.text for e in story if isinstance(e, Stream))

    play(scenario)


def test_an_error_does_not_stop_what_was_asked_after_it(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        for number, code in enumerate(("x = 20", "1 / 0", "x + 1")):
            kernel.ask(ExecuteRequest(f"e{number}", code))
        story = await listener.finished("e2")
        assert ExecuteResult("e2", {"text/plain": "21"}, {}, 3) in story
        order = [event.execution_id for event in listener.events if isinstance(event, Idle)]
        assert order == ["e0", "e1", "e2"]

    play(scenario)


def test_asking_for_input_fails_at_once(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "input()"))
        story = await listener.finished("e1")
        assert [e.name for e in story if isinstance(e, ErrorOutput)] == ["StdinNotImplementedError"]

    play(scenario)


def shown(story: list[KernelEvent]) -> str:
    return "".join(event.text for event in story if isinstance(event, Stream))


@pytest.mark.parametrize("answer", ["Ada", "", "  two words ", "\u00df \u6f22 \U0001f600", '"\\n'])
def test_code_that_may_ask_gets_exactly_the_answer(play: Play, answer: str) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        code = 'print("before")\nname = input("Name? ")\nprint(repr(name))'
        kernel.ask(ExecuteRequest("e1", code, allow_stdin=True))
        assert await listener.asked() == InputRequest("e1", "Name? ", password=False)
        assert ExecuteReply not in map(type, listener.events)
        kernel.ask(InputReply("e1", answer))
        story = await listener.finished("e1")
        assert shown(story) == f"before\n{answer!r}\n"
        assert ExecuteReply("e1", "ok", 1) in story

    play(scenario)


def test_a_password_is_asked_for_as_one(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        code = f'{bench.dialect.passwords}\nsecret = getpass("Key: ")\nprint(len(secret))'
        kernel.ask(ExecuteRequest("e1", code, allow_stdin=True))
        assert await listener.asked() == InputRequest("e1", "Key: ", password=True)
        kernel.ask(InputReply("e1", "hunter2"))
        assert shown(await listener.finished("e1")) == "7\n"

    play(scenario)


def test_prompts_come_one_after_the_other(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        code = "\n".join(f'x{number} = input("{number}?")' for number in range(20))
        kernel.ask(ExecuteRequest("e1", f"{code}\nprint(x0 + x19)", allow_stdin=True))
        for number in range(20):
            assert (await listener.asked(number + 1)).prompt == f"{number}?"
            kernel.ask(InputReply("e1", f"<{number}>"))
        assert shown(await listener.finished("e1")) == "<0><19>\n"

    play(scenario)


def test_an_interrupt_ends_the_waiting_and_a_late_answer_is_nobodys(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", 'name = input("1? ")', allow_stdin=True))
        await listener.asked()
        await kernel.interrupt()
        story = await listener.finished("e1")
        assert "KeyboardInterrupt" in [e.name for e in story if isinstance(e, ErrorOutput)]
        kernel.ask(InputReply("e1", "late"))
        kernel.ask(ExecuteRequest("e2", 'name = input("2? ")\nprint(name)', allow_stdin=True))
        await listener.asked(2)
        kernel.ask(InputReply("e2", "right"))
        assert shown(await listener.finished("e2")) == "right\n"

    play(scenario)


def test_whether_code_may_ask_is_each_request_its_own(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "x = input()", allow_stdin=True))
        kernel.ask(ExecuteRequest("e2", "x = input()"))
        assert await listener.asked() == InputRequest("e1", "", password=False)
        kernel.ask(InputReply("e1", "y"))
        story = await listener.finished("e2")
        assert [e.name for e in story if isinstance(e, ErrorOutput)] == ["StdinNotImplementedError"]

    play(scenario)


def test_a_kernel_that_ends_while_it_asks_says_so(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "x = input()", allow_stdin=True))
        await listener.asked()
        await kernel.stop()
        kernel.ask(InputReply("e1", "to nobody"))
        assert listener.reasons == []

    play(scenario)


def test_displays_can_be_named_updated_and_cleared(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        code = (
            "display({'text/plain': 'a'}, raw=True, display_id='d')\n"
            "update_display({'text/plain': 'b'}, raw=True, display_id='d')\n"
            "clear_output(True)"
        )
        kernel.ask(ExecuteRequest("e0", bench.dialect.prelude))
        kernel.ask(ExecuteRequest("e1", code))
        story = await listener.finished("e1")
        kinds = (DisplayData, UpdateDisplay, ClearOutput)
        assert [event for event in story if isinstance(event, kinds)] == [
            DisplayData("e1", {"text/plain": "a"}, {}, "d"),
            UpdateDisplay("e1", {"text/plain": "b"}, {}, "d"),
            ClearOutput("e1", wait=True),
        ]

    play(scenario)


def test_an_interrupt_ends_what_runs_and_the_kernel_lives_on(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", bench.dialect.wait_for_ever))
        await listener.begun("e1")
        await kernel.interrupt("e1")
        story = await listener.finished("e1")
        assert "KeyboardInterrupt" in [e.name for e in story if isinstance(e, ErrorOutput)]
        kernel.ask(ExecuteRequest("e2", "7"))
        assert ExecuteResult("e2", {"text/plain": "7"}, {}, 2) in await listener.finished("e2")
        assert listener.reasons == []

    play(scenario)


def test_an_interrupt_of_what_has_ended_spares_what_runs_after_it(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "1"))
        await listener.finished("e1")
        kernel.ask(ExecuteRequest("e2", 'name = input("? ")\nprint(name)', allow_stdin=True))
        await listener.asked()
        await kernel.interrupt("e1")
        kernel.ask(InputReply("e2", "spared"))
        assert shown(await listener.finished("e2")) == "spared\n"

    play(scenario)


def test_completion_and_inspection_are_answered_by_their_request_ids(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "unmistakable = 1"))
        kernel.ask(CompleteRequest("c1", "1 + unmist", 10))
        kernel.ask(InspectRequest("i1", "unmistakable", 12, 0))
        kernel.ask(InspectRequest("i2", "no_such_name", 12, 0))
        await listener.until(lambda: Idle("i2") in listener.events)
        await listener.until(
            lambda: sum(isinstance(event, InspectReply) for event in listener.events) == 2
        )
        (complete,) = [e for e in listener.events if isinstance(e, CompleteReply)]
        assert (complete.request_id, complete.matches) == ("c1", ("unmistakable",))
        assert (complete.start, complete.end) == (4, 10)
        found = {e.request_id: e.found for e in listener.events if isinstance(e, InspectReply)}
        assert found == {"i1": True, "i2": False}

    play(scenario)


def test_wholeness_and_history_are_answered_by_their_request_ids(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "first = 1"))
        kernel.ask(ExecuteRequest("e2", "second = 2"))
        await listener.finished("e2")
        kernel.ask(IsCompleteRequest("w1", "for each in []:"))
        kernel.ask(IsCompleteRequest("w2", "1 + 1"))
        kernel.ask(IsCompleteRequest("w3", "1 1"))
        kernel.ask(HistoryRequest("h1", 1, None, None, unique=False, output=False))
        await listener.until(lambda: Idle("h1") in listener.events)
        await listener.until(
            lambda: any(isinstance(event, HistoryReply) for event in listener.events)
        )
        whole = {e.request_id: e.status for e in listener.events if isinstance(e, IsCompleteReply)}
        assert whole == {"w1": "incomplete", "w2": "complete", "w3": "invalid"}
        (history,) = [e for e in listener.events if isinstance(e, HistoryReply)]
        assert [each.source for each in history.inputs] == ["second = 2"]

    play(scenario)


def test_death_is_told_once_with_its_reason(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", bench.dialect.die))
        assert await listener.ended() == bench.dialect.reason
        kernel.ask(ExecuteRequest("e2", "1"))
        await kernel.interrupt()
        await kernel.stop()
        assert listener.reasons == [bench.dialect.reason]
        assert listener.of("e2") == []

    play(scenario)


def test_a_kernel_that_was_stopped_is_silent_and_no_death_is_told(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", "1"))
        await listener.finished("e1")
        await asyncio.gather(kernel.stop(), kernel.stop())
        await kernel.stop()
        kernel.ask(ExecuteRequest("e2", "1"))
        assert listener.of("e2") == []
        assert listener.reasons == []

    play(scenario)


def test_a_kernel_is_stopped_in_the_middle_of_its_work(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e1", bench.dialect.wait_for_ever))
        await listener.begun("e1")
        await kernel.stop()
        assert listener.reasons == []

    play(scenario)


def test_two_kernels_share_nothing(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        (one, heard_one), (two, heard_two) = await bench.start(), await bench.start()
        one.ask(ExecuteRequest("e1", "x = 1"))
        await heard_one.finished("e1")
        two.ask(ExecuteRequest("e2", "x"))
        story = await heard_two.finished("e2")
        assert [e.name for e in story if isinstance(e, ErrorOutput)] == ["NameError"]
        assert heard_one.of("e2") == []
        await one.stop()
        two.ask(ExecuteRequest("e3", "3"))
        assert ExecuteResult("e3", {"text/plain": "3"}, {}, 2) in await heard_two.finished("e3")

    play(scenario)


def test_closing_stops_every_kernel_and_lets_none_start(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        _, one = await bench.start()
        _, two = await bench.start()
        await bench.kernels.close()
        assert one.reasons == two.reasons == []
        with pytest.raises(KernelStartFailed, match="closing"):
            await bench.start()

    play(scenario)


def test_a_kernel_with_an_owner_outlives_its_daemon_with_all_it_knows(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start(owner=OWNER)
        kernel.ask(ExecuteRequest("e1", "x = 20"))
        await listener.finished("e1")
        await bench.next_daemon()
        adopted, heard = await bench.adopt()
        assert adopted.asked == "e1"
        assert (adopted.kernel.name, adopted.kernel.info) == (kernel.name, kernel.info)
        adopted.kernel.ask(ExecuteRequest("e2", "x + 1"))
        story = await heard.finished("e2")
        assert ExecuteResult("e2", {"text/plain": "21"}, {}, 2) in story
        assert ExecuteReply("e2", "ok", 2) in story
        assert listener.reasons == heard.reasons == []

    play(scenario)


@pytest.mark.parametrize(("code", "status"), [("x = 1", "ok"), ("1 / 0", "error")])
def test_who_hears_a_kernel_anew_is_told_how_its_last_execution_ended(
    play: Play, code: str, status: str
) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, former = await bench.start(owner=OWNER)
        heard = Listener()
        assert kernel.hear_anew(heard.hear, heard.end) is None
        kernel.hear_anew(former.hear, former.end)
        kernel.ask(ExecuteRequest("e1", code))
        await former.finished("e1")
        said_before = len(former.events)
        assert kernel.hear_anew(heard.hear, heard.end) == "e1"
        (reply,) = [e for e in await heard.finished("e1") if isinstance(e, ExecuteReply)]
        assert (reply.status, reply.execution_count) == (status, 1)
        kernel.ask(ExecuteRequest("e2", "7"))
        assert ExecuteResult("e2", {"text/plain": "7"}, {}, 2) in await heard.finished("e2")
        assert len(former.events) == said_before

    play(scenario)


def test_code_that_runs_goes_on_for_whoever_hears_the_kernel_anew(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, former = await bench.start(owner=OWNER)
        kernel.ask(ExecuteRequest("e1", bench.dialect.wait_for_ever))
        await former.begun("e1")
        heard = Listener()
        assert kernel.hear_anew(heard.hear, heard.end) == "e1"
        await kernel.interrupt()
        (reply,) = [e for e in await heard.finished("e1") if isinstance(e, ExecuteReply)]
        assert (reply.status, reply.error_name) == ("error", "KeyboardInterrupt")
        kernel.ask(ExecuteRequest("e2", bench.dialect.die))
        assert await heard.ended() == bench.dialect.reason
        assert former.reasons == []
        with pytest.raises(KernelDied):
            kernel.hear_anew(heard.hear, heard.end)

    play(scenario)


def test_a_kernel_without_an_owner_is_not_found_again(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        await bench.next_daemon()
        assert await bench.kernels.adoptable() == ()

    play(scenario)


def test_code_that_runs_when_the_daemon_is_killed_runs_on_and_is_heard_again(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start(owner=OWNER)
        kernel.ask(ExecuteRequest("e1", bench.dialect.wait_for_ever))
        await listener.begun("e1")
        await bench.next_daemon()
        adopted, heard = await bench.adopt()
        assert adopted.asked == "e1"
        assert ExecuteReply not in map(type, heard.events)
        await adopted.kernel.interrupt()
        story = await heard.finished("e1")
        assert "KeyboardInterrupt" in [e.name for e in story if isinstance(e, ErrorOutput)]
        (reply,) = [e for e in story if isinstance(e, ExecuteReply)]
        assert (reply.status, reply.error_name) == ("error", "KeyboardInterrupt")

    play(scenario)


@pytest.mark.parametrize(("code", "status"), [("x = 1", "ok"), ("1 / 0", "error")])
def test_how_the_last_execution_ended_is_told_again(play: Play, code: str, status: str) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start(owner=OWNER)
        kernel.ask(ExecuteRequest("e1", code))
        await listener.finished("e1")
        await bench.next_daemon()
        _, heard = await bench.adopt()
        story = await heard.finished("e1")
        (reply,) = [e for e in story if isinstance(e, ExecuteReply)]
        assert (reply.status, reply.execution_count) == (status, 1)

    play(scenario)


def test_what_is_asked_is_told_to_the_next_daemon_and_it_may_answer(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start(owner=OWNER)
        kernel.ask(ExecuteRequest("e1", 'name = input("Name? ")\nprint(name)', allow_stdin=True))
        await listener.asked()
        await bench.next_daemon()
        adopted, heard = await bench.adopt()
        assert await heard.asked() == InputRequest("e1", "Name? ", password=False)
        adopted.kernel.ask(InputReply("e1", "Ada"))
        story = await heard.finished("e1")
        assert shown(story) == "Ada\n"
        assert [e for e in story if isinstance(e, ExecuteReply)] == [ExecuteReply("e1", "ok", 1)]
        assert [e for e in story if isinstance(e, InputRequest)] == [
            InputRequest("e1", "Name? ", password=False)
        ]

    play(scenario)


def test_a_kernel_that_died_while_there_was_no_daemon_says_why(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, _ = await bench.start(owner=OWNER)
        kernel.ask(ExecuteRequest("e1", bench.dialect.die))
        await bench.next_daemon()
        _, heard = await bench.adopt()
        assert await heard.ended() == bench.dialect.reason

    play(scenario)


def test_an_adopted_kernel_is_found_again_by_the_daemon_after_next(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start(owner=OWNER)
        kernel.ask(ExecuteRequest("e1", "x = 20"))
        await listener.finished("e1")
        await bench.next_daemon()
        adopted, heard = await bench.adopt()
        adopted.kernel.ask(ExecuteRequest("e2", "x += 1"))
        await heard.finished("e2")
        await bench.next_daemon()
        again, listening = await bench.adopt()
        assert again.asked == "e2"
        again.kernel.ask(ExecuteRequest("e3", "x"))
        story = await listening.finished("e3")
        assert ExecuteResult("e3", {"text/plain": "21"}, {}, 3) in story

    play(scenario)


def test_a_kernel_that_was_stopped_or_taken_up_is_not_found_again(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start(owner=OWNER)
        await bench.next_daemon()
        (found,) = await bench.kernels.adoptable()
        adopted, _ = await bench.adopt()
        await adopted.kernel.stop()
        with pytest.raises(KernelDied):
            await bench.kernels.adopt(found, Listener().hear, Listener().end)
        await bench.next_daemon()
        assert await bench.kernels.adoptable() == ()

    play(scenario)


def test_a_comm_is_opened_spoken_on_and_closed_with_its_binary_parts(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e0", bench.dialect.prelude))
        code = (
            "comm = create_comm('a target', comm_id='c1', data={'n': 1, 'bad': float('nan')},"
            " metadata={'version': '2.1.0'}, buffers=[b'\\x00\\xff', b''])\n"
            "comm.send({'n': 2}, buffers=[bytes(3)])\n"
            "comm.close()"
        )
        kernel.ask(ExecuteRequest("e1", code))
        story = await listener.finished("e1")
        opened, said, closed = (e for e in story if isinstance(e, COMM_EVENTS))
        assert isinstance(opened, CommOpened)
        assert opened.data["n"] == 1
        assert opened == CommOpened(
            "e1", "c1", "a target", opened.data, {"version": "2.1.0"}, (b"\x00\xff", b"")
        )
        assert said == CommMessage("e1", "c1", {"n": 2}, (b"\0\0\0",))
        assert closed == CommClosed("e1", "c1")

    play(scenario)


def test_a_comm_takes_messages_and_what_its_callback_prints_names_the_message(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e0", bench.dialect.prelude))
        code = (
            "comm = create_comm('t', comm_id='c1')\n"
            "def heard(message):\n"
            "    print('heard', message['content']['data'], [*map(bytes, message['buffers'])])\n"
            "    comm.send({'echo': message['content']['data']})\n"
            "comm.on_msg(heard)"
        )
        kernel.ask(ExecuteRequest("e1", code))
        await listener.finished("e1")
        kernel.ask(CommRequest("m1", "comm_msg", "c1", {"x": 5}, buffers=(b"ab",)))
        await listener.until(lambda: Idle("m1") in listener.events)
        said = listener.of("m1")
        assert said[0] == Busy("m1")
        assert CommMessage("m1", "c1", {"echo": {"x": 5}}) in said
        printed = "".join(e.text for e in said if isinstance(e, Stream))
        assert printed == "heard {'x': 5} [b'ab']\n"

    play(scenario)


def test_comms_can_be_opened_and_closed_from_outside_and_are_listed(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e0", bench.dialect.prelude))
        code = "register_target('t', lambda comm, message: comm.send({'hello': 1}))"
        kernel.ask(ExecuteRequest("e1", code))
        await listener.finished("e1")
        kernel.ask(CommRequest("m1", "comm_open", "c1", {}, target_name="t"))
        kernel.ask(CommRequest("m2", "comm_open", "c2", {}, target_name="nobody"))
        kernel.ask(CommInfoRequest("i1"))
        kernel.ask(CommRequest("m3", "comm_close", "c1", {}))
        kernel.ask(CommInfoRequest("i2"))
        await listener.until(lambda: Idle("i2") in listener.events)
        await listener.until(lambda: sum(isinstance(e, CommInfo) for e in listener.events) == 2)
        assert CommMessage("m1", "c1", {"hello": 1}) in listener.events
        assert CommClosed("m2", "c2") in listener.events
        assert [e for e in listener.events if isinstance(e, CommInfo)] == [
            CommInfo("i1", {"c1": "t"}),
            CommInfo("i2", {}),
        ]

    play(scenario)


def test_a_comm_with_a_large_binary_part_arrives_whole(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        kernel, listener = await bench.start()
        kernel.ask(ExecuteRequest("e0", bench.dialect.prelude))
        code = "comm = create_comm('t', comm_id='c1')\ncomm.send({}, buffers=[bytes(5_000_000)])"
        kernel.ask(ExecuteRequest("e1", code))
        story = await listener.finished("e1")
        (said,) = [e for e in story if isinstance(e, CommMessage)]
        assert said.buffers == (bytes(5_000_000),)

    play(scenario)
