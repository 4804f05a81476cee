"""The notebook's file: what it should hold, what it held last, and who waits for a save.

Floor 3. Theory of operation: one step at a time, a write or a look. A write has everything it
needs, is made only from what is durable, and only over bytes that we know: those last written or
seen. When the file holds others, or something may have happened to it, a look comes next; what
another program changed is merged (`intake`), what was seen becomes the new base, and the write is
made again over exactly that. Files are compared by content, never by clock.

A file that cannot be merged is left alone, and said to be so, until it changes:

    removed      a save asked for writes it again; the autosave does not bring it back
    unreadable   it is no notebook now; a save is refused
    stopped      the merge would take most of the notebook away; the next save keeps what is
                 here, `FileAccepted` takes the file's version
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from headway.core.document.nbformat import render_notebook
from headway.core.room.autosave import Autosave
from headway.core.room.bases import Base, Bases
from headway.core.room.effects import FileRecorded, ReadFile, WriteFile
from headway.core.room.file_errors import exists_already, lacks_outputs, left_alone, removed
from headway.core.room.inputs import (
    FileAccepted,
    FileSeen,
    FileTouched,
    FileUnseen,
    FileWriteFailed,
    FileWritten,
)
from headway.core.room.savers import Saver, Savers
from headway.core.wire.rpc import Saved
from headway.errors import (
    BadRequest,
    FileChanged,
    FileWouldEmpty,
    HeadwayError,
    NotebookUnreadable,
    StoreFailed,
)
from headway.ids import CellId, DocumentId, ExecutionId, Heads, heads_to_text
from headway.moments import earliest

if TYPE_CHECKING:
    from headway.core.document.notebook import NotebookDocument
    from headway.core.document.runtime import RuntimeReader
    from headway.core.room.inputs import FileInput
    from headway.core.room.intake import Intake
    from headway.core.room.ledger import Ledger
    from headway.core.room.opening import KnownFile
    from headway.core.room.requests import Requests
    from headway.moments import Moment

__all__ = ["LOOK_AGAIN_S", "MAX_RACES", "NotebookFile"]

MAX_RACES = 20
"""A save is refused after so many writes in a row that came just after another program's; the
autosave tries less often then, and says why."""

_RACE_FIRST_S, _RACE_LONGEST_S = 0.005, 0.5
"""Waits between a refused write and the look after it; doubled each time."""

LOOK_AGAIN_S = 5.0
"""A file that could not be read for a reason that passes is looked at again after this long."""


@dataclass(frozen=True, slots=True)
class _Write:
    token: int
    path: str
    heads: Heads
    waiters: tuple[Saver, ...]
    runs: dict[CellId, ExecutionId]


@dataclass(frozen=True, slots=True)
class _Look:
    token: int


class NotebookFile:
    """One notebook's file and its saves."""

    def __init__(
        self,
        document: DocumentId,
        ledger: Ledger,
        requests: Requests,
        contents: Callable[[], tuple[NotebookDocument, RuntimeReader]],
        intake: Intake,
        known: KnownFile,
    ) -> None:
        """`contents` gives the documents as they are when a write begins."""
        self._document = document
        self._ledger = ledger
        self._requests = requests
        self._contents = contents
        self._intake = intake
        self.path = known.path
        self._bases = Bases(known.base, known.base_sha256)
        self._there = known.base_sha256 if known.is_there else None
        self._runs = known.runs
        self.autosave = Autosave()
        self._held = known.refused
        self._held_sha256: str | None = None
        self._lacks: HeadwayError | None = None
        self._keeps_ours: str | None = None
        self._accepts = False
        self._step: _Write | _Look | None = None
        self._look_s: float | None = None
        self._not_before_s = 0.0
        self._races = 0
        self._tokens = 0
        self._savers = Savers(requests)
        if known.path is not None and known.is_doubtful:
            self._look_s = float("-inf")

    @property
    def is_saved(self) -> bool:
        """Whether the file holds everything; a notebook without a file is never saved."""
        return self.path is not None and self._held is None and not self.autosave.is_behind

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way, and nothing will be by itself."""
        if self.path is None:
            return True
        if self._step is not None or self._savers or self._look_s is not None:
            return False
        held = self._held is not None or self.autosave.has_given_up
        return held or not self.autosave.is_behind

    @property
    def trouble(self) -> HeadwayError | None:
        """Why the file is left alone, not written or not whole; None when all is well."""
        return self._held or self.autosave.error or self._lacks

    def changed(self, now: Moment) -> None:
        """Something that the file contains is different now."""
        if self.path is not None:
            self.autosave.changed(now)

    def begin(self, runs: dict[CellId, ExecutionId], now: Moment, *, is_behind: bool) -> None:
        """What the file shows of these cells was recorded as these executions.

        `is_behind`: the document has what the file lacks.
        """
        self._runs = {**self._runs, **runs}
        if is_behind:
            self.changed(now)
        else:
            self.autosave.began()
            self.autosave.succeeded()

    def save(self, token: int, path: str | None, *, decides: bool = True) -> None:
        """Write for this request; a write under way is followed by another.

        `decides`: a person asks, who brings a removed file back and keeps what is here. Else the
        daemon does, on its own account.
        """
        self._races = 0
        target = path or self.path
        if target is None:
            raise BadRequest(
                "The notebook has no file yet; say where to save it with `path`.", field="path"
            )
        if target == self.path and self._held is not None:
            self._look_now()
            if isinstance(self._held, FileWouldEmpty) and decides:
                self._keeps_ours = self._held_sha256
        elif target == self.path and self._there is not None and not self.autosave.is_behind:
            # There is nothing to write, if the file still is what we know.
            self._look_now()
        self._savers.add(Saver(token, target, decides))

    def handle(self, event: FileInput, now: Moment) -> None:
        """Take an input that is about the file."""
        match event:
            case FileWritten():
                self._written(event, now)
            case FileWriteFailed(token=token, error=error):
                self._failed(token, error, now)
            case FileTouched():
                self._touched()
            case FileSeen():
                self._seen(event, now)
            case FileUnseen(token=token, error=error):
                self._unseen(token, error, now)
            case FileAccepted():
                self._accept()
            case _:
                assert_never(event)

    def next_deadline(self) -> float | None:
        """When `advance` has something to do, in monotonic seconds."""
        if self.path is None or self._step is not None:
            return None
        deadline = earliest(
            self._look_s,
            self.autosave.next_deadline() if self._held is None else None,
            self._not_before_s if self._savers else None,
        )
        return None if deadline is None else max(deadline, self._not_before_s)

    def advance(self, now: Moment) -> None:
        """Begin a step if one is wanted and none is under way."""
        if self._step is not None or now.monotonic_s < self._not_before_s:
            return
        if self.path is not None and self._look_s is not None and self._look_s <= now.monotonic_s:
            self._look_s = None
            self._step = _Look(self._next_token())
            self._ledger.emit(ReadFile(self._step.token, self.path, self._bases.sha256))
        elif self._savers:
            self._begin(self._savers.first_target)
        elif self.path is not None and self._held is None and self.autosave.is_due(now):
            self._begin(self.path)

    # A look

    def _touched(self) -> None:
        """Something may have happened to the file."""
        if self.path is not None:
            self._look_now()
            self.autosave.try_again()

    def _accept(self) -> None:
        """The next look takes the file's version, whatever it takes away."""
        if self.path is not None:
            self._accepts = True
            self._look_now()

    def _seen(self, event: FileSeen, now: Moment) -> None:
        """The file is this now."""
        if not self._ends(event.token):
            return
        accepts, self._accepts = self._accepts, False
        if event.sha256 is None:
            self._there = None
            if self._bases.latest is None:
                self._release()
            else:
                gone = removed(self.path)
                self._hold(gone, None)
                self._savers.refuse(self.path, gone, undecided=True)
        elif event.sha256 == self._bases.sha256:
            self._there = event.sha256
            self._release()
            if not self.autosave.is_behind:
                self._all_saved(event.sha256)
        else:
            assert event.content is not None, "what is not known was read"
            self._take(event.content, event.sha256, now, accepts=accepts)

    def _unseen(self, token: int, error: HeadwayError, now: Moment) -> None:
        """The file is there and cannot be read."""
        if not self._ends(token):
            return
        self._leave_alone(error, None)
        if error.data.get("transient"):
            self._look_s = now.monotonic_s + LOOK_AGAIN_S

    def _take(self, content: bytes, sha256: str, now: Moment, *, accepts: bool) -> None:
        was_saved = not self.autosave.is_behind and not self._savers
        try:
            taken = self._intake.take(self._bases.all, content, self._runs, now, accepts=accepts)
        except (FileWouldEmpty, NotebookUnreadable) as error:
            if self._keeps_ours == sha256:
                self._know(Base(content), sha256)
            else:
                self._leave_alone(error, sha256)
        else:
            self._runs = taken.runs
            self._know(Base(content), sha256)
            if was_saved and taken.is_all:
                self.autosave.began()
                self.autosave.succeeded()
            else:
                self.autosave.changed(now)

    def _know(self, base: Base, sha256: str) -> None:
        """The file holds this, and we have dealt with it: the base of the next merge."""
        assert self.path is not None, "nobody looks at no file"
        self._bases.know(base, sha256)
        self._there = sha256
        self._release()
        self._ledger.record(FileRecorded(self._document, self.path, sha256, base.content))

    def _hold(self, error: HeadwayError, sha256: str | None) -> None:
        self._held, self._held_sha256, self._keeps_ours = error, sha256, None

    def _leave_alone(self, error: HeadwayError, sha256: str | None) -> None:
        error = left_alone(self.path, error)
        self._hold(error, sha256)
        self._savers.refuse(self.path, error)

    def _release(self) -> None:
        self._held = self._held_sha256 = self._keeps_ours = None

    def _all_saved(self, sha256: str) -> None:
        """The file holds everything already. Not a byte of it is changed, whatever its form."""
        path = self.path
        assert path is not None, "nobody looks at no file"
        heads = heads_to_text(self._contents()[0].replica.heads())
        saved = Saved(path=path, heads=heads, sha256=sha256, changed=False)
        self._savers.answer(path, saved)

    def _look_now(self) -> None:
        self._look_s = float("-inf")

    # A write

    def _begin(self, target: str) -> None:
        notebook, runtime = self._contents()
        waiters = self._savers.take(target)
        self._step = _Write(
            self._next_token(), target, notebook.replica.heads(), waiters, self._intake.runs()
        )
        content = render_notebook(notebook, runtime)
        self.autosave.began()
        expected = self._there if target == self.path else None
        latest = self._bases.latest
        # Also where there is no file (any more): what only the file knew is in nothing else.
        like = None if latest is None else latest.content
        effect = WriteFile(self._step.token, target, content, expected, like, bool(waiters))
        self._ledger.when_durable(lambda _: self._ledger.emit(effect))

    def _written(self, event: FileWritten, now: Moment) -> None:
        """The write is done: note it, then answer."""
        write = self._step
        if not isinstance(write, _Write) or not self._ends(event.token):
            return
        self.path, self._runs, self._races = event.path, write.runs, 0
        self.autosave.succeeded(now, event.took_s)
        self._lacks = lacks_outputs(event.path, event.lost) if event.lost else None
        self._know(Base(event.content, is_ours=True), event.sha256)
        saved = Saved(
            path=event.path,
            heads=heads_to_text(write.heads),
            sha256=event.sha256,
            changed=event.changed,
        )

        def answer(_: Moment) -> None:
            for saver in write.waiters:
                self._requests.answer(saver.token, saved)

        self._ledger.when_durable(answer)

    def _failed(self, token: int, error: HeadwayError, now: Moment) -> None:
        """The write was not done; the file is as it was."""
        write = self._step
        if not isinstance(write, _Write) or not self._ends(token):
            return
        if write.path != self.path:
            self.autosave.put_off(now)
            if isinstance(error, FileChanged):
                error = exists_already(write.path)
        elif isinstance(error, FileChanged | NotebookUnreadable):
            self._look_now()
            if self._may_try_again(now):
                self.autosave.put_off(now)
                self._savers.put_back(write.waiters)
                return
            self.autosave.failed(error, now)
        else:
            self.autosave.failed(error, now)
        for saver in write.waiters:
            self._requests.refuse(saver.token, error)

    def _may_try_again(self, now: Moment) -> bool:
        """Another program wrote just before we did, or is about to; whether to go on trying."""
        wait_s = min(_RACE_FIRST_S * 2**self._races, _RACE_LONGEST_S) if self._races else 0.0
        self._not_before_s = now.monotonic_s + wait_s
        self._races = min(self._races + 1, MAX_RACES + 1)
        return self._races <= MAX_RACES

    def abandon(self) -> None:
        """The store failed: nothing more is written."""
        error = StoreFailed("The notebook's store failed, so its file was not written.")
        self._savers.refuse(None, error)

    def _next_token(self) -> int:
        self._tokens += 1
        return self._tokens

    def _ends(self, token: int) -> bool:
        """Whether this is the answer to the step under way, which is over now."""
        if self._step is None or self._step.token != token:
            return False
        self._step = None
        return True
