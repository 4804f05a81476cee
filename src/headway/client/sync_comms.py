"""Widgets and other comms without an event loop: the twin of `comms`, method by method.

Floor 5. A part of `sync.Notebook`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headway.client.background import Background
from headway.client.blobs import BLOB_TIMEOUT_S
from headway.client.comms import AsyncComms, CommLike
from headway.client.local import LocalNotebook
from headway.core.wire import rpc

__all__ = ["Comms"]

_REQUEST_S = rpc.REQUEST_TIMEOUT_S


class Comms(LocalNotebook):
    """The comms of an open notebook."""

    _loop: Background
    _comms: AsyncComms

    def update_widget(
        self, comm: CommLike, state: Mapping[str, Any], *, timeout: float = _REQUEST_S
    ) -> None:
        """Set some keys of a widget's state, as moving its slider does; `bytes` travel as they are.

        On return every peer that is here sees it, and so does this one; the kernel gets it in
        order, and may correct it. Raises CommNotFound, KernelDied.
        """
        self._loop.call(self._comms.update_widget(comm, state, timeout=timeout))

    def send_comm(
        self,
        comm: CommLike,
        data: Mapping[str, Any],
        *,
        buffers: Sequence[bytes] = (),
        timeout: float = _REQUEST_S,
    ) -> None:
        """Send a message on a comm, as a button does: `{"method": "custom", "content": ...}`."""
        self._loop.call(self._comms.send_comm(comm, data, buffers=buffers, timeout=timeout))

    def open_comm(
        self,
        target_name: str,
        data: Mapping[str, Any] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
        timeout: float = _REQUEST_S,
    ) -> str:
        """Open a comm to what the kernel has registered as `target_name`; gives its id."""
        work = self._comms.open_comm(
            target_name, data, metadata=metadata, buffers=buffers, timeout=timeout
        )
        return self._loop.call(work)

    def close_comm(self, comm: CommLike, *, timeout: float = _REQUEST_S) -> None:
        """Close a comm."""
        self._loop.call(self._comms.close_comm(comm, timeout=timeout))

    def fetch_state(self, comm: CommLike, *, timeout: float = BLOB_TIMEOUT_S) -> dict[str, Any]:
        """A widget's whole state as it is here now: large values fetched, binary parts as bytes."""
        return self._loop.call(self._comms.fetch_state(comm, timeout=timeout))
