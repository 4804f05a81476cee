"""`headway logs`: the end of a file, for people."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import LIMIT_S, Shell, interrupt
from headway.cli.logs import follow, human_line, json_line, last_lines

ENTRY = {
    "time": "2026-01-02T03:04:05.678+00:00",
    "level": "info",
    "logger": "headway.rooms",
    "event": "a notebook is open",
    "document": "nb-1",
}


def test_the_last_lines_are_given_without_one_that_is_still_written(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_bytes(b"one\ntwo\nthree\nfo")
    assert last_lines(log, 3) == (14, ["two", "three"])
    assert last_lines(log, 0)[1] == []


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "nosuch", 5) == (0, [])


def test_more_lines_than_a_machine_can_count_are_all_of_them(shell: Shell) -> None:
    assert shell.run("open", "a.ipynb").returncode == 0
    done = shell.run("logs", "-n", "9" * 20)
    assert (done.returncode, done.stderr) == (0, "")
    assert "listening" in done.stdout


def test_following_gives_what_is_added_and_begins_again_in_a_new_file(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("old\n")
    lines = follow(log, log.stat().st_size)
    with log.open("a") as file:
        file.write("added\nmore\n")
    assert [next(lines), next(lines)] == ["added", "more"]
    log.rename(tmp_path / "daemon.log.1")
    log.write_text("new\n")
    assert next(lines) == "new"


def test_a_line_is_shown_for_people() -> None:
    shown = "2026-01-02T03:04:05.678+00:00 INFO headway.rooms: a notebook is open document=nb-1"
    assert human_line(json.dumps(ENTRY)) == shown


def test_an_error_is_shown_on_lines_of_its_own_and_nothing_drives_the_terminal() -> None:
    shown = human_line(json.dumps({**ENTRY, "error": "Traceback\n\x1b[2JValueError"}))
    assert "\n    Traceback\n" in shown
    assert "\x1b" not in shown


def test_a_line_that_is_no_entry_is_shown_as_it_is() -> None:
    assert human_line("Segmentation fault") == "Segmentation fault"
    assert human_line("[1, 2]") == "[1, 2]"


def test_as_json_every_line_is_json() -> None:
    assert json_line(json.dumps(ENTRY)) == json.dumps(ENTRY)
    assert json.loads(json_line("Segmentation fault")) == {"said": "Segmentation fault"}
    assert json.loads(json_line("[1]")) == {"said": "[1]"}


def test_a_home_without_a_daemon_has_no_log_and_that_is_no_error(lonely_shell: Shell) -> None:
    done = lonely_shell.run("logs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "There is no log yet" in done.stdout


def test_the_log_of_a_daemon_is_shown_and_followed_until_ctrl_c(lonely_shell: Shell) -> None:
    assert lonely_shell.run("open", "a.ipynb").returncode == 0
    assert "listening" in lonely_shell.run("logs", "-n", "1000").stdout
    following = lonely_shell.begin("logs", "-f", "-n", "1", "--json")
    assert following.stdout is not None
    assert following.stderr is not None
    with following:
        assert json.loads(following.stdout.readline())  # It follows from here on.
        assert lonely_shell.run("stop").returncode == 0
        for line in following.stdout:
            if json.loads(line)["event"] == "ended":
                interrupt(following)
                break
        assert following.wait(LIMIT_S) == 130
        assert following.stderr.read() == b""
