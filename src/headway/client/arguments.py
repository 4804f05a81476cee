"""What callers give, looked at before anything is done with it.

Floor 5. Python takes any value for an argument. A mistake that would be found only where it does
harm is told here, where it was made; what the daemon checks of a request is left to the daemon.
"""

from __future__ import annotations

import math
import os
from numbers import Real
from typing import Any

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from headway.core.document.json_values import encodable
from headway.errors import BadRequest

__all__ = [
    "MAX_NAME_CHARACTERS",
    "checked_limit",
    "checked_name",
    "checked_timeout",
    "checked_url",
]

MAX_NAME_CHARACTERS = 64
"""The daemon shows no more of a peer's name."""


def checked_timeout(timeout_s: float) -> float:
    """The seconds that a wait may take which must have an end. Raises BadRequest."""
    limit_s = checked_limit(timeout_s)
    if limit_s is None:
        raise BadRequest(
            f"This wait needs an end: give `timeout` as a number of seconds, not {timeout_s}.",
            field="timeout",
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
    return _checked_text("name", name)[:MAX_NAME_CHARACTERS] if name else f"python {os.getpid()}"


def checked_url(url: str) -> str:
    """A server's address. Raises BadRequest, which does not repeat it: it may hold a secret."""
    _checked_text("url", url)
    try:
        parse_uri(url)
    except (InvalidURI, ValueError):
        raise BadRequest(
            "`url` is no address of a server, such as ws://localhost:8765/sync or wss://...",
            field="url",
        ) from None
    return url


def _checked_text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"`{field}` is text, not {type(value).__name__}.", field=field)
    if encodable(value) != value:
        raise BadRequest(
            f"`{field}` holds half a character (a lone surrogate), which cannot be sent.",
            field=field,
        )
    return value
