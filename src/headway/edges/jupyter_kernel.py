"""One kernel as a process of this machine, spoken to in Jupyter's protocol. Implements `Kernel`.

Theory of operation
-------------------
A kernel is a process (`kernel_process`), a wire (`kernel_wire`) and a folder of its own, mode
0700, which holds the connection file and the Unix sockets: no ports to race for, and nobody else
on the machine can connect. The folder belongs to the kernel's warden, which removes it at the end.

*Ready* (`kernel_meeting`) means: it answered kernel_info on the shell socket **and** something
arrived on iopub, so the subscription works and no output can be missed, and an ipykernel is
prepared (`ipykernel.prepare_request`). ZeroMQ keeps the request until the kernel has bound its
socket, so one is enough; it is repeated only in case that the answer's status was published before
the subscription had arrived. Requests of our own have ids that nobody else knows, and what answers
them goes to nobody else.

*Interrupting* has its own theory: see `core.kernel.outstanding`.

*Ending*: the warden says so within milliseconds. What the kernel sent before is delivered
first, then `ended` is called, unless the end was asked for.

*Adopting* a kernel that an earlier daemon left: its folder says whose it is and which execution it
was given last (noted before it is asked). Control requests, which an ipykernel answers while it
runs code, are repeated until something arrives on iopub: from then on no output is missed. Then a
request on the shell socket waits behind the execution. When that is answered, and its idle status
has come, the execution is over and everything it published since has been delivered; if its reply
did not come, it was sent while nobody listened. An ipykernel still knows how its last execution
ended, so the request that waits behind it asks that; of other kernels' the reply is lost. What an
ipykernel waits for is recalled too (`core.kernel.asking`).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import zmq

from headway.core.kernel.asking import is_mark, read_recall, recall_request
from headway.core.kernel.events import ExecuteInput, InputRequest, KernelEvent, KernelInfo
from headway.core.kernel.jupyter import parent_id, read_message
from headway.core.kernel.requests import input_reply
from headway.core.room.effects import ExecuteRequest, InputReply, KernelRequest, Question
from headway.core.wire.rpc import KernelEnvironment
from headway.edges.kernel_folder import read_connection, write_configuration, write_connection
from headway.edges.kernel_inquiry import Inquiry
from headway.edges.kernel_meeting import Meeting
from headway.edges.kernel_own_requests import OwnRequests
from headway.edges.kernel_process import KernelProcess
from headway.edges.kernel_prompts import Prompts
from headway.edges.kernel_record import Asked, AskedNote, KernelRecord, leave_record, read_asked
from headway.edges.kernel_replies import Replies
from headway.edges.kernel_requests import shell_message
from headway.edges.kernel_wire import ChannelName, KernelWire
from headway.edges.kernel_yielding import Yielding, share_of
from headway.edges.kernelspecs import Kernelspec
from headway.edges.ports import KernelOwner, KernelSink
from headway.errors import KernelDied, KernelStartFailed
from headway.ids import ExecutionId
from headway.in_kernel import waking

__all__ = ["SHUTDOWN_GRACE_S", "TERMINATE_GRACE_S", "JupyterKernel"]

SHUTDOWN_GRACE_S: Final = 2.0
"""How long it may take to end after it was asked to; then SIGTERM."""

TERMINATE_GRACE_S: Final = 3.0
"""How long it may take to end after SIGTERM; then SIGKILL."""

LAST_MESSAGES_TIMEOUT_S: Final = 0.1
"""How long an ended kernel's last messages are waited for when its connection stays open."""


class JupyterKernel:
    """One running kernel. `JupyterKernels.start` makes it, launches it and waits for it."""

    def __init__(
        self,
        spec: Kernelspec,
        events: KernelSink,
        ended: Callable[[str], None],
        private: Path,
    ) -> None:
        self.name = spec.name
        self.display_name = spec.display_name
        self.environment: KernelEnvironment | None = None
        self.info = KernelInfo(language=spec.language)
        self._spec = spec
        self._sink = events
        self._ended = ended
        self._private = private
        self._own_requests = OwnRequests(self._is_awaited)
        self._replies = Replies(self._probe)
        self._prompts = Prompts(lambda question: self._sink((question,)))
        self._meeting = Meeting(self._ask_own)
        self._ready = False
        self._count = 0
        self._note: AskedNote | None = None
        self._inquiry: Inquiry | None = None
        self._recalls = False
        """Whether nothing newer is known of its prompt than what it was asked to recall."""
        self._stopping: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._yielding = Yielding(lambda: share_of(self.pid))
        self._wire: KernelWire
        self._process: KernelProcess

    @property
    def pid(self) -> int:
        """The process's id, also after its end."""
        return self._process.pid

    def ask(self, request: KernelRequest) -> None:
        """Send a request. What is sent to a kernel that has ended is lost; `ended` says so."""
        if isinstance(request, InputReply):
            self._recalls = False
            self._prompts.begin_anew()
            answer = os.urandom(16).hex()
            self._wire.send("stdin", "input_reply", input_reply(request.value), answer)
            return
        message = shell_message(request)
        if isinstance(request, Question):
            self._wire.send("control" if self.info.answers_while_busy else "shell", *message)
            return
        if isinstance(request, ExecuteRequest):
            if self._note is not None:
                asked = Asked.of(request.execution_id, request.code, self._count)
                self._note.write(asked)
            self._replies.asked(request.execution_id, in_order=self._meeting.is_prepared)
        self._wire.send("shell", *message)

    def hold(self, *, holds: bool) -> None:
        """Take none of its outputs until told otherwise; they wait, in order."""
        self._wire.hold(holds=holds)

    async def interrupt(self, execution_id: ExecutionId | None = None) -> None:
        """Interrupt what was asked: SIGINT to the process group, or a message, as the spec says.

        Not before the code runs, because it would be ignored; and not at all if it ends first.
        """
        if not await self._replies.may_interrupt(execution_id, self._process.ended):
            return
        self._replies.outstanding.interrupted()
        self._prompts.forget()  # its question ends with the interrupt
        self._wire.hurry()  # the end comes behind all that it printed
        if self._spec.interrupt_mode == "message":
            self._ask_own("control", "interrupt_request", {})
        else:
            await self._process.signal_group(signal.SIGINT)
        if self._meeting.is_prepared:
            self._ask_own("control", waking.REQUEST, {})

    async def stop(self) -> None:
        """Ask it to end, then TERM, then KILL; its process is gone on return. Idempotent."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        # Somebody who no longer waits for the end does not call it off.
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._ask_own("control", "shutdown_request", {"restart": False})
        self._process.stop(SHUTDOWN_GRACE_S, TERMINATE_GRACE_S)
        await self._gone.wait()

    def launch(
        self, context: zmq.Context[zmq.Socket[bytes]], folder: str, *, orphan_s: float
    ) -> None:
        """Start the process, without waiting for it. Raises OSError, ZMQError; leaves nothing."""
        path, connection = write_connection(self._private, self._spec)
        takes = self._spec.takes_configuration
        command = self._spec.command(path, write_configuration(self._private) if takes else None)
        environment = self._spec.full_environment(os.environ)
        self._wire = KernelWire(context, connection, self._receive)
        try:
            self._process = KernelProcess.launch(
                command,
                folder,
                environment,
                self._process_ended,
                private=self._private,
                orphan_s=orphan_s,
            )
        except BaseException:
            self._wire.close()
            raise

    async def adopt(
        self, context: zmq.Context[zmq.Socket[bytes]], record: KernelRecord
    ) -> Asked | None:
        """Take up a kernel that lives in the folder; gives what it was asked last.

        Raises OSError when it is gone. Who waits has a deadline; of what failed nothing is held.
        """
        asked = read_asked(self._private)
        connection = read_connection(self._private)
        self._wire = KernelWire(context, connection, self._receive, bounded=record.is_prepared)
        try:
            self._process = KernelProcess.find(self._private, self._process_ended)
        except BaseException:
            self._wire.close()
            raise
        try:
            await self._take_up(record, asked)
        except BaseException:
            await self.abandon()
            raise
        return asked

    async def _take_up(self, record: KernelRecord, asked: Asked | None) -> None:
        self._meeting.is_ipykernel = record.is_ipykernel
        self._meeting.is_prepared = record.is_prepared
        self._note = AskedNote(self._private)
        self.info = record.info
        if asked is not None:
            self._count = asked.after_count + 1
        self._ready = True
        await self._process.begun()
        self._yielding.taken_up()
        await self._meeting.listen()
        self._inquire(asked)

    def hear_anew(self, events: KernelSink, ended: Callable[[str], None]) -> ExecutionId | None:
        """Have somebody else hear it; see `ports.Kernel`."""
        if self._process.ended.is_set():
            reason = self._process.reason()
            raise KernelDied(f"The kernel ended: {reason}.", reason=reason)
        self._sink, self._ended = events, ended
        asked = read_asked(self._private)
        self._inquire(asked)
        return None if asked is None else asked.execution_id

    def _inquire(self, asked: Asked | None) -> None:
        """Ask behind what it was given last how that ended: whoever hears us does not know."""
        if asked is None:
            return
        outstanding = self._replies.outstanding
        outstanding.taken_up(asked.execution_id, asked.after_count + 1)
        inquiry = Inquiry(asked, outstanding, is_ipykernel=self._meeting.is_ipykernel)
        inquiry.request = self._ask_own("shell", *inquiry.question())
        self._inquiry = inquiry
        if self._meeting.is_ipykernel:
            self._recalls = True
            self._ask_own("control", *recall_request())

    @property
    def away_since_s(self) -> float | None:
        """Since when an adopted kernel had no daemon (wall clock)."""
        return self._process.away_since_s

    async def become_ready(self, owner: KernelOwner | None) -> None:
        """Wait until it is ready; raises KernelStartFailed when it ends first."""
        try:
            await self._process.begun()
        except OSError as why:
            await self._clean_up()
            raise KernelStartFailed(
                f'The kernel "{self.name}" could not be launched: {why.strerror or why}.',
                name=self.name,
                reason=str(why),
                stderr="",
            ) from why
        await self._meeting.begin()
        self.info = self._meeting.info or self.info
        if self._meeting.is_prepared:
            self._wire.bound()
        self._ready = True
        if owner is not None:
            record = KernelRecord.of(
                owner.document,
                owner.incarnation,
                self.name,
                self.info,
                interrupt_mode=self._spec.interrupt_mode,
                is_ipykernel=self._meeting.is_ipykernel,
                is_prepared=self._meeting.is_prepared,
                environment=self.environment,
            )
            self._note = leave_record(self._private, record)
        await self._process.ready(keep=owner is not None)
        self._raise_if_ended()

    async def kill(self) -> None:
        """End it without asking."""
        self._process.stop(0, 0)
        await self._gone.wait()

    async def abandon(self) -> None:
        """Let go of it without a word, as a daemon does that is killed."""
        self._process.abandon()
        await self._clean_up(keep_folder=True)

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended and everything that belonged to it is cleaned up."""
        return self._gone.is_set()

    def _raise_if_ended(self) -> None:
        if self._process.ended.is_set():
            raise self.start_failed(self._process.reason())

    def start_failed(self, reason: str) -> KernelStartFailed:
        """The error for a start that failed with this reason (a clause)."""
        sentence = f'The kernel "{self.name}" did not start: {reason}.'
        written = self._process.written()
        if written.strip():
            sentence += " See what it wrote to stderr."
        if self.environment is not None and self.environment.source == "notebook":
            folder = shlex.quote(self.environment.path)
            sentence += f" If its environment is damaged, have it made anew: rm -r {folder}"
        return KernelStartFailed(
            sentence,
            name=self.name,
            reason=reason,
            stderr=written,
        )

    def _ask_own(self, channel: ChannelName, kind: str, content: dict[str, Any]) -> str:
        request = self._own_requests.begin()
        self._wire.send(channel, kind, content, request)
        return request

    def _is_awaited(self, request: str) -> bool:
        is_inquiry = self._inquiry is not None and request == self._inquiry.request
        return is_inquiry or self._replies.is_probe(request)

    def _receive(self, channel: ChannelName, messages: Sequence[dict[str, Any]]) -> None:
        events: list[KernelEvent] = []
        if channel == "iopub":
            self._meeting.hear()
            self._yielding.heard(len(messages))
        elif channel == "stdin":
            self._recalls = False
        for message in messages:
            parent = parent_id(message)
            told: tuple[KernelEvent, ...] = ()
            if parent is not None and parent in self._own_requests:
                told = self._take_own(parent, message)
            elif is_mark(message):
                told = self._prompts.marked()
            elif self._ready:  # what comes earlier answers nobody: a kernel's noise at its start
                told = read_message(message)
            match told:
                case (InputRequest() as question,) if channel == "stdin":
                    told = self._prompts.asked(question, has_marks=self._meeting.is_prepared)
                case (ExecuteInput(execution_count=count),):
                    self._count = count
                    self._prompts.begin_anew()
                    self._yielding.begin_anew()
                    self._wire.hurry()
                case _:
                    pass
            for event in told:
                # At once: the next message may be the answer to whether a reply is outstanding.
                self._replies.outstanding.heard(event)
            events.extend(told)
        self._replies.heard(events)
        if events:
            self._sink(tuple(events))

    def _take_own(self, request: str, message: dict[str, Any]) -> tuple[KernelEvent, ...]:
        match message.get("msg_type"):
            case "kernel_info_reply" if self._replies.is_probe(request):
                return self._replies.probe_answered(request)
            case _ if self._inquiry is not None and request == self._inquiry.request:
                return self._inquiry.take(message)
            case "headway_prompt_reply" if self._recalls:
                return read_recall(message)
            case _:
                self._meeting.take(message)
        return ()

    def _probe(self) -> str:
        return self._ask_own("shell", "kernel_info_request", {})

    def _process_ended(self) -> None:
        self._finishing = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        reason = self._process.reason()
        if self._ready and self._stopping is None:
            await self._wire.disconnected(LAST_MESSAGES_TIMEOUT_S)
        self._wire.close()
        self._meeting.fail(self.start_failed(reason))
        self._replies.wake()
        if self._ready and self._stopping is None:
            self._ended(reason)
        await self._clean_up()

    async def _clean_up(self, *, keep_folder: bool = False) -> None:
        self._wire.close()
        self._prompts.forget()
        self._yielding.close()
        if self._note is not None:
            self._note.close()
        self._process.forget()
        await self._process.gone.wait()
        if not keep_folder:
            # The warden has done it, unless it was killed.
            shutil.rmtree(self._private, ignore_errors=True)
        self._gone.set()
