"""The commands that start, change and end kernels. A part of `rpc`.

Floor 1.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from headway.core.wire.declaring import Params, RoomParams

__all__ = [
    "InstalledKernel",
    "InstalledKernels",
    "KernelEnvironment",
    "KernelState",
    "ListKernels",
    "RestartKernel",
    "ShutdownKernel",
    "StartKernel",
]


class KernelEnvironment(msgspec.Struct, kw_only=True, frozen=True):
    """The environment that a kernel runs in."""

    path: str
    """Its folder, where the daemon runs."""
    source: Literal["path", "notebook"]
    """Whether somebody named it by its path, or the notebook declares what is in it."""


class KernelState(msgspec.Struct, kw_only=True, frozen=True):
    """A notebook's kernel as it is now."""

    name: str | None
    status: str
    incarnation: int
    reason: str | None = None
    language: str | None = None
    environment: KernelEnvironment | None = None
    """None: that of its kernelspec."""
    progress: str | None = None
    """What goes on while it starts, in a line."""


class InstalledKernel(msgspec.Struct, kw_only=True, frozen=True):
    """A kernelspec."""

    name: str
    display_name: str
    language: str


class InstalledKernels(msgspec.Struct, kw_only=True, frozen=True):
    """The kernels that can be started; the default one first, then by name."""

    kernels: list[InstalledKernel]
    unreadable: dict[str, str] = {}
    """Those that are installed and cannot be started: the name of each, and which file of it
    cannot be used, and why."""


class ListKernels(Params, kw_only=True, frozen=True):
    """The kernels that are installed where the daemon runs."""

    method: ClassVar[str] = "list_kernels"
    result: ClassVar[type[Any]] = InstalledKernels
    is_repeatable: ClassVar[bool] = True


class StartKernel(RoomParams, kw_only=True, frozen=True):
    """Start the kernel (`name`, or the notebook's own); running already is success.

    With `environment` it runs in the one at that absolute path. With neither it runs in the
    environment that the notebook declares, if it declares one.
    """

    method: ClassVar[str] = "start_kernel"
    result: ClassVar[type[Any]] = KernelState
    is_repeatable: ClassVar[bool] = True

    name: str | None = None
    environment: str | None = None
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""


class RestartKernel(RoomParams, kw_only=True, frozen=True):
    """A fresh kernel in place of this one; what ran or waited ends.

    It is chosen as by `start_kernel`; with neither name nor environment as the present one was.
    One that is not there is refused with KERNEL_NOT_FOUND, and the present one goes on.
    """

    method: ClassVar[str] = "restart_kernel"
    result: ClassVar[type[Any]] = KernelState

    name: str | None = None
    environment: str | None = None
    install: str | None = None
    """Consent to an installation, by its digest (see INSTALLATION_NEEDED)."""


class ShutdownKernel(RoomParams, kw_only=True, frozen=True):
    """End the kernel; what ran or waited ends."""

    method: ClassVar[str] = "shutdown_kernel"
    result: ClassVar[type[Any]] = KernelState

    unless_shared: bool = False
    """Leave it as it is, and answer with its state, if another connection has started it or run
    anything in it since there was none. By HTTP nobody can be told from others."""
