"""How a notebook's kernel comes and goes: which one, why, and what that ends.

Floor 3. What a kernel's coming or going means to the executions, the runtime document and the
notebook is decided here; the kernel's own state is in `kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, assert_never

from headway.core.document.edits import Edit, SetNotebookMetadata
from headway.core.room.inputs import KernelEnded, KernelFailed, KernelReady
from headway.core.room.kernel import KernelChoice

if TYPE_CHECKING:
    from headway.core.room.documents import Documents
    from headway.core.room.executions import Executions
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.moments import Moment

__all__ = ["KernelLife"]

RESTARTED: Final = "the kernel was restarted"
SHUT_DOWN: Final = "the kernel was shut down"
IDLE: Final = "the kernel was idle for {seconds:g} s"


class KernelLife:
    """Starts, restarts and ends the kernel of one room."""

    def __init__(
        self,
        ledger: Ledger,
        requests: Requests,
        kernel: RoomKernel,
        executions: Executions,
        documents: Documents,
        recorder: Recorder,
    ) -> None:
        """The room's parts that a kernel's life touches."""
        self._ledger = ledger
        self._requests = requests
        self._kernel = kernel
        self._executions = executions
        self._documents = documents
        self._recorder = recorder
        self._chosen: str | None = None
        """The kernelspec that somebody asked for by name."""

    def want(self, now: Moment) -> None:
        """Something is to run: start a kernel if there is none."""
        if not (self._kernel.is_alive or self._kernel.is_starting):
            self._kernel.start(self._choice(None), now)

    def start(self, token: int, name: str | None, now: Moment) -> None:
        """Answer with the kernel's state once it is ready; a different one is replaced."""
        if self._kernel.is_alive and name in {None, self._kernel.name}:
            self._requests.answer(token, self._kernel.state())
            return
        if self._kernel.is_alive:
            self.restart(token, name, now)
            return
        if not self._kernel.is_starting:
            self._kernel.start(self._choice(name), now)
        self._kernel.wait_for_start(token)

    def restart(self, token: int, name: str | None, now: Moment) -> None:
        """A fresh kernel, and a fresh runtime document; what ran or waited ends."""
        self.replace(name, now)
        self._kernel.wait_for_start(token)

    def replace(self, name: str | None, now: Moment) -> None:
        """As `restart`, with nobody who waits for it."""
        choice = self._choice(name or self._kernel.name)
        self._executions.end_all(("cancelled", RESTARTED), ("cancelled", RESTARTED), now)
        self._kernel.restart(choice, RESTARTED, now)
        self._documents.renew_runtime(self._recorder.reader, self._kernel.state(), now)

    def shutdown(self, token: int, now: Moment) -> None:
        """End the kernel; what ran or waited ends. Answered when its process is gone."""
        self._end(SHUT_DOWN, now)
        self._ledger.when_durable(lambda _: self._kernel.wait_for_stop(token))

    def idle_for(self, seconds: float, now: Moment) -> None:
        """Nobody has wanted anything of the kernel for so long: end it."""
        self._end(IDLE.format(seconds=seconds), now)

    def _end(self, reason: str, now: Moment) -> None:
        self._executions.end_all(("cancelled", reason), ("cancelled", reason), now)
        self._chosen = None
        self._kernel.stop(reason, now)

    def changed(self, event: KernelReady | KernelFailed | KernelEnded, now: Moment) -> None:
        """The present incarnation is ready, or never will be, or is gone."""
        match event:
            case KernelReady():
                if self._kernel.is_starting:
                    self._kernel.ready(event.name, event.info, now)
                    self._note_language(event, now)
                    self._executions.advance(now)
            case KernelFailed(error=error):
                reason = f"the kernel could not be started: {error}"
                self._kernel.failed(error, now)
                self._executions.end_all(("lost", reason), ("lost", reason), now)
            case KernelEnded(reason=reason):
                sentence = f"the kernel ended: {reason}"
                self._kernel.ended(reason, now)
                self._executions.end_all(("lost", sentence), ("cancelled", sentence), now)
            case _:
                assert_never(event)

    def _choice(self, name: str | None) -> KernelChoice:
        """The kernel that is meant: `name`, or what the notebook's metadata names."""
        self._chosen = name
        metadata = self._documents.notebook.metadata()
        spec, info = metadata.get("kernelspec"), metadata.get("language_info")
        language = spec.get("language") if isinstance(spec, dict) else None
        if language is None and isinstance(info, dict):
            language = info.get("name")
        return KernelChoice(
            name or _name_in(spec), language if isinstance(language, str) and language else None
        )

    def _note_language(self, ready: KernelReady, now: Moment) -> None:
        """The notebook says which kernel it is for: the one that was chosen, or else the first."""
        metadata = self._documents.notebook.metadata()
        info = ready.info
        edits: list[Edit] = []
        is_chosen = self._chosen is not None and _name_in(metadata.get("kernelspec")) != ready.name
        if is_chosen or "kernelspec" not in metadata:
            spec = {
                "display_name": ready.display_name or ready.name,
                "language": info.language,
                "name": ready.name,
            }
            edits.append(SetNotebookMetadata("kernelspec", spec))
        if info.language_info and (is_chosen or "language_info" not in metadata):
            edits.append(SetNotebookMetadata("language_info", info.language_info))
        if edits:
            self._documents.notebook.apply(edits, now, "daemon")
            self._documents.commit(now)


def _name_in(spec: Any) -> str | None:
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) and name else None
