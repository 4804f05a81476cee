"""What the declarations of all commands have in common. See `rpc`.

Floor 1.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

__all__ = ["MAX_REQUEST_TIMEOUT_S", "REQUEST_TIMEOUT_S", "Params", "RoomParams"]

REQUEST_TIMEOUT_S = 30.0
"""How long the daemon tries when a request names no time-out."""


MAX_REQUEST_TIMEOUT_S = 86_400.0
"""The longest time-out a request may name: a day."""


class Params(
    msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What every request may carry.

    An unknown parameter is refused: to ignore a misspelt `required_heads` would drop a promise.
    Defaults are not sent, so that older daemons take requests that use nothing new.
    """

    method: ClassVar[str]
    result: ClassVar[type[Any]]
    is_repeatable: ClassVar[bool] = False
    """Whether it may be asked twice: the second time changes nothing more."""

    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_REQUEST_TIMEOUT_S)] = REQUEST_TIMEOUT_S
    """Seconds until DEADLINE_EXCEEDED or HEADS_TIMEOUT."""


class RoomParams(Params, kw_only=True, frozen=True):
    """A request to one notebook."""

    document: str
    """The notebook's document id."""
    required_heads: str | None = None
    """The heads that the daemon's copy must contain first."""
