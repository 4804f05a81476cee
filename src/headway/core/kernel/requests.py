"""The contents of Jupyter's requests, as every kernel takes them.

Floor 1. Source: "Messaging in Jupyter", protocol 5.3 and later. What the answers say is read in
`jupyter`; what only ipykernel understands is in `ipykernel`.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "complete_request",
    "execute_request",
    "history_request",
    "input_reply",
    "inspect_request",
    "is_complete_request",
]

Message = dict[str, Any]


def execute_request(code: str, *, allow_stdin: bool = False) -> Message:
    """The content that runs `code`.

    `stop_on_error` is off: what an error stops is decided by our own queue. Without `allow_stdin`
    `input()` fails at once instead of waiting for somebody who may not be there.
    """
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": allow_stdin,
        "stop_on_error": False,
    }


def input_reply(value: str) -> Message:
    """The content that answers an input request."""
    return {"value": value}


def complete_request(code: str, cursor: int) -> Message:
    """The content that asks what fits at `cursor` (code points)."""
    return {"code": code, "cursor_pos": cursor}


def inspect_request(code: str, cursor: int, detail: int) -> Message:
    """The content that asks about the name at `cursor` (code points); `detail` is 0 or 1."""
    return {"code": code, "cursor_pos": cursor, "detail_level": detail}


def is_complete_request(code: str) -> Message:
    """The content that asks whether `code` is whole, or goes on in the next line."""
    return {"code": code}


def history_request(
    n: int,
    *,
    pattern: str | None,
    session: int | None,
    unique: bool,
    output: bool,
) -> Message:
    """The content that asks for earlier inputs, at most `n`, as they were typed.

    Those that fit a `pattern` (`*` and `?` stand for any text and any character), or those of one
    `session` (0: this one, -1: the one before), or the last ones.
    """
    content: Message = {"raw": True, "output": output}
    if pattern is not None:
        return content | {
            "hist_access_type": "search",
            "pattern": pattern,
            "n": n,
            "unique": unique,
        }
    if session is not None:
        return content | {"hist_access_type": "range", "session": session, "start": 1, "stop": None}
    return content | {"hist_access_type": "tail", "n": n}
