"""What a run says, in lines and in JSON."""

from __future__ import annotations

from typing import Any

import pytest

from headway.cli.report import Beginning, JsonReport, LineReport, Summary, title_of
from headway.cli.stream_text import StreamText
from headway.client.models import Cell, CellError, ExecutionResult

BEGINNING = Beginning(path="/far/away.ipynb", document="nb-1", kernel="python3", cells=10)
CELL = Cell("c1", "code", "\n  \nprint('hello')\nmore")
SUMMARY = Summary("/far/away.ipynb", "ok", 0, 10, 10, 0, 0, 1.5, "All ran well.")


def result(status: str = "ok", **named: Any) -> ExecutionResult:
    values: dict[str, Any] = {
        "execution_id": "e1",
        "cell_id": "c1",
        "status": status,
        "outputs": (),
        "text": "",
        "error": None,
        "execution_count": 1,
        "source_sha256": "00",
        "heads": "",
        "started_s": 100.0,
        "finished_s": 101.25,
        **named,
    }
    return ExecutionResult(**values)


def stream_of(text: str) -> StreamText:
    stream = StreamText()
    stream.begin_again("stdout")
    stream.become((), text)
    return stream


def test_a_cell_is_told_in_lines() -> None:
    lines: list[str] = []
    with LineReport(write=lines.append) as report:
        report.opened(BEGINNING)
        report.started(3, CELL)
        report.text(0, stream := stream_of("one\ntw"))
        stream.grow("o\n")
        report.text(0, stream)
        report.output(1, {"output_type": "execute_result", "data": {"text/plain": "42"}})
        report.finished(3, result())
        report.ended(SUMMARY)
    assert lines == [
        "Running /far/away.ipynb: 10 code cells, kernel python3",
        "[ 3/10] print('hello')",
        "    one",
        "    two",
        "    42",
        "[ 3/10] ok in 1.2 s",
        "All ran well.",
    ]


def test_a_line_without_an_end_is_told_when_something_follows_it() -> None:
    lines: list[str] = []
    report = LineReport(write=lines.append)
    report.opened(BEGINNING)
    report.started(1, CELL)
    report.text(0, stream := stream_of("50 %"))
    stream.become((), "100 %")
    report.text(0, stream)
    report.output(1, {"output_type": "error", "traceback": ["Oops"]})
    report.finished(1, result("error"))
    assert lines[2:] == ["    100 %", "    Oops", "[ 1/10] failed in 1.2 s"]


def test_a_cell_that_never_began_is_not_told_in_lines() -> None:
    lines: list[str] = []
    LineReport(write=lines.append).finished(1, result("cancelled", started_s=None))
    assert lines == []


def test_the_reason_of_an_end_is_told() -> None:
    lines: list[str] = []
    report = LineReport(write=lines.append)
    report.opened(BEGINNING)
    report.started(1, CELL)
    report.finished(1, result("lost", reason="the kernel\nended"))
    assert lines[-1] == "[ 1/10] lost in 1.2 s: the kernel ended"


def test_json_has_new_text_alone_and_whole_text_where_it_was_rewritten() -> None:
    events: list[dict[str, Any]] = []
    with JsonReport(events.append) as report:
        report.started(1, CELL)
        report.text(0, stream := stream_of("a"))
        stream.grow("b")
        report.text(0, stream)
        stream.become((), "c")
        report.text(0, stream)
    told = [(event["event"], event["output"]["text"]) for event in events[1:]]
    assert told == [("output", "a"), ("output", "b"), ("replaced", "c")]


def test_json_tells_an_end_with_its_error() -> None:
    events: list[dict[str, Any]] = []
    report = JsonReport(events.append)
    report.finished(1, result("error", error=CellError("ValueError", "bad", ())))
    report.ended(SUMMARY)
    assert events[0]["error"] == {"ename": "ValueError", "evalue": "bad"}
    assert events[0]["elapsed_s"] == 1.25
    assert events[1]["event"] == "summary"
    assert events[1]["exit_status"] == 0


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("", "(empty)"),
        ("x = 1", "x = 1"),
        ("\n\n  y\n", "y"),
        ("a\tb\x1b[2J", "a b�[2J"),
        ("👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_a_cell_is_called_by_its_first_line(source: str, title: str) -> None:
    assert title_of(source) == title
