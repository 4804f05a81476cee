"""The kernel of an open notebook, from the client: which there are, start, restart, end.

Floor 5. A part of the asynchronous notebook. `install=True` consents to what this copy of the
notebook declares as it is now, and to nothing else: the consent carries a digest of it, so what
somebody else adds meanwhile is refused instead of installed.
"""

# ruff: noqa: ASYNC109 - `timeout` is the face: one deadline for the whole of a call

from __future__ import annotations

import os

from headway.client.local import LocalNotebook
from headway.core.document.dependencies import KERNEL_REQUIREMENT, Installation
from headway.core.wire import rpc
from headway.ids import heads_to_text

__all__ = ["KERNEL_TIMEOUT_S", "KernelCalls", "environment_path"]

KERNEL_TIMEOUT_S = 90.0
"""How long starting a kernel may take."""


class KernelCalls(LocalNotebook):
    """What a notebook can ask about its kernel."""

    async def list_kernels(
        self, *, timeout: float = rpc.REQUEST_TIMEOUT_S
    ) -> list[rpc.InstalledKernel]:
        """The kernels that are installed where the daemon runs, the default one first."""
        answer: rpc.InstalledKernels = await self._pump.request(rpc.ListKernels(), timeout)
        return answer.kernels

    async def start_kernel(
        self,
        name: str | None = None,
        *,
        environment: str | os.PathLike[str] | None = None,
        install: bool = False,
        timeout: float = KERNEL_TIMEOUT_S,
    ) -> rpc.KernelState:
        """Start the kernel `name`, or the notebook's own; one that runs already is success.

        With `environment` it runs in the environment in that folder; with neither in the one that
        the notebook declares, if it declares one. What is missing there is installed if `install`
        is True, and raises InstallationNeeded otherwise.
        """
        return await self._choose_kernel(
            rpc.StartKernel, name, environment, install=install, timeout=timeout
        )

    async def restart_kernel(
        self,
        name: str | None = None,
        *,
        environment: str | os.PathLike[str] | None = None,
        install: bool = False,
        timeout: float = KERNEL_TIMEOUT_S,
    ) -> rpc.KernelState:
        """Put a fresh kernel in place of this one; what ran or waited ends.

        Which one is chosen as by `start_kernel`; with neither name nor environment, as before.
        """
        return await self._choose_kernel(
            rpc.RestartKernel, name, environment, install=install, timeout=timeout
        )

    async def shutdown_kernel(
        self, *, unless_shared: bool = False, timeout: float = KERNEL_TIMEOUT_S
    ) -> rpc.KernelState:
        """End the kernel; what ran or waited ends. Its process is gone on return.

        With `unless_shared` one that somebody else has started, or run anything in, goes on.
        """
        params = rpc.ShutdownKernel(
            document=self.id,
            required_heads=heads_to_text(self.heads),
            unless_shared=unless_shared,
        )
        answer: rpc.KernelState = await self._pump.request(params, timeout)
        return answer

    async def _choose_kernel(
        self,
        command: type[rpc.StartKernel | rpc.RestartKernel],
        name: str | None,
        environment: str | os.PathLike[str] | None,
        *,
        install: bool,
        timeout: float,
    ) -> rpc.KernelState:
        folder = None if environment is None else environment_path(environment)
        params = command(
            document=self.id,
            required_heads=heads_to_text(self.heads),
            name=name,
            environment=folder,
            install=self._consent(install=install, folder=folder),
        )
        answer: rpc.KernelState = await self._pump.request(params, timeout)
        return answer

    def _consent(self, *, install: bool, folder: str | None = None) -> str | None:
        if not install:
            return None
        if folder is not None:
            return Installation((KERNEL_REQUIREMENT,), into=folder).digest
        dependencies = self.dependencies
        return None if dependencies is None else dependencies.installation().digest


def environment_path(folder: str | os.PathLike[str]) -> str:
    """The absolute path of an environment. Links stay: its own name says what it is."""
    return os.path.abspath(os.path.expanduser(folder))  # noqa: PTH100, PTH111
