"""What callers give, looked at before anything is done with it.

Floor 5. Python takes any value for an argument. A mistake that would be found only where it does
harm is told here, where it was made; what the daemon checks of a request is left to the daemon.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from headway.core.document.json_values import encodable
from headway.core.wire.messages import MAX_ROOM_BYTES
from headway.edges.notebook_path import NOTEBOOK_SUFFIX, notebook_path
from headway.edges.paths import named_path
from headway.errors import BadRequest

__all__ = [
    "MAX_NAME_CHARACTERS",
    "checked_home",
    "checked_limit",
    "checked_line",
    "checked_name",
    "checked_notebook",
    "checked_object",
    "checked_path",
    "checked_room",
    "checked_text",
    "checked_timeout",
    "checked_url",
]

T = TypeVar("T")

MAX_NAME_CHARACTERS = 64
"""The daemon shows no more of a peer's name."""


def checked_timeout(timeout_s: float) -> float:
    """The seconds that a wait may take which must have an end. Raises BadRequest."""
    limit_s = checked_limit(timeout_s)
    if limit_s is None:
        raise BadRequest(
            "This wait needs an end: give `timeout` as a finite number of seconds.", field="timeout"
        )
    return limit_s


def checked_limit(timeout_s: float | None) -> float | None:
    """The seconds that a wait may take; None, and infinity, are no limit. Raises BadRequest.

    A time-out that is no number would have its wait end at once, or never: NaN is neither before
    nor after anything.
    """
    if timeout_s is None:
        return None
    is_number = isinstance(timeout_s, Real) and not isinstance(timeout_s, bool)
    try:
        seconds = float(timeout_s) if is_number else math.nan
    except OverflowError:
        seconds = math.inf
    if math.isnan(seconds):
        raise BadRequest(
            f"`timeout` is a number of seconds, and {timeout_s!r} is none.", field="timeout"
        )
    return None if seconds == math.inf else seconds


def checked_name(name: str | None) -> str:
    """What others see of this peer: the beginning of `name`, or what it is. Raises BadRequest."""
    return checked_text("name", name)[:MAX_NAME_CHARACTERS] if name else f"python {os.getpid()}"


def checked_url(url: str) -> str:
    """A server's address. Raises BadRequest, which does not repeat it: it may hold a secret."""
    checked_text("url", url)
    try:
        parse_uri(url)
    except (InvalidURI, ValueError):
        raise BadRequest(
            "`url` is no address of a server, such as ws://localhost:8765/sync or wss://...",
            field="url",
        ) from None
    return url


def checked_room(room: str) -> str:
    """The id of a document on any server of the protocol. Raises BadRequest."""
    if not 0 < len(checked_text("room", room).encode()) <= MAX_ROOM_BYTES:
        raise BadRequest(
            f"`room` names a document in 1 to {MAX_ROOM_BYTES} bytes of UTF-8.", field="room"
        )
    return room


def checked_path(path: str | os.PathLike[str]) -> str:
    """The path of the notebook's file that is meant. Raises BadRequest for what can be none."""
    return _on_the_disk("path", notebook_path, path)


def checked_notebook(path: str | os.PathLike[str]) -> str:
    """The path of the notebook that is to be opened, or made. Raises BadRequest.

    A file that is there and has another name than notebooks have was hardly meant to get a notebook
    beside it.
    """
    found = checked_path(path)
    named = named_path(path)
    if named.is_file() and str(named) != found and not Path(found).is_file():
        raise BadRequest(
            f"{os.fspath(path)} is a file and no notebook: its name does not end in "
            f"{NOTEBOOK_SUFFIX}. For a notebook beside it give the whole name, {found}.",
            path=found,
        )
    return found


def checked_home(home: str | os.PathLike[str]) -> Path:
    """The home that is meant. Raises BadRequest for what can be none."""
    return _on_the_disk("home", named_path, home)


def checked_line(value: str) -> str:
    """An answer to a prompt. Raises BadRequest, which does not repeat it: it may be a password."""
    if "\n" in checked_text("value", value) or "\r" in value:
        raise BadRequest("An answer is one line, without its end; this is more.", field="value")
    return value


def checked_text(field: str, value: Any) -> str:
    """Text that can be sent. Raises BadRequest."""
    if not isinstance(value, str):
        raise BadRequest(f"`{field}` is text, not {type(value).__name__}.", field=field)
    if encodable(value) != value:
        raise BadRequest(
            f"`{field}` holds half a character (a lone surrogate), which cannot be sent.",
            field=field,
        )
    return value


def checked_object(field: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Names and values, as JSON has them in an object. Raises BadRequest."""
    if not isinstance(value, Mapping):
        raise BadRequest(
            f"`{field}` has names and values, as a dictionary has them, and "
            f"{type(value).__name__} has none.",
            field=field,
        )
    return dict(value)


def _on_the_disk(
    field: str, find: Callable[[str | os.PathLike[str]], T], path: str | os.PathLike[str]
) -> T:
    try:
        os.fsencode(path)
        return find(path)
    except ValueError as error:
        raise BadRequest(
            f"`{field}` can be no path on this system: {os.fspath(path)!a}.", field=field
        ) from error
