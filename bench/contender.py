"""A contender: a process that does what it is asked, in an environment of its own.

What it needs to be measured is in `drivers/`: one program for each kind of peer, ours among them,
with the same questions under the same names. A question goes there as one line of JSON, the answer
comes back as another. Each has a deadline; a contender that misses it, or dies, is out, with the
reason, and the others go on. Everything that a contender started ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import peer_environments
from peer_environments import Absent
from results import Rounds

__all__ = ["Absent", "Audience", "Contender", "Field", "audience", "field"]

DRIVERS = Path(__file__).parent / "drivers"
START_LIMIT_S = 90.0
END_LIMIT_S = 20.0
MARK = "HEADWAY_BENCH_CONTENDER"
"""In the environment of everything that a contender starts."""

_RTC, _DOCUMENTS = "jupyter-collaboration", "jupyter-server-documents"
_NODELAY = ", TCP_NODELAY"

CATALOGUE: dict[str, tuple[str | None, str, tuple[str, ...]]] = {
    "jupyter_client": (None, "kernel_client", ("blocking",)),
    "jupyter_client, async": (None, "kernel_client", ("async",)),
    "headway": (None, "headway_notebook", ("async",)),
    "headway, blocking": (None, "headway_notebook", ("blocking",)),
    _RTC: ("collaboration", "jupyter_rtc", ("collaboration",)),
    _RTC + _NODELAY: ("collaboration", "jupyter_rtc", ("collaboration", "nodelay")),
    _DOCUMENTS: ("server-documents", "jupyter_rtc", ("documents",)),
    _DOCUMENTS + _NODELAY: ("server-documents", "jupyter_rtc", ("documents", "nodelay")),
    "marimo": ("marimo", "marimo_editor", ()),
    "runtimed": ("runtimed", "runtimed_daemon", ()),
}
"""Contender -> its environment (None is ours), its driver, the driver's arguments."""


class Contender:
    """One driver's process."""

    def __init__(self, name: str) -> None:
        """Start the driver of a contender of the catalogue. Raises Absent."""
        environment, driver, arguments = CATALOGUE[name]
        python = (
            Path(sys.executable) if environment is None else peer_environments.python(environment)
        )
        self.name = name
        self._mark = uuid.uuid4().hex
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as we are
        self._process = subprocess.Popen(
            [python, DRIVERS / f"{driver}.py", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(environment is not None) | {MARK: self._mark},
        )

    def ask(self, what: str, limit_s: float = START_LIMIT_S, /, **given: Any) -> Any:
        """Put a question and wait for its answer. Raises Absent, with the reason."""
        line = json.dumps({"ask": what, "with": given}) + "\n"
        assert self._process.stdin is not None, "its input is a pipe"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError as error:
            raise Absent(f"it has ended: {self._last_words()}") from error
        answer = json.loads(self._line(what, limit_s))
        if "error" in answer:
            raise Absent(f"{what}: {answer['error']}")
        return answer["answer"]

    def _line(self, what: str, limit_s: float) -> bytes:
        assert self._process.stdout is not None, "its output is a pipe"
        until_s = time.monotonic() + limit_s
        got = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not got.endswith(b"\n"):
                if not selector.select(max(0.0, until_s - time.monotonic())):
                    self.close()
                    raise Absent(f"{what}: no end within {limit_s:.0f} s")
                piece = os.read(self._process.stdout.fileno(), 1 << 20)
                if not piece:
                    raise Absent(f"{what}: it ended: {self._last_words()}")
                got += piece
        return bytes(got)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def close(self) -> None:
        """End the driver, and whatever it left running."""
        if self._process.poll() is None:
            assert self._process.stdin is not None, "its input is a pipe"
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        end_marked(self._mark)


def end_marked(mark: str) -> None:
    """End every process whose environment holds the mark."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def _environment(is_peer: bool) -> dict[str, str]:
    """Ours, without what points Python or Jupyter to somewhere else; peers get our kernels."""
    strange = ("PYTHON", "JUPYTER", "IPYTHON", "VIRTUAL_ENV", "HEADWAY_HOME")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return plain | ({"JUPYTER_PATH": str(peer_environments.kernels())} if is_peer else {})


class Field:
    """The contenders of one question: those that are there, and why the others are not."""

    def __init__(self) -> None:
        self.present: dict[str, Contender] = {}
        self.absent: dict[str, str] = {}

    def ask(self, name: str, what: str, limit_s: float = START_LIMIT_S, /, **given: Any) -> Any:
        """Ask one contender; None if it is out, now or before."""
        if name not in self.present:
            return None
        try:
            return self.present[name].ask(what, limit_s, **given)
        except Absent as error:
            self.drop(name, str(error))
            return None

    def start(self, name: str) -> None:
        """Let a contender take part: for the first time, or after it was dropped."""
        self.absent.pop(name, None)
        try:
            self.present[name] = Contender(name)
        except Absent as error:
            self.absent[name] = str(error)
        else:
            self.ask(name, "start")

    def drop(self, name: str, reason: str) -> None:
        """Let a contender go on no further."""
        self.absent[name] = reason
        self.present.pop(name).close()

    def ask_all(self, what: str, limit_s: float = START_LIMIT_S, /, **given: Any) -> dict[str, Any]:
        """Ask each contender once; what those that can answered."""
        answers = {name: self.ask(name, what, limit_s, **given) for name in list(self.present)}
        return {name: answer for name, answer in answers.items() if answer is not None}

    def take_turns(
        self, what: str, rounds: int, limit_s: float = START_LIMIT_S, **given: Any
    ) -> Rounds:
        """Ask for a block of values, round after round, in a changing order."""
        taken: Rounds = {name: [] for name in self.present}
        for turn in range(rounds):
            names = list(self.present)
            shift = turn % max(1, len(names))
            for name in names[shift:] + names[:shift]:
                values = self.ask(name, what, limit_s, **given)
                if values is not None:
                    taken[name].append(values)
        return {name: values for name, values in taken.items() if values}


@contextlib.contextmanager
def field(names: Sequence[str]) -> Iterator[Field]:
    """Start contenders, one after the other, and end them all."""
    among = Field()
    try:
        for name in names:
            among.start(name)
        yield among
    finally:
        for contender in among.present.values():
            contender.close()


class Audience:
    """A contender with a notebook, a second client of it, and a crowd, all in other processes."""

    def __init__(self, first: Contender, second: Contender) -> None:
        self.first, self.second = first, second

    def typed(self, count: int, pause_s: float) -> list[float]:
        """Seconds from each keystroke of the first until the second has it."""
        cell = self.first.ask("new_cell")
        self.second.ask("watch", cell=cell)
        sent = self.first.ask("type", cell=cell, count=count, pause_s=pause_s)
        return self._delays(sent)

    def ran(self, count: int, pause_s: float) -> list[float]:
        """Seconds from asking for each cell until the second has its output."""
        self.second.ask("watch_outputs")
        return self._delays(self.first.ask("run_marked", count=count, pause_s=pause_s))

    def _delays(self, sent: dict[str, float]) -> list[float]:
        until_s = time.monotonic() + END_LIMIT_S
        while True:
            seen = self.second.ask("seen")
            missing = sent.keys() - seen.keys()
            # What came together is seen at once: only the last of several lengths shows.
            if not missing or max(sent, key=sent.__getitem__) in seen:
                break
            if time.monotonic() > until_s:
                raise Absent(f"{len(missing)} of {len(sent)} never came to the second client")
            time.sleep(0.1)
        delays = []
        later = None
        for mark in reversed(sent):
            later = seen.get(mark, later)
            if later is not None:
                delays.append(later - sent[mark])
        return delays[::-1]


@contextlib.contextmanager
def audience(name: str, clients: int, writing_per_s: float = 0.0) -> Iterator[Audience]:
    """So many clients of one notebook in all; those of the crowd may type. Raises Absent."""
    with contextlib.ExitStack() as stack:
        parts = []
        for _ in range(2 if clients <= 2 else 3):
            parts.append(Contender(name))
            stack.callback(parts[-1].close)
        parts[0].ask("start")
        place = parts[0].ask("place")
        parts[1].ask("join", place=place, clients=1)
        if clients > 2:
            crowd = {"clients": clients - 2, "writing_per_s": writing_per_s}
            parts[2].ask("join", place=place, **crowd)
        yield Audience(parts[0], parts[1])
