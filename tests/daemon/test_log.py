from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headway.daemon import log
from headway.daemon.log import level_from, open_log
from headway.errors import StoreError

LOGGER = logging.getLogger("headway.test")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    path = tmp_path / "log" / "daemon.log"
    close = open_log(path, "info")
    yield path, close
    close()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_log_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        open_log(tmp_path, "info")


def test_a_record_is_one_line_of_json_whatever_is_in_it(
    opened: tuple[Path, Callable[[], None]],
) -> None:
    path, _ = opened
    LOGGER.info("two\nlines \x1b[31m", extra={"fields": {"name": 'quote " and\r\nend \ud800'}})
    (entry,) = lines(path)
    assert entry["event"] == "two\nlines \x1b[31m"
    assert entry["name"] == 'quote " and\r\nend \ud800'
    assert (entry["level"], entry["logger"]) == ("info", "headway.test")
    assert path.read_bytes().count(b"\n") == 1
    assert b"\x1b" not in path.read_bytes()


def test_an_exception_is_told_in_the_same_line(opened: tuple[Path, Callable[[], None]]) -> None:
    path, _ = opened
    try:
        int("inner")
    except ValueError:
        LOGGER.exception("failed")
    (entry,) = lines(path)
    assert "ValueError: invalid literal" in str(entry["error"])


def test_the_file_and_its_folder_are_private(opened: tuple[Path, Callable[[], None]]) -> None:
    path, _ = opened
    LOGGER.info("a line")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_log_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    path.write_text("")
    path.chmod(0o644)
    open_log(path, "info")()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_below_the_level_is_not_written(opened: tuple[Path, Callable[[], None]]) -> None:
    path, _ = opened
    LOGGER.debug("not this")
    LOGGER.warning("but this")
    assert [entry["event"] for entry in lines(path)] == ["but this"]


def test_request_lines_of_the_server_are_not_logged_for_they_hold_the_token(
    opened: tuple[Path, Callable[[], None]],
) -> None:
    path, _ = opened
    logging.getLogger("uvicorn.error").info('"WebSocket /sync?token=secret" [accepted]')
    logging.getLogger("uvicorn.access").info("GET /sync?token=secret")
    assert path.read_bytes() == b""


def test_a_file_that_grows_past_its_bound_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "LOG_FILE_BYTES", 500)
    path = tmp_path / "daemon.log"
    close = open_log(path, "info")
    for _ in range(20):
        LOGGER.info("x" * 100)
    close()
    kept = sorted(each.name for each in tmp_path.iterdir())
    assert kept == ["daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"]
    assert all((tmp_path / name).stat().st_size <= 500 for name in kept)
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o600 for name in kept)


def test_a_closed_log_is_written_to_no_more(opened: tuple[Path, Callable[[], None]]) -> None:
    path, close = opened
    close()
    LOGGER.info("after")
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("argument", "variable", "level"),
    [
        (None, None, "info"),
        (None, "DEBUG", "debug"),
        ("error", "debug", "error"),
        (None, "loud", "info"),
    ],
)
def test_the_level_is_the_arguments_else_the_environments(
    argument: str | None, variable: str | None, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_LOG", raising=False)
    if variable is not None:
        monkeypatch.setenv("HEADWAY_LOG", variable)
    assert level_from(argument) == level
