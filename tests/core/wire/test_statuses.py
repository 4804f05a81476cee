"""Every error has a number in JSON-RPC and a status in HTTP."""

from __future__ import annotations

import pytest

from headway import errors
from headway.core.wire.statuses import http_status, json_rpc_code
from headway.errors import (
    BadRequest,
    Busy,
    CellNotFound,
    DeadlineExceeded,
    EngineFailure,
    FileError,
    HeadsTimeout,
    HeadwayError,
    InvalidEdit,
    MalformedFrame,
    NotExecutable,
    NotPermitted,
    StoreFailed,
    UnknownMethod,
    UpdateTooLarge,
)

EVERY = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (BadRequest, 400),
        (NotPermitted, 403),
        (UnknownMethod, 404),
        (CellNotFound, 404),
        (FileError, 409),
        (UpdateTooLarge, 413),
        (InvalidEdit, 422),
        (NotExecutable, 422),
        (HeadwayError, 500),
        (EngineFailure, 500),
        (StoreFailed, 500),
        (Busy, 503),
        (DeadlineExceeded, 504),
        (HeadsTimeout, 504),
    ],
)
def test_an_error_has_the_http_status_of_its_meaning(kind: type[HeadwayError], status: int) -> None:
    assert http_status(kind("x")) == status


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.code)
def test_every_error_has_an_error_status_and_number(kind: type[HeadwayError]) -> None:
    assert 400 <= http_status(kind("x")) < 600
    number = json_rpc_code(kind("x"))
    assert number in {-32700, -32601, -32602, -32603} or -32099 <= number <= -32000


def test_the_numbers_that_json_rpc_defines_mean_what_it_says() -> None:
    assert json_rpc_code(MalformedFrame("x")) == -32700
    assert json_rpc_code(UnknownMethod("x")) == -32601
    assert json_rpc_code(BadRequest("x")) == -32602
    assert json_rpc_code(StoreFailed("x")) == -32603


def test_an_error_that_is_not_listed_counts_as_its_ancestor() -> None:
    class Missing(CellNotFound):
        code = CellNotFound.code

    assert http_status(Missing("x")) == 404
    assert json_rpc_code(Missing("x")) == json_rpc_code(CellNotFound("x"))
