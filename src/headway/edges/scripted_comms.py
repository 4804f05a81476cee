"""The comms of a scripted kernel, with the names and calls of the `comm` package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from headway.core.kernel.events import CommClosed, CommInfo, CommMessage, CommOpened, KernelEvent
from headway.core.room.effects import CommRequest

__all__ = ["ScriptedComm", "ScriptedComms"]

Message = dict[str, Any]


class ScriptedComm:
    """One comm, as the code in the kernel sees it."""

    def __init__(self, comms: ScriptedComms, comm_id: str, target_name: str) -> None:
        self.comm_id = comm_id
        self.target_name = target_name
        self.callback: Callable[[Message], Any] | None = None
        self._comms = comms

    def send(self, data: Any = None, *, buffers: Sequence[bytes] = ()) -> None:
        """Say something to whoever shows it."""
        parent = self._comms.parent()
        self._comms.say(CommMessage(parent, self.comm_id, data or {}, tuple(buffers)))

    def close(self) -> None:
        """Close it, once."""
        if self._comms.open.pop(self.comm_id, None) is not None:
            self._comms.say(CommClosed(self._comms.parent(), self.comm_id))

    def on_msg(self, callback: Callable[[Message], Any]) -> None:
        """Call this with every message that comes."""
        self.callback = callback


class ScriptedComms:
    """All of them. `say` takes their events, `parent` gives the request that runs."""

    def __init__(self, say: Callable[[KernelEvent], None], parent: Callable[[], str]) -> None:
        self.say = say
        self.parent = parent
        self.open: dict[str, ScriptedComm] = {}
        self._targets: dict[str, Callable[[ScriptedComm, Message], Any]] = {}

    def create_comm(
        self,
        target_name: str = "comm",
        *,
        data: Any = None,
        metadata: Any = None,
        buffers: Sequence[bytes] = (),
        comm_id: str | None = None,
    ) -> ScriptedComm:
        """Open a comm; its messages wait for `on_msg`."""
        comm = ScriptedComm(self, comm_id or f"comm-{len(self.open)}", target_name)
        self.open[comm.comm_id] = comm
        opened = (target_name, data or {}, metadata or {}, tuple(buffers))
        self.say(CommOpened(self.parent(), comm.comm_id, *opened))
        return comm

    def register_target(
        self, target_name: str, callback: Callable[[ScriptedComm, Message], Any]
    ) -> None:
        """Call this with every comm that is opened for `target_name` from outside."""
        self._targets[target_name] = callback

    def take(self, request: CommRequest) -> None:
        """A message from outside."""
        message = {
            "content": {"comm_id": request.comm_id, "data": request.data},
            "metadata": request.metadata,
            "buffers": list(request.buffers),
        }
        if request.kind == "comm_open":
            comm = ScriptedComm(self, request.comm_id, request.target_name or "")
            self.open[comm.comm_id] = comm
            target = self._targets.get(comm.target_name)
            if target is None:
                comm.close()
            else:
                target(comm, message)
        elif request.kind == "comm_close":
            self.open.pop(request.comm_id, None)
        elif (found := self.open.get(request.comm_id)) is not None and found.callback is not None:
            found.callback(message)

    def info(self, request_id: str) -> CommInfo:
        """Which there are."""
        return CommInfo(request_id, {each.comm_id: each.target_name for each in self.open.values()})
