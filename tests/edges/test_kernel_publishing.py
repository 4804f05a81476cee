"""What a real ipykernel publishes: all of it, once, in order, soon, and no more than is taken."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from headway.core.kernel.events import DisplayData, ExecuteReply, ExecuteResult, Idle, Stream
from headway.core.room.effects import ExecuteRequest
from headway.edges import kernel_wire
from headway.edges.kernel_yielding import LOOK_AGAIN_S, YIELDING_NICE, share_of
from headway.edges.kernels import JupyterKernels
from headway.in_kernel.streams import STREAM_CHARACTERS
from real_kernels import LIMIT_S, play, started


@pytest.mark.parametrize("queue", [kernel_wire.BOUNDED_QUEUE, 1])
def test_a_kernel_whose_listener_is_stuck_goes_on_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, queue: int
) -> None:
    monkeypatch.setattr(kernel_wire, "RECEIVE_QUEUE", queue)
    monkeypatch.setattr(kernel_wire, "BOUNDED_QUEUE", queue)
    lines = 5_000

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        reading, writing = os.pipe()
        path = f"/proc/{os.getpid()}/fd/{writing}"
        kernel.ask(
            ExecuteRequest(
                "e",
                f"for i in range({lines}): print(i, flush=True)\nopen({path!r}, 'w').write('.')",
            )
        )
        os.read(reading, 1)  # on the loop's own thread: nobody takes anything meanwhile
        os.close(reading)
        os.close(writing)
        await heard.finished("e")
        assert heard.text().split() == [str(number) for number in range(lines)]

    play(scenario)


def test_a_flood_that_is_taken_at_leisure_ends_soon_when_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel_wire, "EAGER_BYTES", 60_000_000)  # more than waits at the end
    monkeypatch.setattr(kernel_wire, "REST_S", 3600.0)
    line = "x" * 80_000
    write = f"number = 0\nwhile True:\n    number += 1\n    print(number, '{line}')"

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        for execution_id in "e1", "e2":  # each is taken as it comes at first
            kernel.ask(ExecuteRequest(execution_id, write))
            await heard.until(lambda: sum(map(length_of, heard.events)) > 59_000_000)
            await kernel.interrupt()
            await heard.finished(execution_id)
            *lines, last = heard.text().splitlines()
            assert lines == [f"{number} {line}" for number in range(1, len(lines) + 1)]
            assert f"{len(lines) + 1} {line}".startswith(last), "interrupted within a print"
            heard.events.clear()

    play(scenario)


def length_of(event: object) -> int:
    return len(event.text) if isinstance(event, Stream) else 0


def test_a_kernel_prints_no_further_than_it_is_taken() -> None:
    """Its memory stays bounded, and an interrupt shows soon, however much a loop would print."""

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        measure = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        write = "import sys\nwhile True: _ = sys.stdout.write('x' * 999_999 + '\\n')"
        kernel.ask(ExecuteRequest("e1", measure))
        await heard.finished("e1")
        before_kib = int(heard.text())
        kernel.ask(ExecuteRequest("e2", write))
        await heard.until(lambda: sum(isinstance(e, Stream) for e in heard.events) > 2_000)
        await kernel.interrupt()
        begun_s = asyncio.get_running_loop().time()
        await heard.finished("e2")
        assert asyncio.get_running_loop().time() - begun_s < LIMIT_S
        heard.events.clear()
        kernel.ask(ExecuteRequest("e3", measure))
        await heard.finished("e3")
        assert int(heard.text()) - before_kib < 200 * 1024

    play(scenario)


def test_a_kernel_that_floods_yields_the_processor_until_it_has_ended() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        share = share_of(kernel.pid)
        if not share.exists():
            pytest.skip("this system shares its processors otherwise")
        assert share.read_text().endswith(" nice 0\n")
        kernel.ask(ExecuteRequest("e", "while True: print('x', flush=True)"))
        await heard.until(lambda: share.read_text().endswith(f" nice {YIELDING_NICE}\n"))
        await kernel.interrupt()
        await heard.finished("e")
        while not share.read_text().endswith(" nice 0\n"):
            await asyncio.sleep(LOOK_AGAIN_S)

    play(scenario)


def test_one_text_of_more_pieces_than_a_kernels_own_pipe_holds() -> None:
    """Ipykernel wakes its sending thread for each piece, and hung when that woke itself."""

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        count = 2_200 * STREAM_CHARACTERS
        kernel.ask(ExecuteRequest("e", f"import sys; _ = sys.stdout.write('x' * {count})"))
        await heard.finished("e")
        assert sum(len(e.text) for e in heard.events if isinstance(e, Stream)) == count

    play(scenario)


def test_what_the_program_flushed_is_told_from_what_the_kernel_flushed() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        texts = {
            "print('end of the cell')": False,
            "print('before a value')\n1": False,
            "print('before a display')\ndisplay(1)": False,
            "print('by print', flush=True)": True,
            "import sys\n_ = sys.stderr.write('by hand')\nsys.stderr.flush()": True,
            "import logging\nlogging.warning('by a library')": True,
        }
        # On a busy machine what was written might be sent in time before it is flushed.
        never = "import sys; sys.stdout.flush_interval = sys.stderr.flush_interval = 3600"
        kernel.ask(ExecuteRequest("never", never))
        await heard.finished("never")
        for number, (code, expected) in enumerate(texts.items()):
            kernel.ask(ExecuteRequest(f"e{number}", code))
            await heard.finished(f"e{number}")
            said = [
                event
                for event in heard.events
                if isinstance(event, Stream) and event.execution_id == f"e{number}"
            ]
            assert [event.is_flushed for event in said] == [expected], code

    play(scenario)


def test_a_kernel_keeps_no_second_copy_of_what_was_printed() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", "print('x' * 1000)"))
        await heard.finished("e1")
        kept = "any('x' * 1000 in str(each) for each in get_ipython().history_manager.outputs[1])"
        kernel.ask(ExecuteRequest("e2", kept))
        await heard.finished("e2")
        assert ExecuteResult("e2", {"text/plain": "False"}, {}, 2) in heard.events

    play(scenario)


def test_a_large_text_comes_in_pieces_and_waits_while_it_is_not_wanted() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        count = 200 * STREAM_CHARACTERS
        kernel.hold(holds=True)
        kernel.ask(ExecuteRequest("e1", f"import sys\n_ = sys.stdout.write('x' * {count})"))
        await heard.until(lambda: any(isinstance(e, ExecuteReply) for e in heard.events))
        assert heard.text() == ""
        assert Idle("e1") not in heard.events
        kernel.hold(holds=False)
        await heard.finished("e1")
        texts = [e.text for e in heard.events if isinstance(e, Stream)]
        assert max(map(len, texts)) == STREAM_CHARACTERS
        assert heard.text() == "x" * count

    play(scenario)


def test_a_print_is_shown_while_the_cell_goes_on() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        reading, writing = os.pipe()
        path = f"/proc/{os.getpid()}/fd/{reading}"
        kernel.ask(ExecuteRequest("e", f"print('now')\nopen({path!r}).read(1)"))
        await heard.until(lambda: heard.text() == "now\n")
        assert Idle("e") not in heard.events
        os.write(writing, b".")
        await heard.finished("e")
        os.close(reading)
        os.close(writing)

    play(scenario)


STORM = """
import itertools
import signal
import sys

class Rang(Exception):
    pass

def ring(number, frame):
    while frame is not None:
        if frame.f_code is print_on.__code__:
            raise Rang
        frame = frame.f_back

def print_on():
    while len(printed) < 3_000:
        number = next(numbers)
        sys.stdout.write(f"{number}\\n")
        printed.append(number)
        sys.stdout.flush()

printed, numbers = [], itertools.count()
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
while len(printed) < 3_000:
    try:
        print_on()
    except Rang:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
display({"application/json": printed}, raw=True)
"""
"""Prints numbers, each once at most and flushed, while a handler raises exceptions. Those in
`printed` were surely written; of the others some were, before it could be noted."""


def test_what_is_printed_while_signals_raise_exceptions_comes_once_and_in_order() -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e", STORM))
        await heard.finished("e")
        (shown,) = (e for e in heard.events if isinstance(e, DisplayData))
        printed = shown.data["application/json"]
        came = [int(line) for line in heard.text().split()]
        assert came == sorted(set(came))
        assert set(printed) <= set(came)
        assert len(came) - len(printed) < len(printed)
        assert ExecuteReply("e", "ok", 1) in heard.events

    play(scenario)


def test_what_threads_forks_and_the_cell_print_comes_whole() -> None:
    """Each in its own order; a fork sends in its own way, through a pipe to the kernel."""
    code = """
import os
import sys
import threading

def say(who):
    for number in range(1_000):
        sys.stdout.write(f"{who} {number}\\n")
        if number % 3 == 0:
            sys.stdout.flush()

threads = [threading.Thread(target=say, args=(f"thread{n}",)) for n in range(3)]
for thread in threads:
    thread.start()
say("cell")
for thread in threads:
    thread.join()
print("before", flush=True)
child = os.fork()
if child == 0:
    print("fork", flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("after")
"""

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e", code))
        await heard.finished("e")
        await heard.until(lambda: "fork" in heard.text())
        said = heard.text().splitlines()
        for who in "cell", "thread0", "thread1", "thread2":
            assert [each for each in said if each.startswith(f"{who} ")] == [
                f"{who} {number}" for number in range(1_000)
            ]
        rest = [each for each in said if " " not in each]
        assert sorted(rest) == ["after", "before", "fork"]
        assert rest.index("before") < rest.index("after")

    play(scenario)


def test_what_is_written_past_python_belongs_to_the_cell_that_wrote_it() -> None:
    """Each cell's last text was now and then shown with the next one: about 5 of 100."""
    writers = [
        "os.write(1, b'{}\\n');",
        "os.write(2, b'{}\\n');",
        "subprocess.run(['echo', '{}']);",
        "print('{}', end=''); os.system('echo'); 7",
    ]

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("begin", "import os, subprocess"))
        for number in range(200):
            code = writers[number % len(writers)].format(number)
            kernel.ask(ExecuteRequest(f"e{number}", code))
        await heard.finished("e199")
        for number in range(200):
            said = [event for event in heard.events if event.execution_id == f"e{number}"]
            text = "".join(event.text for event in said if isinstance(event, Stream))
            assert text == f"{number}\n"
            kinds = [type(event) for event in said if isinstance(event, Stream | ExecuteResult)]
            assert kinds == sorted(kinds, key=lambda kind: kind is ExecuteResult)

    play(scenario)


def test_what_several_forks_print_is_mixed_by_lines_at_most() -> None:
    code = """
import multiprocessing
import sys

def say(number):
    print("number", number, "and", number)
    sys.stdout.write(f"part of {number}, ")
    sys.stdout.flush()
    sys.stdout.write(f"rest of {number}, ")

with multiprocessing.get_context("fork").Pool(4) as pool:
    pool.map(say, range(40))
    pool.close()
    pool.join()
"""

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e", code))
        await heard.finished("e")
        ends = [f"rest of {number}, " for number in range(40)]
        await heard.until(lambda: all(end in heard.text() for end in ends))
        for number in range(40):
            assert f"number {number} and {number}\n" in heard.text()
            assert f"part of {number}, " in heard.text()

    play(scenario)


def test_outputs_of_all_kinds_keep_their_order() -> None:
    code = """
import sys
from IPython.display import display
for number in range(300):
    print("o", number)
    display(number)
    print("e", number, file=sys.stderr, flush=True)
    display({"application/x-n": number}, raw=True)
"""

    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e", code))
        await heard.finished("e")
        came: list[tuple[str, Any]] = []
        for event in heard.events:
            if isinstance(event, DisplayData):
                came += event.data.items()
            elif isinstance(event, Stream) and came and came[-1][0] == event.name:
                # A timer may send what is written between two parts of one line.
                came[-1] = event.name, came[-1][1] + event.text
            elif isinstance(event, Stream):
                came.append((event.name, event.text))
        assert came == [
            each
            for n in range(300)
            for each in (
                ("stdout", f"o {n}\n"),
                ("text/plain", str(n)),
                ("stderr", f"e {n}\n"),
                ("application/x-n", n),
            )
        ]

    play(scenario)
