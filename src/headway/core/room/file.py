"""The notebook's file: what it should hold, what it held last, and who waits for a save.

Floor 3. A write is an effect with everything it needs; one is under way at a time. The file is
written only from what is durable, and only over bytes that we know (DESIGN section 7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headway.core.document.nbformat import render_notebook
from headway.core.room.autosave import Autosave
from headway.core.room.effects import FileRecorded, WriteFile
from headway.core.wire.rpc import Saved
from headway.errors import BadRequest, HeadwayError, StoreFailed
from headway.ids import DocumentId, Heads, heads_to_text

if TYPE_CHECKING:
    from headway.core.document.notebook import NotebookDocument
    from headway.core.document.runtime import RuntimeReader
    from headway.core.room.inputs import FileWritten
    from headway.core.room.ledger import Ledger
    from headway.core.room.requests import Requests
    from headway.moments import Moment

__all__ = ["NotebookFile"]


class NotebookFile:
    """One notebook's file and its saves."""

    def __init__(
        self,
        document: DocumentId,
        ledger: Ledger,
        requests: Requests,
        contents: Callable[[], tuple[NotebookDocument, RuntimeReader]],
        *,
        path: str | None,
        sha256: str | None,
    ) -> None:
        """`path` is absolute; `sha256` is of the bytes last read or written there.

        `contents` gives the documents as they are when a write begins.
        """
        self._document = document
        self._ledger = ledger
        self._requests = requests
        self._contents = contents
        self.path = path
        self._sha256 = sha256
        self.autosave = Autosave()
        self._write: tuple[int, str, Heads] | None = None
        self._tokens = 0
        self._writing_for: list[int] = []
        self._next_for: list[tuple[int, str]] = []

    @property
    def is_saved(self) -> bool:
        """Whether the file holds everything; a notebook without a file is never saved."""
        return self.path is not None and not self.autosave.is_behind

    def changed(self, now: Moment) -> None:
        """Something that the file contains is different now."""
        if self.path is not None:
            self.autosave.changed(now)

    def save(self, token: int, path: str | None) -> None:
        """Write for this request; a write under way is followed by another."""
        target = path or self.path
        if target is None:
            raise BadRequest(
                "The notebook has no file yet; say where to save it with `path`.", field="path"
            )
        self._next_for.append((token, target))

    def next_deadline(self) -> float | None:
        """When the autosave wants to write, in monotonic seconds."""
        return None if self.path is None else self.autosave.next_deadline()

    def advance(self, now: Moment) -> None:
        """Begin a write if one is wanted and none is under way."""
        if self._write is not None:
            return
        if self._next_for:
            target = self._next_for[0][1]
            self._writing_for = [token for token, path in self._next_for if path == target]
            self._next_for = [each for each in self._next_for if each[1] != target]
            self._begin(target)
        elif self.path is not None and self.autosave.is_due(now):
            self._begin(self.path)

    def _begin(self, target: str) -> None:
        notebook, runtime = self._contents()
        heads = notebook.replica.heads()
        content = render_notebook(notebook, runtime)
        self._tokens += 1
        self._write = (self._tokens, target, heads)
        self.autosave.began()
        expected = self._sha256 if target == self.path else None
        effect = WriteFile(self._tokens, target, content, expected)
        self._ledger.when_durable(lambda _: self._ledger.emit(effect))

    def written(self, event: FileWritten) -> None:
        """The write is done: note it, then answer."""
        if self._write is None or self._write[0] != event.token:
            return
        _, _, heads = self._write
        self._write = None
        self.path, self._sha256 = event.path, event.sha256
        self.autosave.succeeded()
        self._ledger.record(FileRecorded(self._document, event.path, event.sha256, event.content))
        waiters, self._writing_for = self._writing_for, []
        saved = Saved(
            path=event.path,
            heads=heads_to_text(heads),
            sha256=event.sha256,
            changed=event.changed,
        )

        def answer(_: Moment) -> None:
            for token in waiters:
                self._requests.answer(token, saved)

        self._ledger.when_durable(answer)

    def failed(self, token: int, error: HeadwayError, now: Moment) -> None:
        """The write was not done; the file is as it was."""
        if self._write is None or self._write[0] != token:
            return
        target = self._write[1]
        self._write = None
        if target == self.path:
            self.autosave.failed(error, now)
        else:
            self.autosave.writing = False
            self.changed(now)
        waiters, self._writing_for = self._writing_for, []
        for waiter in waiters:
            self._requests.refuse(waiter, error)

    def abandon(self) -> None:
        """The store failed: nothing more is written."""
        error = StoreFailed("The notebook's store failed, so its file was not written.")
        for token, _ in self._next_for:
            self._requests.refuse(token, error)
        self._next_for.clear()
