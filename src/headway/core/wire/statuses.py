"""Errors as numbers: what JSON-RPC and HTTP call each of ours.

Floor 1. The stable name of an error is its `code`; these numbers are courtesies to the two
protocols and coarser than it. An error that is not listed counts as its nearest listed ancestor.
"""

from __future__ import annotations

from headway.errors import (
    AlreadyRunning,
    BadRequest,
    Busy,
    CellNotFound,
    CommNotFound,
    ConfirmTimeout,
    ConnectionFailed,
    DeadlineExceeded,
    DocumentError,
    EditError,
    EngineFailure,
    EnvironmentNotFound,
    EnvironmentNotMade,
    ExecutionNotFound,
    FileChanged,
    FileError,
    FileNotWritable,
    FolderNotFound,
    HeadsTimeout,
    HeadsTooOld,
    HeadsUnknown,
    HeadwayError,
    InputNotAwaited,
    InstallationNeeded,
    InvalidDependencies,
    KernelDied,
    KernelNotFound,
    KernelStartFailed,
    MalformedFrame,
    MissingChanges,
    NotConfirmed,
    NotebookNotFound,
    NotebookUnreadable,
    NotExecutable,
    NotPermitted,
    RequestFailed,
    StoreError,
    UnknownMethod,
    UpdateTooLarge,
    WrongThread,
)

__all__ = ["http_status", "json_rpc_code"]

_STATUSES: dict[type[HeadwayError], int] = {
    HeadwayError: 500,
    EditError: 422,
    CellNotFound: 404,
    DocumentError: 422,
    UpdateTooLarge: 413,
    MissingChanges: 409,
    HeadsUnknown: 409,
    HeadsTooOld: 409,
    EngineFailure: 500,
    MalformedFrame: 400,
    NotConfirmed: 409,
    ConfirmTimeout: 504,
    ConnectionFailed: 503,
    AlreadyRunning: 409,
    RequestFailed: 500,
    BadRequest: 400,
    UnknownMethod: 404,
    DeadlineExceeded: 504,
    Busy: 503,
    HeadsTimeout: 504,
    NotExecutable: 422,
    InputNotAwaited: 409,
    NotPermitted: 403,
    NotebookNotFound: 404,
    ExecutionNotFound: 404,
    KernelNotFound: 404,
    KernelStartFailed: 502,
    KernelDied: 502,
    CommNotFound: 404,
    InvalidDependencies: 422,
    InstallationNeeded: 409,
    EnvironmentNotFound: 404,
    EnvironmentNotMade: 502,
    FileError: 409,
    NotebookUnreadable: 422,
    FolderNotFound: 404,
    FileNotWritable: 403,
    FileChanged: 409,
    StoreError: 500,
    WrongThread: 500,
}
"""HTTP statuses, RFC 9110."""

_NUMBERS: dict[type[HeadwayError], int] = {
    MalformedFrame: -32700,
    UnknownMethod: -32601,
    BadRequest: -32602,
    EngineFailure: -32603,
    StoreError: -32603,
    WrongThread: -32603,
    HeadwayError: -32000,
    RequestFailed: -32001,
    EditError: -32002,
    DocumentError: -32003,
    NotConfirmed: -32004,
    ConnectionFailed: -32005,
    FileError: -32006,
    DeadlineExceeded: -32007,
    HeadsTimeout: -32008,
    Busy: -32009,
    NotPermitted: -32010,
    CellNotFound: -32011,
    NotebookNotFound: -32012,
    ExecutionNotFound: -32013,
    KernelNotFound: -32014,
    KernelStartFailed: -32015,
    KernelDied: -32016,
    CommNotFound: -32020,
    InvalidDependencies: -32030,
    InstallationNeeded: -32031,
    EnvironmentNotFound: -32032,
    EnvironmentNotMade: -32033,
}
"""JSON-RPC 2.0, section 5.1: -32768 to -32100 are the specification's, -32099 to -32000 ours."""


def http_status(error: HeadwayError) -> int:
    """The HTTP status for an error."""
    return _nearest(_STATUSES, error)


def json_rpc_code(error: HeadwayError) -> int:
    """The JSON-RPC number for an error. Programs tell errors apart by `error.data.code`."""
    return _nearest(_NUMBERS, error)


def _nearest(table: dict[type[HeadwayError], int], error: HeadwayError) -> int:
    return next(table[kind] for kind in type(error).__mro__ if kind in table)
