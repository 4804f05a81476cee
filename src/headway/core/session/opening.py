"""Asking the daemon for the notebook: which request, and what its answer means.

Floor 3, a part of the session. The first time it asks by path or document id, later always by
the document id it was given: an identity is born once. A daemon that has lost it and made another
notebook of the same file has another history, which is never taken for this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from headway.core.session.turns import Failed, Hopeless, Replaced
from headway.core.wire import commands
from headway.core.wire.rpc import Open, Opened
from headway.errors import (
    HeadwayError,
    MalformedFrame,
    NotebookNotFound,
    NotebookReplaced,
    NotebookUnreadable,
    NotPermitted,
)
from headway.ids import DocumentId

__all__ = ["OPEN_TOKEN", "AskAgain", "Opening", "Target"]

OPEN_TOKEN = 0
"""The id of the session's own request; callers' tokens begin after it."""

_FATAL_ON_REOPEN = (NotebookNotFound, NotebookUnreadable, NotPermitted)


@dataclass(frozen=True, slots=True)
class Target:
    """Which notebook. With `commands` False, `document` is a room of any server of the protocol.

    `accept_file` takes the file that is at the path, whatever it removes from the notebook.
    """

    path: str | None = None
    document: DocumentId | None = None
    create: bool = True
    commands: bool = True
    accept_file: bool = False


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Send this frame too."""

    frame: bytes


@dataclass(slots=True)
class Opening:
    """The request `open` of one session, over all its connections."""

    target: Target
    opened: Opened | None = field(default=None, init=False)
    _tried_path: bool = field(default=False, init=False)

    def ask(self) -> bytes:
        """The frame that opens the notebook on a new connection."""
        self._tried_path = False
        if self.opened is not None:
            return _frame(Open(document=self.opened.document, create=False))
        target = self.target
        return _frame(
            Open(
                path=target.path,
                document=target.document,
                create=target.create,
                accept_file=target.accept_file,
            )
        )

    def receive(
        self, answer: commands.Response | commands.ErrorResponse
    ) -> Opened | AskAgain | Failed | Hopeless | Replaced:
        """What the answer means."""
        if isinstance(answer, commands.ErrorResponse):
            return self._refused(answer.error)
        try:
            opened: Opened = commands.decode_result(Open, answer.result)
        except MalformedFrame as error:
            return Failed(str(error))
        known = self.opened
        self.opened = opened
        if known is not None and opened.document != known.document:
            return Replaced(opened, _replaced(known, opened))
        return opened

    def moved(self, path: str) -> None:
        """The notebook was saved to `path`, which is its file now."""
        if self.opened is not None:
            self.opened = msgspec.structs.replace(self.opened, path=path)

    def _refused(self, error: HeadwayError) -> AskAgain | Failed | Hopeless:
        known = self.opened
        if known is None:
            return Hopeless(error)
        if isinstance(error, NotebookNotFound) and known.path is not None and not self._tried_path:
            self._tried_path = True
            return AskAgain(_frame(Open(path=known.path, create=False)))
        return Hopeless(error) if isinstance(error, _FATAL_ON_REOPEN) else Failed(str(error))


def _replaced(known: Opened, opened: Opened) -> NotebookReplaced:
    return NotebookReplaced(
        "The daemon no longer knows this notebook and has another one at its path. Editing goes "
        "on in that one; the cells as they were here are kept in `rejected`: copy from there what "
        "you need.",
        document=known.document,
        found=opened.document,
    )


def _frame(params: Open) -> bytes:
    return commands.encode_request(OPEN_TOKEN, params)
