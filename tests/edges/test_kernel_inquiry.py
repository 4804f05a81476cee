from __future__ import annotations

from typing import Any

import pytest

from headway.core.kernel.events import ExecuteReply, Idle, ReplyLost
from headway.core.kernel.outstanding import Outstanding
from headway.edges.kernel_inquiry import REPLY_LOST, Inquiry
from headway.edges.kernel_record import Asked

ASKED = Asked.of("e1", "1 / 0", 4)
IDLE = {"msg_type": "status", "content": {"execution_state": "idle"}}


def inquiry(*, is_ipykernel: bool = True) -> tuple[Inquiry, Outstanding]:
    outstanding = Outstanding()
    outstanding.taken_up("e1", 5)
    return Inquiry(ASKED, outstanding, is_ipykernel=is_ipykernel), outstanding


def reply(**told: Any) -> dict[str, Any]:
    payload = [{"source": "headway-inquiry", **told}]
    return {"msg_type": "execute_reply", "content": {"status": "ok", "payload": payload}}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("", ExecuteReply("e1", "ok", 5)),
        ("ZeroDivisionError", ExecuteReply("e1", "error", 5, "ZeroDivisionError")),
    ],
)
@pytest.mark.parametrize("idle_first", [False, True])
def test_what_the_kernel_remembers_stands_for_the_reply(
    error: str, expected: ExecuteReply, idle_first: bool
) -> None:
    asking, _ = inquiry()
    messages = [reply(sha256=ASKED.sha256, count=5, error=error), IDLE]
    first, second = messages[::-1] if idle_first else messages
    assert asking.take(first) == ()
    assert asking.take(second) == (expected, Idle("e1"))


@pytest.mark.parametrize(
    "told",
    [
        {"sha256": "0" * 64, "count": 5, "error": ""},
        {"sha256": ASKED.sha256, "count": 4, "error": ""},
        {"sha256": ASKED.sha256, "count": None, "error": ""},
        {"sha256": ASKED.sha256, "count": 5},
        {},
    ],
)
def test_another_execution_or_none_means_that_the_reply_is_lost(told: dict[str, Any]) -> None:
    asking, _ = inquiry()
    asking.take(reply(**told))
    assert asking.take(IDLE) == (ReplyLost("e1", REPLY_LOST), Idle("e1"))


@pytest.mark.parametrize("content", [None, {}, {"payload": None}, {"payload": [1]}])
def test_a_kernel_that_tells_nothing_loses_the_reply(content: Any) -> None:
    asking, _ = inquiry()
    asking.take({"msg_type": "execute_reply", "content": content})
    assert asking.take(IDLE) == (ReplyLost("e1", REPLY_LOST), Idle("e1"))


def test_a_reply_that_came_is_not_told_twice() -> None:
    asking, outstanding = inquiry()
    outstanding.heard(ExecuteReply("e1", "ok", 5))
    asking.take(reply(sha256=ASKED.sha256, count=5, error=""))
    assert asking.take(IDLE) == (Idle("e1"),)


def test_a_kernel_of_another_kind_is_only_asked_whether_it_answers() -> None:
    asking, _ = inquiry(is_ipykernel=False)
    assert asking.question() == ("kernel_info_request", {})
    asking.take({"msg_type": "kernel_info_reply", "content": {}})
    assert asking.take(IDLE) == (ReplyLost("e1", REPLY_LOST), Idle("e1"))
