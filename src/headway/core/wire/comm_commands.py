"""The commands that speak on a kernel's comms. A part of `rpc`.

Floor 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from headway.core.wire.declaring import RoomParams

__all__ = ["CommClose", "CommMessage", "CommOpen", "CommSent"]


class CommSent(msgspec.Struct, kw_only=True, frozen=True):
    """The kernel was given the message, and what it changes of a state is in the runtime document.

    Not that the kernel has handled it.
    """

    comm_id: str


class CommOpen(RoomParams, kw_only=True, frozen=True):
    """Open a comm to what the kernel has registered as `target_name`."""

    method: ClassVar[str] = "comm_open"
    result: ClassVar[type[Any]] = CommSent

    target_name: str
    comm_id: str | None = None
    """A fresh one if None."""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    buffers: list[bytes] = msgspec.field(default_factory=list)
    """Binary parts, each in standard base64."""


class CommMessage(RoomParams, kw_only=True, frozen=True):
    """Say something on a comm. A widget's `update` is shown to all peers at once."""

    method: ClassVar[str] = "comm_message"
    result: ClassVar[type[Any]] = CommSent

    comm_id: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    buffers: list[bytes] = msgspec.field(default_factory=list)


class CommClose(RoomParams, kw_only=True, frozen=True):
    """Close a comm."""

    method: ClassVar[str] = "comm_close"
    result: ClassVar[type[Any]] = CommSent

    comm_id: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)
