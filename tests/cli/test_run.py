"""`headway run`, from outside: processes, files, exit statuses."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import nbformat
import pytest

import headway
from command_line import LIMIT_S, Shell, read_outputs, write_notebook

# Seen from the kernel: whether the notebook's file has the outputs of the cell before.
WATCHES_THE_FILE = """
import pathlib, time
give_up_s = time.monotonic() + 30
file = pathlib.Path("watched.ipynb")
while "a line from the first cell" not in file.read_text().split('"outputs"')[1]:
    assert time.monotonic() < give_up_s, "nothing was saved while the notebook ran"
    time.sleep(0.05)
print("saw it")
"""
WAITS_FOR_A_FILE = """
import pathlib, time
give_up_s = time.monotonic() + 30
while not pathlib.Path("go.txt").exists():
    assert time.monotonic() < give_up_s
    time.sleep(0.05)
"""
WAITS = """
import time
print("waiting", flush=True)
time.sleep(300)
"""


def test_a_notebook_that_runs_well_ends_with_0_and_has_its_outputs(shell: Shell) -> None:
    path = write_notebook(shell.folder / "good.ipynb", "x = 40", "print('hello')\nx + 2")
    done = shell.run("run", "good.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    assert "    hello\n    42\n" in done.stdout
    assert "2 of 2 cells ran well. Saved to good.ipynb" in done.stdout
    first, second = read_outputs(path)
    assert first == []
    assert [output["output_type"] for output in second] == ["stream", "execute_result"]


def test_a_copy_is_run_and_the_notebook_is_left_as_it_is(shell: Shell) -> None:
    source = write_notebook(shell.folder / "in.ipynb", "print('in the copy')")
    before = source.read_bytes()
    for _ in range(2):
        assert shell.run("run", "in.ipynb", "-o", "out.ipynb").returncode == 0
        ((output,),) = read_outputs(shell.folder / "out.ipynb")
        assert output["text"] == "in the copy\n"
    assert source.read_bytes() == before
    assert sorted(path.name for path in shell.folder.iterdir()) == ["in.ipynb", "out.ipynb"]


def test_a_copy_is_of_what_the_daemon_has_and_not_of_an_older_file(shell: Shell) -> None:
    path = write_notebook(shell.folder / "in.ipynb", "print('old')")
    with headway.open(path, home=shell.home) as notebook:
        notebook.update_source(notebook.cells[0], "print('new')")
        assert notebook.confirm_sync().durability == "durable"
        assert shell.run("run", "in.ipynb", "-o", "out.ipynb").returncode == 0
    ((output,),) = read_outputs(shell.folder / "out.ipynb")
    assert output["text"] == "new\n"


def test_a_notebook_that_has_no_file_yet_is_one_for_every_command(shell: Shell) -> None:
    with headway.open(shell.folder / "new.ipynb", home=shell.home) as notebook:
        cell = notebook.add_cell("print('here')")
        notebook.confirm_sync()
        listed = shell.json("cell", "list", "new.ipynb")
        assert [each["id"] for each in listed] == [cell.id]
    done = shell.run("run", "new.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    assert "    here\n" in done.stdout


def test_a_cell_that_fails_ends_the_run_with_1_and_keeps_what_ran(shell: Shell) -> None:
    path = write_notebook(shell.folder / "bad.ipynb", "print('before')", "1 / 0", "print('after')")
    done = shell.run("run", "bad.ipynb")
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert "1 of 3 cells ran well" in done.stdout
    before, failed, after = read_outputs(path)
    assert before[0]["text"] == "before\n"
    assert failed[0]["ename"] == "ZeroDivisionError"
    assert after == []


def test_a_cell_that_ends_the_kernel_leaves_the_run_unfinished(shell: Shell) -> None:
    write_notebook(shell.folder / "exits.ipynb", "print('before')", "exit()", "print('after')")
    done = shell.run("run", "exits.ipynb")
    assert done.returncode == 1
    assert "Not every cell ran: the kernel was ended by a cell. 2 of 3 cells" in done.stdout
    assert "after" not in "".join(map(str, read_outputs(shell.folder / "exits.ipynb")))


def test_outputs_of_an_earlier_run_do_not_survive_in_cells_that_did_not_run(shell: Shell) -> None:
    write_notebook(shell.folder / "in.ipynb", "ok = True", "assert ok", "print('the end')")
    assert shell.run("run", "in.ipynb", "-o", "out.ipynb").returncode == 0
    write_notebook(shell.folder / "in.ipynb", "ok = False", "assert ok", "print('the end')")
    assert shell.run("run", "in.ipynb", "-o", "out.ipynb").returncode == 1
    assert read_outputs(shell.folder / "out.ipynb")[2] == []


def test_allow_errors_runs_the_rest_and_still_ends_with_1(shell: Shell) -> None:
    path = write_notebook(shell.folder / "bad.ipynb", "1 / 0", "print('after')")
    assert shell.run("run", "bad.ipynb", "--allow-errors").returncode == 1
    assert read_outputs(path)[1][0]["text"] == "after\n"


def test_an_error_that_a_tag_allows_is_no_failure_of_the_run(shell: Shell) -> None:
    tags = {0: "raises-exception", 1: "skip-execution"}
    path = write_notebook(shell.folder / "t.ipynb", "1 / 0", "2", "print('on')", tags=tags)
    done = shell.run("run", "t.ipynb")
    assert done.returncode == 0
    assert "2 of 2 cells ran well, 1 with an error that a tag allows." in done.stdout
    assert [len(outputs) for outputs in read_outputs(path)] == [1, 0, 1]


def test_parameters_go_after_the_tagged_cell_and_are_replaced_on_a_rerun(shell: Shell) -> None:
    path = write_notebook(
        shell.folder / "p.ipynb",
        "import math",
        "alpha = 1; name = 'a'",
        "print(alpha, name)",
        tags={1: "parameters"},
    )
    for alpha in ("0.5", "2"):
        done = shell.run("run", "p.ipynb", "-p", "alpha", alpha, "-p", "name", "it's")
        assert done.returncode == 0
        assert f"    {alpha} it's\n" in done.stdout
        cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
        tags = [cell.metadata.get("tags") for cell in cells]
        assert tags == [None, ["parameters"], ["injected-parameters"], None]
        assert cells[2].source == f'# Parameters\nalpha = {alpha}\nname = "it\'s"'


def test_outputs_are_in_the_file_while_the_notebook_still_runs(shell: Shell) -> None:
    write_notebook(
        shell.folder / "watched.ipynb", "print('a line from the ' + 'first cell')", WATCHES_THE_FILE
    )
    done = shell.run("run", "watched.ipynb")
    assert done.returncode == 0, done.stdout
    assert "saw it" in done.stdout


def test_a_cell_over_its_time_ends_the_run_with_124(shell: Shell) -> None:
    path = write_notebook(shell.folder / "slow.ipynb", "print('before')", WAITS, "print('after')")
    done = shell.run("run", "slow.ipynb", "--timeout", "0.5")
    assert done.returncode == 124
    assert "longer than 0.5 s" in done.stdout
    before, slow, after = read_outputs(path)
    assert before[0]["text"] == "before\n"
    assert slow[0]["text"] == "waiting\n"
    assert after == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_keeps_what_ran_and_ends_with_130(
    shell: Shell, number: signal.Signals
) -> None:
    path = write_notebook(shell.folder / "slow.ipynb", "print('before')", WAITS, "print('after')")
    process = shell.begin("run", "slow.ipynb", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "output" and event["output"].get("text") == "waiting\n":
                process.send_signal(number)
        assert process.wait(LIMIT_S) == 130
        assert process.stderr.read() == b""
    assert event["event"] == "summary"
    assert event["status"] == "interrupted"
    before, slow, after = read_outputs(path)
    assert before[0]["text"] == "before\n"
    assert slow[0]["text"] == "waiting\n"
    assert after == []
    assert kernel_status(shell, path) == "absent"


def test_events_are_json_in_order_and_end_with_a_summary(shell: Shell) -> None:
    write_notebook(shell.folder / "e.ipynb", "print('a')", "1 / 0", "2")
    events = shell.events("e.ipynb")
    kinds = [event["event"] for event in events]
    assert kinds == [
        "opened",
        *("started", "output", "finished"),
        *("started", "output", "finished"),
        "finished",
        "summary",
    ]
    assert [event["status"] for event in events if event["event"] == "finished"] == [
        "ok",
        "error",
        "cancelled",
    ]
    summary = events[-1]
    assert (summary["succeeded"], summary["failed"], summary["not_run"]) == (1, 1, 1)
    assert (summary["status"], summary["exit_status"]) == ("error", 1)


def test_the_kernel_is_shut_down_unless_it_was_running_before(shell: Shell) -> None:
    path = write_notebook(
        shell.folder / "k.ipynb", "try:\n    x += 1\nexcept NameError:\n    x = 1"
    )
    assert shell.run("run", "k.ipynb").returncode == 0
    assert kernel_status(shell, path) == "absent"
    assert shell.run("cell", "run", "k.ipynb", "cell-0").returncode == 0
    assert shell.run("run", "k.ipynb", "--kernel", "Python3").returncode == 0
    assert kernel_status(shell, path) == "idle"


def test_the_kernel_goes_on_when_others_run_cells_in_it_as_well(shell: Shell) -> None:
    path = write_notebook(shell.folder / "shared.ipynb", WAITS_FOR_A_FILE)
    with (
        shell.begin("run", "shared.ipynb") as running,
        headway.open(path, home=shell.home) as notebook,
    ):
        notebook.wait_until(lambda: bool(notebook.queue), timeout=LIMIT_S)
        waiting = notebook.queue_cell(notebook.add_cell("'mine'"))
        (shell.folder / "go.txt").touch()
        assert running.wait(LIMIT_S) == 0
        assert waiting.result(LIMIT_S).raise_for_error().text == "'mine'"
        assert notebook.run("'again'", timeout=LIMIT_S).raise_for_error().text == "'again'"
        assert notebook.kernel["incarnation"] == 1


def test_a_run_that_is_interrupted_leaves_the_cells_of_others_alone(shell: Shell) -> None:
    path = write_notebook(shell.folder / "ours.ipynb", WAITS, "print('after')")
    with (
        shell.begin("run", "ours.ipynb", "--json") as running,
        headway.open(path, home=shell.home) as notebook,
    ):
        assert running.stdout is not None
        events = []
        for line in running.stdout:
            events.append(json.loads(line))
            if events[-1].get("output", {}).get("text") == "waiting\n":
                theirs = notebook.queue_cell(notebook.add_cell("'theirs'"))
                running.send_signal(signal.SIGINT)
        assert running.wait(LIMIT_S) == 130
        assert events[-1]["status"] == "interrupted"
        ends = [event["status"] for event in events if event["event"] == "finished"]
        assert ends == ["error", "cancelled"]
        assert theirs.result(LIMIT_S).raise_for_error().text == "'theirs'"
        assert notebook.kernel["incarnation"] == 1
    assert read_outputs(path)[0][0]["text"] == "waiting\n"


def test_a_kernel_that_dies_ends_the_run_with_1_and_says_so(shell: Shell) -> None:
    write_notebook(shell.folder / "d.ipynb", "import os\nos._exit(3)", "print('after')")
    done = shell.run("run", "d.ipynb")
    assert done.returncode == 1
    assert "exited with status 3" in done.stdout


def test_a_notebook_without_code_runs_well(shell: Shell) -> None:
    write_notebook(shell.folder / "empty.ipynb")
    done = shell.run("run", "empty.ipynb")
    assert done.returncode == 0
    assert "0 of 0 cells ran well" in done.stdout


def test_a_long_output_is_shown_by_its_ends_and_kept_whole(shell: Shell) -> None:
    path = write_notebook(shell.folder / "l.ipynb", "for i in range(100_000): print('line', i)")
    done = shell.run("run", "l.ipynb")
    assert "    line 19\n    ... 99975 more lines ...\n    line 99995\n" in done.stdout
    ((output,),) = read_outputs(path)
    assert output["text"].splitlines() == [f"line {number}" for number in range(100_000)]
    assert "line 50000\n" in shell.run("run", "l.ipynb", "--outputs", "full").stdout
    assert "    line" not in shell.run("run", "l.ipynb", "--outputs", "none").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("nosuch.ipynb",), 2, "There is no notebook nosuch.ipynb."),
        (("text.txt",), 2, "text.txt is no notebook"),
        (("good.ipynb", "-o", "no/such/folder.ipynb"), 2, "There is no folder"),
        (("good.ipynb", "-p", "1x", "1"), 2, "must be a Python name"),
        (("good.ipynb", "--timeout", "0"), 2, "--timeout must be more than 0"),
        (("good.ipynb", "--kernel", "nosuch"), 1, 'No kernel "nosuch" is installed'),
        (("garbage.ipynb",), 1, "garbage.ipynb was not opened"),
        (("garbage.ipynb", "-o", "good.ipynb"), 1, "garbage.ipynb was not copied"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    shell: Shell, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    write_notebook(shell.folder / "good.ipynb", "1")
    (shell.folder / "text.txt").write_text("text")
    (shell.folder / "garbage.ipynb").write_text('{"cells": [')
    before = {path: path.read_bytes() for path in shell.folder.iterdir()}
    done = shell.run("run", *arguments)
    assert done.returncode == status
    assert sentence in done.stderr
    assert done.stderr.startswith("headway: ")
    assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in shell.folder.iterdir()} == before


def test_an_unknown_option_is_a_mistake_of_usage(shell: Shell) -> None:
    done = shell.run("run", "x.ipynb", "--nosuch")
    assert done.returncode == 2
    assert "--nosuch" in done.stderr
    assert "Traceback" not in done.stderr


def kernel_status(shell: Shell, path: Path) -> str:
    (status,) = (each["kernel"]["status"] for each in shell.json("ps") if each["path"] == str(path))
    return str(status)


def test_parameters_of_files_and_objects_count_less_than_those_by_name(shell: Shell) -> None:
    path = write_notebook(shell.folder / "given.ipynb", "print(a, b, repr(c), d)")
    (shell.folder / "given.json").write_text('{"a": 1, "b": 1, "c": 1, "d": [1, {"e": null}]}')
    done = shell.run(
        *("run", "given.ipynb", "-f", "given.json", "-y", '{"b": 2, "c": 2}', "-p", "c", "3"),
        *("-r", "c", "4"),
    )
    assert done.returncode == 0, done.stderr
    assert read_outputs(path)[-1][0]["text"] == "1 2 '4' [1, {'e': None}]\n"
    piped = '\ufeff{"a": 1, "b": 2, "c": "4", "d": "piped"}'
    from_a_pipe = shell.run("run", "given.ipynb", "-f", "/dev/stdin", stdin=piped)
    assert from_a_pipe.returncode == 0, from_a_pipe.stderr
    assert read_outputs(path)[-1][0]["text"] == "1 2 '4' piped\n"
    wrong = shell.run("run", "given.ipynb", "-f", "nothing.json")
    assert "nothing.json cannot be read: No such file or directory." in wrong.stderr
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
