"""How a notebook's kernel comes and goes: which one, why, and what that ends.

Floor 3. What a kernel's coming or going means to the executions, the runtime document and the
notebook is decided here; the kernel's own state is in `kernel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, assert_never

from headway.core.document.dependencies import declared
from headway.core.document.edits import Edit, SetNotebookMetadata
from headway.core.room.effects import FolderEnvironment, LookAtEnvironment, NotebookEnvironment
from headway.core.room.inputs import (
    KernelEnded,
    KernelFailed,
    KernelProgress,
    KernelReady,
    KernelStopped,
)
from headway.core.room.kernel import KernelChoice
from headway.core.wire import rpc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.core.room.documents import Documents
    from headway.core.room.environment import Look
    from headway.core.room.executions import Executions
    from headway.core.room.inputs import Requested
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.opening import LivingKernel
    from headway.core.room.recorder import Recorder
    from headway.moments import Moment

__all__ = ["KernelLife"]

_News = KernelReady | KernelFailed | KernelEnded | KernelProgress | KernelStopped
_Starting = rpc.Execute | rpc.ExecuteAll | rpc.StartKernel | rpc.RestartKernel

RESTARTED: Final = "the kernel was restarted"
SHUT_DOWN: Final = "the kernel was shut down"
EXITED: Final = "the kernel was ended by a cell"
IDLE: Final = "the kernel was idle for {seconds:g} s"

_PYTHON: Final = frozenset({None, "python"})
"""The languages of notebooks that are run with Python: without one they are taken for that."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody asked for by name, until the kernel is shut down."""

    name: str | None = None
    folder: str | None = None

    @property
    def is_anything(self) -> bool:
        return self.name is not None or self.folder is not None


class KernelLife:
    """Starts, restarts and ends the kernel of one room."""

    def __init__(
        self,
        ledger: Ledger,
        kernel: RoomKernel,
        executions: Executions,
        documents: Documents,
        recorder: Recorder,
        look: Look,
    ) -> None:
        """The room's parts that a kernel's life touches."""
        self._ledger = ledger
        self._kernel = kernel
        self._executions = executions
        self._documents = documents
        self._recorder = recorder
        self._look = look
        self._asked = _Asked()
        self._proven = _Asked()
        """What was asked for when a kernel last answered: a choice that cannot start is none."""
        self._wanted: KernelChoice | None = None
        """What executions that are not durable yet will run on."""
        self._users: set[int | None] = set()
        """The connections that have started it, or had cells run, since there was no kernel. None
        stands for those that nobody can tell apart."""

    def took_up(self, living: LivingKernel) -> None:
        """An earlier daemon's kernel lives on: what was asked for then counts on."""
        self._users.add(None)
        environment = living.environment
        if environment is not None and environment.source == "path":
            self._asked = self._proven = _Asked(None, environment.path)

    # Which kernel

    def look_for(self, params: rpc.RoomParams) -> LookAtEnvironment | None:
        """What must be seen before this request starts a kernel; None if nothing must.

        Raises InvalidDependencies.
        """
        choice = self._choice_for(params)
        if choice is None or not _is_looked_for(choice, params):
            return None
        return LookAtEnvironment(choice.environment)

    def approved(self, params: _Starting) -> KernelChoice | None:
        """The kernel that this request starts, with what may be installed; None if none.

        Raises KernelNotFound, InstallationNeeded, and what is wrong with the environment.
        """
        choice = self._choice_for(params)
        if choice is None or not _is_looked_for(choice, params):
            return choice
        return self._look.found(choice, params.install)

    def _choice_for(self, params: rpc.RoomParams) -> KernelChoice | None:
        kernel = self._kernel
        is_there = kernel.is_alive or kernel.is_starting or self._wanted is not None
        match params:
            case rpc.StartKernel():
                if kernel.is_starting or (kernel.is_alive and self._is_running(params)):
                    return None
                return self._choice(_Asked(params.name, params.environment))
            case rpc.RestartKernel():
                return self._choice(self._asked_again(params))
            case rpc.ExecuteAll(restart=True):
                return None if self._is_repeat(params) else self._choice(self._asked)
            case rpc.Execute() | rpc.ExecuteAll():
                return None if is_there or self._is_repeat(params) else self._choice(self._asked)
            case _:
                return None

    def _is_running(self, params: rpc.StartKernel) -> bool:
        environment = self._kernel.environment
        folder = None if environment is None else environment.path
        name = None if params.name is None else params.name.lower()  # as Jupyter has its names
        return name in {None, self._kernel.name} and params.environment in {None, folder}

    def _is_repeat(self, params: rpc.Execute | rpc.ExecuteAll) -> bool:
        return self._executions.is_repeat(params, self._documents.notebook)

    def _asked_again(self, params: rpc.RestartKernel) -> _Asked:
        asked = _Asked(params.name, params.environment)
        return asked if asked.is_anything else self._asked

    def _choice(self, asked: _Asked) -> KernelChoice:
        """What is asked for counts before what the notebook declares, and that before its spec."""
        where = None if asked.folder is None else FolderEnvironment(asked.folder)
        notebook = self._documents.notebook
        metadata = notebook.metadata()
        spec, language = metadata.get("kernelspec"), _language_in(metadata)
        if asked.name is None and language in _PYTHON:
            if where is not None:
                return KernelChoice(None, None, where)  # its own, whatever the notebook calls it
            sources = (cell.source for cell in notebook.cells() if cell.cell_type == "code")
            dependencies = declared(metadata, sources)
            if dependencies is not None:
                return KernelChoice(None, "python", NotebookEnvironment(dependencies))
        return KernelChoice(asked.name or _name_in(spec), language, where)

    # Coming and going

    def will_want(self, choice: KernelChoice | None, peer: int | None) -> None:
        """What `peer` had admitted just now is to run on this kernel, unless there is one."""
        self._users.add(peer)
        if choice is not None and len(self._executions.queue) and not self._kernel.is_starting:
            self._wanted = choice

    def wants_nothing(self) -> None:
        """Nothing is to run any more."""
        self._wanted = None

    def want(self, now: Moment) -> None:
        """Something is to run: start a kernel if there is none."""
        if not (self._kernel.is_alive or self._kernel.is_starting):
            self._start(self._wanted or self._choice(self._asked), now)

    def start(self, request: Requested, params: rpc.StartKernel, now: Moment) -> None:
        """Answer with the kernel's state once it is ready; a different one is replaced."""
        choice = self.approved(params)
        self._users.add(request.peer)
        if choice is None and self._kernel.is_alive:
            self._kernel.answer(request.token, now)
            return
        if choice is not None:
            self._asked = _Asked(params.name, params.environment)
            if self._kernel.is_alive:
                self._replace(choice, now)
            else:
                self._start(choice, now)
        self._kernel.wait_for_start(request.token)

    def restart(self, request: Requested, params: rpc.RestartKernel, now: Moment) -> None:
        """A fresh kernel, and a fresh runtime document; what ran or waited ends."""
        self.replace(params, now)
        self._users.add(request.peer)
        self._kernel.wait_for_start(request.token)

    def replace(self, params: rpc.RestartKernel | rpc.ExecuteAll, now: Moment) -> None:
        """As `restart`, with nobody who waits for it."""
        choice = self.approved(params)
        assert choice is not None, "a restart always starts one"
        if isinstance(params, rpc.RestartKernel):
            self._asked = self._asked_again(params)
        self._replace(choice, now)

    def _start(self, choice: KernelChoice, now: Moment) -> None:
        self._wanted = None
        self._kernel.start(choice, now)

    def _replace(self, choice: KernelChoice, now: Moment) -> None:
        self._wanted = None
        self._executions.end_all(("cancelled", RESTARTED), ("cancelled", RESTARTED), now)
        self._kernel.restart(choice, RESTARTED, now)
        self._documents.renew_runtime(self._recorder.reader, self._kernel.state(), now)

    def shutdown(self, request: Requested, params: rpc.ShutdownKernel, now: Moment) -> None:
        """End the kernel; what ran or waited ends. Answered when its process is gone."""
        is_shared = request.peer is None or not self._users <= {request.peer}
        if params.unless_shared and is_shared:
            self._kernel.answer(request.token, now)
            return
        self._end(SHUT_DOWN, now)
        self._ledger.when_durable(lambda at: self._kernel.wait_for_stop(request.token, at))

    def idle_for(self, seconds: float, now: Moment) -> None:
        """Nobody has wanted anything of the kernel for so long: end it."""
        self._end(IDLE.format(seconds=seconds), now)

    def exited(self, now: Moment) -> None:
        """A cell asked for the kernel's end, as `exit()` does: nothing more is given to it."""
        self._stop(EXITED, now)

    def _end(self, reason: str, now: Moment) -> None:
        self._asked = self._proven = _Asked()
        self._stop(reason, now)

    def _stop(self, reason: str, now: Moment) -> None:
        self._users.clear()
        self._executions.end_all(("cancelled", reason), ("cancelled", reason), now)
        self._kernel.stop(reason, now)

    def changed(self, event: _News, now: Moment) -> None:
        """A kernel starts, is ready, or never will be, or is gone; an earlier one is ignored."""
        if isinstance(event, KernelStopped):
            self._kernel.stopped(event.incarnation, now)
            return
        if event.incarnation != self._kernel.incarnation:
            return
        match event:
            case KernelProgress(text=text):
                self._kernel.progressed(text, now)
            case KernelReady():
                if self._kernel.is_starting:
                    self._proven = self._asked
                    self._kernel.ready(event, now)
                    self._note_language(event, now)
                    self._executions.advance(now)
            case KernelFailed(error=error):
                reason = f"the kernel could not be started: {error}"
                self._asked = self._proven
                self._users.clear()
                self._kernel.failed(error, now)
                self._executions.end_all(("lost", reason), ("lost", reason), now)
            case KernelEnded(reason=reason):
                sentence = f"the kernel ended: {reason}"
                self._users.clear()
                self._kernel.ended(reason, now)
                self._executions.end_all(("lost", sentence), ("cancelled", sentence), now)
            case _:
                assert_never(event)

    def _note_language(self, ready: KernelReady, now: Moment) -> None:
        """The notebook says which kernel it is for: the one that was chosen, or else the first."""
        metadata = self._documents.notebook.metadata()
        info = ready.info
        edits: list[Edit] = []
        noted = _name_in(metadata.get("kernelspec"))
        is_chosen = self._asked.name is not None and noted != ready.name
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


def _is_looked_for(choice: KernelChoice, params: rpc.RoomParams) -> bool:
    """Whether it is refused where it is not; else it is started, or fails to.

    Cells run in the notebook's own kernel. If that cannot be started they end with the reason.
    """
    if choice.environment is not None:
        return True
    if choice.name is None:
        return choice.language not in _PYTHON
    return isinstance(params, rpc.StartKernel | rpc.RestartKernel) or (
        isinstance(params, rpc.ExecuteAll) and params.restart
    )


def _language_in(metadata: Mapping[str, Any]) -> str | None:
    spec, info = metadata.get("kernelspec"), metadata.get("language_info")
    language = spec.get("language") if isinstance(spec, dict) else None
    if language is None and isinstance(info, dict):
        language = info.get("name")
    return language.casefold() if isinstance(language, str) and language else None


def _name_in(spec: Any) -> str | None:
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) and name else None
