from __future__ import annotations

import sys
from typing import Any

import pytest

from headway.core.kernel.asking import is_mark, read_recall, recall_request
from headway.core.kernel.events import InputRequest
from headway.in_kernel import asking


class Session:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, *arguments: Any, **named: Any) -> None:
        self.sent.append((arguments, named))


class Kernel:
    """As much of an ipykernel as the preparation touches."""

    def __init__(self) -> None:
        self.session = Session()
        self.iopub_socket = "iopub"
        self.control_handlers: dict[str, Any] = {}
        self.seen: list[Any] = []

    def _input_request(self, prompt: str, ident: bytes, parent: Any, password: bool = False) -> str:
        self.seen.append((prompt, ident, parent, password))
        self.said_before = self.session.sent[:]
        self.session.sent.clear()
        if prompt == "interrupted":
            raise KeyboardInterrupt
        self.recalled = self.recall()
        return "answer"

    def recall(self) -> tuple[InputRequest, ...]:
        kind, _ = recall_request()
        self.control_handlers[kind]("stream", b"ident", {"header": {}})
        (_, reply, content, parent), named = self.session.sent.pop()
        assert (reply, parent, named) == (
            "headway_prompt_reply",
            {"header": {}},
            {"ident": b"ident"},
        )
        return read_recall({"content": content})


def prepared() -> Kernel:
    kernel = Kernel()
    asking.prepare(kernel)
    return kernel


@pytest.mark.parametrize("password", [True, False])
def test_what_is_asked_is_remembered_while_it_waits_and_no_longer(password: bool) -> None:
    kernel = prepared()
    assert kernel.recall() == ()
    parent = {"header": {"msg_id": "e1"}}
    assert kernel._input_request("Name? ", b"ident", parent, password=password) == "answer"
    assert kernel.seen == [("Name? ", b"ident", parent, password)]
    assert kernel.recalled == (InputRequest("e1", "Name? ", password),)
    assert kernel.recall() == ()


def test_behind_what_was_printed_a_mark_is_published_before_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = prepared()
    parent = {"header": {"msg_id": "e1"}}

    class Stream:
        def flush(self) -> None:
            kernel.session.sent.append("what was printed")

    monkeypatch.setattr(sys, "stdout", Stream())
    monkeypatch.setattr(sys, "stderr", None)
    kernel._input_request("Name? ", b"ident", parent)
    printed, ((socket, kind, _, of), _) = kernel.said_before
    assert printed == "what was printed"
    assert (socket, of) == ("iopub", parent)
    assert is_mark({"msg_type": kind})
    assert not is_mark({"msg_type": "stream"})


def test_what_was_interrupted_is_forgotten() -> None:
    kernel = prepared()
    with pytest.raises(KeyboardInterrupt):
        kernel._input_request("interrupted", b"ident", {})
    assert kernel.recall() == ()


@pytest.mark.parametrize(
    "content", [None, {}, {"asked": None}, {"asked": []}, {"asked": [1]}, {"asked": "x"}]
)
def test_a_reply_without_the_form_says_nothing(content: Any) -> None:
    assert read_recall({"content": content}) == ()
