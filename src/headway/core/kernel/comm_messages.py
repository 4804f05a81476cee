"""The messages of comms: read into events, and written from requests.

Floor 1, pure. A comm is a two-way channel between an object in the kernel (a widget, as a rule)
and whoever shows it. A message carries JSON and, beside it, binary buffers.

Source: "Messaging in Jupyter" 5.3, "Custom Messages"; "Jupyter Widget Messaging Protocol" 2.1.
"""

from __future__ import annotations

from typing import Any

from headway.core.kernel.clean import clean_text, clean_value
from headway.core.kernel.events import CommClosed, CommInfo, CommMessage, CommOpened

__all__ = [
    "comm_content",
    "comm_info_request",
    "read_comm_close",
    "read_comm_info",
    "read_comm_msg",
    "read_comm_open",
]

Message = dict[str, Any]


def comm_content(comm_id: str, data: dict[str, Any], target_name: str | None) -> Message:
    """The content of a comm's message; `target_name` is for the one that opens it."""
    content: Message = {"comm_id": comm_id, "data": data}
    return content if target_name is None else {**content, "target_name": target_name}


def comm_info_request() -> Message:
    """The content that asks which comms the kernel has."""
    return {}


def read_comm_open(parent: str | None, message: Message) -> tuple[CommOpened, ...]:
    """The kernel opened a comm."""
    content = message["content"]
    return (
        CommOpened(
            parent,
            clean_text(content["comm_id"]),
            clean_text(content["target_name"]),
            _object(content.get("data")),
            _object(message.get("metadata")),
            tuple(message.get("buffers") or ()),
        ),
    )


def read_comm_msg(parent: str | None, message: Message) -> tuple[CommMessage, ...]:
    """The kernel said something on a comm."""
    content = message["content"]
    return (
        CommMessage(
            parent,
            clean_text(content["comm_id"]),
            _object(content.get("data")),
            tuple(message.get("buffers") or ()),
        ),
    )


def read_comm_close(parent: str | None, message: Message) -> tuple[CommClosed, ...]:
    """The kernel closed a comm."""
    return (CommClosed(parent, clean_text(message["content"]["comm_id"])),)


def read_comm_info(parent: str | None, content: Message) -> tuple[CommInfo, ...]:
    """The kernel answers which comms it has."""
    if parent is None:
        return ()
    comms = _object(content.get("comms"))
    targets = {each: clean_text(info["target_name"]) for each, info in comms.items()}
    return (CommInfo(parent, targets),)


def _object(value: Any) -> dict[str, Any]:
    cleaned = clean_value({} if value is None else value)
    if not isinstance(cleaned, dict):
        raise TypeError("a comm's data is an object")
    return cleaned
