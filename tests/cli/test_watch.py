"""`headway watch`: another program's runs, seen from a terminal of its own."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from rich.console import Console

from command_line import LIMIT_S, Shell, interrupt, write_notebook
from headway.cli.stream_text import StreamText
from headway.cli.watch_report import WatchLines, watch_live
from headway.client.models import Cell
from headway.core.wire.rpc import KernelState

CELLS = (Cell("a", "code", "x = 1", status="ok"), Cell("b", "code", "\nprint('[x]')"))


@contextmanager
def watching(shell: Shell, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A watcher; ended as Ctrl-C ends it."""
    with shell.begin("watch", *arguments) as process:
        try:
            yield process
            interrupt(process)
            assert process.wait(LIMIT_S) == 130
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[bytes], end: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith(end):
        line = process.stdout.readline()
        assert line, f"it ended after {lines}"
        lines.append(line.decode().rstrip("\n"))
    return lines


def test_it_shows_what_is_there_and_then_what_another_program_runs(shell: Shell) -> None:
    write_notebook(shell.folder / "w.ipynb", "print('one')\n2", "1 / 0", "'never'")
    with watching(shell, "w.ipynb") as process:
        first = lines_until(process, "[3]")
        assert first[0].startswith("Watching w.ipynb: 3 code cells, kernel ")
        assert first[1:] == ["[1] -: print('one')", "[2] -: 1 / 0", "[3] -: 'never'"]
        assert shell.run("run", "w.ipynb").returncode == 1
        shown = [
            line for line in lines_until(process, "[2] failed") if not line.startswith("kernel ")
        ]
    assert shown[:3] == ["[1] print('one')", "    one", "    2"]
    assert shown[3].startswith("[1] ok in ")
    assert shown[4] == "[2] 1 / 0"
    assert any("ZeroDivisionError: division by zero" in line for line in shown)


def test_a_cell_that_runs_again_is_shown_again(shell: Shell) -> None:
    write_notebook(shell.folder / "again.ipynb", "import os; print('ran')")
    with watching(shell, "again.ipynb") as process:
        lines_until(process, "[1] -")
        for _ in range(2):
            assert shell.run("cell", "run", "again.ipynb", "cell-0").returncode == 0
            assert "    ran" in lines_until(process, "[1] ok")


def test_what_a_deleted_cell_ran_once_is_not_told_again(shell: Shell) -> None:
    write_notebook(shell.folder / "d.ipynb", "print('long ago')", "'b'")
    assert shell.run("cell", "run", "d.ipynb", "cell-0").returncode == 0
    assert shell.run("cell", "delete", "d.ipynb", "cell-0").returncode == 0
    done = shell.run("watch", "d.ipynb", "--until-idle")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["[1] -: 'b'"]


@pytest.mark.parametrize(
    ("options", "gone", "back"),
    [
        ((), "The daemon is gone", "The daemon is back."),
        (("--json",), '{"event":"daemon","is_there":false}', '{"event":"daemon","is_there":true}'),
    ],
)
def test_the_daemon_that_goes_and_the_one_that_comes_are_told(
    lonely_shell: Shell, options: tuple[str, ...], gone: str, back: str
) -> None:
    write_notebook(lonely_shell.folder / "w.ipynb", "1")
    with watching(lonely_shell, "w.ipynb", *options) as process:
        lines_until(process, '{"event":"watching"' if options else "[1] -")
        assert lonely_shell.run("stop").returncode == 0
        lines_until(process, gone)
        assert lonely_shell.run("open", "w.ipynb").returncode == 0
        lines_until(process, back)


def test_until_idle_ends_when_nothing_runs_and_says_how_each_cell_is(shell: Shell) -> None:
    write_notebook(shell.folder / "idle.ipynb", "'a'", "'b'")
    assert shell.run("cell", "run", "idle.ipynb", "cell-1").returncode == 0
    done = shell.run("watch", "idle.ipynb", "--until-idle")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["[1] -: 'a'", "[2] ok: 'b'"]


def test_json_has_one_event_a_line(shell: Shell) -> None:
    path = write_notebook(shell.folder / "j.ipynb", "print('said')")
    with watching(shell, "j.ipynb", "--json") as process:
        (first,) = map(json.loads, lines_until(process, '{"event":"watching"'))
        assert first["path"] == str(path)
        assert first["cells"] == [{"number": 1, "cell_id": "cell-0", "status": None}]
        assert shell.run("cell", "run", "j.ipynb", "cell-0").returncode == 0
        events = [json.loads(line) for line in lines_until(process, '{"event":"finished"')]
    told = [event for event in events if event["event"] != "kernel"]
    assert [event["event"] for event in told] == ["started", "output", "finished"]
    assert told[1]["output"] == {"output_type": "stream", "name": "stdout", "text": "said\n"}
    assert told[2]["status"] == "ok"


def test_a_notebook_that_is_not_there_is_a_mistake(shell: Shell) -> None:
    done = shell.run("watch", "nosuch.ipynb")
    assert done.returncode == 2
    assert "There is no notebook nosuch.ipynb." in done.stderr


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            msgspec.to_builtins(
                KernelState(name="python3", status="dead", incarnation=1, reason="exited\x1b[2J")
            ),
            "kernel python3 dead: exited�[2J",
        ),
        ({"name": "python3", "status": "idle"}, "kernel python3 idle"),
        ({}, "kernel - absent"),
    ],
)
def test_the_kernel_is_told_in_one_plain_line(state: dict[str, str], words: str) -> None:
    lines: list[str] = []
    WatchLines(write=lines.append).kernel(state)
    assert lines == [words]


def test_on_a_terminal_lines_stay_and_the_open_line_is_below() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system="standard")
    with watch_live(20, console) as report:
        report.watching("/far/a.ipynb", {"name": "python3", "status": "idle"}, CELLS)
        report.started(2, CELLS[1])
        stream = StreamText()
        stream.grow("[x]\n10 %")
        report.text(0, stream)
    shown = screen.getvalue()
    assert "Watching /far/a.ipynb: 2 code cells, kernel python3 idle" in shown
    assert "[x]" in shown
    assert "10 %" not in shown.rpartition("\x1b[2K")[2], "the bar is gone at the end"
