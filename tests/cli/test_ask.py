"""One question to the daemon."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headway.cli.ask import answers, ask
from headway.core.wire.rpc import Status, Stop, Stopping
from headway.errors import (
    ConnectionLost,
    DaemonUnavailable,
    DeadlineExceeded,
    NotPermitted,
    RequestFailed,
)

LIMIT_S = 30


@contextmanager
def daemon_that_says(answer: bytes) -> Iterator[Path]:
    """A socket that answers its one connection with these bytes and closes it."""
    with tempfile.TemporaryDirectory(prefix="headway-ask-") as folder:
        path = Path(folder) / "s"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen(1)

            def serve() -> None:
                connection, _ = listening.accept()
                with connection:
                    request = b""
                    while not request.endswith(b"{}"):  # the body comes last
                        request += connection.recv(65_536)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            yield path
            thread.join(LIMIT_S)


def http(status: str, body: object) -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(text), text)


def test_an_answer_is_the_methods_result() -> None:
    with daemon_that_says(http("200 OK", {"pid": 7})) as path:
        assert ask(path, Stop()) == Stopping(pid=7)


def test_a_refusal_is_the_daemons_typed_error() -> None:
    error = {"code": "NOT_PERMITTED", "message": "No.", "data": {"why": "because"}}
    with (
        daemon_that_says(http("403 Forbidden", {"error": error})) as path,
        pytest.raises(NotPermitted, match="No") as caught,
    ):
        ask(path, Stop())
    assert caught.value.data == {"why": "because"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", ConnectionLost),
        (b"garbage\r\n\r\n", ConnectionLost),
        (http("500 Oh", "no object"), RequestFailed),
        (http("200 OK", {"pid": "seven"}), RequestFailed),
    ],
)
def test_whatever_else_is_said_is_a_typed_error(answer: bytes, kind: type[Exception]) -> None:
    with daemon_that_says(answer) as path, pytest.raises(kind):
        ask(path, Stop())


def test_nobody_there_is_a_typed_error(tmp_path: Path) -> None:
    assert not answers(tmp_path / "nobody")
    with pytest.raises(DaemonUnavailable, match="No daemon listens"):
        ask(tmp_path / "nobody", Status())


def test_a_daemon_that_does_not_answer_is_a_time_that_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headway.cli.ask.ANSWER_TIMEOUT_S", 0.05)
    with tempfile.TemporaryDirectory(prefix="headway-ask-") as folder:
        path = Path(folder) / "s"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen(1)
            with pytest.raises(DeadlineExceeded, match="did not answer within") as caught:
                ask(path, Status(timeout_s=0.05))
    assert caught.value.exit_status == 124


def test_a_home_that_may_not_be_looked_into_is_not_one_without_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # root may look into everything, and tests run as root
    monkeypatch.setattr("headway.cli.ask._UnixConnection.connect", refused)
    with pytest.raises(NotPermitted, match="cannot be reached: Permission denied"):
        ask(tmp_path / "s", Status())
