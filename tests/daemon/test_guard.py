from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from headway.daemon.guard import Guard, load_token
from headway.errors import StoreError

HOSTS = frozenset({"localhost:1", "127.0.0.1:1", "[::1]:1"})
TOKEN = "t" * 43


def outcome(
    headers: list[tuple[bytes, bytes]], kind: str = "websocket", query: bytes = b""
) -> int | str:
    """The status of a refusal, or `passed`."""
    sent: list[MutableMapping[str, Any]] = []
    passed: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        passed.append("passed")

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing of a refused request may be read")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": kind, "headers": headers, "query_string": query}
    asyncio.run(Guard(application, TOKEN, HOSTS)(scope, receive, send))
    return "passed" if passed else int(sent[0]["status"]) if sent else "ignored"


HOST = (b"host", b"localhost:1")
BEARER = (b"authorization", b"Bearer " + TOKEN.encode())


@pytest.mark.parametrize("host", [b"localhost:1", b"LOCALHOST:1", b"127.0.0.1:1", b"[::1]:1"])
def test_every_name_of_this_machine_with_the_port_is_ours(host: bytes) -> None:
    assert outcome([(b"host", host), BEARER]) == "passed"


@pytest.mark.parametrize("host", [b"localhost", b"localhost:2", b"localhost:1.", b"", b"a@[::1]:1"])
def test_any_other_host_is_refused(host: bytes) -> None:
    assert outcome([(b"host", host), BEARER]) == 403


def test_no_host_or_two_hosts_are_refused() -> None:
    assert outcome([BEARER]) == 403
    assert outcome([HOST, HOST, BEARER]) == 403


def test_two_origins_of_which_one_is_foreign_are_refused() -> None:
    own, foreign = (b"origin", b"http://localhost:1"), (b"origin", b"http://evil.example")
    assert outcome([HOST, own, BEARER]) == "passed"
    assert outcome([HOST, own, foreign, BEARER]) == 403
    assert outcome([HOST, foreign, own, BEARER]) == 403


def test_one_token_is_shown_exactly_once() -> None:
    token = b"token=" + TOKEN.encode()
    assert outcome([HOST], query=token) == "passed"
    assert outcome([HOST], query=token + b"&" + token) == 401
    assert outcome([HOST, BEARER], query=token) == 401
    assert outcome([HOST], query=b"token=%ff%fe") == 401
    assert outcome([HOST, (b"authorization", b"Bearer \xff\xfe")]) == 401


def test_a_token_in_the_query_does_not_open_http() -> None:
    assert outcome([HOST], kind="http", query=b"token=" + TOKEN.encode()) == 401
    assert outcome([HOST, BEARER], kind="http") == "passed"


def test_what_is_neither_http_nor_a_websocket_is_not_passed_on() -> None:
    assert outcome([HOST, BEARER], kind="lifespan") == "ignored"


def test_a_token_is_made_once_private_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = load_token(path)
    assert len(token) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_token(path) == token
    assert load_token(tmp_path / "another") != token


def test_a_token_that_others_can_read_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "token"
    load_token(path)
    path.chmod(0o640)
    with pytest.raises(StoreError, match="Others can read"):
        load_token(path)


def test_an_empty_token_file_is_what_a_crash_left_and_gets_a_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    token = load_token(path)
    assert len(token) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_token(path) == token


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_crash_while_the_token_is_made_leaves_none_and_the_next_daemon_makes_it(
    tmp_path: Path, call: str
) -> None:
    path = tmp_path / "token"
    program = (
        "import os, signal, sys, pathlib\n"
        "from headway.daemon.guard import load_token\n"
        "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "class Dying:\n"
        "    def __init__(self, descriptor, *_, **__): self.descriptor = descriptor\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *_): pass\n"
        "    write = die\n"
        "match sys.argv[2]:\n"
        "    case 'write': os.fdopen = Dying\n"
        "    case 'fsync': os.fsync = die\n"
        "    case 'rename': pathlib.Path.rename = die\n"
        "load_token(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path), call], timeout=20)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    token = load_token(path)
    assert load_token(path) == token
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


def test_a_folder_where_no_token_can_be_made_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be made"):
        load_token(tmp_path / "missing" / "token")


def test_a_token_file_with_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("\n")
    with pytest.raises(StoreError, match="does not hold a token"):
        load_token(path)


def test_a_token_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    load_token(tmp_path / "real")
    (tmp_path / "token").symlink_to(tmp_path / "real")
    with pytest.raises(StoreError, match="cannot be read"):
        load_token(tmp_path / "token")
