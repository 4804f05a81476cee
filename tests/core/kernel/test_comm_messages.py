"""Comm messages as kernels send them, well and badly formed."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.kernel.comm_messages import comm_content
from headway.core.kernel.events import CommClosed, CommInfo, CommMessage, CommOpened
from headway.core.kernel.jupyter import read_message


def message(kind: str, content: Any, **others: Any) -> dict[str, Any]:
    header = {"msg_id": "m", "msg_type": kind}
    return {"header": header, "parent_header": {"msg_id": "p"}, "content": content, **others}


def test_each_message_becomes_its_event_clean_and_with_its_buffers() -> None:
    content = {"comm_id": "c", "target_name": "t", "data": {"x": float("inf"), "y": "\ud800"}}
    opened = message("comm_open", content, metadata={"version": "2"}, buffers=[b"1"])
    assert read_message(opened) == (
        CommOpened("p", "c", "t", {"x": None, "y": "\ufffd"}, {"version": "2"}, (b"1",)),
    )
    said = message("comm_msg", {"comm_id": "c", "data": {"method": "update"}}, buffers=[b""])
    assert read_message(said) == (CommMessage("p", "c", {"method": "update"}, (b"",)),)
    assert read_message(message("comm_close", {"comm_id": "c"})) == (CommClosed("p", "c"),)
    info = message("comm_info_reply", {"comms": {"c": {"target_name": "t"}}})
    assert read_message(info) == (CommInfo("p", {"c": "t"}),)


def test_what_may_be_absent_is_empty() -> None:
    assert read_message(message("comm_msg", {"comm_id": "c"})) == (CommMessage("p", "c", {}),)
    opened = message("comm_open", {"comm_id": "c", "target_name": "t", "data": None})
    assert read_message(opened) == (CommOpened("p", "c", "t", {}),)
    assert read_message(message("comm_info_reply", {})) == (CommInfo("p", {}),)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("comm_open", {"comm_id": "c"}),
        ("comm_open", {"comm_id": 1, "target_name": "t"}),
        ("comm_open", {"comm_id": "c", "target_name": "t", "data": [1]}),
        ("comm_msg", {"data": {}}),
        ("comm_msg", {"comm_id": "c", "data": "text"}),
        ("comm_close", {}),
        ("comm_info_reply", {"comms": [1]}),
        ("comm_info_reply", {"comms": {"c": 5}}),
    ],
)
def test_what_has_not_its_form_gives_no_event(kind: str, content: Any) -> None:
    assert read_message(message(kind, content)) == ()


def test_only_the_message_that_opens_a_comm_names_its_target() -> None:
    assert comm_content("c", {"x": 1}, None) == {"comm_id": "c", "data": {"x": 1}}
    assert comm_content("c", {}, "t") == {"comm_id": "c", "data": {}, "target_name": "t"}
