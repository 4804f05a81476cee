"""The kernels that Jupyter has installed on this machine. Implements `Kernels`."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import zmq

from headway.core.wire.rpc import KernelEnvironment
from headway.edges.jupyter_kernel import JupyterKernel
from headway.edges.kernel_folder import base_folder, private_folder, private_folders
from headway.edges.kernel_process import KernelProcess
from headway.edges.kernel_record import KernelRecord, read_record
from headway.edges.kernelspecs import Kernelspec, Kernelspecs, choose, find_in, find_installed
from headway.edges.ports import AdoptableKernel, AdoptedKernel, KernelOwner, KernelSink
from headway.errors import BadRequest, KernelDied, KernelStartFailed

__all__ = [
    "IDLE_VARIABLE",
    "KERNEL_ADOPT_TIMEOUT_S",
    "KERNEL_ORPHAN_S",
    "KERNEL_START_TIMEOUT_S",
    "ORPHAN_VARIABLE",
    "JupyterKernel",
    "JupyterKernels",
    "idle_s_from",
    "orphan_s_from",
]

KERNEL_START_TIMEOUT_S: Final = 60.0
"""How long a kernel may take until it is ready."""


KERNEL_ADOPT_TIMEOUT_S: Final = 10.0
"""How long a kernel of an earlier daemon may take until it is taken up again."""


KERNEL_ORPHAN_S: Final = 60.0
"""How long a kernel outlives its daemon, unless another daemon takes it up."""


ORPHAN_VARIABLE: Final = "HEADWAY_KERNEL_ORPHAN_S"
"""The environment variable that sets it, in seconds; 0 ends kernels with their daemon."""


IDLE_VARIABLE: Final = "HEADWAY_KERNEL_IDLE_S"
"""The environment variable with the seconds after which an idle kernel is ended; 0: never."""


_LOG = logging.getLogger("headway.kernels")


def orphan_s_from(environment: Mapping[str, str]) -> float:
    """How long kernels outlive their daemon, as the environment says. Raises BadRequest."""
    return _seconds_in(environment, ORPHAN_VARIABLE, KERNEL_ORPHAN_S)


def idle_s_from(environment: Mapping[str, str]) -> float | None:
    """After how long an idle kernel is ended, as the environment says; None: never.

    Raises BadRequest.
    """
    return _seconds_in(environment, IDLE_VARIABLE, 0.0) or None


def _seconds_in(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        sentence = f"{name} must be a number of seconds, and {text!r} is none."
        raise BadRequest(sentence, field=name)
    return seconds


class JupyterKernels:
    """Starts the kernels that Jupyter has installed. Implements `Kernels`.

    Args:
        folder: Where kernels get their private folders (made if needed), and where those of
            earlier daemons are found. None: in the system's temporary folder, never found again.
        orphan_s: See `KERNEL_ORPHAN_S`.
    """

    def __init__(self, folder: Path | None = None, *, orphan_s: float = KERNEL_ORPHAN_S) -> None:
        self._folder = folder
        self._orphan_s = orphan_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._kernels: list[JupyterKernel] = []
        self._closing = False

    def installed(self) -> Kernelspecs:
        """What Jupyter has installed."""
        return find_installed()

    async def start(
        self,
        name: str | None,
        language: str | None,
        folder: str,
        events: KernelSink,
        ended: Callable[[str], None],
        owner: KernelOwner | None = None,
        environment: KernelEnvironment | None = None,
    ) -> JupyterKernel:
        """Start a kernel and wait until it is ready, at most `KERNEL_START_TIMEOUT_S`.

        Raises KernelNotFound, KernelStartFailed.
        """
        if self._closing:
            raise KernelStartFailed("No kernel starts any more: Headway is closing.", stderr="")
        found = find_installed() if environment is None else find_in(Path(environment.path))
        spec = choose(found, name, language)
        kernel = self._launch(spec, folder, events, ended)
        kernel.environment = environment
        try:
            async with asyncio.timeout(KERNEL_START_TIMEOUT_S):
                await kernel.become_ready(owner)
        except TimeoutError:
            await kernel.kill()
            late = f"it did not answer within {KERNEL_START_TIMEOUT_S:g} seconds"
            raise kernel.start_failed(late) from None
        except BaseException:
            await kernel.kill()
            raise
        return kernel

    def _launch(
        self, spec: Kernelspec, folder: str, events: KernelSink, ended: Callable[[str], None]
    ) -> JupyterKernel:
        private: Path | None = None
        try:
            private = private_folder(self._folder)
            kernel = JupyterKernel(spec, events, ended, private)
            kernel.launch(self._context, folder, orphan_s=self._orphan_s)
        except (OSError, ValueError, zmq.ZMQError) as why:  # ValueError: a NUL in what it is given
            if private is not None:
                shutil.rmtree(private, ignore_errors=True)
            raise KernelStartFailed(
                f'The kernel "{spec.name}" could not be launched in {folder}: {why}.',
                name=spec.name,
                reason=str(why),
                stderr="",
            ) from why
        self._remember(kernel)
        return kernel

    def _remember(self, kernel: JupyterKernel) -> None:
        self._kernels = [known for known in self._kernels if not known.is_gone]
        self._kernels.append(kernel)

    async def adoptable(self) -> tuple[AdoptableKernel, ...]:
        """Those in the folder whose wardens are waiting; see `Kernels`."""
        if self._folder is None:
            return ()
        newest: dict[str, tuple[int, str]] = {}
        try:
            places = private_folders(self._folder)
        except OSError:
            return ()
        for place in places:
            record = read_record(place)
            if record is None:
                _end_at(place)
                continue
            former = newest.get(record.document)
            if former is not None:
                _end_at(places[0].parent / min(former, (record.incarnation, place.name))[1])
            found = (record.incarnation, place.name)
            newest[record.document] = max(former, found) if former else found
        return tuple(
            AdoptableKernel(kernel_id, KernelOwner(document, incarnation))
            for document, (incarnation, kernel_id) in newest.items()
        )

    async def adopt(
        self, found: AdoptableKernel, events: KernelSink, ended: Callable[[str], None]
    ) -> AdoptedKernel:
        """Take up the kernel in that folder, within `KERNEL_ADOPT_TIMEOUT_S`; see `Kernels`."""
        assert self._folder is not None, "nothing is adoptable without a folder"
        place = base_folder(self._folder) / found.kernel_id
        record = read_record(place)
        try:
            if record is None:
                raise FileNotFoundError(place)
            kernel = JupyterKernel(_spec_of(record), events, ended, place)
            kernel.environment = record.environment
            async with asyncio.timeout(KERNEL_ADOPT_TIMEOUT_S):
                asked = await kernel.adopt(self._context, record)
        except (OSError, ValueError, zmq.ZMQError) as why:
            _end_at(place)
            reason = _why_not_adopted(why)
            raise KernelDied(
                f"The kernel is given up: {reason}. Start it anew.", reason=reason
            ) from why
        self._remember(kernel)
        now = time.time()
        return AdoptedKernel(
            kernel, None if asked is None else asked.execution_id, kernel.away_since_s or now
        )

    async def abandon(self) -> None:
        """Let go of every kernel without a word, as a daemon does that is killed."""
        await asyncio.gather(*(kernel.abandon() for kernel in self._kernels))
        self._kernels.clear()
        self._context.term()

    async def close(self) -> None:
        """Stop every kernel that still runs, all at once."""
        self._closing = True
        await asyncio.gather(*(kernel.stop() for kernel in self._kernels))
        self._kernels.clear()
        self._context.term()
        if self._folder is not None:
            for place in private_folders(self._folder):
                _end_at(place)


def _end_at(place: Path) -> None:
    """End what nobody will take up, and remove what nobody holds any more. Never waits.

    A warden that is stopped does it when it goes on; until then its folder is its own.
    """
    try:
        KernelProcess.end_at(place)
    except (FileNotFoundError, ConnectionRefusedError):
        shutil.rmtree(place, ignore_errors=True)
    except OSError as why:
        fields = {"kernel": place.name, "reason": str(why)}
        _LOG.warning("a kernel that may live could not be ended", extra={"fields": fields})


def _why_not_adopted(why: Exception) -> str:
    match why:
        case TimeoutError() | BlockingIOError():
            return f"its warden did not answer within {KERNEL_ADOPT_TIMEOUT_S:g} seconds"
        case FileNotFoundError() | ConnectionRefusedError():
            return "nothing is left of it"
        case _:
            return f"it could not be taken up again ({why})"


def _spec_of(record: KernelRecord) -> Kernelspec:
    """What of its kernelspec is still of use; the spec itself may have been removed."""
    return Kernelspec(
        record.name, record.name, record.language, (), {}, record.interrupt_mode, "ipc", ""
    )
