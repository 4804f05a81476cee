"""Widgets and other comms, asynchronously: what is said to the kernel, and large values fetched.

Floor 5. A part of `aio.AsyncNotebook`. What comms show is in `local`, without waiting.
"""

# ruff: noqa: ASYNC109 - `timeout` is the face: one deadline for the whole of a call

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from headway.client.arguments import checked_object, checked_text, checked_timeout
from headway.client.blobs import BLOB_TIMEOUT_S
from headway.client.fetching import AsyncFetching
from headway.core.document.comm_records import CommRecord
from headway.core.document.comm_state import put_buffer, split_buffers
from headway.core.document.forms import is_reference
from headway.core.document.mime import decode_blob
from headway.core.wire import rpc
from headway.errors import CommNotFound, DeadlineExceeded

__all__ = ["AsyncComms", "CommLike", "comm_id_of"]

CommLike = CommRecord | str
"""A comm, or its id."""


class AsyncComms(AsyncFetching):
    """The comms of an open notebook."""

    async def update_widget(
        self,
        comm: CommLike,
        state: Mapping[str, Any],
        *,
        timeout: float = rpc.REQUEST_TIMEOUT_S,
    ) -> None:
        """Set some keys of a widget's state, as moving its slider does; `bytes` travel as they are.

        On return every peer that is here sees it, and so does this one; the kernel gets it in
        order, and may correct it. Raises CommNotFound, KernelDied.
        """
        plain, paths, buffers = split_buffers(checked_object("state", state))
        data = {"method": "update", "state": plain, "buffer_paths": paths}
        await self.send_comm(comm, data, buffers=buffers, timeout=timeout)

    async def send_comm(
        self,
        comm: CommLike,
        data: Mapping[str, Any],
        *,
        buffers: Sequence[bytes] = (),
        timeout: float = rpc.REQUEST_TIMEOUT_S,
    ) -> None:
        """Send a message on a comm, as a button does: `{"method": "custom", "content": ...}`."""
        params = rpc.CommMessage(
            document=self.id,
            comm_id=comm_id_of(comm),
            data=checked_object("data", data),
            buffers=list(buffers),
        )
        await self._pump.request(params, timeout)

    async def open_comm(
        self,
        target_name: str,
        data: Mapping[str, Any] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
        timeout: float = rpc.REQUEST_TIMEOUT_S,
    ) -> str:
        """Open a comm to what the kernel has registered as `target_name`; gives its id."""
        params = rpc.CommOpen(
            document=self.id,
            target_name=target_name,
            data=checked_object("data", {} if data is None else data),
            metadata=checked_object("metadata", {} if metadata is None else metadata),
            buffers=list(buffers),
        )
        answer: rpc.CommSent = await self._pump.request(params, timeout)
        return answer.comm_id

    async def close_comm(self, comm: CommLike, *, timeout: float = rpc.REQUEST_TIMEOUT_S) -> None:
        """Close a comm."""
        params = rpc.CommClose(document=self.id, comm_id=comm_id_of(comm))
        await self._pump.request(params, timeout)

    async def fetch_state(
        self, comm: CommLike, *, timeout: float = BLOB_TIMEOUT_S
    ) -> dict[str, Any]:
        """A widget's whole state as it is here now: large values fetched, binary parts as bytes."""
        identity, runtime = comm_id_of(comm), self._session.runtime
        record = None if runtime is None else runtime.comms.record(identity)
        if record is None:
            raise CommNotFound(f"There is no comm {identity!r} here.", comm_id=identity)
        try:
            async with asyncio.timeout(checked_timeout(timeout)):
                state = {key: await self._value(value) for key, value in record.state.items()}
                for parts in record.buffers.values():
                    for part in parts:
                        put_buffer(state, part["path"], await self.fetch_blob(part["blob"]))
        except TimeoutError as error:
            raise DeadlineExceeded(f"The state did not arrive within {timeout} s.") from error
        return state

    async def _value(self, value: Any) -> Any:
        if not is_reference(value):
            return value
        return decode_blob("application/json", await self.fetch_blob(value["blob"]))


def comm_id_of(comm: CommLike) -> str:
    """The id of a comm. Raises BadRequest for what names none."""
    return comm.comm_id if isinstance(comm, CommRecord) else checked_text("comm", comm)
