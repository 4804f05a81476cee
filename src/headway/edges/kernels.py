"""The kernels that Jupyter has installed on this machine. Implements `Kernels`."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import zmq

from headway.edges.jupyter_kernel import JupyterKernel
from headway.edges.kernel_folder import private_folder
from headway.edges.kernelspecs import Kernelspec, choose, find_installed
from headway.edges.ports import KernelSink
from headway.errors import KernelStartFailed

__all__ = ["KERNEL_START_TIMEOUT_S", "JupyterKernel", "JupyterKernels"]

KERNEL_START_TIMEOUT_S: Final = 60.0
"""How long a kernel may take until it is ready."""


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
            private = private_folder(self._folder)
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
