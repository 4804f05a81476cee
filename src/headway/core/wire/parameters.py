"""The parameters of a method: read from JSON and checked, with errors that name the field.

Floor 1. The forms are declared in `rpc`; here is what a declaration cannot say.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, get_args

import msgspec

from headway.core.wire.rpc import MAX_REQUEST_TIMEOUT_S, METHODS, Params, RoomParams
from headway.errors import BadRequest, UnknownMethod
from headway.ids import heads_from_text

__all__ = ["MAX_PARAMETERS_BYTES", "check_made", "check_params", "decode_params"]

MAX_PARAMETERS_BYTES = 1024 * 1024
"""The longest JSON of one request's parameters."""

_SHOWN_CHARACTERS = 100
"""How much of a caller's own words an error repeats."""

_DECODERS = {name: msgspec.json.Decoder(declared) for name, declared in METHODS.items()}

# msgspec's sentences; tests hold them to what the installed version says.
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_SURPLUS = re.compile(r"Object contains unknown field `(?P<field>.*?)`(?: - at|$)", re.DOTALL)
_PLACED = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<field>[^`]*)`", re.DOTALL)


def decode_params(method: str, body: msgspec.Raw | bytes) -> Params:
    """The parameters of `method` from their JSON; an empty body stands for `{}`.

    Raises:
        UnknownMethod: there is no such method. `data["method"]`.
        BadRequest: not JSON, or not this method's parameters. `data["method"]`, and
            `data["field"]` where one is to blame.
    """
    decoder = _DECODERS.get(method)
    if decoder is None:
        shown = method[:_SHOWN_CHARACTERS]
        raise UnknownMethod(
            f"There is no method `{shown}`; there are {', '.join(METHODS)}.", method=shown
        )
    length = len(memoryview(body))
    if length > MAX_PARAMETERS_BYTES:
        raise BadRequest(
            f"The parameters of `{method}` take {length} bytes; "
            f"at most {MAX_PARAMETERS_BYTES} are taken.",
            method=method,
            limit=MAX_PARAMETERS_BYTES,
            actual=length,
        )
    try:
        params = decoder.decode(body if length else b"{}")
    except msgspec.ValidationError as error:
        raise _misfit(method, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(
            f"The parameters of `{method}` are not JSON: {error}.", method=method
        ) from error
    check_params(params)
    return params


def check_params(params: Params) -> None:
    """Refuse what the declared types let through.

    A declaration binds what comes from JSON; values made in Python pass by it. And heads are
    declared as text, which does not make them base64.

    Raises:
        BadRequest: `data["method"]`, `data["field"]`.
    """
    # The comparison is False for NaN too.
    if not 0 < params.timeout_s <= MAX_REQUEST_TIMEOUT_S:
        raise _wrong(
            params.method,
            "timeout_s",
            f"expected seconds above 0 and at most {MAX_REQUEST_TIMEOUT_S:g}, "
            f"got {params.timeout_s}",
        )
    if isinstance(params, RoomParams) and params.required_heads is not None:
        try:
            heads_from_text(params.required_heads)
        except ValueError as error:
            raise _wrong(
                params.method, "required_heads", "expected heads in standard base64"
            ) from error


def check_made(params: Params) -> None:
    """Refuse what JSON would carry as something else: bytes as base64, NaN and infinity as null.

    For parameters made in Python, which could be written: so no value contains itself.

    Raises:
        BadRequest: `data["method"]`, `data["field"]`.
    """
    for field, takes_bytes in _fields(type(params)):
        value = getattr(params, field)
        if takes_bytes:
            misfits = (each for each in value if not isinstance(each, bytes))
            problem = next((f"expected bytes, got {type(each).__name__}" for each in misfits), None)
        else:
            problem = _misread(value)
        if problem is not None:
            raise _wrong(params.method, field, problem)


@lru_cache
def _fields(declared: type[Params]) -> tuple[tuple[str, bool], ...]:
    """The name of each, and whether it is a list of bytes."""
    return tuple((each.name, each.type == list[bytes]) for each in msgspec.structs.fields(declared))


def _misread(value: Any) -> str | None:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as each:
                waiting += [*each, *each.values()]
            case list() | tuple() as each:
                waiting += each
            case bytes() | bytearray() | memoryview():
                return "bytes are no JSON; decode them to text first"
            case float() as each if not math.isfinite(each):
                return f"{each} is no JSON"
            case _:
                pass
    return None


def _wrong(method: str, field: str, problem: str) -> BadRequest:
    return BadRequest(
        f"The parameter `{field}` of `{method}` is wrong: {problem}.", method=method, field=field
    )


def _misfit(method: str, problem: str) -> BadRequest:
    """The error for what msgspec found wrong, as a sentence about the field."""
    if missing := _MISSING.match(problem):
        field = missing["field"]
        return BadRequest(f"`{method}` needs the parameter `{field}`.", method=method, field=field)
    if surplus := _SURPLUS.match(problem):
        field = surplus["field"][:_SHOWN_CHARACTERS]
        known = ", ".join(each.name for each in msgspec.structs.fields(METHODS[method]))
        return BadRequest(
            f"`{method}` takes no parameter `{field}`; it takes {known}.",
            method=method,
            field=field,
        )
    if placed := _PLACED.match(problem):
        field, reason = placed["field"], placed["problem"]
        if reason.startswith("Invalid enum value"):
            reason = f"Expected {_choices(method, field)}, got {reason.partition('value ')[2]}"
        return _wrong(method, field, reason[:1].lower() + reason[1:])
    return BadRequest(
        f"The parameters of `{method}` are one JSON object with a member for each: "
        f"{problem[:1].lower()}{problem[1:]}.",
        method=method,
    )


def _choices(method: str, field: str) -> str:
    """The values that a field declared as a Literal can have."""
    types = {each.name: each.type for each in msgspec.structs.fields(METHODS[method])}
    return " or ".join(f"`{choice}`" for choice in get_args(types.get(field)))
