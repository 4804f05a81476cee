"""Reading and writing Jupyter's messages."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.kernel import events as kernel_events
from headway.core.kernel.ipykernel import is_ipykernel, prepare_request
from headway.core.kernel.jupyter import read_message
from headway.core.kernel.requests import (
    complete_request,
    execute_request,
    history_request,
    inspect_request,
)

E = "0190-execution"


def message(kind: str, content: Any, parent: str | None = E) -> dict[str, Any]:
    return {
        "header": {"msg_id": "m", "msg_type": kind},
        "parent_header": {} if parent is None else {"msg_id": parent},
        "content": content,
        "metadata": {},
    }


BUNDLE: dict[str, Any] = {"data": {"text/plain": "x"}, "metadata": {"a": 1}}
SHOWN = {"transient": {"display_id": "d"}}

KNOWN = [
    ("status", {"execution_state": "busy"}, kernel_events.Busy(E)),
    ("status", {"execution_state": "idle"}, kernel_events.Idle(E)),
    ("execute_input", {"code": "x", "execution_count": 3}, kernel_events.ExecuteInput(E, 3)),
    ("stream", {"name": "stderr", "text": "t"}, kernel_events.Stream(E, "stderr", "t")),
    ("stream", {"name": "other", "text": "t"}, kernel_events.Stream(E, "stdout", "t")),
    (
        "display_data",
        BUNDLE,
        kernel_events.DisplayData(E, BUNDLE["data"], BUNDLE["metadata"], None),
    ),
    (
        "display_data",
        BUNDLE | SHOWN,
        kernel_events.DisplayData(E, BUNDLE["data"], BUNDLE["metadata"], "d"),
    ),
    (
        "execute_result",
        BUNDLE | {"execution_count": 4},
        kernel_events.ExecuteResult(E, BUNDLE["data"], BUNDLE["metadata"], 4, None),
    ),
    (
        "update_display_data",
        BUNDLE | SHOWN,
        kernel_events.UpdateDisplay(E, BUNDLE["data"], BUNDLE["metadata"], "d"),
    ),
    ("clear_output", {"wait": True}, kernel_events.ClearOutput(E, wait=True)),
    ("clear_output", {}, kernel_events.ClearOutput(E, wait=False)),
    (
        "error",
        {"ename": "N", "evalue": "v", "traceback": ["a", "b"]},
        kernel_events.ErrorOutput(E, "N", "v", ("a", "b")),
    ),
    (
        "execute_reply",
        {"status": "ok", "execution_count": 2},
        kernel_events.ExecuteReply(E, "ok", 2),
    ),
    (
        "execute_reply",
        {"status": "error", "execution_count": 2, "ename": "N", "evalue": "v"},
        kernel_events.ExecuteReply(E, "error", 2, "N", "v"),
    ),
    ("execute_reply", {"status": "abort"}, kernel_events.ExecuteReply(E, "aborted", None)),
    (
        "input_request",
        {"prompt": "? ", "password": True},
        kernel_events.InputRequest(E, "? ", password=True),
    ),
    (
        "kernel_info_reply",
        {"protocol_version": "5.3", "banner": "b", "language_info": {"name": "python"}},
        kernel_events.KernelInfo("python", {"name": "python"}, "5.3", "b"),
    ),
    (
        "complete_reply",
        {"status": "ok", "matches": ["ab"], "cursor_start": 0, "cursor_end": 1},
        kernel_events.CompleteReply(E, ("ab",), 0, 1),
    ),
    ("complete_reply", {"status": "error"}, kernel_events.CompleteReply(E, (), 0, 0)),
    (
        "complete_reply",
        {
            "status": "ok",
            "matches": ["print"],
            "cursor_start": 0,
            "cursor_end": 3,
            "metadata": {
                "_jupyter_types_experimental": [
                    {
                        "start": 0,
                        "end": 3,
                        "text": "print",
                        "type": "function",
                        "signature": "(value)",
                    }
                ]
            },
        },
        kernel_events.CompleteReply(
            E,
            ("print",),
            0,
            3,
            (kernel_events.Completion("print", 0, 3, "function", "(value)"),),
        ),
    ),
    (
        "complete_reply",
        {
            "status": "ok",
            "matches": ["a"],
            "cursor_start": 0,
            "cursor_end": 1,
            "metadata": {"_jupyter_types_experimental": [{"text": "a"}]},
        },
        kernel_events.CompleteReply(E, ("a",), 0, 1),
    ),
    (
        "is_complete_reply",
        {"status": "incomplete", "indent": "  "},
        kernel_events.IsCompleteReply(E, "incomplete", "  "),
    ),
    ("is_complete_reply", {"status": "odd"}, kernel_events.IsCompleteReply(E, "unknown")),
    (
        "history_reply",
        {"status": "ok", "history": [[1, 2, "a"], [1, 3, ["b", "4"]], "odd", [1, 4, ["c", None]]]},
        kernel_events.HistoryReply(
            E,
            (
                kernel_events.HistoryInput(1, 2, "a"),
                kernel_events.HistoryInput(1, 3, "b", "4"),
                kernel_events.HistoryInput(1, 4, "c"),
            ),
        ),
    ),
    ("history_reply", {"status": "error"}, kernel_events.HistoryReply(E, ())),
    (
        "inspect_reply",
        {"status": "ok", "found": True} | BUNDLE,
        kernel_events.InspectReply(E, found=True, data=BUNDLE["data"]),
    ),
    (
        "inspect_reply",
        {"status": "ok", "found": False},
        kernel_events.InspectReply(E, found=False, data={}),
    ),
]
KINDS = sorted({kind for kind, _, _ in KNOWN})


@pytest.mark.parametrize(("kind", "content", "event"), KNOWN)
def test_each_known_message_gives_its_event(
    kind: str, content: dict[str, Any], event: kernel_events.KernelEvent
) -> None:
    assert read_message(message(kind, content)) == (event,)


def test_an_event_of_no_request_names_no_execution() -> None:
    text = {"name": "stdout", "text": "from a thread"}
    read = read_message(message("stream", text, parent=None))
    assert read == (kernel_events.Stream(None, "stdout", "from a thread"),)


def test_a_kernel_that_says_it_starts_gives_nothing() -> None:
    assert read_message(message("status", {"execution_state": "starting"})) == ()


@pytest.mark.parametrize("kind", ["comm_open", "iopub_welcome", "", None, 7, ["x"]])
def test_an_unknown_message_gives_nothing(kind: Any) -> None:
    assert read_message(message(kind, {})) == ()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stream", {"name": "stdout"}),
        ("stream", {"name": "stdout", "text": 7}),
        ("execute_input", {"execution_count": "3"}),
        ("execute_input", {"execution_count": True}),
        ("display_data", {"data": ["x"]}),
        ("update_display_data", BUNDLE),
        ("error", {"ename": "N", "evalue": "v", "traceback": [1]}),
        ("complete_reply", {"matches": ["a"], "cursor_start": None, "cursor_end": 1}),
        ("status", {}),
        ("kernel_info_reply", {"language_info": "python"}),
    ],
)
def test_a_malformed_message_gives_nothing(kind: str, content: dict[str, Any]) -> None:
    assert read_message(message(kind, content)) == ()


@pytest.mark.parametrize(
    "kind",
    ["execute_reply", "complete_reply", "inspect_reply", "is_complete_reply", "history_reply"],
)
def test_a_reply_to_no_request_gives_nothing(kind: str) -> None:
    assert read_message(message(kind, {"status": "error"}, parent=None)) == ()


def test_a_page_in_a_reply_is_shown_before_the_reply() -> None:
    content = {"status": "ok", "execution_count": 1, "payload": [{"source": "page"} | BUNDLE]}
    shown, reply = read_message(message("execute_reply", content))
    assert shown == kernel_events.DisplayData(E, BUNDLE["data"], BUNDLE["metadata"])
    assert reply == kernel_events.ExecuteReply(E, "ok", 1)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"source": "ask_exit", "keepkernel": False}, True),
        ({"source": "ask_exit"}, True),
        ({"source": "ask_exit", "keepkernel": True}, False),
        ({"source": "set_next_input"}, False),
    ],
)
def test_a_reply_says_whether_the_code_asked_for_the_kernels_end(
    asked: Any, expected: bool
) -> None:
    content = {"status": "ok", "execution_count": 1, "payload": [None, asked]}
    (reply,) = read_message(message("execute_reply", content))
    assert reply == kernel_events.ExecuteReply(E, "ok", 1, ends_kernel=expected)


def test_a_lone_surrogate_is_replaced_and_a_pair_becomes_its_character() -> None:
    text = json.loads(r'"a\ud83d b\ud83d"') + "\ud83d\ude00"
    (event,) = read_message(message("stream", {"name": "stdout", "text": text}))
    assert event == kernel_events.Stream(E, "stdout", "a\ufffd b\ufffd\U0001f600")


def test_numbers_that_json_does_not_have_become_null() -> None:
    data = {"application/json": {"a": [float("nan"), float("inf"), 1.5]}}
    (event,) = read_message(message("display_data", {"data": data}))
    assert event == kernel_events.DisplayData(E, {"application/json": {"a": [None, None, 1.5]}}, {})


def test_nesting_beyond_the_stack_gives_nothing() -> None:
    nested: Any = None
    for _ in range(50_000):
        nested = [nested]
    assert read_message(message("display_data", {"data": {"application/json": nested}})) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "execution_state",
        "text",
        "name",
        "data",
        "metadata",
        "transient",
        "execution_count",
        "ename",
        "evalue",
        "traceback",
        "status",
        "payload",
        "matches",
        "cursor_start",
        "cursor_end",
        "found",
        "language_info",
        "prompt",
        "wait",
        "history",
        "indent",
        "supported_features",
    ]
)


@given(
    st.sampled_from(KINDS),
    st.dictionaries(fields, json_values) | json_values,
    st.none() | st.text(),
)
def test_no_message_makes_reading_raise_and_what_is_read_is_sound(
    kind: str, content: Any, parent: str | None
) -> None:
    for event in read_message(message(kind, content, parent)):
        json.dumps(asdict(event), ensure_ascii=False, allow_nan=False).encode()


@given(json_values)
def test_no_value_at_all_makes_reading_raise(value: Any) -> None:
    parts = ("header", "parent_header", "content")
    assert isinstance(read_message(dict.fromkeys(parts, value)), tuple)


def test_an_execute_request_keeps_history_and_refuses_input() -> None:
    content = execute_request("1")
    assert content["code"] == "1"
    assert content["store_history"] is True
    assert content["silent"] is content["allow_stdin"] is content["stop_on_error"] is False


def program(folder: Path, name: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(
        f"NEEDS = ('append',)\nname_of_{name} = 1\n"
        "def prepare(kernel):\n    kernel.append(set(globals()))\n"
    )
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_preparation_is_silent_and_runs_each_program_by_itself(tmp_path: Path) -> None:
    content = prepare_request(program(tmp_path, "first"), program(tmp_path, "second"))
    assert content["silent"] is True
    assert content["store_history"] is False
    seen: list[set[str]] = []
    shell = SimpleNamespace(kernel=seen)
    names: dict[str, Any] = {"get_ipython": lambda: shell}
    exec(content["code"], names)
    first, second = seen
    assert "name_of_first" in first
    assert not second & {"name_of_first", "get_ipython"}
    assert set(names) == {"get_ipython", "__builtins__"}


def test_only_ipykernel_is_known_as_ipykernel() -> None:
    assert is_ipykernel(message("kernel_info_reply", {"implementation": "ipython"}))
    assert not is_ipykernel(message("kernel_info_reply", {"implementation": "xeus"}))
    assert not is_ipykernel({"content": None})


@pytest.mark.parametrize(
    ("implementation", "version", "answers"),
    [
        ("ipython", "5.5.6", False),
        ("ipython", "6.29.5", True),
        ("ipython", "7.4.0", True),
        ("ipython", "10.0.0a1", True),
        ("ipython", "", False),
        ("xpython", "7.0.0", False),
    ],
)
def test_an_ipykernel_with_a_control_thread_answers_while_busy(
    implementation: str, version: str, answers: bool
) -> None:
    content = {"implementation": implementation, "implementation_version": version}
    (info,) = read_message(message("kernel_info_reply", content))
    assert isinstance(info, kernel_events.KernelInfo)
    assert info.answers_while_busy == answers


def test_a_history_request_searches_takes_a_session_or_the_last() -> None:
    base: dict[str, Any] = {"pattern": None, "session": None, "unique": False, "output": False}
    assert history_request(5, **base) == {
        "raw": True,
        "output": False,
        "hist_access_type": "tail",
        "n": 5,
    }
    searched = history_request(5, **base | {"pattern": "a*"})
    assert (searched["hist_access_type"], searched["pattern"]) == ("search", "a*")
    of_session = history_request(5, **base | {"session": 0})
    assert (of_session["hist_access_type"], of_session["stop"]) == ("range", None)


def test_positions_are_passed_on_as_code_points() -> None:
    assert complete_request("ab", 1) == {"code": "ab", "cursor_pos": 1}
    assert inspect_request("ab", 1, 0) == {"code": "ab", "cursor_pos": 1, "detail_level": 0}
