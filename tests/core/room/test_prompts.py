"""What a cell asks: shown to everybody, answered once, and gone when nobody waits any more."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.document.prompts import END_OF_INPUT, Prompt
from headway.core.kernel.events import ExecuteReply, Idle, InputRequest, Stream
from headway.core.room.effects import (
    AskKernel,
    ExecuteRequest,
    ExecutionFinished,
    InputReply,
    InterruptKernel,
    Persist,
)
from headway.core.room.inputs import KernelEnded, KernelSaid
from headway.core.wire import rpc
from headway.errors import ExecutionNotFound, InputNotAwaited
from room_stage import DOCUMENT, Peer, Stage


class Asking:
    """A room whose kernel runs one cell, which may ask."""

    def __init__(self, *, allow_stdin: bool = True) -> None:
        self.stage = Stage()
        self.peer: Peer = self.stage.peer()
        heads = self.peer.add_cell("a", "x = input()")
        self.id = self.stage.new_id()
        self.stage.ask(
            rpc.Execute(
                document=DOCUMENT,
                cell_id="a",
                execution_id=self.id,
                required_heads=heads,
                allow_stdin=allow_stdin,
            )
        )
        self.stage.kernel_ready()
        self.peer.join_runtime()

    def asks(self, text: str = "Name? ", *, password: bool = False) -> Prompt:
        """The kernel asks; gives the prompt as the peer sees it."""
        self.stage.kernel_says(InputRequest(self.id, text, password))
        shown = self.shown
        assert shown is not None
        return shown

    @property
    def shown(self) -> Prompt | None:
        record = self.peer.runtime.execution(self.id)
        assert record is not None
        return record.prompt

    def answer(self, prompt: Prompt, value: str) -> int:
        return self.stage.ask(
            rpc.AnswerInput(
                document=DOCUMENT, execution_id=self.id, prompt_id=prompt.id, value=value
            )
        )

    def given(self) -> list[str]:
        """The answers that the kernel got."""
        return [
            asked.request.value
            for asked in self.stage.of(AskKernel)
            if isinstance(asked.request, InputReply)
        ]

    def ends(self) -> None:
        self.stage.kernel_says(ExecuteReply(self.id, "ok", 1), Idle(self.id))
        self.stage.wait(0.1)

    def outputs(self) -> list[tuple[str, str]]:
        self.stage.wait(0.1)
        record = self.peer.runtime.execution(self.id)
        assert record is not None
        return [(str(output["name"]), str(output["text"])) for output in record.outputs]


def refusal(asking: Asking, token: int) -> InputNotAwaited:
    error = asking.stage.answer(token)
    assert isinstance(error, InputNotAwaited), error
    assert (error.data["execution_id"]) == asking.id
    return error


@pytest.mark.parametrize("allow_stdin", [True, False])
def test_the_kernel_is_told_whether_the_caller_lets_it_ask(allow_stdin: bool) -> None:
    asking = Asking(allow_stdin=allow_stdin)
    (request,) = [each.request for each in asking.stage.of(AskKernel)]
    assert request == ExecuteRequest(asking.id, "x = input()", allow_stdin)


def test_a_run_of_everything_says_so_for_each_of_its_cells() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "input()")
    batch_id = stage.new_id()
    stage.ask(
        rpc.ExecuteAll(document=DOCUMENT, batch_id=batch_id, required_heads=heads, allow_stdin=True)
    )
    stage.kernel_ready()
    assert [each.request.allow_stdin for each in stage.of(AskKernel)] == [True]


def test_one_that_may_ask_does_not_answer_for_one_that_may_not() -> None:
    stage = Stage()
    heads = stage.peer().add_cell("a", "input()")
    answers = [
        stage.answer(
            stage.ask(
                rpc.Execute(
                    document=DOCUMENT,
                    cell_id="a",
                    execution_id=stage.new_id(),
                    required_heads=heads,
                    allow_stdin=allow_stdin,
                )
            )
        )
        for allow_stdin in (True, False, True, False)
    ]
    first, second, third, fourth = (each.execution_id for each in answers)
    assert (first, second) == (third, fourth)
    assert first != second


def test_a_prompt_is_shown_to_everybody_and_to_who_comes_later() -> None:
    asking = Asking()
    prompt = asking.asks("Name? ")
    assert (prompt.text, prompt.password) == ("Name? ", False)
    late = asking.stage.peer(2)
    late.join_runtime()
    record = late.runtime.execution(asking.id)
    assert record is not None
    assert record.prompt == prompt
    outcome = asking.stage.answer(
        asking.stage.ask(rpc.GetExecution(document=DOCUMENT, execution_id=asking.id))
    )
    assert outcome.record["prompt"] == {"id": prompt.id, "text": "Name? ", "password": False}


def test_the_first_answer_is_given_to_the_kernel_and_every_other_one_is_refused() -> None:
    asking = Asking()
    prompt = asking.asks()
    first, second = asking.answer(prompt, "Ada"), asking.answer(prompt, "Eve")
    assert asking.stage.answer(first) == rpc.InputAnswered(
        execution_id=asking.id, prompt_id=prompt.id
    )
    assert refusal(asking, second).data["answered"] is True
    assert asking.given() == ["Ada"]
    assert asking.shown is None
    assert asking.outputs() == [("stdin", "Name? Ada\n")]
    assert refusal(asking, asking.answer(prompt, "Eve")).data["answered"] is True
    assert asking.given() == ["Ada"]


def test_of_two_answers_before_the_disk_has_the_first_only_that_one_is_given() -> None:
    asking = Asking()
    prompt = asking.asks()
    asking.stage.holds_disk = True
    first, second = asking.answer(prompt, "Ada"), asking.answer(prompt, "Eve")
    assert asking.stage.answer(first) is None
    assert refusal(asking, second).data["answered"] is True
    assert asking.given() == []
    asking.stage.holds_disk = False
    asking.stage.disk()
    assert isinstance(asking.stage.answer(first), rpc.InputAnswered)
    assert asking.given() == ["Ada"]


def test_the_kernel_gets_it_before_the_caller_is_told() -> None:
    asking = Asking()
    asking.answer(asking.asks(), "Ada")
    told = [
        type(getattr(each, "request", getattr(each, "result", None))) for each in asking.stage.log
    ]
    assert told.index(InputReply) < told.index(rpc.InputAnswered)


def test_an_answer_to_another_prompt_or_execution_is_refused_and_goes_nowhere() -> None:
    asking = Asking()
    first = asking.asks("1? ")
    asking.answer(first, "one")
    second = asking.asks("2? ")
    assert second.id != first.id
    assert refusal(asking, asking.answer(first, "late")).data["answered"] is True
    wrong = refusal(asking, asking.answer(Prompt("no-such", "", password=False), "x"))
    assert wrong.data["answered"] is False
    unknown = rpc.AnswerInput(
        document=DOCUMENT, execution_id=asking.stage.new_id(), prompt_id=second.id, value="x"
    )
    error = asking.stage.answer(asking.stage.ask(unknown))
    assert isinstance(error, ExecutionNotFound)
    assert asking.given() == ["one"]
    assert asking.shown == second


def test_prompts_of_one_cell_come_and_go_one_after_the_other() -> None:
    asking = Asking()
    ids = set()
    for number in range(50):
        prompt = asking.asks("again? ")
        ids.add(prompt.id)
        asking.answer(prompt, str(number))
        assert asking.shown is None
    assert len(ids) == 50
    assert asking.given() == [str(number) for number in range(50)]
    (stream,) = asking.outputs()
    assert stream == ("stdin", "".join(f"again? {number}\n" for number in range(50)))


def test_nothing_of_a_password_is_in_any_document_record_or_frame() -> None:
    asking = Asking()
    prompt = asking.asks("Key: ", password=True)
    assert prompt.password
    asking.answer(prompt, "hunter2-secret")
    assert asking.given() == ["hunter2-secret"]
    assert asking.outputs() == [("stdin", "Key: ········\n")]
    asking.ends()
    others = [each for each in asking.stage.log if not isinstance(each, AskKernel)]
    assert any(isinstance(each, Persist) for each in others)
    assert "hunter2" not in repr(others)
    assert "hunter2" not in repr(asking.stage.log), "not even the request to the kernel shows it"


@pytest.mark.parametrize(
    ("value", "echoed"),
    [("", "Name? \n"), ("漢 \U0001f600", "Name? 漢 \U0001f600\n"), (END_OF_INPUT, "Name? ^D\n")],
)
def test_an_answer_may_be_any_text_and_is_shown_after_its_prompt(value: str, echoed: str) -> None:
    asking = Asking()
    asking.answer(asking.asks(), value)
    assert asking.given() == [value]
    assert asking.outputs() == [("stdin", echoed)]


def test_answers_stand_among_the_outputs_in_the_order_of_what_happened() -> None:
    asking = Asking()
    asking.stage.kernel_says(Stream(asking.id, "stdout", "one "))
    asking.answer(asking.asks(), "Ada")
    asking.stage.kernel_says(Stream(asking.id, "stdout", "two"))
    assert asking.outputs() == [("stdout", "one "), ("stdin", "Name? Ada\n"), ("stdout", "two")]


@pytest.mark.parametrize("by", ["interrupt", "cancel"])
def test_an_interrupt_takes_the_prompt_away_before_the_kernel_hears_of_it(by: str) -> None:
    asking = Asking()
    prompt = asking.asks()
    params: rpc.RoomParams = rpc.Interrupt(document=DOCUMENT)
    if by == "cancel":
        params = rpc.Cancel(document=DOCUMENT, execution_id=asking.id)
    asking.stage.ask(params)
    (interrupt,) = asking.stage.of(InterruptKernel)
    assert interrupt.execution_id == asking.id
    assert asking.shown is None
    late = refusal(asking, asking.answer(prompt, "late"))
    assert late.data["answered"] is False
    assert "does not wait for an answer" in str(late)
    again = asking.asks("again? ")  # the code caught the interrupt
    asking.answer(again, "Ada")
    assert asking.given() == ["Ada"]


def test_an_answer_that_an_interrupt_overtakes_on_its_way_to_the_disk_is_not_given() -> None:
    asking = Asking()
    prompt = asking.asks()
    asking.stage.holds_disk = True
    token = asking.answer(prompt, "Ada")
    asking.stage.ask(rpc.Interrupt(document=DOCUMENT))
    asking.stage.holds_disk = False
    asking.stage.disk()
    assert refusal(asking, token).data["answered"] is False
    assert asking.given() == []
    assert asking.outputs() == []


def test_an_answer_that_another_prompt_overtakes_on_its_way_to_the_disk_is_not_given() -> None:
    asking = Asking()
    first = asking.asks("Name? ")
    asking.stage.holds_disk = True
    token = asking.answer(first, "Ada")
    asking.stage.kernel_says(InputRequest(asking.id, "Delete it all? ", password=False))
    asking.stage.holds_disk = False
    asking.stage.disk()
    refusal(asking, token)
    assert asking.given() == []
    second = asking.shown
    assert second is not None
    asking.answer(second, "no")
    assert asking.given() == ["no"]


def end_by_reply(asking: Asking) -> None:
    asking.ends()


def end_by_death(asking: Asking) -> None:
    asking.stage.feed(KernelEnded(asking.stage.room.kernel_state.incarnation, "it was killed"))
    asking.stage.wait(0.1)


def end_by_restart(asking: Asking) -> None:
    asking.stage.ask(rpc.RestartKernel(document=DOCUMENT))


def end_by_shutdown(asking: Asking) -> None:
    asking.stage.ask(rpc.ShutdownKernel(document=DOCUMENT))


@pytest.mark.parametrize("end", [end_by_reply, end_by_death, end_by_restart, end_by_shutdown])
@pytest.mark.parametrize("is_on_its_way", [True, False])
def test_an_execution_that_ends_shows_no_prompt_and_takes_no_answer(
    end: Any, is_on_its_way: bool
) -> None:
    asking = Asking()
    prompt = asking.asks()
    asking.stage.holds_disk = True
    tokens = [asking.answer(prompt, "on its way")] if is_on_its_way else []
    end(asking)
    asking.stage.holds_disk = False
    asking.stage.disk()
    tokens.append(asking.answer(prompt, "late"))
    for token in tokens:
        refusal(asking, token)
    assert asking.given() == []
    record = asking.stage.runtime.execution(asking.id)
    assert record is not None
    assert record.prompt is None
    (finished,) = [
        each
        for persist in asking.stage.persists
        for each in persist.records
        if isinstance(each, ExecutionFinished)
    ]
    assert b"Name?" not in finished.record


def test_a_kernel_that_asks_although_it_may_not_is_interrupted_and_the_outputs_say_why() -> None:
    asking = Asking(allow_stdin=False)
    asking.stage.kernel_says(InputRequest(asking.id, "Name? ", password=False))
    (interrupt,) = asking.stage.of(InterruptKernel)
    assert interrupt.execution_id == asking.id
    assert asking.shown is None
    ((name, text),) = asking.outputs()
    assert name == "stderr"
    assert "nobody is there to answer" in text


def test_a_request_for_input_of_what_does_not_run_is_nothing() -> None:
    asking = Asking()
    asking.stage.kernel_says(InputRequest(asking.stage.new_id(), "Name? ", password=False))
    assert asking.shown is None
    asking.ends()
    asking.stage.kernel_says(InputRequest(asking.id, "Name? ", password=False))
    assert asking.shown is None


def test_what_an_earlier_kernel_asks_late_is_not_asked_by_what_runs_now() -> None:
    asking = Asking()
    stage = asking.stage
    earlier = stage.room.kernel_state.incarnation
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    stage.kernel_ready()
    asking.id = stage.new_id()
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=asking.id, allow_stdin=True))
    stage.feed(KernelSaid(earlier, (InputRequest(None, "Name? ", password=False),)))
    stage.show()
    record = stage.runtime.execution(asking.id)
    assert record is not None
    assert (record.status, record.prompt) == ("running", None)


def test_a_kernel_that_names_no_request_asks_for_what_runs() -> None:
    asking = Asking()
    asking.stage.kernel_says(InputRequest(None, "Name? ", password=False))
    assert asking.shown is not None


def test_a_prompt_survives_the_replacement_of_the_runtime_document() -> None:
    asking = Asking()
    prompt = asking.asks()
    room = asking.stage.room
    room._documents.renew_runtime(room.runtime_reader, room.kernel_state, asking.stage.moment())
    asking.stage.wait(0.1)
    record = asking.stage.runtime.execution(asking.id)
    assert record is not None
    assert record.prompt == prompt
    asking.answer(prompt, "Ada")
    assert asking.given() == ["Ada"]
