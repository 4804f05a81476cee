"""The synchronous client: the twin of `aio`, method by method.

Floor 5. Each waiting method runs the asynchronous one on the background loop. Written by hand,
because each is one line and a generator would be longer than the file; a test compares names,
signatures and docstrings with the asynchronous class.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Generator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from headway.client import aio
from headway.client.background import Background, background
from headway.client.blobs import BLOB_TIMEOUT_S
from headway.client.local import CellLike
from headway.client.models import Event, ExecutionResult
from headway.client.opening import AsyncOpening
from headway.client.running import Source
from headway.client.sync_comms import Comms
from headway.client.sync_execution import Execution, iterate
from headway.core.sync.confirm import CONFIRM_TIMEOUT_S, Confirmation
from headway.core.wire import rpc
from headway.ids import ExecutionId

__all__ = ["Notebook", "connect", "open"]

T = TypeVar("T")
_REQUEST_S = rpc.REQUEST_TIMEOUT_S


class Notebook(Comms):
    """An open notebook: a replica that is edited at once, and the daemon that runs its cells."""

    def __init__(self, loop: Background, twin: aio.AsyncNotebook) -> None:
        """Not for callers: use `open` or `connect`."""
        super().__init__(twin._pump, twin._author)  # noqa: SLF001 - a twin
        self._loop = loop
        self._twin = self._comms = twin
        loop.close_at_exit(twin, twin.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(self._twin.__aexit__(kind, error, traceback))

    def confirm_sync(
        self, timeout: float = CONFIRM_TIMEOUT_S, *, required: bool = True
    ) -> Confirmation:
        """Wait until the daemon has merged and stored every change that is here now.

        Raises ConfirmTimeout (`data["missing"]` are the heads), UpdateRejected or ConnectionLost;
        with `required=False` these come in the Confirmation, whose `confirmed` is False then.
        """
        return self._call(self._twin.confirm_sync(timeout, required=required))

    def execute_cell(
        self,
        cell: CellLike,
        *,
        timeout: float | None = None,
        source: Source = "confirmed",
        install: bool = False,
        allow_stdin: bool = False,
    ) -> ExecutionResult:
        """Run a cell as it is here now, and wait for its end; never races with edits.

        With `allow_stdin` the cell may ask for input, and waits until somebody answers; without
        it asking is an error in the cell at once. So it is with every method that runs cells.
        An error in the cell is a result. Raises DeadlineExceeded when `timeout` passes first
        (`data["execution_id"]`; the execution goes on), and the daemon's typed refusals. `install`
        is that of `start_kernel`.
        """
        work = self._twin.execute_cell(
            cell, timeout=timeout, source=source, install=install, allow_stdin=allow_stdin
        )
        return self._call(work)

    def queue_cell(
        self,
        cell: CellLike,
        *,
        timeout: float = _REQUEST_S,
        source: Source = "confirmed",
        install: bool = False,
        allow_stdin: bool = False,
    ) -> Execution:
        """Have a cell run as it is here now, and do not wait for its end."""
        work = self._twin.queue_cell(
            cell, timeout=timeout, source=source, install=install, allow_stdin=allow_stdin
        )
        return Execution(self._loop, self._call(work))

    def stream_execute(
        self,
        cell: CellLike,
        *,
        timeout: float | None = None,
        source: Source = "confirmed",
        allow_stdin: bool = False,
        resolve: bool = True,
    ) -> Generator[Event]:
        """Run a cell and give what happens as it happens; the last event is Finished.

        `resolve` as in `Execution.events`.
        """
        events = self._twin.stream_execute(
            cell, timeout=timeout, source=source, allow_stdin=allow_stdin, resolve=resolve
        )
        return iterate(self._loop, events)

    def run(
        self, code: str, *, timeout: float | None = None, allow_stdin: bool = False
    ) -> ExecutionResult:
        """Add a code cell with `code` at the end, and execute it."""
        return self._call(self._twin.run(code, timeout=timeout, allow_stdin=allow_stdin))

    def run_all(
        self,
        *,
        cells: Sequence[CellLike] | None = None,
        allow_errors: bool = False,
        restart: bool = False,
        install: bool = False,
        allow_stdin: bool = False,
        timeout: float | None = None,
    ) -> list[ExecutionResult]:
        """Run every code cell, or `cells` in their order; gives all results, as `queue_all`."""
        work = self._twin.run_all(
            cells=cells,
            allow_errors=allow_errors,
            restart=restart,
            install=install,
            allow_stdin=allow_stdin,
            timeout=timeout,
        )
        return self._call(work)

    def run_above(
        self,
        cell: CellLike,
        *,
        allow_errors: bool = False,
        allow_stdin: bool = False,
        timeout: float | None = None,
    ) -> list[ExecutionResult]:
        """Run the code cells above `cell`, without it; gives their results, as `run_all`."""
        return self._call(
            self._twin.run_above(
                cell, allow_errors=allow_errors, allow_stdin=allow_stdin, timeout=timeout
            )
        )

    def run_below(
        self,
        cell: CellLike,
        *,
        allow_errors: bool = False,
        allow_stdin: bool = False,
        timeout: float | None = None,
    ) -> list[ExecutionResult]:
        """Run `cell` and the code cells below it; gives their results, as `run_all`."""
        return self._call(
            self._twin.run_below(
                cell, allow_errors=allow_errors, allow_stdin=allow_stdin, timeout=timeout
            )
        )

    def queue_all(
        self,
        *,
        cells: Sequence[CellLike] | None = None,
        allow_errors: bool = False,
        restart: bool = False,
        install: bool = False,
        allow_stdin: bool = False,
        timeout: float = _REQUEST_S,
    ) -> list[Execution]:
        """Have every code cell, or `cells` in their order, run; do not wait for their ends.

        All are admitted or none; cells tagged `skip-execution` are left out. Unless
        `allow_errors`, those after one that fails (and is not tagged `raises-exception`) are
        cancelled. With `restart` they run on a fresh kernel, in the same admission. `install` is
        that of `start_kernel`.
        """
        work = self._twin.queue_all(
            cells=cells,
            allow_errors=allow_errors,
            restart=restart,
            install=install,
            allow_stdin=allow_stdin,
            timeout=timeout,
        )
        twins = self._call(work)
        return [Execution(self._loop, twin) for twin in twins]

    def get_execution(self, execution_id: ExecutionId, *, timeout: float = _REQUEST_S) -> Execution:
        """An execution by its id, also one that another client asked for; ExecutionNotFound."""
        twin = self._call(self._twin.get_execution(execution_id, timeout=timeout))
        return Execution(self._loop, twin)

    def interrupt(self, *, timeout: float = _REQUEST_S) -> rpc.Interrupted:
        """End every execution that was asked for before this call, and none after."""
        return self._call(self._twin.interrupt(timeout=timeout))

    def list_kernels(self, *, timeout: float = _REQUEST_S) -> list[rpc.InstalledKernel]:
        """The kernels that are installed where the daemon runs, the default one first."""
        return self._call(self._twin.list_kernels(timeout=timeout))

    def start_kernel(
        self,
        name: str | None = None,
        *,
        environment: str | os.PathLike[str] | None = None,
        install: bool = False,
        timeout: float = aio.KERNEL_TIMEOUT_S,
    ) -> rpc.KernelState:
        """Start the kernel `name`, or the notebook's own; one that runs already is success.

        With `environment` it runs in the environment in that folder; with neither in the one that
        the notebook declares, if it declares one. What is missing there is installed if `install`
        is True, and raises InstallationNeeded otherwise.
        """
        work = self._twin.start_kernel(
            name, environment=environment, install=install, timeout=timeout
        )
        return self._call(work)

    def restart_kernel(
        self,
        name: str | None = None,
        *,
        environment: str | os.PathLike[str] | None = None,
        install: bool = False,
        timeout: float = aio.KERNEL_TIMEOUT_S,
    ) -> rpc.KernelState:
        """Put a fresh kernel in place of this one; what ran or waited ends.

        Which one is chosen as by `start_kernel`; with neither name nor environment, as before.
        """
        work = self._twin.restart_kernel(
            name, environment=environment, install=install, timeout=timeout
        )
        return self._call(work)

    def shutdown_kernel(
        self, *, unless_shared: bool = False, timeout: float = aio.KERNEL_TIMEOUT_S
    ) -> rpc.KernelState:
        """End the kernel; what ran or waited ends. Its process is gone on return.

        With `unless_shared` one that somebody else has started, or run anything in, goes on.
        """
        return self._call(self._twin.shutdown_kernel(unless_shared=unless_shared, timeout=timeout))

    def complete(
        self, code: str, cursor: int | None = None, *, timeout: float = _REQUEST_S
    ) -> rpc.Completions:
        """What the kernel would put at `cursor` (code points; the end if None) in `code`."""
        return self._call(self._twin.complete(code, cursor, timeout=timeout))

    def inspect(
        self, code: str, cursor: int | None = None, *, detail: int = 0, timeout: float = _REQUEST_S
    ) -> rpc.Inspection:
        """What the kernel knows of the name at `cursor` (code points; the end if None)."""
        return self._call(self._twin.inspect(code, cursor, detail=detail, timeout=timeout))

    def is_complete(self, code: str, *, timeout: float = _REQUEST_S) -> rpc.Completeness:
        """Whether the kernel would run `code` as it is, or it goes on in the next line."""
        return self._call(self._twin.is_complete(code, timeout=timeout))

    def kernel_history(
        self,
        n: int = 100,
        *,
        pattern: str | None = None,
        session: int | None = None,
        unique: bool = False,
        output: bool = False,
        timeout: float = _REQUEST_S,
    ) -> rpc.KernelInputs:
        """The last `n` inputs that the kernel remembers, other notebooks' and other days' too.

        With `pattern` (`*` and `?` as in names of files) the last that fit it; with `session`
        those of one session (0: this kernel's own, -1: the one before).
        """
        return self._call(
            self._twin.kernel_history(
                n, pattern=pattern, session=session, unique=unique, output=output, timeout=timeout
            )
        )

    def save(
        self, path: str | os.PathLike[str] | None = None, *, timeout: float = _REQUEST_S
    ) -> rpc.Saved:
        """Write what is here now to the notebook's file, or to `path`, which becomes its file."""
        return self._call(self._twin.save(path, timeout=timeout))

    def fetch_output(
        self, output: dict[str, Any], *, timeout: float = BLOB_TIMEOUT_S
    ) -> dict[str, Any]:
        """An output of a cell or event as nbformat writes it, with its large values.

        What cannot be had stays a reference. Raises DeadlineExceeded.
        """
        return self._call(self._twin.fetch_output(output, timeout=timeout))

    def fetch_blob(self, sha256: str, *, timeout: float = BLOB_TIMEOUT_S) -> bytes:
        """The bytes that a reference `{"blob": sha256, ...}` stands for."""
        return self._call(self._twin.fetch_blob(sha256, timeout=timeout))

    def wait_until(
        self, is_true: Callable[[], bool], *, timeout: float | None = CONFIRM_TIMEOUT_S
    ) -> None:
        """Wait until `is_true()`, looked at again whenever anything about the notebook changes.

        Raises DeadlineExceeded when `timeout` passes first (None is no limit), and what the
        notebook ended with, as a rule ConnectionLost, when it is closed first.
        """
        self._call(self._twin.wait_until(is_true, timeout=timeout))

    def close(self, *, timeout: float = aio.CLOSE_TIMEOUT_S) -> None:
        """Wait until everything here is acknowledged, then let go; the kernel lives on.

        Closes in any case; raises as `confirm_sync` if something was not acknowledged.
        """
        self._close(self._twin.close(timeout=timeout))

    def _close(self, work: Coroutine[Any, Any, None]) -> None:
        self._loop.forget(self._twin)
        if self._loop.is_here:
            self._call(work)
        else:
            work.close()  # a fork has nothing to let go of, and at exit it is closed already

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.call(work)


def open(  # noqa: A001 - `headway.open` is the name
    path: str | os.PathLike[str],
    *,
    kernel: str | None = None,
    home: str | os.PathLike[str] | None = None,
    name: str | None = None,
    accept_file: bool = False,
    timeout: float = aio.OPEN_TIMEOUT_S,
) -> Notebook:
    """Open the notebook at `path` (made if absent) with the daemon of `home`, started if need be.

    `kernel` names a kernel to start; `name` is what others see of you, 64 characters of it. A file
    that would take most of the notebook away raises FileWouldEmpty, unless you `accept_file`.
    """
    opening = aio.open_async(
        path, kernel=kernel, home=home, name=name, accept_file=accept_file, timeout=timeout
    )
    return _opened(opening)


def connect(
    url: str, room: str, *, name: str | None = None, timeout: float = aio.OPEN_TIMEOUT_S
) -> Notebook:
    """Join the notebook document `room` on any server of the Loro protocol at `url`.

    Such a server keeps documents and runs nothing: executing raises UnknownMethod.
    """
    return _opened(aio.connect_async(url, room, name=name, timeout=timeout))


def _opened(opening: AsyncOpening) -> Notebook:
    async def begin() -> aio.AsyncNotebook:
        return await opening

    loop = background()
    return Notebook(loop, loop.call(begin()))
