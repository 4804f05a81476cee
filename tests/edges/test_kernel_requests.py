from __future__ import annotations

from headway.core.room.effects import CompleteRequest, ExecuteRequest, InspectRequest
from headway.edges.kernel_requests import shell_message


def test_code_goes_under_its_own_id_and_says_whether_it_may_ask() -> None:
    for allow_stdin in (True, False):
        message = shell_message(ExecuteRequest("e1", "x", allow_stdin))
        assert (message.kind, message.request_id) == ("execute_request", "e1")
        assert (message.content["code"], message.content["allow_stdin"]) == ("x", allow_stdin)


def test_questions_go_under_their_ids() -> None:
    complete = shell_message(CompleteRequest("c1", "pri", 3))
    assert (complete.kind, complete.request_id) == ("complete_request", "c1")
    inspect = shell_message(InspectRequest("i1", "print", 5, 1))
    assert (inspect.kind, inspect.request_id) == ("inspect_request", "i1")
    assert inspect.content["detail_level"] == 1
