"""The errors of Headway, one tree.

    HeadwayError
    ├── EditError                    the edit makes no sense; nothing was changed
    │   ├── CellNotFound
    │   └── InvalidEdit
    ├── DocumentError                bytes or a version the document cannot take
    │   ├── InvalidUpdate
    │   ├── UpdateTooLarge
    │   ├── MissingChanges           a gap: the update builds on changes we do not have
    │   ├── HeadsUnknown
    │   ├── HeadsTooOld
    │   └── EngineFailure            the engine broke; the document must be rebuilt
    ├── MalformedFrame               bytes that are not the protocol
    ├── NotConfirmed
    │   ├── ConfirmTimeout
    │   ├── UpdateRejected
    │   └── NotebookReplaced         the daemon has another notebook in this one's place
    ├── ConnectionFailed
    │   ├── ConnectionLost
    │   ├── DaemonUnavailable
    │   └── AlreadyRunning           a second daemon for one home
    ├── RequestFailed                the daemon's typed answer to a request
    │   ├── BadRequest
    │   ├── UnknownMethod
    │   ├── DeadlineExceeded
    │   ├── Busy
    │   ├── HeadsTimeout
    │   ├── NotExecutable
    │   ├── InputNotAwaited          a prompt that somebody answered, or that is gone
    │   ├── NotebookNotFound
    │   ├── ExecutionNotFound
    │   ├── ExecutionExpired         an id so old that it may have run and been forgotten
    │   ├── KernelNotFound
    │   ├── KernelStartFailed
    │   ├── KernelDied
    │   ├── CommNotFound
    │   ├── InvalidDependencies      what the notebook declares makes no sense
    │   ├── InstallationNeeded       nobody consented to what would have to be installed
    │   ├── EnvironmentNotFound
    │   ├── EnvironmentNotMade
    │   └── NotPermitted
    ├── FileError
    │   ├── NotebookUnreadable
    │   ├── FolderNotFound           a new notebook's folder is not there
    │   ├── FileNotWritable
    │   ├── FileChanged              another program wrote the file since we last did
    │   └── FileWouldEmpty           the file would take most of the notebook away
    ├── StoreError
    │   ├── StoreFailed
    │   ├── StoreDamaged
    │   └── StoreTooNew
    ├── CellFailed                   asked for by `ExecutionResult.raise_for_error`
    └── WrongThread                  a waiting call made where nothing could end the wait

Every error has a stable `code`, a sentence for a person (`str(error)`), and `data`, which holds
what a program needs. `to_wire` and `from_wire` carry it over a connection unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "AlreadyRunning",
    "BadRequest",
    "Busy",
    "CellFailed",
    "CellNotFound",
    "CommNotFound",
    "ConfirmTimeout",
    "ConnectionFailed",
    "ConnectionLost",
    "DaemonUnavailable",
    "DeadlineExceeded",
    "DocumentError",
    "EditError",
    "EngineFailure",
    "EnvironmentNotFound",
    "EnvironmentNotMade",
    "ExecutionExpired",
    "ExecutionNotFound",
    "FileChanged",
    "FileError",
    "FileNotWritable",
    "FileWouldEmpty",
    "FolderNotFound",
    "HeadsTimeout",
    "HeadsTooOld",
    "HeadsUnknown",
    "HeadwayError",
    "InputNotAwaited",
    "InstallationNeeded",
    "InvalidDependencies",
    "InvalidEdit",
    "InvalidUpdate",
    "KernelDied",
    "KernelNotFound",
    "KernelStartFailed",
    "MalformedFrame",
    "MissingChanges",
    "NotConfirmed",
    "NotExecutable",
    "NotPermitted",
    "NotebookNotFound",
    "NotebookReplaced",
    "NotebookUnreadable",
    "RequestFailed",
    "StoreDamaged",
    "StoreError",
    "StoreFailed",
    "StoreTooNew",
    "UnknownMethod",
    "UpdateRejected",
    "UpdateTooLarge",
    "WrongThread",
]


class HeadwayError(Exception):
    """The root of the tree. Holds a sentence and data; subclasses fix the code."""

    code: ClassVar[str] = "ERROR"
    exit_status: ClassVar[int] = 1
    """What the command line exits with when this error ends a command."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return self.message

    def to_wire(self) -> dict[str, Any]:
        """The error as JSON-ready values: code, message and data."""
        return {"code": self.code, "message": self.message, "data": self.data}

    @staticmethod
    def from_wire(code: str, message: str, data: dict[str, Any] | None = None) -> HeadwayError:
        """The error that `to_wire` was made from; an unknown code gives a RequestFailed."""
        kind = _by_code().get(code)
        error = (kind or RequestFailed)(message, **(data or {}))
        if kind is None:
            error.data.setdefault("code", code)
        return error


def _by_code() -> dict[str, type[HeadwayError]]:
    found: dict[str, type[HeadwayError]] = {}
    pending: list[type[HeadwayError]] = [HeadwayError]
    while pending:
        kind = pending.pop()
        found[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return found


class EditError(HeadwayError):
    """An edit that makes no sense on this document; nothing was changed."""

    code = "EDIT_ERROR"


class CellNotFound(EditError):
    """No such cell, or it was deleted. `data["cell_id"]`."""

    code = "CELL_NOT_FOUND"


class InvalidEdit(EditError):
    """A value or position out of range, or over a limit."""

    code = "INVALID_EDIT"


class DocumentError(HeadwayError):
    """The document cannot take these bytes or this version."""

    code = "DOCUMENT_ERROR"


class InvalidUpdate(DocumentError):
    """Bytes that are no update of this kind of document."""

    code = "INVALID_UPDATE"


class UpdateTooLarge(DocumentError):
    """Over a limit of bytes or operations. `data["limit"]`, `data["actual"]`."""

    code = "UPDATE_TOO_LARGE"


class MissingChanges(DocumentError):
    """The update builds on changes that this replica does not have."""

    code = "MISSING_CHANGES"


class HeadsUnknown(DocumentError):
    """These heads name changes that this replica does not have."""

    code = "HEADS_UNKNOWN"


class HeadsTooOld(DocumentError):
    """The heads lie too far back to reconstruct the source. `data["distance"]`, `data["limit"]`."""

    code = "HEADS_TOO_OLD"


class EngineFailure(DocumentError):
    """The engine failed in a way that leaves the replica unsound: rebuild it."""

    code = "ENGINE_FAILURE"


class MalformedFrame(HeadwayError):
    """Bytes of a known message that do not have its form."""

    code = "MALFORMED_FRAME"


class NotConfirmed(HeadwayError):
    """The daemon has not acknowledged every change."""

    code = "NOT_CONFIRMED"


class ConfirmTimeout(NotConfirmed):
    """The deadline passed first. `data["missing"]` holds the heads still unacknowledged (text)."""

    code = "CONFIRM_TIMEOUT"
    exit_status = 124


class UpdateRejected(NotConfirmed):
    """The daemon refused an update batch. `data["status"]` names the reason."""

    code = "UPDATE_REJECTED"


class NotebookReplaced(NotConfirmed):
    """The daemon lost this notebook's history and has another notebook at its path.

    The two are never merged: that would double every cell. What was here is kept in `rejected`.
    `data["document"]` is the lost one, `data["found"]` the one that editing goes on with.
    """

    code = "NOTEBOOK_REPLACED"


class ConnectionFailed(HeadwayError):
    """Something between here and the daemon."""

    code = "CONNECTION_FAILED"


class ConnectionLost(ConnectionFailed):
    """The connection ended before the answer came."""

    code = "CONNECTION_LOST"


class DaemonUnavailable(ConnectionFailed):
    """No daemon could be reached or started."""

    code = "DAEMON_UNAVAILABLE"


class AlreadyRunning(ConnectionFailed):
    """Another daemon owns this home. `data["pid"]`."""

    code = "ALREADY_RUNNING"


class RequestFailed(HeadwayError):
    """The daemon's typed answer to a request it could not do."""

    code = "REQUEST_FAILED"


class BadRequest(RequestFailed):
    """The request's parameters have the wrong form."""

    code = "BAD_REQUEST"
    exit_status = 2


class UnknownMethod(RequestFailed):
    """No such method."""

    code = "UNKNOWN_METHOD"


class DeadlineExceeded(RequestFailed):
    """The request's deadline passed."""

    code = "DEADLINE_EXCEEDED"
    exit_status = 124


class Busy(RequestFailed):
    """A bound is reached; try again. `data["limit"]`."""

    code = "BUSY"


class HeadsTimeout(RequestFailed):
    """The required heads did not arrive at the daemon before the deadline."""

    code = "HEADS_TIMEOUT"
    exit_status = 124


class NotExecutable(RequestFailed):
    """The cell is not a code cell. `data["cell_id"]`, `data["cell_type"]`."""

    code = "NOT_EXECUTABLE"


class InputNotAwaited(RequestFailed):
    """The prompt was answered by somebody else, or is awaited no more; the answer went nowhere.

    `data["execution_id"]`, `data["prompt_id"]`, and `data["answered"]`: whether it was answered.
    """

    code = "INPUT_NOT_AWAITED"


class NotebookNotFound(RequestFailed):
    """The daemon has no such notebook or document."""

    code = "NOTEBOOK_NOT_FOUND"
    exit_status = 2


class ExecutionNotFound(RequestFailed):
    """No execution of that id."""

    code = "EXECUTION_NOT_FOUND"


class ExecutionExpired(RequestFailed):
    """The id was minted so long ago that it may have run and been forgotten; it is not run."""

    code = "EXECUTION_EXPIRED"


class KernelNotFound(RequestFailed):
    """No kernelspec of that name that can be used. `data["name"]`, `data["installed"]`."""

    code = "KERNEL_NOT_FOUND"

    @classmethod
    def named(
        cls, name: str, installed: Iterable[str], unreadable: Mapping[str, str]
    ) -> KernelNotFound:
        """None of that name can be used; `unreadable` says why of those that are there."""
        why = unreadable.get(name.lower())
        if why is not None:
            return cls.unreadable(name, why, installed)
        names = sorted(installed)
        return cls(
            f'No kernel "{name}" is installed here. Choose one of: {", ".join(names) or "none"}.',
            name=name,
            installed=names,
        )

    @classmethod
    def unreadable(cls, name: str, why: str, installed: Iterable[str]) -> KernelNotFound:
        """There is one of that name; `why` (a clause) says what is wrong with which file."""
        names = sorted(installed)
        return cls(
            f'The kernel "{name}" is installed, but {why}. Correct that file, or choose one of: '
            f"{', '.join(names) or 'none'}.",
            name=name,
            installed=names,
        )


class KernelStartFailed(RequestFailed):
    """The kernel's process ended, or said nothing, before it was ready. `data["stderr"]`."""

    code = "KERNEL_START_FAILED"


class KernelDied(RequestFailed):
    """The kernel ended while it was needed. `data["reason"]`."""

    code = "KERNEL_DIED"


class CommNotFound(RequestFailed):
    """The kernel has no such comm (any more). `data["comm_id"]`."""

    code = "COMM_NOT_FOUND"


class InvalidDependencies(RequestFailed):
    """What a notebook says it needs has not the right form, or two places of it differ."""

    code = "INVALID_DEPENDENCIES"


class InstallationNeeded(RequestFailed):
    """The kernel needs what is not installed, and nobody consented to that; nothing was done.

    `data["requirements"]` would be installed, with `data["requires_python"]`; `data["into"]` is
    the folder of the environment, None for one of its own. To consent, repeat the request with
    `install` = `data["installation"]`.
    """

    code = "INSTALLATION_NEEDED"


class EnvironmentNotFound(RequestFailed):
    """There is no environment with a Python at the path. `data["path"]`."""

    code = "ENVIRONMENT_NOT_FOUND"


class EnvironmentNotMade(RequestFailed):
    """Installing failed; nothing half-made is used. `data["reason"]`, `data["written"]`."""

    code = "ENVIRONMENT_NOT_MADE"


class NotPermitted(RequestFailed):
    """This peer may not do that."""

    code = "NOT_PERMITTED"


class FileError(HeadwayError):
    """Something about an `.ipynb` file. `data["path"]`."""

    code = "FILE_ERROR"


class NotebookUnreadable(FileError):
    """The file cannot be read as a notebook; it is left as it is."""

    code = "NOTEBOOK_UNREADABLE"


class FolderNotFound(FileError):
    """A new notebook has no folder that its file could be in; none was made. `data["folder"]`."""

    code = "FOLDER_NOT_FOUND"
    exit_status = 2


class FileNotWritable(FileError):
    """The file or its folder cannot be written."""

    code = "FILE_NOT_WRITABLE"


class FileChanged(FileError):
    """Another program wrote the file since Headway last did; nothing was overwritten."""

    code = "FILE_CHANGED"


class FileWouldEmpty(FileError):
    """To take the file would remove most of the notebook; neither of the two was changed.

    `data["cells"]` of the notebook, `data["removed"]` by the file, `data["document"]`. Open it
    with `accept_file` to take the file all the same, or by its document id to go on without.
    """

    code = "FILE_WOULD_EMPTY"


class StoreError(HeadwayError):
    """Something about the daemon's own storage."""

    code = "STORE_ERROR"


class StoreFailed(StoreError):
    """A write could not be made durable; nothing that waited for it is confirmed."""

    code = "STORE_FAILED"


class StoreDamaged(StoreError):
    """What was stored is not what was written. `data["damaged"]` names it; it is kept apart."""

    code = "STORE_DAMAGED"


class StoreTooNew(StoreError):
    """A newer Headway wrote this store; it was not touched."""

    code = "STORE_TOO_NEW"


class CellFailed(HeadwayError):
    """A cell did not end well. `data["status"]`, `data["cell_id"]`, and what it raised."""

    code = "CELL_FAILED"


class WrongThread(HeadwayError):
    """A call that waits was made where nothing could end the wait.

    A synchronous one on Headway's own event loop would wait on itself; on another event loop than
    the notebook's nothing wakes an asynchronous one.
    """

    code = "WRONG_THREAD"
