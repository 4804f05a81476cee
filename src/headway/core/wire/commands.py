"""Commands as bytes, and back: JSON-RPC 2.0 in frames of our own magic, and bodies for HTTP.

Floor 1. `rpc` declares the methods; here they are written, read and checked. Not here: what any
method does, and which request an answer belongs to. A frame is RPC_MAGIC and one JSON-RPC object
(https://www.jsonrpc.org/specification); batches and notifications are not served.

An error travels as a JSON-RPC error whose `data` is `{"code": stable code, "data": {...}}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from headway.core.wire.openapi import ErrorBody, ErrorDetail, openapi
from headway.core.wire.parameters import check_params, decode_params
from headway.core.wire.rpc import METHODS, Params
from headway.core.wire.statuses import http_status, json_rpc_code
from headway.errors import BadRequest, HeadwayError, MalformedFrame, RequestFailed

__all__ = [
    "MAX_REQUEST_ID_CHARACTERS",
    "MAX_RPC_BYTES",
    "RPC_MAGIC",
    "ErrorResponse",
    "Request",
    "RequestId",
    "Response",
    "Unreadable",
    "decode",
    "decode_params",
    "decode_result",
    "encode_error",
    "encode_error_body",
    "encode_request",
    "encode_result",
    "encode_result_body",
    "http_status",
    "json_rpc_code",
    "openapi",
]

RPC_MAGIC: Final = b"%RPC"
"""The magic bytes of a command's frame."""

MAX_RPC_BYTES = 1024 * 1024
"""The longest frame of a command, magic bytes included, and the longest HTTP body."""

MAX_REQUEST_ID_CHARACTERS = 128
"""The longest request id that is a string."""

_MAX_SENTENCE_CHARACTERS = 4096
"""What is kept of an error's sentence when the whole error cannot be written."""

_MAX_INTEGER_ID = (1 << 63) - 1

RequestId = int | str
"""What a request calls itself; its answer repeats it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to do `params`."""

    id: RequestId
    params: Params


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request; `decode_result` reads `result`."""

    id: RequestId
    result: msgspec.Raw


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The refusal of a request; `id` is None when the other side could not read it."""

    id: RequestId | None
    error: HeadwayError


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A request that cannot be done as it is: answer it with `encode_error(id, error)`.

    Only a daemon answers; a client that is sent one takes it for a broken connection.
    """

    id: RequestId | None
    error: HeadwayError


class _WireError(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: Any = None


class _Envelope(msgspec.Struct, frozen=True):
    """Any JSON-RPC object; which one it is shows in the members it has."""

    jsonrpc: str = ""
    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _WireError | msgspec.UnsetType = msgspec.UNSET


class _RequestBody(msgspec.Struct, frozen=True):
    id: RequestId
    method: str
    params: Params
    jsonrpc: Literal["2.0"] = "2.0"


class _ResultBody(msgspec.Struct, frozen=True):
    id: RequestId
    result: msgspec.Struct
    jsonrpc: Literal["2.0"] = "2.0"


class _ErrorBody(msgspec.Struct, frozen=True):
    id: RequestId | None
    error: _WireError
    jsonrpc: Literal["2.0"] = "2.0"


_ENCODER = msgspec.json.Encoder()
_ENVELOPES = msgspec.json.Decoder(_Envelope)
_RESULTS = {declared: msgspec.json.Decoder(declared.result) for declared in METHODS.values()}

# What msgspec raises for bytes that are not the JSON asked for, and for values that are not JSON.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.EncodeError)


def encode_request(identity: RequestId, params: Params) -> bytes:
    """The frame of a request.

    Raises:
        BadRequest: a parameter is out of range, is no JSON, or makes the frame too long;
            `data["field"]` names it where one is to blame.
    """
    check_params(params)
    try:
        frame = RPC_MAGIC + _ENCODER.encode(_RequestBody(identity, params.method, params))
    except _UNWRITABLE as error:
        raise BadRequest(
            f"The parameters of `{params.method}` cannot be written as JSON: {error}.",
            method=params.method,
        ) from error
    if len(frame) > MAX_RPC_BYTES:
        raise BadRequest(
            f"The request `{params.method}` takes {len(frame)} bytes; "
            f"at most {MAX_RPC_BYTES} can be sent.",
            method=params.method,
            limit=MAX_RPC_BYTES,
            actual=len(frame),
        )
    return frame


def encode_result(identity: RequestId, result: msgspec.Struct) -> bytes:
    """The frame that answers a request.

    Raises:
        RequestFailed: the result is too long or no JSON; refuse the request with this error.
    """
    return RPC_MAGIC + _written(_ResultBody(identity, result), len(RPC_MAGIC))


def encode_result_body(result: msgspec.Struct) -> bytes:
    """The HTTP body that answers a request; raises as `encode_result`."""
    return _written(result, 0)


def _written(value: msgspec.Struct, envelope_bytes: int) -> bytes:
    try:
        body = _ENCODER.encode(value)
    except _UNWRITABLE as error:
        raise RequestFailed(f"The answer cannot be written as JSON: {error}.") from error
    if len(body) + envelope_bytes > MAX_RPC_BYTES:
        raise RequestFailed(
            f"The answer takes {len(body)} bytes; at most {MAX_RPC_BYTES} can be sent.",
            limit=MAX_RPC_BYTES,
            actual=len(body),
        )
    return body


def encode_error(identity: RequestId | None, error: HeadwayError) -> bytes:
    """The frame that refuses a request. Never fails: data that cannot be sent is left out."""
    message, data = _sendable(error)
    wire = _WireError(json_rpc_code(error), message, {"code": error.code, "data": data})
    return RPC_MAGIC + _ENCODER.encode(_ErrorBody(identity, wire))


def encode_error_body(error: HeadwayError) -> bytes:
    """The HTTP body that refuses a request; its status is `http_status(error)`. Never fails."""
    message, data = _sendable(error)
    return _ENCODER.encode(
        ErrorBody(error=ErrorDetail(code=error.code, message=message, data=data))
    )


def _sendable(error: HeadwayError) -> tuple[str, dict[str, Any]]:
    """The error's sentence and data, or as much of them as JSON and a frame can hold."""
    try:
        if len(_ENCODER.encode((error.message, error.data))) < MAX_RPC_BYTES // 2:
            return error.message, error.data
    except _UNWRITABLE:
        pass
    return error.message[:_MAX_SENTENCE_CHARACTERS].encode(errors="replace").decode(), {}


def decode(frame: bytes) -> Request | Response | ErrorResponse | Unreadable:
    """What a frame asks or answers.

    Raises:
        MalformedFrame: too long, not JSON, or an answer without the form of one. Whatever may be
            a request is not raised but given as `Unreadable`, with the error that answers it.
    """
    if frame[: len(RPC_MAGIC)] != RPC_MAGIC:
        raise MalformedFrame("A command's frame begins with %RPC, and this one does not.")
    if len(frame) > MAX_RPC_BYTES:
        raise MalformedFrame(
            f"A command of {len(frame)} bytes exceeds the limit of {MAX_RPC_BYTES}.",
            limit=MAX_RPC_BYTES,
            actual=len(frame),
        )
    body = frame[len(RPC_MAGIC) :]
    try:
        envelope = _ENVELOPES.decode(body)
    except _UNREADABLE as error:
        return _salvaged(body, error)
    if envelope.method is not None:
        return _request(envelope, envelope.method)
    if envelope.result is not msgspec.UNSET or envelope.error is not msgspec.UNSET:
        return _answer(envelope)
    return Unreadable(
        _sound_id(envelope.id), BadRequest("A request needs a `method`.", field="method")
    )


def _request(envelope: _Envelope, method: str) -> Request | Unreadable:
    identity = _sound_id(envelope.id)
    if identity is None:
        sentence = (
            "A request needs an `id`: a string of at most "
            f"{MAX_REQUEST_ID_CHARACTERS} characters or a 64-bit integer."
        )
        return Unreadable(None, BadRequest(sentence, field="id"))
    if envelope.jsonrpc != "2.0":
        sentence = 'A request says `"jsonrpc": "2.0"`, and this one does not.'
        return Unreadable(identity, BadRequest(sentence, field="jsonrpc"))
    try:
        return Request(identity, decode_params(method, envelope.params))
    except RequestFailed as error:
        return Unreadable(identity, error)


def _answer(envelope: _Envelope) -> Response | ErrorResponse:
    identity = _sound_id(envelope.id)
    if envelope.error is msgspec.UNSET:
        if identity is None or envelope.result is msgspec.UNSET:
            raise MalformedFrame("An answer with a result names the request it answers.")
        return Response(identity, envelope.result)
    if envelope.result is not msgspec.UNSET:
        raise MalformedFrame("An answer has a result or an error, and this one has both.")
    return ErrorResponse(identity, _restored(envelope.error))


def _restored(wire: _WireError) -> HeadwayError:
    outer = wire.data if isinstance(wire.data, dict) else {}
    code, details = outer.get("code"), outer.get("data")
    if not isinstance(code, str):
        code = RequestFailed.code
    error = HeadwayError.from_wire(code, wire.message)
    # Not as keyword arguments: data is the other side's, and may name one of the parameters.
    if isinstance(details, dict):
        error.data.update(details)
    return error


def _salvaged(body: bytes, cause: Exception) -> Unreadable:
    """A request that the strict reader refused, with its id if a lenient reader finds one."""
    try:
        value = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"The command is not JSON: {error}.") from cause
    if not isinstance(value, dict):
        return Unreadable(None, BadRequest("A request is one JSON object; batches are not served."))
    if "method" not in value and ("result" in value or "error" in value):
        raise MalformedFrame(f"The answer does not have the form of one: {cause}.") from cause
    return Unreadable(
        _sound_id(value.get("id")), BadRequest(f"The request cannot be read: {cause}.")
    )


def _sound_id(value: object) -> RequestId | None:
    """The id if it can be repeated in an answer, else None."""
    if isinstance(value, str) and len(value) <= MAX_REQUEST_ID_CHARACTERS:
        # The lenient reader lets lone surrogates through, which no answer can hold.
        return value if value.isascii() or value.isprintable() else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) <= _MAX_INTEGER_ID else None
    return None


def decode_result(method: type[Params], result: msgspec.Raw | bytes) -> Any:
    """The result of a request of type `method`, as its declared `result` type.

    Raises:
        MalformedFrame: the other side's answer does not have that form.
    """
    try:
        return _RESULTS[method].decode(result)
    except _UNREADABLE as error:
        raise MalformedFrame(
            f"The answer to `{method.method}` does not have its form: {error}.",
            method=method.method,
        ) from error
