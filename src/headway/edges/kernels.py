"""Kernels as processes of this machine, spoken to in Jupyter's protocol. Implements `Kernels`.

Theory of operation
-------------------
A kernel is a process (`kernel_process`), a wire (`kernel_wire`) and a folder of its own, mode
0700, which holds the connection file and the Unix sockets: no ports to race for, and nobody else
on the machine can connect.

*Ready* means: it answered kernel_info on the shell socket **and** something arrived on iopub, so
the subscription works and no output can be missed, and an ipykernel is prepared
(`jupyter.PREPARE_IPYKERNEL`). ZeroMQ keeps the request until the kernel has bound its socket, so
one is enough; it is repeated only in case that the answer's status was published before the
subscription had arrived. Requests of our own have ids that nobody else knows, and what answers
them goes to nobody else.

*Ending*: the process watch says so within milliseconds. What the kernel sent before is delivered
first, then `ended` is called, unless the end was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, assert_never

import zmq
from jupyter_client.connect import write_connection_file

from headway.core.kernel.events import KernelEvent, KernelInfo
from headway.core.kernel.jupyter import (
    complete_request,
    execute_request,
    inspect_request,
    is_ipykernel,
    parent_id,
    prepare_request,
    read_message,
)
from headway.core.room.effects import (
    CompleteRequest,
    ExecuteRequest,
    InspectRequest,
    KernelRequest,
)
from headway.edges.kernel_process import KernelProcess
from headway.edges.kernel_wire import ChannelName, ConnectionInfo, KernelWire
from headway.edges.kernelspecs import Kernelspec, choose, find_installed
from headway.edges.ports import KernelSink
from headway.errors import KernelStartFailed

__all__ = [
    "KERNEL_START_TIMEOUT_S",
    "SHUTDOWN_GRACE_S",
    "TERMINATE_GRACE_S",
    "JupyterKernel",
    "JupyterKernels",
]

KERNEL_START_TIMEOUT_S: Final = 60.0
"""How long a kernel may take until it is ready."""

SHUTDOWN_GRACE_S: Final = 2.0
"""How long it may take to end after it was asked to; then SIGTERM."""

TERMINATE_GRACE_S: Final = 3.0
"""How long it may take to end after SIGTERM; then SIGKILL."""

READY_RETRY_S: Final = 0.05
"""How long an answer may come without its status before kernel_info is asked again."""

LAST_MESSAGES_TIMEOUT_S: Final = 0.1
"""How long an ended kernel's last messages are waited for when its connection stays open."""

SOCKET_PATH_BYTES: Final = min(zmq.IPC_PATH_MAX_LEN, 107)
"""The longest path of a Unix socket (`sun_path`, without its final zero)."""

_SOCKETS: Final = "k"
_LONGEST: Final = f"/kernel-00000000/{_SOCKETS}-00"


class JupyterKernel:
    """One running kernel; made by `JupyterKernels.start` only. Implements `Kernel`."""

    def __init__(
        self,
        spec: Kernelspec,
        events: KernelSink,
        ended: Callable[[str], None],
        private: Path,
    ) -> None:
        self.name = spec.name
        self.info = KernelInfo(language=spec.language)
        self._spec = spec
        self._sink = events
        self._ended = ended
        self._private = private
        self._own_requests: set[str] = set()
        self._heard = asyncio.Event()
        self._answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._prepared = asyncio.Event()
        self._ready = False
        self._stopping: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._wire: KernelWire
        self._process: KernelProcess

    @property
    def pid(self) -> int:
        """The process's id, also after its end."""
        return self._process.pid

    def ask(self, request: KernelRequest) -> None:
        """Send a request. What is sent to a kernel that has ended is lost; `ended` says so."""
        match request:
            case ExecuteRequest(execution_id, code):
                self._wire.send("shell", "execute_request", execute_request(code), execution_id)
            case CompleteRequest(request_id, code, cursor):
                content = complete_request(code, cursor)
                self._wire.send("shell", "complete_request", content, request_id)
            case InspectRequest(request_id, code, cursor, detail):
                content = inspect_request(code, cursor, detail)
                self._wire.send("shell", "inspect_request", content, request_id)
            case _:
                assert_never(request)

    async def interrupt(self) -> None:
        """Interrupt what runs: SIGINT to the process group, or a message, as the spec says."""
        if self._spec.interrupt_mode == "message":
            self._ask_own("control", "interrupt_request", {})
        else:
            self._process.signal_group(signal.SIGINT)

    async def stop(self) -> None:
        """Ask it to end, then TERM, then KILL; its process is gone on return. Idempotent."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        # Somebody who no longer waits for the end does not call it off.
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._ask_own("control", "shutdown_request", {"restart": False})
        for grace_s, harder in (
            (SHUTDOWN_GRACE_S, signal.SIGTERM),
            (TERMINATE_GRACE_S, signal.SIGKILL),
        ):
            if await self._ends_within(grace_s):
                break
            self._process.signal_group(harder)
        await self._gone.wait()

    async def _ends_within(self, grace_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._process.ended.wait()
        return self._process.ended.is_set()

    def launch(self, context: zmq.Context[zmq.Socket[bytes]], folder: str) -> None:
        """Start the process, without waiting for it. Raises OSError, ZMQError; leaves nothing."""
        path, connection = _write_connection(self._private, self._spec)
        command = self._spec.command(path)
        environment = self._spec.full_environment(os.environ)
        self._wire = KernelWire(context, connection, self._receive)
        try:
            self._process = KernelProcess(command, folder, environment, self._process_ended)
        except BaseException:
            self._wire.close()
            raise

    async def become_ready(self) -> None:
        """Wait until it is ready; raises KernelStartFailed when it ends first."""
        self._ask_own("shell", "kernel_info_request", {})
        answer = await self._answer
        while not self._heard.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_RETRY_S):
                    await self._heard.wait()
                break
            self._raise_if_ended()
            self._ask_own("shell", "kernel_info_request", {})
        for event in read_message(answer):
            if isinstance(event, KernelInfo):
                self.info = event
        if is_ipykernel(answer):
            self._ask_own("shell", "execute_request", prepare_request())
            await self._prepared.wait()
        self._raise_if_ended()
        self._ready = True
        self._process.forget_written()

    async def kill(self) -> None:
        """End it without asking, for a kernel that never was ready."""
        self._process.signal_group(signal.SIGKILL)
        await self._gone.wait()

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended and everything that belonged to it is cleaned up."""
        return self._gone.is_set()

    def _raise_if_ended(self) -> None:
        if self._process.ended.is_set():
            raise self.start_failed(self._process.reason())

    def start_failed(self, reason: str) -> KernelStartFailed:
        """The error for a start that failed with this reason (a clause)."""
        return KernelStartFailed(
            f'The kernel "{self.name}" did not start: {reason}. See what it wrote to stderr.',
            name=self.name,
            reason=reason,
            stderr=self._process.written(),
        )

    def _ask_own(self, channel: ChannelName, kind: str, content: dict[str, Any]) -> None:
        request = os.urandom(16).hex()
        self._own_requests.add(request)
        self._wire.send(channel, kind, content, request)

    def _receive(self, channel: ChannelName, messages: Sequence[dict[str, Any]]) -> None:
        events: list[KernelEvent] = []
        for message in messages:
            if channel == "iopub":
                self._heard.set()
            if parent_id(message) in self._own_requests:
                self._take_own(message)
            elif self._ready:  # what comes earlier answers nobody: a kernel's noise at its start
                events.extend(read_message(message))
        if events:
            self._sink(tuple(events))

    def _take_own(self, message: dict[str, Any]) -> None:
        match message.get("msg_type"):
            case "kernel_info_reply" if not self._answer.done():
                self._answer.set_result(message)
            case "execute_reply":
                self._prepared.set()
            case _:
                pass

    def _process_ended(self) -> None:
        self._finishing = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        reason = self._process.reason()
        if self._ready and self._stopping is None:
            await self._wire.disconnected(LAST_MESSAGES_TIMEOUT_S)
        self._wire.close()
        shutil.rmtree(self._private, ignore_errors=True)
        self._gone.set()
        self._prepared.set()
        if not self._answer.done():
            self._answer.set_exception(self.start_failed(reason))
            self._answer.exception()  # seen, should nobody wait any more
        if self._ready and self._stopping is None:
            self._ended(reason)


class JupyterKernels:
    """Starts the kernels that Jupyter has installed. Implements `Kernels`.

    `folder` is where kernels get their private folders (made if needed); None, or one whose path
    is too long for Unix sockets: the system's temporary folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._kernels: list[JupyterKernel] = []
        self._closing = False

    def installed(self) -> dict[str, dict[str, Any]]:
        """Kernelspec name -> display name and language."""
        return {
            name: {"display_name": spec.display_name, "language": spec.language}
            for name, spec in find_installed().items()
        }

    async def start(
        self,
        name: str | None,
        language: str | None,
        folder: str,
        events: KernelSink,
        ended: Callable[[str], None],
    ) -> JupyterKernel:
        """Start a kernel and wait until it is ready, at most `KERNEL_START_TIMEOUT_S`.

        Raises KernelNotFound, KernelStartFailed.
        """
        if self._closing:
            raise KernelStartFailed("No kernel starts any more: Headway is closing.", stderr="")
        spec = choose(find_installed(), name, language)
        kernel = self._launch(spec, folder, events, ended)
        try:
            async with asyncio.timeout(KERNEL_START_TIMEOUT_S):
                await kernel.become_ready()
        except TimeoutError:
            failure = kernel.start_failed(
                f"it did not answer within {KERNEL_START_TIMEOUT_S:g} seconds"
            )
            await kernel.kill()
            raise failure from None
        except BaseException:
            await kernel.kill()
            raise
        return kernel

    def _launch(
        self, spec: Kernelspec, folder: str, events: KernelSink, ended: Callable[[str], None]
    ) -> JupyterKernel:
        private: Path | None = None
        try:
            private = _private_folder(self._folder)
            kernel = JupyterKernel(spec, events, ended, private)
            kernel.launch(self._context, folder)
        except (OSError, zmq.ZMQError) as why:
            if private is not None:
                shutil.rmtree(private, ignore_errors=True)
            raise KernelStartFailed(
                f'The kernel "{spec.name}" could not be launched in {folder}: {why}.',
                name=spec.name,
                reason=str(why),
                stderr="",
            ) from why
        self._kernels = [known for known in self._kernels if not known.is_gone]
        self._kernels.append(kernel)
        return kernel

    async def close(self) -> None:
        """Stop every kernel that still runs, all at once."""
        self._closing = True
        await asyncio.gather(*(kernel.stop() for kernel in self._kernels))
        self._kernels.clear()
        self._context.term()


def _private_folder(base: Path | None) -> Path:
    if base is not None and len(os.fsencode(base.resolve())) + len(_LONGEST) <= SOCKET_PATH_BYTES:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        base = None
    # The real path, because kernels are handed it and may change their folder.
    return Path(tempfile.mkdtemp(prefix="kernel-", dir=base)).resolve()


def _write_connection(private: Path, spec: Kernelspec) -> tuple[str, ConnectionInfo]:
    """Write the connection file, readable by us alone (0600)."""
    path, connection = write_connection_file(
        str(private / "connection.json"),
        ip=str(private / _SOCKETS) if spec.transport == "ipc" else "127.0.0.1",
        key=os.urandom(32).hex().encode(),
        transport=spec.transport,
        kernel_name=spec.name,
    )
    return path, dict(connection)
