"""Real kernel processes: starting, failing, dying, flooding, and leaving nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import select
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from headway.core.document.prompts import END_OF_INPUT
from headway.core.kernel.events import (
    ErrorOutput,
    ExecuteInput,
    ExecuteReply,
    ExecuteResult,
    Idle,
    InputRequest,
    QuestionReply,
    Stream,
)
from headway.core.room.effects import (
    CompleteRequest,
    ExecuteRequest,
    HistoryRequest,
    InputReply,
    InspectRequest,
    IsCompleteRequest,
)
from headway.edges import (
    jupyter_kernel,
    kernel_own_requests,
    kernel_record,
    kernel_replies,
    kernel_wire,
)
from headway.edges import kernels as kernels_module
from headway.edges.kernel_folder import base_folder
from headway.edges.kernels import ORPHAN_VARIABLE, JupyterKernels, orphan_s_from
from headway.edges.ports import KernelOwner
from headway.errors import BadRequest, KernelDied, KernelStartFailed
from real_kernels import LIMIT_S, Heard, play, started


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, argv: list[str], **others: Any) -> str:
    """Install a kernelspec named "odd" and give its name."""
    place = folder / "jupyter" / "kernels" / "odd"
    place.mkdir(parents=True)
    spec = {"argv": argv, "display_name": "Odd", "language": "odd", **others}
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    return "odd"


IPYKERNEL = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, running or a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    """For what nobody tells; the scenario's deadline ends it."""
    while not condition():
        await asyncio.sleep(0)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_it_works_on_uvloop_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def run() -> None:
        kernels = JupyterKernels()
        async with asyncio.timeout(LIMIT_S):
            kernel, heard = await started(kernels)
            for number in range(20):
                kernel.ask(ExecuteRequest(f"e{number}", str(number)))
            await heard.finished("e19")
            results = [e.data["text/plain"] for e in heard.events if isinstance(e, ExecuteResult)]
            assert results == [str(number) for number in range(20)]
            kernel.ask(ExecuteRequest("d", "import os; os.kill(os.getpid(), 9)"))
            await heard.until(lambda: bool(heard.reasons))
            await kernels.close()

    uvloop.run(run())


def test_a_killed_kernel_is_known_by_its_signal_and_is_no_zombie() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        os.kill(kernel.pid, signal.SIGKILL)
        await heard.until(lambda: bool(heard.reasons))
        assert heard.reasons == ["it was killed by signal 9 (SIGKILL)"]
        assert not is_alive(kernel.pid)

    play(scenario)


def test_the_reason_of_a_crash_quotes_what_the_interpreter_said() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(
            ExecuteRequest(
                "e", "import faulthandler; faulthandler.enable(); faulthandler._sigsegv()"
            )
        )
        await heard.until(lambda: bool(heard.reasons))
        assert heard.reasons[0].startswith("it was killed by signal 11 (SIGSEGV)")
        assert "Fatal Python error: Segmentation fault" in heard.reasons[0]

    play(scenario)


def test_a_kernel_does_not_outlive_its_warden_and_leaves_no_folder(tmp_path: Path) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        pidfd = os.pidfd_open(kernel.pid)
        kernel.ask(ExecuteRequest("e", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"))
        await heard.until(lambda: bool(heard.reasons))
        assert heard.reasons == ["its warden was killed, and so it was too"]
        gone, _, _ = select.select([pidfd], [], [], LIMIT_S)
        os.close(pidfd)
        assert gone
        await kernel.stop()
        assert list(tmp_path.iterdir()) == []

    play(scenario, tmp_path)


def test_what_arrived_before_death_is_told_before_it() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        reading, writing = os.pipe()
        path = f"/proc/{os.getpid()}/fd/{reading}"
        code = f"open({path!r}).read(1)\nprint('last words', flush=True)\nopen({path!r}).read(1)"
        kernel.ask(ExecuteRequest("e", code))
        await heard.until(lambda: ExecuteInput("e", 1) in heard.events)
        os.write(writing, b".")
        # Wait for the message on the loop's own thread, so that it lies unread when death comes.
        assert kernel._wire._sockets["iopub"].poll(LIMIT_S * 1000)
        os.kill(kernel.pid, signal.SIGKILL)
        await heard.until(lambda: bool(heard.reasons))
        said = Stream("e", "stdout", "last words\n", is_flushed=True)
        assert heard.events[-2:] == [said, "ended"]
        os.close(reading)
        os.close(writing)

    play(scenario)


def test_questions_are_answered_while_a_cell_runs_and_disturb_nothing() -> None:
    """Neither what runs, nor to which cell the output of a thread belongs."""

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        pipes = [os.pipe(), os.pipe()]
        cell, thread = (f"open('/proc/{os.getpid()}/fd/{reading}').read(1)" for reading, _ in pipes)
        talk = f"lambda: ({thread}, print('said late', flush=True))"
        setup = f"import threading; threading.Thread(target={talk}).start(); noticed = 1"
        kernel.ask(ExecuteRequest("e1", f"{setup}\n{cell}"))
        await heard.until(lambda: ExecuteInput("e1", 1) in heard.events)
        kernel.ask(CompleteRequest("c1", "pri", 3))
        kernel.ask(InspectRequest("i1", "print", 3, 0))
        kernel.ask(IsCompleteRequest("w1", "if x:"))
        kernel.ask(HistoryRequest("h1", 5, None, None, unique=False, output=False))
        await heard.until(
            lambda: (
                [e.request_id for e in heard.events if isinstance(e, QuestionReply)]
                == ["c1", "i1", "w1", "h1"]
            )
        )
        assert not any(isinstance(event, ExecuteReply) for event in heard.events)
        os.write(pipes[0][1], b".")
        await heard.finished("e1")
        kernel.ask(CompleteRequest("c2", "notic", 5))
        await heard.until(lambda: Idle("c2") in heard.events)
        os.write(pipes[1][1], b".")
        await heard.until(lambda: heard.text() == "said late\n")
        assert Stream("e1", "stdout", "said late\n", is_flushed=True) in heard.events
        for pipe in pipes:
            os.close(pipe[0])
            os.close(pipe[1])

    play(scenario)


def test_an_adopted_kernel_is_asked_while_it_runs_a_cell(tmp_path: Path) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        heard = Heard()
        owner = KernelOwner("nb-1", 1)
        kernel = await kernels.start(None, None, "/", heard.hear, heard.end, owner)
        reading, writing = os.pipe()
        kernel.ask(ExecuteRequest("e1", f"open('/proc/{os.getpid()}/fd/{reading}').read(1)"))
        await heard.until(lambda: ExecuteInput("e1", 1) in heard.events)
        await kernels.abandon()
        following = JupyterKernels(tmp_path)
        try:
            (found,) = await following.adoptable()
            adopted = (await following.adopt(found, heard.hear, heard.end)).kernel
            adopted.ask(CompleteRequest("c1", "pri", 3))
            await heard.until(lambda: Idle("c1") in heard.events)
            assert not any(isinstance(event, ExecuteReply) for event in heard.events)
            os.write(writing, b".")
            await heard.finished("e1")
        finally:
            await following.close()
            os.close(reading)
            os.close(writing)

    play(scenario, tmp_path)


def test_a_kernel_whose_warden_is_stopped_is_given_up_and_ends_when_the_warden_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_module, "KERNEL_ADOPT_TIMEOUT_S", 0.2)

    async def scenario(kernels: JupyterKernels) -> None:
        heard = Heard()
        owner = KernelOwner("nb-1", 1)
        kernel = await kernels.start(None, None, "/", heard.hear, heard.end, owner)
        assert kernel._process._warden is not None
        warden = kernel._process._warden.pid
        await kernels.abandon()
        following = JupyterKernels(tmp_path)
        os.kill(warden, signal.SIGSTOP)
        try:
            (found,) = await following.adoptable()
            with pytest.raises(KernelDied, match=r"did not answer within 0\.2 seconds"):
                await following.adopt(found, heard.hear, heard.end)
            assert is_alive(kernel.pid)
            assert (tmp_path / found.kernel_id).is_dir()
        finally:
            os.kill(warden, signal.SIGCONT)
        while (tmp_path / found.kernel_id).exists():
            await asyncio.sleep(0)
        assert not is_alive(kernel.pid)
        assert heard.reasons == []
        await following.close()

    play(scenario, tmp_path)


def test_one_thread_reads_an_ipykernels_shell_and_runs_its_cells() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        names = "import threading; print(*(each.name for each in threading.enumerate()))"
        kernel.ask(ExecuteRequest("e", names))
        await heard.finished("e")
        assert "Control" in heard.text()
        assert "Shell" not in heard.text()

    play(scenario)


def test_an_ipykernel_that_cannot_be_prepared_is_taken_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may drop what it cannot send, so everything that it sends is taken at once."""
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-closed.py").write_text(
        "from types import MappingProxyType\n"
        "kernel = get_ipython().kernel\n"
        "kernel.control_handlers = MappingProxyType(kernel.control_handlers)\n"
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        assert "was not prepared: 'mappingproxy' object" in caplog.text
        assert kernel._wire._sockets["iopub"].getsockopt(zmq.RCVHWM) == kernel_wire.RECEIVE_QUEUE
        kernel.ask(ExecuteRequest("e", "print('as it comes')\ninput('? ')", allow_stdin=True))
        question = InputRequest("e", "? ", password=False)
        await heard.until(lambda: question in heard.events and heard.text() == "as it comes\n")
        kernel.ask(InputReply("e", "x"))
        await heard.finished("e")

    play(scenario)


def test_an_interrupt_right_after_asking_ends_that_execution_and_no_other() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        for number in range(30):
            kernel.ask(ExecuteRequest(f"e{number}", "import time; time.sleep(600)"))
            await kernel.interrupt()
            await heard.finished(f"e{number}")
        kernel.ask(ExecuteRequest("after", "7"))
        await heard.finished("after")
        assert ExecuteResult("after", {"text/plain": "7"}, {}, 31) in heard.events

    play(scenario)


@pytest.mark.parametrize(
    "elsewhere", ["", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})"]
)
@pytest.mark.parametrize(
    ("wait", "error"),
    [
        ("import time; time.sleep(600)", "KeyboardInterrupt"),
        ("import asyncio; await asyncio.sleep(600)", "CancelledError"),
        ("import asyncio, time; await asyncio.sleep(0); time.sleep(600)", "KeyboardInterrupt"),
    ],
)
def test_an_interrupt_ends_a_wait_even_if_it_comes_too_early_for_it(
    monkeypatch: pytest.MonkeyPatch, elsewhere: str, wait: str, error: str
) -> None:
    """As when another thread takes the signal: it is noted, and cuts nothing short."""
    monkeypatch.setattr(kernel_replies, "LONG_S", 3600.0)  # a request would wake the loop as well

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", f'{elsewhere}\nprint("begun", flush=True)\n{wait}'))
        await heard.until(lambda: any(isinstance(event, Stream) for event in heard.events))
        await kernel.interrupt()
        await heard.finished("e1")
        (reply,) = [event for event in heard.events if isinstance(event, ExecuteReply)]
        assert (reply.status, reply.error_name) == ("error", error)
        (shown,) = [event for event in heard.events if isinstance(event, ErrorOutput)]
        assert "__call__" not in "".join(shown.traceback), "how we interrupt is not their concern"
        kernel.ask(ExecuteRequest("e2", "7"))
        await heard.finished("e2")
        assert ExecuteResult("e2", {"text/plain": "7"}, {}, 2) in heard.events

    play(scenario)


def test_what_is_asked_behind_a_long_execution_is_known_however_much_is_asked_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel_own_requests, "OWN_REQUESTS_KEPT", 8)
    monkeypatch.setattr(kernel_replies, "LONG_S", 0.01)

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", 'input("?")', allow_stdin=True))
        await heard.until(lambda: any(isinstance(e, InputRequest) for e in heard.events))
        await until(lambda: bool(kernel._replies._probes))
        (probe,) = kernel._replies._probes
        for _ in range(20):
            kernel._ask_own("control", "kernel_info_request", {})
        assert len(kernel._own_requests) == 8
        kernel.ask(InputReply("e1", "answered"))
        await heard.finished("e1")
        assert probe in kernel._own_requests
        await until(lambda: not kernel._replies._probes)

    play(scenario)


def test_an_interrupt_of_an_idle_kernel_spares_what_is_asked_next() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        for number in range(10):
            await kernel.interrupt()
            kernel.ask(ExecuteRequest(f"e{number}", "7"))
            await heard.finished(f"e{number}")
        assert len([e for e in heard.events if isinstance(e, ExecuteResult)]) == 10

    play(scenario)


def test_a_reply_that_an_interrupt_swallowed_is_made_up_for() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        code = "get_ipython().kernel.finish_metadata = lambda *_: (_ for _ in ()).throw({})"
        kernel.ask(ExecuteRequest("e1", code.format("KeyboardInterrupt")))
        await heard.until(lambda: Idle("e1") in heard.events)
        kernel._replies.outstanding.interrupted()
        kernel._replies.heard(())
        await heard.finished("e1")
        (reply,) = [e for e in heard.events if isinstance(e, ExecuteReply)]
        assert (reply.status, reply.error_name) == ("error", "KeyboardInterrupt")

    play(scenario)


def test_an_interrupt_that_comes_while_one_is_written_down_does_not_end_the_kernel() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        code = (
            "import signal; kernel = get_ipython().kernel\n"
            "kernel.log.error = lambda *_, **__: signal.raise_signal(signal.SIGINT)\n"
            "kernel.finish_metadata = lambda *_: signal.raise_signal(signal.SIGINT)"
        )
        kernel.ask(ExecuteRequest("e1", code))
        await heard.until(lambda: Idle("e1") in heard.events or bool(heard.reasons))
        assert heard.reasons == []
        kernel._replies.outstanding.interrupted()
        kernel._replies.heard(())
        await heard.finished("e1")

    play(scenario)


def test_a_reply_that_the_kernels_own_failure_swallowed_is_made_up_for() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        code = "get_ipython().kernel.finish_metadata = lambda *_: 1 / 0"
        kernel.ask(ExecuteRequest("e1", code))
        await heard.finished("e1")
        (reply,) = [e for e in heard.events if isinstance(e, ExecuteReply)]
        assert (reply.status, reply.error_name) == ("error", "NoReply")

    play(scenario)


def test_an_end_that_the_kernels_own_failure_swallowed_is_made_up_for() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        code = (
            "class Broken:\n"
            "    flush = lambda self: 1 / 0 if armed else None\n"
            "import sys; armed, kept, sys.stdout = False, sys.stdout, Broken()\n"
            "arm = lambda _: globals().update(armed=True)\n"
            "get_ipython().events.register('post_run_cell', arm)\n"
            "failed = True"
        )
        kernel.ask(ExecuteRequest("e1", code))
        await heard.finished("e1")
        (reply,) = [e for e in heard.events if isinstance(e, ExecuteReply)]
        assert (reply.status, reply.error_name) == ("error", "NoReply")
        kernel.ask(ExecuteRequest("e2", "armed, sys.stdout = False, kept; print(failed)"))
        await heard.finished("e2")
        assert heard.text() == "True\n"

    play(scenario)


@pytest.mark.parametrize(
    "code",
    [
        "sys.stdout = object()",
        "sys.stdout = open('/dev/null', 'w'); sys.stdout.close()",
        "sys.stderr = open('/dev/null', 'w'); sys.stderr.close()",
        "del sys.stdout, sys.stderr",
        "del sys.stdout; 1 / 0",
    ],
)
def test_a_stream_that_a_cell_leaves_broken_is_the_notebooks_again(code: str) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", f"import sys; {code}"))
        await heard.finished("e1")
        assert "is the notebook's again" in heard.text("stderr")
        kernel.ask(ExecuteRequest("e2", "print('well'); print('so', file=sys.stderr)"))
        await heard.finished("e2")
        assert heard.text() == "well\n"
        assert heard.text("stderr").endswith("so\n")

    play(scenario)


def test_a_stream_of_the_users_own_stays() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(
            ExecuteRequest("e1", "import io, sys; kept, sys.stdout = sys.stdout, io.StringIO()")
        )
        kernel.ask(ExecuteRequest("e2", "print('hidden')"))
        kernel.ask(ExecuteRequest("e3", "kept.write(sys.stdout.getvalue()); sys.stdout = None"))
        kernel.ask(ExecuteRequest("e4", "print('nowhere'); sys.stdout = kept"))
        await heard.finished("e4")
        assert heard.text() == "hidden\n"

    play(scenario)


def test_what_goes_on_for_long_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_replies, "LONG_S", 0.01)

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        sleeps = "import asyncio, time; {}asyncio.sleep(0.2); time.sleep(0.2); {}"
        kernel.ask(ExecuteRequest("e1", sleeps.format("", 1)))
        kernel.ask(ExecuteRequest("e2", sleeps.format("await ", 2)))
        kernel.ask(ExecuteRequest("e3", 'print(input("?"))', allow_stdin=True))
        await heard.until(lambda: any(isinstance(e, InputRequest) for e in heard.events))
        kernel.ask(InputReply("e3", "answered"))
        await heard.finished("e3")
        replies = [e for e in heard.events if isinstance(e, ExecuteReply)]
        assert replies == [ExecuteReply(f"e{number}", "ok", number) for number in (1, 2, 3)]
        assert heard.text() == "answered\n"

    play(scenario)


@pytest.mark.parametrize(
    "code",
    [
        'print("<\\ud800>")',
        'import sys; print("<\\udcff>", file=sys.stderr, flush=True)',
        'print("<\\ud800>"); raise ValueError("<\\udcff\\ud800>")',
        'from IPython.display import HTML; HTML("<\\ud800>")',
        'get_ipython().set_next_input("<\\ud800>"); print("<?>")',
    ],
)
def test_half_a_character_does_not_end_the_kernels_answers(code: str) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        for number in range(2):
            kernel.ask(ExecuteRequest(f"e{number}", code))
            await heard.finished(f"e{number}")
        assert "<\N{REPLACEMENT CHARACTER}" in repr(heard.events) or "<?>" in heard.text()

    play(scenario)


def test_a_cell_that_awaits_lets_others_wait_their_turn() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", "import asyncio\nawait asyncio.sleep(0.05)\nn = 1"))
        kernel.ask(ExecuteRequest("e2", "n + 1"))
        await heard.finished("e2")
        assert ExecuteResult("e2", {"text/plain": "2"}, {}, 2) in heard.events

    play(scenario)


@pytest.mark.parametrize("password", [True, False])
def test_what_is_asked_while_no_daemon_is_there_is_told_to_the_next(
    tmp_path: Path, password: bool
) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        go_on, asks = tmp_path / "go-on", tmp_path / "asks"
        os.mkfifo(go_on)
        os.mkfifo(asks)
        ask = "getpass" if password else "input"
        code = (
            f"from getpass import getpass\nopen({str(go_on)!r}).read()\n"
            f"open({str(asks)!r}, 'w').close()\nprint({ask}('Name? '))"
        )
        heard = Heard()
        kernel = await kernels.start(None, None, "/", heard.hear, heard.end, KernelOwner("nb-1", 1))
        kernel.ask(ExecuteRequest("e1", code, allow_stdin=True))
        await heard.until(lambda: ExecuteInput("e1", 1) in heard.events)
        await kernels.abandon()
        go_on.write_text("")
        await asyncio.to_thread(asks.read_text)  # until the next line is the one that asks
        following = JupyterKernels(tmp_path / "kernels")
        try:
            (found,) = await following.adoptable()
            later = Heard()
            adopted = await following.adopt(found, later.hear, later.end)
            await later.until(lambda: InputRequest("e1", "Name? ", password) in later.events)
            adopted.kernel.ask(InputReply("e1", "Ada"))
            await later.finished("e1")
            assert later.text() == "Ada\n"
        finally:
            await following.close()

    play(scenario, tmp_path / "kernels")


def test_an_answer_of_end_of_input_raises_eof_error() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", "input()", allow_stdin=True))
        await heard.until(lambda: any(isinstance(each, InputRequest) for each in heard.events))
        kernel.ask(InputReply("e1", END_OF_INPUT))
        await heard.finished("e1")
        assert [e.name for e in heard.events if isinstance(e, ErrorOutput)] == ["EOFError"]

    play(scenario)


def test_preparation_leaves_no_name_and_no_count_behind() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        names = "[n for n in sorted(globals()) if not n.startswith('_')]"
        interval = "__import__('sys').stdout.flush_interval"
        kernel.ask(ExecuteRequest("e1", names))
        kernel.ask(ExecuteRequest("e2", interval))
        await heard.finished("e2")
        first, second = (e for e in heard.events if isinstance(e, ExecuteResult))
        assert first.execution_count == 1
        assert first.data["text/plain"] == "['In', 'Out', 'exit', 'get_ipython', 'open', 'quit']"
        assert second.data["text/plain"] == "0.02"

    play(scenario)


def test_the_kernels_own_history_is_complete_though_it_is_written_rarely() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        history = "get_ipython().history_manager"
        needle = os.urandom(8).hex()
        kernel.ask(ExecuteRequest("e1", f"'{needle}'"))
        kernel.ask(ExecuteRequest("e2", f"len({history}.db_input_cache)"))
        kernel.ask(ExecuteRequest("e3", f"len(list({history}.search('*{needle}*')))"))
        await heard.finished("e3")
        _, waiting, found = (e for e in heard.events if isinstance(e, ExecuteResult))
        assert int(waiting.data["text/plain"]) > 1, "more than the input that asks"
        assert int(found.data["text/plain"]) >= 1

    play(scenario)


def test_a_cell_is_transformed_once_each_time_it_runs_by_what_is_registered_then() -> None:
    register = (
        "seen = []\n"
        "def shout(lines):\n"
        "    seen.append(lines[0].strip())\n"
        "    return [line.replace('quiet', 'loud') for line in lines]\n"
        "loud, quiet = 'loud', 'quiet'\n"
        "get_ipython().input_transformers_post.append(shout)"
    )

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        awaiting = "__import__('asyncio').sleep(0)"
        cells = ["quiet = 'quiet'", "quiet", register, "quiet", "quiet", f"await {awaiting}"]
        cells += [f"await {awaiting}", "repr(seen)"]
        for number, cell in enumerate(cells):
            kernel.ask(ExecuteRequest(f"e{number}", cell))
        await heard.finished(f"e{len(cells) - 1}")
        assert not [e for e in heard.events if isinstance(e, ErrorOutput)]
        shown = [e.data["text/plain"] for e in heard.events if isinstance(e, ExecuteResult)]
        once = ["quiet", "quiet", f"await {awaiting}", f"await {awaiting}", "repr(seen)"]
        assert shown == ["'quiet'", "'loud'", "'loud'", repr(repr(once))]

    play(scenario)


def test_a_kernel_that_fails_to_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "import sys; sys.stderr.write('no such library'); sys.exit(4)"
    odd = install(monkeypatch, tmp_path, [sys.executable, "-c", code])

    async def scenario(kernels: JupyterKernels) -> None:
        with pytest.raises(KernelStartFailed, match="it exited with status 4") as failed:
            await started(kernels, odd)
        assert failed.value.data["stderr"] == "no such library"
        assert str(failed.value).endswith("See what it wrote to stderr.")
        assert failed.value.data["name"] == "odd"

    play(scenario)


def test_a_kernel_that_fails_to_start_without_a_word_points_to_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = install(monkeypatch, tmp_path, [sys.executable, "-c", "print('\\n'); exit(4)"])

    async def scenario(kernels: JupyterKernels) -> None:
        with pytest.raises(KernelStartFailed) as failed:
            await started(kernels, odd)
        assert str(failed.value) == 'The kernel "odd" did not start: it exited with status 4.'

    play(scenario)


def test_only_the_end_of_a_long_complaint_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "import sys; sys.stdout.write('x' * 3_000_000 + 'end'); sys.exit(4)"
    odd = install(monkeypatch, tmp_path, [sys.executable, "-c", code])

    async def scenario(kernels: JupyterKernels) -> None:
        with pytest.raises(KernelStartFailed) as failed:
            await started(kernels, odd)
        kept = failed.value.data["stderr"]
        assert kept.endswith("xend")
        assert len(kept) == 16 * 1024

    play(scenario)


def test_a_kernel_whose_program_is_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = install(monkeypatch, tmp_path, [str(tmp_path / "nothing")])
    private = tmp_path / "private"

    async def scenario(kernels: JupyterKernels) -> None:
        with pytest.raises(KernelStartFailed, match="could not be launched"):
            await started(kernels, odd)

    play(scenario, private)
    assert list(private.iterdir()) == []


def test_a_kernel_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    code = f"import os, signal; open({str(mark)!r}, 'w').write(str(os.getpid())); signal.pause()"
    odd = install(monkeypatch, tmp_path, [sys.executable, "-c", code])
    monkeypatch.setattr(kernels_module, "KERNEL_START_TIMEOUT_S", 0.5)

    async def scenario(kernels: JupyterKernels) -> None:
        with pytest.raises(KernelStartFailed, match=r"did not answer within 0.5 seconds"):
            await started(kernels, odd)
        assert not is_alive(int(mark.read_text()))

    play(scenario)


def test_a_kernel_that_cannot_leave_its_record_is_ended_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kernel_record, "write_record", full)

    async def scenario(kernels: JupyterKernels) -> None:
        heard = Heard()
        with pytest.raises(KernelStartFailed, match="No space left on device"):
            await kernels.start(None, None, "/", heard.hear, heard.end, KernelOwner("nb-1", 1))
        assert list(tmp_path.iterdir()) == []

    play(scenario, tmp_path)


def test_a_start_that_is_called_off_leaves_nothing(tmp_path: Path) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        starting = asyncio.create_task(started(kernels))
        await asyncio.sleep(0)
        (kernel,) = kernels._kernels
        assert is_alive(kernel.pid)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not is_alive(kernel.pid)
        assert list(tmp_path.iterdir()) == []

    play(scenario, tmp_path)


def test_a_kernel_deaf_to_requests_is_terminated_and_then_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jupyter_kernel, "SHUTDOWN_GRACE_S", 0.2)
    monkeypatch.setattr(jupyter_kernel, "TERMINATE_GRACE_S", 0.2)

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e", "1"))
        await heard.finished("e")
        os.kill(kernel.pid, signal.SIGSTOP)  # neither requests nor TERM reach it now
        await kernel.stop()
        assert kernel._process.reason().startswith("it was killed by signal 9")
        assert not is_alive(kernel.pid)
        assert heard.reasons == []

    play(scenario)


@pytest.mark.parametrize("how", ["stop", "death"])
def test_children_of_a_kernel_end_with_it(how: str) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        code = (
            "import subprocess, sys\n"
            "c = subprocess.Popen([sys.executable, '-c', "
            "'import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True);"
            " signal.pause()'], stdout=subprocess.PIPE)\n"
            "c.stdout.readline()\n"
            "c.pid"
        )
        kernel.ask(ExecuteRequest("e", code))
        await heard.finished("e")
        (child,) = (int(e.data["text/plain"]) for e in heard.events if isinstance(e, ExecuteResult))
        pidfd = os.pidfd_open(child)
        if how == "stop":
            await kernel.stop()
        else:
            os.kill(kernel.pid, signal.SIGKILL)
            await heard.until(lambda: bool(heard.reasons))
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(pidfd, gone.set)
        await gone.wait()
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)

    play(scenario)


def test_its_folder_is_private_while_it_lives_and_gone_afterwards(tmp_path: Path) -> None:
    base = tmp_path / "kernels"

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, _ = await started(kernels)
        (private,) = base.iterdir()
        assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0
        connection = private / "connection.json"
        assert stat.S_IMODE(connection.stat().st_mode) == 0o600
        assert json.loads(connection.read_text())["transport"] == "ipc"
        assert {"k-1", "k-2"} <= {entry.name for entry in private.iterdir()}
        await kernel.stop()
        assert list(base.iterdir()) == []

    play(scenario, base)


def test_a_folder_too_long_for_sockets_has_a_short_one_in_its_stead(tmp_path: Path) -> None:
    base = tmp_path / ("long" * 25)
    short = base_folder(base)

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e", "1"))
        await heard.finished("e")
        assert not base.exists()
        assert short.is_dir()

    play(scenario, base)
    assert list(short.iterdir()) == []
    short.rmdir()


def test_a_kernelspec_may_ask_for_tcp_and_for_interrupts_by_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = install(
        monkeypatch,
        tmp_path,
        IPYKERNEL,
        interrupt_mode="message",
        env={"ODD": "${HOME}/odd"},
        metadata={"headway": {"transport": "tcp"}},
    )

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels, odd)
        kernel.ask(ExecuteRequest("e1", "import os; os.environ['ODD']"))
        kernel.ask(ExecuteRequest("e2", "import time\nprint('begun', flush=True)\ntime.sleep(600)"))
        await heard.until(lambda: heard.text() == "begun\n")
        await kernel.interrupt()
        await heard.finished("e2")
        assert repr(f"{os.environ['HOME']}/odd") in [
            e.data["text/plain"] for e in heard.events if isinstance(e, ExecuteResult)
        ]
        assert "KeyboardInterrupt" in [e.name for e in heard.events if isinstance(e, ErrorOutput)]

    play(scenario)


def test_starting_and_ending_leaks_no_descriptor_and_no_thread() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        async def once() -> None:
            kernel, heard = await started(kernels)
            kernel.ask(ExecuteRequest("e", "1"))
            await heard.finished("e")
            await kernel.stop()

        await once()
        descriptors, threads = open_descriptors(), threading.active_count()
        await once()
        await once()
        # ZeroMQ closes sockets in its own thread: the count may lag, but not grow.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while open_descriptors() > descriptors:
                    await asyncio.sleep(0)
        assert open_descriptors() <= descriptors
        assert threading.active_count() <= threads

    play(scenario)


def test_a_kernel_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio\n"
        "from headway.edges.kernels import JupyterKernels\n"
        "async def main():\n"
        "    kernel = await JupyterKernels().start(None, None, '/', print, print)\n"
        "    print(kernel.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        kernel = int(parent.stdout.readline())
        pidfd = os.pidfd_open(kernel)
        parent.kill()
    gone, _, _ = select.select([pidfd], [], [], LIMIT_S)
    os.close(pidfd)
    assert gone


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [({}, 60.0), ({ORPHAN_VARIABLE: ""}, 60.0), ({ORPHAN_VARIABLE: "0"}, 0.0)],
)
def test_how_long_kernels_outlive_their_daemon_is_a_setting(
    environment: dict[str, str], seconds: float
) -> None:
    assert orphan_s_from(environment) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_setting_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=ORPHAN_VARIABLE):
        orphan_s_from({ORPHAN_VARIABLE: text})
