"""Commands as bytes: exactness, typed refusals that can be answered, and bounds on garbage."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.wire import commands
from headway.core.wire.commands import (
    MAX_RPC_BYTES,
    RPC_MAGIC,
    ErrorResponse,
    Request,
    Response,
    Unreadable,
    decode,
    decode_result,
    encode_error,
    encode_error_body,
    encode_request,
    encode_result,
    encode_result_body,
)
from headway.core.wire.rpc import (
    MAX_HISTORY_INPUTS,
    MAX_HISTORY_SESSION,
    METHODS,
    Complete,
    Completions,
    ExecutionOutcome,
    GetExecution,
    Params,
    Save,
    Saved,
    Stop,
    Stopping,
)
from headway.errors import (
    BadRequest,
    CellNotFound,
    HeadsTimeout,
    HeadwayError,
    MalformedFrame,
    RequestFailed,
    UnknownMethod,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=20)
identities = st.integers(-(2**63) + 1, 2**63 - 1) | words
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
    Any: json_values,
}
BOUND: dict[str, st.SearchStrategy[Any]] = {
    "required_heads": st.sampled_from([None, "", "AAAA", "/+8="]),
    "timeout_s": st.floats(min_value=0, max_value=86400, exclude_min=True),
    "cursor": st.integers(0, 2**53),
    "detail": st.integers(0, 1),
    "n": st.integers(1, MAX_HISTORY_INPUTS),
    "session": st.none() | st.integers(-MAX_HISTORY_SESSION, MAX_HISTORY_SESSION),
}


def of_type(declared: Any) -> st.SearchStrategy[Any]:
    """Any value of a type as the declarations use them."""
    if declared in SCALARS:
        return SCALARS[declared]
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        return of_struct(declared)
    arguments = get_args(declared)
    match get_origin(declared):
        case origin if origin is list:
            return st.lists(of_type(arguments[0]), max_size=3)
        case origin if origin is dict:
            return st.dictionaries(texts, of_type(arguments[1]), max_size=3)
        case origin if origin is Literal:
            return st.sampled_from(arguments)
        case _:
            return st.one_of([of_type(argument) for argument in arguments])


def of_struct(declared: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = {field.name: field.type for field in msgspec.structs.fields(declared)}
    bound = BOUND if issubclass(declared, Params) else {}
    return st.builds(
        declared,
        **{name: bound[name] if name in bound else of_type(fields[name]) for name in fields},
    )


def test_what_changes_something_each_time_is_not_repeatable() -> None:
    """Whatever only looks, or names what it is about, may be asked again."""
    once = {name for name, params in METHODS.items() if not params.is_repeatable}
    assert once == {
        "answer_input",
        "close",
        "comm_close",
        "comm_message",
        "comm_open",
        "create",
        "interrupt",
        "restart_kernel",
        "shutdown_kernel",
        "stop",
    }


requests: st.SearchStrategy[Params] = st.sampled_from(list(METHODS.values())).flatmap(of_struct)


def frame_of(value: object) -> bytes:
    return RPC_MAGIC + json.dumps(value).encode()


def request_frame(method: object, **params: object) -> bytes:
    return frame_of({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})


def refusal(frame: bytes) -> Unreadable:
    found = decode(frame)
    assert isinstance(found, Unreadable)
    return found


@given(identities, requests)
def test_every_request_survives_the_wire(identity: int | str, params: Params) -> None:
    assert decode(encode_request(identity, params)) == Request(identity, params)


@given(requests)
def test_http_reads_the_same_parameters(params: Params) -> None:
    assert commands.decode_params(params.method, msgspec.json.encode(params)) == params


@given(identities, st.sampled_from(list(METHODS.values())), st.data())
def test_every_result_survives_the_wire(
    identity: int | str, method: type[Params], data: st.DataObject
) -> None:
    result = data.draw(of_struct(method.result))
    answer = decode(encode_result(identity, result))
    assert isinstance(answer, Response)
    assert answer.id == identity
    assert decode_result(method, answer.result) == result
    assert decode_result(method, encode_result_body(result)) == result


def every_error() -> list[type[HeadwayError]]:
    found: list[type[HeadwayError]] = []
    pending: list[type[HeadwayError]] = [HeadwayError]
    while pending:
        found.append(pending.pop())
        pending += found[-1].__subclasses__()
    return sorted(found, key=lambda kind: kind.code)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_every_error_survives_the_wire(kind: type[HeadwayError]) -> None:
    sent = kind("It did not work; try later.", limit=3, code_like={"deep": [1, None]})
    answer = decode(encode_error("a", sent))
    assert isinstance(answer, ErrorResponse)
    assert answer.id == "a"
    assert type(answer.error) is kind
    assert answer.error.to_wire() == sent.to_wire()
    assert json.loads(encode_error_body(sent)) == {"error": sent.to_wire()}


def test_an_error_frame_has_a_number_and_the_stable_code() -> None:
    frame = encode_error(None, CellNotFound("No such cell.", cell_id="c"))
    assert json.loads(frame[4:]) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {
            "code": -32011,
            "message": "No such cell.",
            "data": {"code": "CELL_NOT_FOUND", "data": {"cell_id": "c"}},
        },
    }


def test_error_data_named_like_a_parameter_survives_the_wire() -> None:
    sent = CellNotFound("No such cell.")
    sent.data.update(message="mine", self="too", code="and this")
    answer = decode(encode_error(1, sent))
    assert isinstance(answer, ErrorResponse)
    assert answer.error.to_wire() == sent.to_wire()


@pytest.mark.parametrize(
    "data",
    [{"x": object()}, {"x": "\ud800"}, {"x": "a" * MAX_RPC_BYTES}, {"x": 2**70}],
    ids=["object", "surrogate", "long", "large"],
)
def test_an_error_whose_data_cannot_be_sent_goes_without(data: dict[str, Any]) -> None:
    frame = encode_error(1, HeadsTimeout("Too \ud800 late.", **data))
    answer = decode(frame)
    assert isinstance(answer, ErrorResponse)
    assert answer.error.to_wire() == HeadsTimeout("Too ? late.").to_wire()


def test_an_error_of_another_server_is_a_failed_request() -> None:
    error = {"code": -32603, "message": "Internal error"}
    answer = decode(frame_of({"jsonrpc": "2.0", "id": 1, "error": error}))
    assert isinstance(answer, ErrorResponse)
    assert type(answer.error) is RequestFailed
    assert str(answer.error) == "Internal error"


def test_an_error_with_a_code_of_the_future_keeps_it() -> None:
    error = {"code": -1, "message": "New.", "data": {"code": "NEWER", "data": {"a": 1}}}
    answer = decode(frame_of({"jsonrpc": "2.0", "id": 1, "error": error}))
    assert isinstance(answer, ErrorResponse)
    assert answer.error.data == {"code": "NEWER", "a": 1}


def test_an_unknown_method_is_answered_under_its_id() -> None:
    found = refusal(request_frame("fly"))
    assert found.id == 7
    assert type(found.error) is UnknownMethod
    assert found.error.data == {"method": "fly"}
    assert "save" in str(found.error)


@pytest.mark.parametrize("timeout_s", [math.nan, math.inf, -math.inf, 0.0, -1.0, 86400.1])
def test_a_timeout_that_is_no_time_is_not_sent(timeout_s: float) -> None:
    with pytest.raises(BadRequest, match="timeout_s") as refused:
        encode_request(1, Stop(timeout_s=timeout_s))
    assert refused.value.data == {"method": "stop", "field": "timeout_s"}


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_timeout_that_is_no_number_is_refused_under_its_id(literal: bytes) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"method":"stop","params":{"timeout_s":' + literal + b"}}"
    found = refusal(RPC_MAGIC + body)
    assert found.id == 7
    assert type(found.error) is BadRequest
    with pytest.raises(BadRequest):
        commands.decode_params("stop", b'{"timeout_s":' + literal + b"}")


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        ({"jsonrpc": "2.0", "id": "a", "method": 5}, "a"),
        ({"jsonrpc": "2.0", "id": "a", "method": "stop", "params": []}, "a"),
        ({"jsonrpc": "2.0", "id": "a", "method": "stop", "params": None}, "a"),
        ({"jsonrpc": "1.0", "id": "a", "method": "stop"}, "a"),
        ({"id": 3, "method": "stop"}, 3),
        ({"jsonrpc": 2.0, "id": 3, "method": "stop"}, 3),
        ({"jsonrpc": "2.0", "id": 3}, 3),
        ({"jsonrpc": "2.0", "method": "stop"}, None),
        ({"jsonrpc": "2.0", "id": None, "method": "stop"}, None),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "stop"}, None),
        ({"jsonrpc": "2.0", "id": True, "method": "stop"}, None),
        ({"jsonrpc": "2.0", "id": [1], "method": "stop"}, None),
        ({"jsonrpc": "2.0", "id": 2**63, "method": "stop"}, None),
        ({"jsonrpc": "2.0", "id": "a" * 129, "method": "stop"}, None),
        ({"jsonrpc": "2.0", "id": "\ud800", "method": "stop"}, None),
        ([], None),
        (3, None),
    ],
)
def test_what_may_be_a_request_can_be_answered_under_its_id(
    value: object, identity: int | str | None
) -> None:
    found = refusal(frame_of(value))
    assert found.id == identity
    assert type(found.error) is BadRequest
    answer = decode(encode_error(found.id, found.error))
    assert isinstance(answer, ErrorResponse)
    assert answer.id == identity


def test_a_request_without_parameters_takes_the_defaults() -> None:
    frame = frame_of({"jsonrpc": "2.0", "id": 0, "method": "stop"})
    assert decode(frame) == Request(0, Stop())
    assert commands.decode_params("stop", b"") == Stop()


def test_defaults_are_not_sent() -> None:
    frame = encode_request(1, GetExecution(execution_id="e"))
    assert json.loads(frame[4:])["params"] == {"execution_id": "e"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"id":1,"method":"stop"',
        b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b"1" * 5000,
        json.dumps({"id": 1, "result": {}, "error": {"code": 1, "message": ""}}).encode(),
        json.dumps({"result": {}}).encode(),
        json.dumps({"id": 1, "error": "no"}).encode(),
        json.dumps({"id": 1, "error": {"code": "x"}}).encode(),
        json.dumps({"id": 1.5, "result": {}}).encode(),
    ],
)
def test_what_is_neither_request_nor_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode(RPC_MAGIC + body)


def test_a_frame_of_other_magic_bytes_is_malformed() -> None:
    with pytest.raises(MalformedFrame, match="%RPC"):
        decode(b"%LOR\x01r\x07")


def test_a_frame_over_the_limit_is_malformed() -> None:
    frame = frame_of({"jsonrpc": "2.0", "id": 1, "method": "stop"})
    assert decode(frame.ljust(MAX_RPC_BYTES)) == Request(1, Stop())
    with pytest.raises(MalformedFrame) as refused:
        decode(frame.ljust(MAX_RPC_BYTES + 1))
    assert refused.value.data == {"limit": MAX_RPC_BYTES, "actual": MAX_RPC_BYTES + 1}
    with pytest.raises(BadRequest) as unread:
        commands.decode_params("stop", b"{}".ljust(MAX_RPC_BYTES + 1))
    assert unread.value.data["limit"] == MAX_RPC_BYTES


def test_a_request_that_cannot_be_written_is_refused_here() -> None:
    with pytest.raises(BadRequest, match="JSON"):
        encode_request(1, Complete(document="d", code="\ud800", cursor=0))
    with pytest.raises(BadRequest) as refused:
        encode_request(1, Complete(document="d", code="a" * MAX_RPC_BYTES, cursor=0))
    assert refused.value.data["limit"] == MAX_RPC_BYTES


def test_a_result_that_cannot_be_written_becomes_a_failed_request() -> None:
    deep: list[Any] = []
    for _ in range(500_000):
        deep = [deep]
    for record in ({"deep": deep}, {"a": "\ud800"}, {"a": object()}, {"a": "x" * MAX_RPC_BYTES}):
        outcome = ExecutionOutcome(execution_id="e", document="d", record=record)
        for write in (lambda value: encode_result(1, value), encode_result_body):
            with pytest.raises(RequestFailed, match="answer"):
                write(outcome)
    while deep:
        deep = deep.pop()


def test_a_result_of_the_wrong_form_is_malformed() -> None:
    body = encode_result_body(Stopping(pid=3))
    with pytest.raises(MalformedFrame, match="save") as refused:
        decode_result(Save, body)
    assert refused.value.data == {"method": "save"}


def test_a_result_with_members_of_the_future_is_read() -> None:
    body = b'{"path":"p","heads":"h","sha256":"s","changed":true,"newer":1}'
    assert decode_result(Save, body) == Saved(path="p", heads="h", sha256="s", changed=True)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_with_a_typed_error(body: bytes) -> None:
    try:
        found = decode(RPC_MAGIC + body)
    except MalformedFrame:
        return
    assert isinstance(found, Unreadable)


@given(json_values)
def test_random_json_is_refused_with_a_typed_error(value: object) -> None:
    try:
        found = decode(frame_of(value))
    except MalformedFrame:
        return
    assert isinstance(found, Unreadable)


@given(requests, st.data())
def test_a_mutated_request_is_read_or_refused(params: Params, data: st.DataObject) -> None:
    frame = bytearray(encode_request(1, params))
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(4, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(frame))
    except MalformedFrame:
        return
    assert isinstance(found, Request | Unreadable)
    if isinstance(found, Unreadable):
        assert isinstance(found.error, BadRequest | UnknownMethod)


def test_completions_travel_as_declared() -> None:
    result = Completions(matches=["é", "\U0001f6aa"], start=0, end=1)
    answer = decode(encode_result(1, result))
    assert isinstance(answer, Response)
    assert decode_result(Complete, answer.result) == result
