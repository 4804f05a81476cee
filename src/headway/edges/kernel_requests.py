"""The requests of a room as messages for a kernel's shell socket. Not how they are sent."""

from __future__ import annotations

from typing import Any, NamedTuple, assert_never

from headway.core.kernel.comm_messages import comm_content, comm_info_request
from headway.core.kernel.requests import (
    complete_request,
    execute_request,
    history_request,
    inspect_request,
    is_complete_request,
)
from headway.core.room.effects import (
    CommInfoRequest,
    CommRequest,
    CompleteRequest,
    ExecuteRequest,
    HistoryRequest,
    InspectRequest,
    IsCompleteRequest,
    ShellRequest,
)

__all__ = ["ShellMessage", "shell_message"]


class ShellMessage(NamedTuple):
    """A message to be signed and sent."""

    kind: str
    content: dict[str, Any]
    request_id: str
    metadata: dict[str, Any] | None = None
    buffers: tuple[bytes, ...] = ()


def shell_message(request: ShellRequest) -> ShellMessage:
    """The message of a request; its id is what the answers will name."""
    match request:
        case ExecuteRequest(execution_id, code, allow_stdin):
            content = execute_request(code, allow_stdin=allow_stdin)
            return ShellMessage("execute_request", content, execution_id)
        case CompleteRequest(request_id, code, cursor):
            return ShellMessage("complete_request", complete_request(code, cursor), request_id)
        case InspectRequest(request_id, code, cursor, detail):
            content = inspect_request(code, cursor, detail)
            return ShellMessage("inspect_request", content, request_id)
        case IsCompleteRequest(request_id, code):
            return ShellMessage("is_complete_request", is_complete_request(code), request_id)
        case HistoryRequest(request_id, n, pattern, session, unique, output):
            content = history_request(
                n, pattern=pattern, session=session, unique=unique, output=output
            )
            return ShellMessage("history_request", content, request_id)
        case CommRequest(request_id, kind, comm_id, data, target_name, metadata, buffers):
            content = comm_content(comm_id, data, target_name)
            return ShellMessage(kind, content, request_id, metadata, buffers)
        case CommInfoRequest(request_id):
            return ShellMessage("comm_info_request", comm_info_request(), request_id)
        case _:
            assert_never(request)
