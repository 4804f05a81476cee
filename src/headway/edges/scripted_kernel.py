"""A kernel without a process: a tiny interpreter that a test steps, holds and kills.

It has no event loop. The code it runs is Python, one top-level statement a step, with these names
in its namespace:

    print(...)              a stream; `file=sys.stderr` works
    display(x, raw=, display_id=), update_display(...), clear_output(wait)    as in IPython
    sleep(...)              as a statement of its own: waits until `release` or an interrupt
    die, die("reason")      as a statement of its own: the process ends
    input("?"), x = input("?")    as a statement of its own: asks, and waits for `InputReply` or an
                            interrupt; fails where it may not ask. `getpass` too, for a password
    create_comm(...)        opens a comm, as the `comm` package does; `ScriptedComm` is it
    register_target(name, f)  whom comms may be opened for from outside; f(comm, message)
"""

from __future__ import annotations

import ast
import codeop
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final, assert_never

from headway.core.kernel.events import (
    Busy,
    ClearOutput,
    CompleteReply,
    DisplayData,
    ErrorOutput,
    ExecuteInput,
    ExecuteReply,
    ExecuteResult,
    HistoryInput,
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
    KernelRequest,
)
from headway.edges.scripted_comms import ScriptedComms

__all__ = ["DEFAULT_REASON", "ScriptedKernel", "StdinNotImplementedError"]

_ASLEEP: Final = "asleep"
_ASKING: Final = frozenset({"input", "getpass"})
DEFAULT_REASON: Final = "it exited with status 1"

_Steps = Generator[tuple[KernelEvent, ...] | str, None, None]


class StdinNotImplementedError(NotImplementedError):
    """`input()` in a kernel that may not ask."""


class _Death(BaseException):
    """The running code ends the process."""


class ScriptedKernel:
    """The interpreter. `ask`, then `step` until it gives None.

    `idle_first` puts the idle status before the reply, as a real kernel's two sockets may.
    """

    def __init__(self, *, idle_first: bool = False) -> None:
        self.requests: list[KernelRequest] = []
        """Everything asked, in order."""
        self.death: str | None = None
        """Why it is dead; None while it lives."""
        self._idle_first = idle_first
        self._waiting: deque[KernelRequest] = deque()
        self._running: _Steps | None = None
        self._asleep = False
        self._may_ask = False
        self._told: str | None = None
        self.asking: InputRequest | None = None
        """What the running code asks and waits for."""
        self._count = 0
        self._execution = ""
        self._said: list[KernelEvent] = []
        self._comms = ScriptedComms(self._said.append, lambda: self._execution)
        self._names: dict[str, Any] = {
            "create_comm": self._comms.create_comm,
            "register_target": self._comms.register_target,
            "print": self._print,
            "display": self._display,
            "update_display": self._update_display,
            "clear_output": self._clear_output,
            "input": self._input,
            "getpass": self._input,
        }

    @property
    def running(self) -> str | None:
        """The execution whose code runs; None when there is none."""
        return None if self._running is None else self._execution

    @property
    def is_asleep(self) -> bool:
        """Whether the running code is at a `sleep` and waits for `release`."""
        return self._asleep

    @property
    def is_busy(self) -> bool:
        """Whether anything runs or waits."""
        return self._running is not None or bool(self._waiting)

    @property
    def can_step(self) -> bool:
        """Whether `step` would do anything."""
        waits = self._asleep or self.asking is not None
        return self.death is None and self.is_busy and not waits

    def ask(self, request: KernelRequest) -> None:
        """Queue a request; the dead take none. An answer that nothing asked for is forgotten."""
        if self.death is not None:
            return
        self.requests.append(request)
        if not isinstance(request, InputReply):
            self._waiting.append(request)
        elif self.asking is not None:
            self.asking, self._told = None, request.value

    def step(self) -> tuple[KernelEvent, ...] | None:
        """Do the next thing and give its events, maybe none; None when there is nothing to do."""
        if not self.can_step:
            return None
        if self._running is None:
            self._running = self._answer(self._waiting.popleft())
        return self._take(next)

    def release(self) -> None:
        """End the `sleep` that the running code is in."""
        self._asleep = False

    def interrupt(self) -> tuple[KernelEvent, ...]:
        """Raise KeyboardInterrupt in what runs, and give the events; nothing when idle."""
        if self._running is None or self.death is not None:
            return ()
        self._asleep, self.asking = False, None
        return self._take(lambda running: running.throw(KeyboardInterrupt()))

    def die(self, reason: str = DEFAULT_REASON) -> None:
        """End, whatever runs. The first reason stays."""
        if self.death is None:
            self.death = reason
            self._running = None
            self._waiting.clear()
            self._asleep, self.asking = False, None

    def _take(
        self, advance: Callable[[_Steps], tuple[KernelEvent, ...] | str]
    ) -> tuple[KernelEvent, ...]:
        assert self._running is not None
        try:
            taken = advance(self._running)
        except (StopIteration, KeyboardInterrupt):  # the latter after its last statement
            self._running = None
            return ()
        except _Death as death:
            self.die(str(death))
            return self._drain()
        if isinstance(taken, str):
            self._asleep = True
            return ()
        if taken and isinstance(taken[-1], InputRequest):
            self.asking = taken[-1]
        return taken

    def _answer(self, request: KernelRequest) -> _Steps:
        match request:
            case ExecuteRequest(execution_id, code, allow_stdin):
                self._may_ask = allow_stdin
                return self._execute(execution_id, code)
            case CompleteRequest(request_id, code, cursor):
                return self._complete(request_id, code[:cursor], cursor)
            case InspectRequest(request_id, code, _, _):
                return self._inspect(request_id, code)
            case CommRequest():
                return self._comm(request)
            case CommInfoRequest(request_id):
                return self._comm_info(request_id)
            case IsCompleteRequest(request_id, code):
                return self._is_complete(request_id, code)
            case HistoryRequest(request_id, n):
                return self._history(request_id, n)
            case InputReply():
                raise AssertionError("an answer is no request that waits")
            case _:
                assert_never(request)

    def _execute(self, execution_id: str, code: str) -> _Steps:
        self._count += 1
        self._execution = execution_id
        count = self._count
        reply = ExecuteReply(execution_id, "ok", count)
        try:
            yield (Busy(execution_id), ExecuteInput(execution_id, count))
            for statement in ast.parse(code).body:
                yield from self._run(statement)
                yield self._drain()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever the code raises
            name, value = type(error).__name__, str(error)
            lines = tuple(traceback.format_exception_only(error))
            yield (*self._drain(), ErrorOutput(execution_id, name, value, lines))
            reply = ExecuteReply(execution_id, "error", count, name, value)
        last = (reply, Idle(execution_id))
        yield last[::-1] if self._idle_first else last

    def _run(self, statement: ast.stmt) -> _Steps:
        if self._may_ask and (call := _asks(statement)) is not None:
            yield from self._ask(call)
            self._names["_"] = self._told
            # The statement itself, with the answer in the place of the call.
            statement.value = ast.copy_location(ast.Name("_", ast.Load()), call)  # type: ignore[attr-defined]
        if not isinstance(statement, ast.Expr):
            module = ast.Module([statement], [])
            exec(compile(module, "<cell>", "exec"), self._names)  # noqa: S102 - a test's own code
            return
        match statement.value:
            case ast.Call(func=ast.Name(id="sleep")):
                yield _ASLEEP
            case ast.Name(id="die"):
                raise _Death(DEFAULT_REASON)
            case ast.Call(func=ast.Name(id="die"), args=[ast.Constant(value=reason)]):
                raise _Death(str(reason))
            case expression:
                source = compile(ast.Expression(expression), "<cell>", "eval")
                value = eval(source, self._names)  # noqa: S307 - a test's own code
                if value is not None:
                    data = {"text/plain": repr(value)}
                    self._said.append(ExecuteResult(self._execution, data, {}, self._count))

    def _ask(self, call: ast.Call) -> _Steps:
        arguments = [eval(compile(ast.Expression(each), "<cell>", "eval"), self._names)  # noqa: S307 - a test's own code
                     for each in call.args]  # fmt: skip
        prompt = str(arguments[0]) if arguments else ""
        is_password = isinstance(call.func, ast.Name) and call.func.id == "getpass"
        yield (*self._drain(), InputRequest(self._execution, prompt, is_password))

    def _complete(self, request_id: str, before: str, cursor: int) -> _Steps:
        start = cursor
        while start > 0 and (before[start - 1].isalnum() or before[start - 1] == "_"):
            start -= 1
        matches = tuple(sorted(name for name in self._names if name.startswith(before[start:])))
        reply = CompleteReply(request_id, matches, start, cursor)
        yield (Busy(request_id), reply, Idle(request_id))

    def _inspect(self, request_id: str, code: str) -> _Steps:
        found = code.strip() in self._names
        data = {"text/plain": repr(self._names[code.strip()])} if found else {}
        yield (Busy(request_id), InspectReply(request_id, found, data), Idle(request_id))

    def _comm(self, request: CommRequest) -> _Steps:
        request_id = self._execution = request.request_id
        yield (Busy(request_id),)
        self._comms.take(request)
        yield (*self._drain(), Idle(request_id))

    def _comm_info(self, request_id: str) -> _Steps:
        yield (Busy(request_id), self._comms.info(request_id), Idle(request_id))

    def _is_complete(self, request_id: str, code: str) -> _Steps:
        try:
            whole = codeop.compile_command(code, symbol="exec") is not None
            reply = IsCompleteReply(request_id, "complete" if whole else "incomplete")
        except (SyntaxError, ValueError, OverflowError):
            reply = IsCompleteReply(request_id, "invalid")
        yield (Busy(request_id), reply, Idle(request_id))

    def _history(self, request_id: str, n: int) -> _Steps:
        run = [each.code for each in self.requests if isinstance(each, ExecuteRequest)]
        inputs = tuple(HistoryInput(1, line, code) for line, code in enumerate(run, 1))
        yield (Busy(request_id), HistoryReply(request_id, inputs[-n:]), Idle(request_id))

    def _drain(self) -> tuple[KernelEvent, ...]:
        said = tuple(self._said)
        self._said.clear()
        return said

    def _print(self, *values: Any, sep: str = " ", end: str = "\n", **options: Any) -> None:
        name = "stderr" if options.get("file") is sys.stderr else "stdout"
        self._said.append(Stream(self._execution, name, sep.join(map(str, values)) + end))

    def _display(self, value: Any, *, raw: bool = False, display_id: str | None = None) -> None:
        data = value if raw else {"text/plain": repr(value)}
        self._said.append(DisplayData(self._execution, data, {}, display_id))

    def _update_display(self, value: Any, *, display_id: str, raw: bool = False) -> None:
        data = value if raw else {"text/plain": repr(value)}
        self._said.append(UpdateDisplay(self._execution, data, {}, display_id))

    def _clear_output(self, wait: bool = False) -> None:
        self._said.append(ClearOutput(self._execution, wait))

    def _input(self, _prompt: str = "") -> str:
        raise StdinNotImplementedError("this kernel may not ask for input")


def _asks(statement: ast.stmt) -> ast.Call | None:
    """The call of `input` or `getpass` that a statement of its own consists of."""
    match statement:
        case (
            ast.Expr(value=ast.Call(func=ast.Name(id=name)) as call)
            | ast.Assign(value=ast.Call(func=ast.Name(id=name)) as call)
        ) if name in _ASKING:
            return call
        case _:
            return None
