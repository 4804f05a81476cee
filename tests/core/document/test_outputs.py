from __future__ import annotations

import hashlib
import json
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document import outputs
from headway.core.document.execution import MAX_ERRORS
from headway.core.document.forms import SEALED_BLOB_CHARACTERS, file_form
from headway.core.document.mime import resolve
from headway.core.document.notices import MAX_OUTPUTS, OUTPUT_QUOTA_BYTES, marker_text
from headway.core.document.operations import (
    AppendOutput,
    ClearOutputs,
    ExtendText,
    OutputOperation,
    ReplaceOutput,
    SealText,
)
from headway.core.document.outputs import MAX_ERROR_BYTES, MAX_FINISHED, OutputAssembler
from headway.core.document.terminal import TerminalText

Outputs = dict[str, list[dict[str, Any]]]


class Document:
    """Applies operations to plain lists, as the runtime document does to its containers."""

    def __init__(self) -> None:
        self.outputs: Outputs = {}
        self.blobs: dict[str, bytes] = {}
        self.applied: list[OutputOperation] = []

    def take(self, assembler: OutputAssembler) -> Document:
        taken = assembler.take()
        for sha256, data in taken.blobs:
            assert hashlib.sha256(data).hexdigest() == sha256
            self.blobs[sha256] = data
        for execution_id, operations in taken.operations.items():
            outputs = self.outputs.setdefault(execution_id, [])
            for operation in operations:
                self.apply(outputs, operation)
        return self

    def apply(self, outputs: list[dict[str, Any]], operation: OutputOperation) -> None:
        self.applied.append(operation)
        match operation:
            case AppendOutput(output):
                outputs.append(json.loads(json.dumps(output)))
            case ExtendText(index, delete_tail, insert):
                text = outputs[index]["text"]
                assert 0 <= delete_tail <= len(text)
                outputs[index]["text"] = text[: len(text) - delete_tail] + insert
            case SealText(index, references, text):
                outputs[index]["sealed"] += references
                outputs[index]["text"] = text
            case ReplaceOutput(index, output):
                outputs[index] = output
            case ClearOutputs():
                outputs.clear()

    def shown(self) -> Outputs:
        """Per execution, its outputs as a file would have them."""
        return {
            execution_id: [resolve(file_form(output), self.blobs.__getitem__) for output in outputs]
            for execution_id, outputs in self.outputs.items()
            if outputs
        }

    def texts(self, execution_id: str = "e") -> list[str]:
        return [output["text"] for output in self.shown().get(execution_id, [])]


class Model:
    """What the outputs should be, without quotas: nothing is remembered but the events."""

    def __init__(self) -> None:
        self.outputs: Outputs = {}
        self.raw: dict[int, str] = {}
        self.waiting: set[str] = set()
        self.displays: dict[str, list[dict[str, Any]]] = {}

    def feed(self, event: tuple[Any, ...]) -> None:
        kind, execution_id, *values = event
        outputs = self.outputs.setdefault(execution_id, [])
        if kind == "update":
            display_id, data = values
            for output in self.displays.get(display_id, []):
                output["data"] = data
            return
        if kind == "clear":
            if values[0]:
                self.waiting.add(execution_id)
            else:
                self.waiting.discard(execution_id)
                outputs.clear()
            return
        if execution_id in self.waiting:
            self.waiting.discard(execution_id)
            outputs.clear()
        if kind == "stream":
            name, text = values
            if not outputs or outputs[-1].get("name") != name:
                outputs.append({"output_type": "stream", "name": name, "text": ""})
            outputs[-1]["text"] += text
        elif kind == "display":
            data, display_id = values
            outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
            if display_id:
                self.displays.setdefault(display_id, []).append(outputs[-1])
        else:
            outputs.append(
                {"output_type": "error", "ename": "E", "evalue": values[0], "traceback": ["t"]}
            )

    def shown(self) -> Outputs:
        return {
            execution_id: [
                {**output, "text": rendered(output["text"])} if "text" in output else output
                for output in outputs
            ]
            for execution_id, outputs in self.outputs.items()
            if outputs
        }


def rendered(text: str) -> str:
    terminal = TerminalText()
    return terminal.feed(text) + terminal.line


def feed(assembler: OutputAssembler, event: tuple[Any, ...]) -> None:
    kind, execution_id, *values = event
    if kind == "stream":
        assembler.stream(execution_id, *values)
    elif kind == "display":
        assembler.display(execution_id, values[0], {}, values[1])
    elif kind == "update":
        assembler.update_display(values[0], values[1], {})
    elif kind == "clear":
        assembler.clear(execution_id, wait=values[0])
    else:
        assembler.error(execution_id, "E", values[0], ["t"])


executions = st.sampled_from(["e", "f"])
texts = st.sampled_from(
    ["a", "line\n", "\r50%", "\b", "é漢", "\x1b[31m", "\x1b[", "0m", "x" * 700, "y\n" * 900]
) | st.just("z" * 40_000 + "\n")
bundles = st.sampled_from(
    [
        {"text/plain": "small"},
        {"text/plain": "b" * 3000},
        {"image/png": "iVBORw=="},
        {"application/json": {"blob": "x", "size": 1}},
        {"application/json": {"deep": [[1.5, True, None]]}},
    ]
)
display_ids = st.sampled_from([None, "d1", "d2"])
events = st.one_of(
    st.tuples(st.just("stream"), executions, st.sampled_from(["stdout", "stderr"]), texts),
    st.tuples(st.just("stream"), executions, st.just("stdout"), texts),
    st.tuples(st.just("display"), executions, bundles, display_ids),
    st.tuples(st.just("update"), executions, st.sampled_from(["d1", "d2"]), bundles),
    st.tuples(st.just("clear"), executions, st.booleans()),
    st.tuples(st.just("error"), executions, st.just("value")),
)
steps = st.lists(st.tuples(events, st.booleans()), max_size=40)


@given(steps)
def test_whenever_it_is_taken_the_outputs_are_what_the_events_say(
    given_steps: list[tuple[tuple[Any, ...], bool]],
) -> None:
    often, once, model = OutputAssembler(), OutputAssembler(), Model()
    document = Document()
    for event, take in given_steps:
        feed(often, event)
        feed(once, event)
        model.feed(event)
        if take:
            document.take(often)
            assert document.shown() == model.shown()
    assert document.take(often).shown() == Document().take(once).shown() == model.shown()


@given(steps, st.integers(0, 3000))
def test_with_a_quota_too_takes_make_no_difference(
    given_steps: list[tuple[tuple[Any, ...], bool]], quota: int
) -> None:
    often, once = OutputAssembler(quota), OutputAssembler(quota)
    document = Document()
    for event, take in given_steps:
        feed(often, event)
        feed(once, event)
        if take:
            document.take(often)
    for assembler in (often, once):
        assembler.finish("e")
        assembler.finish("f")
    assert document.take(often).shown() == Document().take(once).shown()


@given(st.lists(st.text("aé漢\n", min_size=1, max_size=30), max_size=30), st.integers(0, 200))
def test_the_marker_counts_every_byte_left_out(pieces: list[str], quota: int) -> None:
    assembler, document = OutputAssembler(quota), Document()
    for piece in pieces:
        assembler.stream("e", "stdout", piece)
        document.take(assembler)
    assembler.finish("e")
    texts = document.take(assembler).texts()
    whole = "".join(pieces)
    kept = texts[0] if texts else ""
    assert whole.startswith(kept)
    left_out = len(whole.encode()) - len(kept.encode())
    assert len(kept.encode()) <= quota
    assert texts[1:] == ([marker_text(left_out, quota)] if left_out else [])


@given(steps, st.integers(0, 3000))
def test_once_it_is_full_text_and_displays_change_nothing_but_the_marker(
    given_steps: list[tuple[tuple[Any, ...], bool]], quota: int
) -> None:
    assembler, document = OutputAssembler(quota), Document()
    for event, _ in given_steps:
        before = without_markers(document)
        only_counts = assembler.is_full(event[1]) and event[0] in {"stream", "display"}
        feed(assembler, event)
        document.take(assembler)
        if only_counts:
            assert without_markers(document) == before
            assert assembler.is_full(event[1])


def without_markers(document: Document) -> Outputs:
    return {
        execution_id: [
            output for output in outputs if "left out" not in str(output.get("text", ""))
        ]
        for execution_id, outputs in document.shown().items()
    }


def test_it_is_full_from_the_first_byte_left_out_until_it_is_cleared() -> None:
    assembler, document = OutputAssembler(5), Document()
    assert not assembler.is_full("e")
    assembler.stream("e", "stdout", "12345\n")
    document.take(assembler)
    assert assembler.is_full("e")
    assembler.clear("e", wait=True)
    assert not assembler.is_full("e"), "what comes next is shown"
    assembler.stream("e", "stdout", "1")
    assert document.take(assembler).texts() == ["1"]
    assembler.stream("e", "stdout", "23456\n")
    document.take(assembler)
    assert assembler.is_full("e")
    assembler.finish("e")
    assert not assembler.is_full("e"), "nobody tells the file of its end any more"


def test_a_progress_bar_of_a_thousand_updates_ends_as_one_line_in_few_operations() -> None:
    assembler, document = OutputAssembler(), Document()
    for i in range(1001):
        assembler.stream("e", "stderr", f"\r{i / 10:.0f}%|{'█' * (i // 100)}| {i}/1000")
        if i % 100 == 0:
            document.take(assembler)
    assert document.take(assembler).texts() == [f"100%|{'█' * 10}| 1000/1000"]
    assert len(document.applied) == 11
    assert sum(len(o.insert) for o in document.applied if isinstance(o, ExtendText)) < 300


def test_nothing_new_is_nothing_to_do() -> None:
    assembler = OutputAssembler()
    assert not assembler.take()
    assembler.stream("e", "stdout", "")
    assert not assembler.has_news
    assembler.stream("e", "stdout", "a")
    assert assembler.has_news
    assert assembler.take()
    assert not assembler.take()


def test_interleaved_streams_keep_their_order() -> None:
    assembler = OutputAssembler()
    for name, text in [("stdout", "1"), ("stderr", "2"), ("stdout", "3"), ("stdout", "4")]:
        assembler.stream("e", name, text)
    assert Document().take(assembler).texts() == ["1", "2", "34"]


def test_a_waiting_clear_takes_effect_with_the_next_output() -> None:
    assembler, document = OutputAssembler(), Document()
    assembler.stream("e", "stdout", "old")
    assembler.clear("e", wait=True)
    assert document.take(assembler).texts() == ["old"]
    assembler.stream("e", "stdout", "new")
    assert document.take(assembler).texts() == ["new"]
    assert document.applied[1] == ClearOutputs()


def test_what_was_cleared_before_a_take_was_never_written() -> None:
    assembler, document = OutputAssembler(), Document()
    for frame in range(100):
        assembler.clear("e", wait=True)
        assembler.display("e", {"image/png": "A" * 4000 + f"{frame:04}"}, {})
    document.take(assembler)
    assert len(document.applied) == 1
    assert len(document.blobs) == 1


def test_an_animation_of_cleared_frames_never_uses_up_the_quota() -> None:
    assembler, document = OutputAssembler(10_000), Document()
    for frame in range(20):
        assembler.clear("e", wait=True)
        assembler.display("e", {"text/plain": f"{frame}" * 4000}, {})
    assert document.take(assembler).shown()["e"][0]["data"] == {"text/plain": "19" * 4000}


def test_an_update_reaches_every_display_also_of_finished_executions() -> None:
    assembler, document = OutputAssembler(), Document()
    assembler.display("e", {"text/plain": "1"}, {}, "d")
    assembler.finish("e")
    assembler.result("f", {"text/plain": "1"}, {}, 7, "d")
    document.take(assembler)
    assembler.update_display("d", {"text/plain": "2" * 2000}, {"m": 1})
    taken = document.take(assembler)
    assert taken.outputs["f"][0]["execution_count"] == 7
    assert taken.outputs["e"][0]["transient"] == {"display_id": "d"}
    for execution_id in ("e", "f"):
        (output,) = taken.shown()[execution_id]
        assert output["data"] == {"text/plain": "2" * 2000}
        assert output["metadata"] == {"m": 1}


def test_an_update_of_a_cleared_or_unknown_display_changes_nothing() -> None:
    assembler, document = OutputAssembler(), Document()
    assembler.display("e", {"text/plain": "1"}, {}, "d")
    assembler.clear("e", wait=False)
    assembler.update_display("d", {"text/plain": "2"}, {})
    assembler.update_display("unknown", {"text/plain": "2"}, {})
    assert document.take(assembler).shown() == {}


def test_of_endless_display_ids_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_DISPLAY_IDS", 2)
    assembler, document = OutputAssembler(), Document()
    for display_id in "abc":
        assembler.display("e", {"text/plain": "1"}, {}, display_id)
    for display_id in "abc":
        assembler.update_display(display_id, {"text/plain": "2"}, {})
    shown = document.take(assembler).shown()["e"]
    assert [each["data"]["text/plain"] for each in shown] == ["1", "2", "2"]


def test_large_values_and_long_text_leave_the_document() -> None:
    assembler, document = OutputAssembler(), Document()
    lines = "".join(f"line {i}\n" for i in range(50_000))
    assembler.stream("e", "stdout", lines)
    assembler.display("e", {"image/png": "A" * 100_000, "text/plain": "<Figure>"}, {})
    document.take(assembler)
    stream, figure = document.outputs["e"]
    assert len(stream["sealed"]) == len(lines) // SEALED_BLOB_CHARACTERS == 2
    assert len(stream["text"]) == len(lines) % SEALED_BLOB_CHARACTERS
    assert len(json.dumps(document.outputs)) < 2 * len(stream["text"])
    assert figure["data"]["text/plain"] == "<Figure>"
    assert set(figure["data"]["image/png"]) == {"blob", "size"}
    shown = document.shown()["e"]
    assert shown[0]["text"] == lines
    assert shown[1]["data"]["image/png"] == "A" * 100_000


def test_text_that_grows_is_sealed_piece_by_piece() -> None:
    assembler, document = OutputAssembler(), Document()
    for i in range(2_000):
        assembler.stream("e", "stdout", f"{i:0100}\n")
        document.take(assembler)
        assert len(document.outputs["e"][0]["text"]) <= 65_536 + 101
    assert document.texts() == ["".join(f"{i:0100}\n" for i in range(2_000))]
    assert len(document.outputs["e"][0]["sealed"]) == 3


def test_many_closed_streams_do_not_fill_the_document() -> None:
    assembler, document = OutputAssembler(), Document()
    for i in range(100):
        assembler.stream("e", ("stdout", "stderr")[i % 2], "x" * 50_000 + "\n")
    document.take(assembler)
    assert len(json.dumps(document.outputs)) < 400_000
    assert document.texts() == ["x" * 50_000 + "\n"] * 100


def test_an_error_is_shown_also_when_the_quota_is_used_up() -> None:
    assembler, document = OutputAssembler(10), Document()
    assembler.stream("e", "stdout", "0123456789\n")
    assembler.error("e", "ValueError", "no", ["a", "b"])
    assembler.stream("e", "stdout", "late\n")
    shown = document.take(assembler).shown()["e"]
    assert [output["output_type"] for output in shown] == ["stream", "stream", "error"]
    assert shown[0]["text"] == "0123456789"
    assert shown[1]["text"] == marker_text(1 + 5, 10)


def test_endless_outputs_and_errors_are_bounded_by_number() -> None:
    assembler, document = OutputAssembler(), Document()
    for i in range(MAX_OUTPUTS + 10):
        assembler.stream("e", ("stdout", "stderr")[i % 2], "x")
    for _ in range(MAX_ERRORS + 10):
        assembler.error("e", "E", "v", [])
    shown = document.take(assembler).shown()["e"]
    assert len(shown) == MAX_OUTPUTS + 1 + MAX_ERRORS
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}
    left_out = 10 + 10 * len(json.dumps(error, separators=(",", ":")))
    assert shown[MAX_OUTPUTS]["text"] == marker_text(left_out, OUTPUT_QUOTA_BYTES)


def test_a_long_traceback_keeps_its_last_lines_and_says_so() -> None:
    assembler, document = OutputAssembler(), Document()
    assembler.error("e", "E", "v" * (MAX_ERROR_BYTES + 5), [f"{i:099}\n" for i in range(1000)])
    (error,) = document.take(assembler).shown()["e"]
    assert error["traceback"][-1] == f"{999:099}\n"
    kept = sum(len(line) for line in error["traceback"][1:])
    assert f"{100_000 - kept:,} bytes" in error["traceback"][0]
    assert error["evalue"].endswith("v [Headway left out 5 bytes.]")


def test_lone_surrogates_and_nan_never_reach_the_document() -> None:
    assembler, document = OutputAssembler(), Document()
    assembler.stream("e", "stdout", "a\ud800b")
    assembler.display("e", {"application/json": {"x": float("nan")}}, {})
    shown = document.take(assembler).shown()["e"]
    assert shown[0]["text"] == "a\ufffdb"
    assert shown[1]["data"] == {"application/json": {"x": None}}


def test_late_output_is_taken_until_the_execution_is_forgotten() -> None:
    assembler, document = OutputAssembler(), Document()
    assembler.stream("e", "stdout", "a")
    assembler.finish("e")
    document.take(assembler)
    assembler.stream("e", "stdout", "b")
    assert document.take(assembler).texts() == ["a", "b"]
    for i in range(MAX_FINISHED):
        assembler.stream(f"other {i}", "stdout", "x")
        assembler.finish(f"other {i}")
    assembler.take()
    assembler.stream("e", "stdout", "c")
    assert not assembler.take()


@pytest.mark.parametrize("take_each", [False, True])
def test_fifty_megabytes_in_fifty_writes_are_no_more_work_than_hashing_them(
    take_each: bool,
) -> None:
    lines = ("0123456789" * 9 + "\n") * 11_500
    assembler = OutputAssembler()
    started = perf_counter()
    for _ in range(50):
        assembler.stream("e", "stdout", lines)
        if take_each:
            assembler.take()
    assembler.take()
    spent = perf_counter() - started
    started = perf_counter()
    hashlib.sha256(lines.encode() * 50).hexdigest()
    hashing = perf_counter() - started
    print(f"{spent * 1000:.0f} ms, hashing {hashing * 1000:.0f} ms")
    assert spent < hashing + 0.5


def test_ten_thousand_prints_take_about_ten_milliseconds() -> None:
    assembler = OutputAssembler()
    started = perf_counter()
    for _ in range(10_000):
        assembler.stream("e", "stdout", "hello\n")
    taken = assembler.take()
    spent = perf_counter() - started
    print(f"{spent * 1000:.1f} ms")
    assert len(taken.operations["e"]) == 1
    assert spent < 0.1
