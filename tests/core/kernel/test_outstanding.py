"""Replies that a kernel swallowed, for an interrupt or its own failure."""

from __future__ import annotations

from headway.core.kernel.events import Busy, ExecuteInput, ExecuteReply, Idle
from headway.core.kernel.outstanding import Outstanding


def asked(*executions: str) -> Outstanding:
    outstanding = Outstanding()
    for execution in executions:
        outstanding.asked(execution)
    return outstanding


def test_the_first_is_the_oldest_without_a_reply() -> None:
    outstanding = asked("a", "b")
    assert outstanding.first == "a"
    outstanding.heard(ExecuteReply("a", "ok", 1))
    assert outstanding.first == "b"
    outstanding.heard(ExecuteReply("b", "ok", 2))
    assert outstanding.first is None
    assert len(outstanding) == 0


def test_an_execution_has_begun_when_its_input_is_announced() -> None:
    outstanding = asked("a", "b")
    outstanding.heard(Busy("a"))
    assert not outstanding.has_begun("a")
    outstanding.heard(ExecuteInput("a", 1))
    assert outstanding.has_begun("a")
    assert not outstanding.has_begun("b")


def test_an_execution_that_was_answered_counts_as_begun() -> None:
    outstanding = asked("a")
    outstanding.heard(ExecuteReply("a", "aborted", None))
    assert outstanding.has_begun("a")


def test_idle_without_reply_is_no_reason_for_doubt_yet() -> None:
    outstanding = asked("a")
    outstanding.heard(Idle("a"))
    assert outstanding.new_suspects() == ()


def test_idle_without_reply_for_long_is_suspect_once() -> None:
    outstanding = asked("a", "b")
    outstanding.overdue("b")
    assert outstanding.new_suspects() == ()
    outstanding.heard(Idle("a"))
    assert "a" in outstanding
    outstanding.overdue("a")
    assert outstanding.new_suspects() == ("a",)
    assert outstanding.new_suspects() == ()
    (reply,) = outstanding.give_up("a")
    assert isinstance(reply, ExecuteReply)
    assert (reply.status, reply.error_name) == ("error", "NoReply")


def test_what_goes_on_for_long_is_suspect_once_and_its_end_is_made_up_with_its_reply() -> None:
    outstanding = asked("a", "b")
    outstanding.goes_on("a")
    outstanding.goes_on("over")
    assert outstanding.new_suspects() == ("a",)
    outstanding.heard(ExecuteInput("a", 1))
    outstanding.interrupted()
    assert outstanding.new_suspects() == ()
    reply, end = outstanding.give_up("a")
    assert isinstance(reply, ExecuteReply)
    assert (reply.status, reply.execution_count) == ("error", 1)
    assert end == Idle("a")
    assert outstanding.first == "b"


def test_a_reply_that_came_meanwhile_is_not_overdue() -> None:
    outstanding = asked("a")
    outstanding.heard(Idle("a"))
    outstanding.heard(ExecuteReply("a", "ok", 1))
    assert "a" not in outstanding
    outstanding.overdue("a")
    assert outstanding.new_suspects() == ()


def test_idle_without_reply_after_an_interrupt_is_suspect_once() -> None:
    outstanding = asked("a", "b")
    outstanding.interrupted()
    assert outstanding.new_suspects() == ()
    outstanding.heard(Idle("a"))
    assert outstanding.new_suspects() == ("a",)
    assert outstanding.new_suspects() == ()


def test_an_interrupt_casts_no_doubt_on_what_is_asked_later() -> None:
    outstanding = asked("a")
    outstanding.interrupted()
    outstanding.asked("b")
    outstanding.heard(Idle("b"))
    assert outstanding.new_suspects() == ()


def test_giving_up_makes_the_reply_that_was_lost() -> None:
    outstanding = asked("a")
    outstanding.heard(ExecuteInput("a", 5))
    outstanding.interrupted()
    outstanding.heard(Idle("a"))
    (reply,) = outstanding.give_up("a")
    assert isinstance(reply, ExecuteReply)
    assert (reply.execution_id, reply.status, reply.execution_count) == ("a", "error", 5)
    assert reply.error_name == "KeyboardInterrupt"
    assert outstanding.give_up("a") == ()


def test_a_reply_that_came_after_all_is_not_made_twice() -> None:
    outstanding = asked("a")
    outstanding.interrupted()
    outstanding.heard(Idle("a"))
    assert outstanding.new_suspects() == ("a",)
    outstanding.heard(ExecuteReply("a", "ok", 1))
    assert outstanding.give_up("a") == ()


def test_what_was_never_asked_is_ignored() -> None:
    outstanding = asked()
    for event in (Idle("x"), Idle(None), ExecuteInput("x", 1), ExecuteReply("x", "ok", 1)):
        outstanding.heard(event)
    assert outstanding.first is None
