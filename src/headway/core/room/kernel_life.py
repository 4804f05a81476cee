"""How a notebook's kernel comes and goes: which one, why, and what that ends.

Floor 3. What a kernel's coming or going means to the executions, the runtime document and the
notebook is decided here; the kernel's own state is in `kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from headway.core.document.edits import Edit, SetNotebookMetadata
from headway.core.room.inputs import KernelEnded, KernelFailed, KernelReady

if TYPE_CHECKING:
    from headway.core.room.documents import Documents
    from headway.core.room.executions import Executions
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.moments import Moment

__all__ = ["KernelLife"]

RESTARTED = "the kernel was restarted"
SHUT_DOWN = "the kernel was shut down"


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

    def want(self, now: Moment) -> None:
        """Something is to run: start a kernel if there is none."""
        if self._kernel.is_alive or self._kernel.is_starting:
            return
        self._kernel.start(*self._choice(), now)

    def start(self, token: int, name: str | None, now: Moment) -> None:
        """Answer with the kernel's state once it is ready; a different one is replaced."""
        if self._kernel.is_alive and name in {None, self._kernel.name}:
            self._requests.answer(token, self._kernel.state())
            return
        if self._kernel.is_alive:
            self.restart(token, name, now)
            return
        self._kernel.wait_for_start(token)
        if not self._kernel.is_starting:
            chosen, language = self._choice()
            self._kernel.start(name or chosen, language, now)

    def restart(self, token: int, name: str | None, now: Moment) -> None:
        """A fresh kernel, and a fresh runtime document; what ran or waited ends."""
        chosen, language = self._choice()
        again = name or self._kernel.name or chosen
        self._executions.end_all(("cancelled", RESTARTED), ("cancelled", RESTARTED), now)
        self._kernel.stop(RESTARTED, now)
        self._documents.renew_runtime(self._recorder.reader, self._kernel.state(), now)
        self._kernel.start(again, language, now)
        self._kernel.wait_for_start(token)

    def shutdown(self, token: int, now: Moment) -> None:
        """End the kernel; what ran or waited ends."""
        self._executions.end_all(("cancelled", SHUT_DOWN), ("cancelled", SHUT_DOWN), now)
        self._kernel.stop(SHUT_DOWN, now)
        self._kernel.absent(now)
        state = self._kernel.state()
        self._ledger.when_durable(lambda _: self._requests.answer(token, state))

    def changed(self, event: KernelReady | KernelFailed | KernelEnded, now: Moment) -> None:
        """The present incarnation is ready, or never will be, or is gone."""
        match event:
            case KernelReady(info=info, name=name):
                self._kernel.ready(name, info, now)
                self._note_language(name, now)
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

    def _choice(self) -> tuple[str | None, str | None]:
        """The kernelspec and language that the notebook's metadata names."""
        metadata = self._documents.notebook.metadata()
        spec, info = metadata.get("kernelspec"), metadata.get("language_info")
        name = spec.get("name") if isinstance(spec, dict) else None
        language = spec.get("language") if isinstance(spec, dict) else None
        if language is None and isinstance(info, dict):
            language = info.get("name")
        return (
            name if isinstance(name, str) and name else None,
            language if isinstance(language, str) and language else None,
        )

    def _note_language(self, name: str, now: Moment) -> None:
        """A notebook that does not say what it is written in learns it from its kernel."""
        metadata = self._documents.notebook.metadata()
        info = self._kernel.info
        assert info is not None, "a ready kernel has said what it is"
        edits: list[Edit] = []
        if "kernelspec" not in metadata:
            spec = {"display_name": name, "language": info.language, "name": name}
            edits.append(SetNotebookMetadata("kernelspec", spec))
        if "language_info" not in metadata and info.language_info:
            edits.append(SetNotebookMetadata("language_info", info.language_info))
        if edits:
            self._documents.notebook.apply(edits, now, "daemon")
            self._documents.commit(now)
