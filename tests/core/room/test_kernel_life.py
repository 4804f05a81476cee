"""The life of a room's kernel: one process at a time, each state with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.document.edits import AddCell, SetNotebookMetadata
from headway.core.kernel.events import (
    Busy,
    CompleteReply,
    ExecuteReply,
    Idle,
    KernelInfo,
    Stream,
)
from headway.core.room.effects import AskKernel, InterruptKernel, StartKernel, StopKernel
from headway.core.room.inputs import KernelEnded, KernelFailed, KernelReady
from headway.core.room.opening import LivingKernel, Opening
from headway.core.wire import rpc
from headway.errors import KernelDied, KernelStartFailed
from headway.ids import execution_id
from room_stage import DOCUMENT, Stage


def started(**options: Any) -> Stage:
    stage = Stage(**options)
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    stage.show()
    return stage


def starts(stage: Stage) -> list[int]:
    return [start.incarnation for start in stage.of(StartKernel)]


def state(stage: Stage) -> tuple[str, str | None]:
    found = stage.room.kernel_state
    return found.status, found.reason


def run(stage: Stage, cell_id: str) -> int:
    return stage.ask(rpc.Execute(document=DOCUMENT, cell_id=cell_id, execution_id=stage.new_id()))


def test_a_restart_begins_the_new_process_only_when_the_old_one_is_gone() -> None:
    stage = started(holds_stops=True)
    token = stage.ask(rpc.RestartKernel(document=DOCUMENT))
    assert state(stage) == ("restarting", "the kernel was restarted")
    assert stage.of(StopKernel) == [StopKernel(1)]
    assert starts(stage) == [1]
    assert stage.answer(token) is None
    stage.kernel_stopped()
    assert starts(stage) == [1, 2]
    stage.kernel_ready()
    assert stage.answer(token) is None, "nobody sees it yet"
    stage.show()
    assert stage.answer(token).status == "idle"
    assert stage.runtime.kernel()["status"] == "idle"
    assert state(stage) == ("idle", None)


def test_a_shutdown_is_answered_when_the_process_is_gone_and_says_why_there_is_none() -> None:
    stage = started(holds_stops=True)
    first = stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    second = stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    assert state(stage) == ("stopping", "the kernel was shut down")
    assert stage.answer(first) is None
    assert stage.of(StopKernel) == [StopKernel(1)]
    stage.kernel_stopped()
    assert state(stage) == ("absent", "the kernel was shut down")
    assert stage.answer(first) is None, "nobody sees it yet"
    stage.show()
    assert stage.answer(first).status == stage.answer(second).status == "absent"
    assert stage.runtime.kernel()["status"] == "absent"


def test_a_shutdown_of_no_kernel_is_answered_at_once_and_invents_no_reason() -> None:
    stage = Stage()
    token = stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    stage.show()
    assert stage.answer(token).status == "absent"
    assert state(stage) == ("absent", None)
    assert stage.of(StopKernel) == []


def test_what_is_asked_while_a_kernel_stops_gets_a_new_one_after_it() -> None:
    stage = started(holds_stops=True)
    stage.peer().add_cell("a", "1")
    shutdown = stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    run(stage, "a")
    assert state(stage)[0] == "restarting"
    assert starts(stage) == [1]
    assert stage.answer(shutdown) is None
    stage.kernel_stopped()
    assert starts(stage) == [1, 2]
    stage.show()
    assert stage.answer(shutdown).status == "restarting", "its kernel is gone; this is another"
    stage.kernel_ready()
    assert [code for _, code in stage.ran()] == ["1"]


def test_a_kernel_whose_end_a_cell_asked_for_is_given_nothing_more() -> None:
    stage = started(holds_stops=True)
    for cell_id, source in ("a", "exit()"), ("b", "1"), ("c", "2"):
        stage.peer().add_cell(cell_id, source)
    token = stage.ask(rpc.ExecuteAll(document=DOCUMENT, batch_id=stage.new_id()))
    batch = [each.execution_id for each in stage.answer(token).executions]
    stage.kernel_says(Busy(batch[0]), ExecuteReply(batch[0], "ok", 1, ends_kernel=True))
    assert state(stage)[0] == "busy", "what it printed is still on its way"
    stage.kernel_says(Idle(batch[0]))
    assert state(stage) == ("stopping", "the kernel was ended by a cell")
    records = [stage.room.runtime_reader.execution(each) for each in batch]
    assert [(each.status, each.reason) for each in records if each is not None] == [
        ("ok", None),
        ("cancelled", "the kernel was ended by a cell"),
        ("cancelled", "the kernel was ended by a cell"),
    ]
    run(stage, "b")
    stage.kernel_stopped()
    stage.kernel_ready()
    assert [code for _, code in stage.ran()] == ["exit()", "1"]


def test_a_shutdown_while_the_old_process_still_ends_takes_the_restart_back() -> None:
    stage = started(holds_stops=True)
    restart = stage.ask(rpc.RestartKernel(document=DOCUMENT))
    shutdown = stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    assert isinstance(stage.answer(restart), KernelDied)
    stage.kernel_stopped()
    assert starts(stage) == [1]
    stage.show()
    assert stage.answer(shutdown).status == "absent"


def test_a_restart_asked_for_twice_starts_one_kernel() -> None:
    stage = started(holds_stops=True)
    first = stage.ask(rpc.RestartKernel(document=DOCUMENT))
    second = stage.ask(rpc.RestartKernel(document=DOCUMENT))
    stage.kernel_stopped()
    assert starts(stage) == [1, 2]
    assert isinstance(stage.answer(first), KernelDied)
    stage.kernel_ready()
    stage.show()
    assert stage.answer(second).status == "idle"


def test_a_restart_of_a_kernel_that_starts_ends_that_one_first() -> None:
    stage = Stage(holds_stops=True)
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    assert stage.of(StopKernel) == [StopKernel(1)]
    stage.kernel_stopped()
    assert starts(stage) == [1, 2]


def test_a_dead_kernel_says_why_and_a_restart_of_it_waits_for_nothing() -> None:
    stage = started(holds_stops=True)
    stage.feed(KernelEnded(1, "it was killed by signal 9 (SIGKILL)"))
    assert state(stage) == ("dead", "it was killed by signal 9 (SIGKILL)")
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    assert starts(stage) == [1, 2]
    assert stage.of(StopKernel) == []


def test_news_of_a_process_that_is_being_ended_changes_nothing() -> None:
    stage = started(holds_stops=True)
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    before = stage.room.kernel_state
    stage.feed(KernelEnded(1, "it exited with status 0"))
    stage.feed(KernelReady(1, KernelInfo("python"), "python3"))
    assert stage.room.kernel_state == before
    stage.kernel_stopped()
    stage.feed(KernelReady(1, KernelInfo("python"), "python3"))
    assert state(stage)[0] == "restarting"


def test_a_kernel_that_does_not_start_is_dead_with_the_reason() -> None:
    stage = Stage()
    token = stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.feed(KernelFailed(1, KernelStartFailed("It would not.", stderr="")))
    assert state(stage) == ("dead", "It would not.")
    assert stage.answer(token) is None, "nobody sees it yet"
    stage.show()
    assert isinstance(stage.answer(token), KernelStartFailed)
    assert stage.runtime.kernel()["status"] == "dead"


# Whose it is


OURS, OTHERS = 1, 2


def given_up(stage: Stage, peer: int | None = OURS) -> bool:
    """Whether it ends because `peer` has no use for it any more."""
    before = stage.room.kernel_state
    token = stage.ask(rpc.ShutdownKernel(document=DOCUMENT, unless_shared=True), peer=peer)
    stage.show()
    after: rpc.KernelState = stage.answer(token)
    assert after.status == "absent" or after == before
    return after.status == "absent"


def started_by(peer: int | None) -> Stage:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    stage.ask(rpc.StartKernel(document=DOCUMENT), peer=peer)
    stage.kernel_ready()
    return stage


def execute_as(stage: Stage, peer: int | None) -> None:
    params = rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=stage.new_id())
    stage.ask(params, peer=peer)


def test_a_kernel_that_nobody_else_used_ends_with_its_only_user() -> None:
    stage = started_by(OURS)
    execute_as(stage, OURS)
    stage.kernel_finishes()
    assert given_up(stage)


def test_a_kernel_that_others_started_or_run_or_have_run_anything_in_goes_on() -> None:
    assert not given_up(started_by(OTHERS))
    batch = rpc.ExecuteAll(document=DOCUMENT, batch_id=Stage().new_id())
    for used in rpc.StartKernel(document=DOCUMENT), rpc.RestartKernel(document=DOCUMENT), batch:
        stage = started_by(OURS)
        stage.ask(used, peer=OTHERS)
        stage.kernel_ready()
        assert not given_up(stage)
    stage = started_by(OURS)
    execute_as(stage, OTHERS)
    assert not given_up(stage)
    stage.kernel_finishes()
    assert not given_up(stage)
    batch = rpc.ExecuteAll(document=DOCUMENT, batch_id=stage.new_id(), restart=True)
    stage.ask(batch, peer=OURS)
    stage.kernel_ready()
    assert not given_up(stage), "whoever had it restarted for them counts on it"
    stage.ask(rpc.ShutdownKernel(document=DOCUMENT), peer=OURS)
    execute_as(stage, OURS)
    stage.kernel_ready()
    assert given_up(stage), "it is another kernel, which others know nothing of"


@pytest.mark.parametrize("fails", [True, False])
def test_who_used_a_kernel_that_ended_by_itself_is_no_user_of_the_next(fails: bool) -> None:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    stage.ask(rpc.StartKernel(document=DOCUMENT), peer=OTHERS)
    incarnation = stage.room.kernel_state.incarnation
    if fails:
        stage.feed(KernelFailed(incarnation, KernelStartFailed("It would not.", stderr="")))
    else:
        stage.kernel_ready()
        stage.feed(KernelEnded(incarnation, "it was killed"))
    execute_as(stage, OURS)
    stage.kernel_ready()
    assert given_up(stage)


def test_a_request_that_was_refused_makes_nobody_a_user() -> None:
    stage = started_by(OURS)
    stage.ask(rpc.StartKernel(document=DOCUMENT, name="nowhere"), peer=OTHERS)
    assert given_up(stage)


def test_whose_a_kernel_of_an_earlier_daemon_is_nobody_knows_any_more() -> None:
    living = LivingKernel(7, "python3", KernelInfo("python"), None, 1_700_000_000.0)
    stage = Stage(opening=Opening(document=DOCUMENT, path=None, kernel=living))
    assert not given_up(stage)


def test_who_has_no_connection_cannot_be_told_from_others() -> None:
    assert not given_up(started_by(None), None)


# Restart and run all


def test_a_run_on_a_fresh_kernel_is_one_admission() -> None:
    stage = started()
    peer = stage.peer()
    peer.edit(AddCell("a", source="1"), AddCell("b", source="2"))
    run(stage, "a")
    batch = execution_id(stage.now_s, stage.random.randbytes)
    request = rpc.ExecuteAll(document=DOCUMENT, batch_id=batch, restart=True)
    token = stage.ask(request)
    accepted = stage.answer(token).executions
    assert [each.cell_id for each in accepted] == ["a", "b"]
    assert starts(stage) == [1, 2]
    statuses = [stage.runtime.status(each) for each in stage.runtime.executions()]
    assert statuses == ["cancelled", "queued", "queued"]
    # A repeat gets the same answer and restarts nothing.
    again = stage.ask(request)
    assert stage.answer(again) == stage.answer(token)
    assert starts(stage) == [1, 2]
    stage.kernel_ready()
    assert [code for _, code in stage.ran()] == ["1", "1"]


def test_a_run_that_is_refused_leaves_the_kernel_alone() -> None:
    stage = started()
    stage.peer().edit(AddCell("a", source="1"), AddCell("words", "markdown", "# No code"))
    batch = execution_id(stage.now_s, stage.random.randbytes)
    stage.ask(rpc.ExecuteAll(document=DOCUMENT, batch_id=batch, cells=["a", "words"], restart=True))
    assert starts(stage) == [1]
    assert state(stage) == ("idle", None)
    assert stage.runtime.executions() == []


# Which kernel


def test_everybody_sees_which_kernel_a_notebook_is_for_once_it_is_there() -> None:
    stage = Stage()
    peer = stage.peer()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    assert peer.notebook.metadata()["kernelspec"]["name"] == "python3"


def spec_of(stage: Stage) -> Any:
    return stage.room.notebook.metadata().get("kernelspec")


def ready_as(stage: Stage, name: str, display_name: str, language: str) -> None:
    info = KernelInfo(language, {"name": language})
    incarnation = stage.of(StartKernel)[-1].incarnation
    stage.feed(KernelReady(incarnation, info, name, display_name))


def test_the_notebook_says_which_kernel_was_chosen_and_its_language() -> None:
    stage = started()
    token = stage.ask(rpc.StartKernel(document=DOCUMENT, name="bash"))
    ready_as(stage, "bash", "Bash", "bash")
    stage.show()
    assert stage.answer(token).name == "bash"
    assert spec_of(stage) == {"name": "bash", "display_name": "Bash", "language": "bash"}
    assert stage.room.notebook.metadata()["language_info"] == {"name": "bash"}


def test_a_kernel_that_nobody_chose_does_not_change_what_the_notebook_says() -> None:
    stage = Stage()
    spec = {"name": "Python3", "display_name": "My Python", "language": "python"}
    stage.peer().edit(SetNotebookMetadata("kernelspec", spec))
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    ready_as(stage, "python3", "Python 3", "python")
    assert spec_of(stage) == spec


def test_a_kernel_that_runs_is_asked_for_in_whatever_letters() -> None:
    stage = started()
    token = stage.ask(rpc.StartKernel(document=DOCUMENT, name="Python3"))
    stage.show()
    assert stage.answer(token).incarnation == 1
    assert starts(stage) == [1]


def test_a_choice_is_not_noted_before_the_kernel_answers() -> None:
    stage = started()
    before = spec_of(stage)
    stage.ask(rpc.RestartKernel(document=DOCUMENT, name="bash"))
    stage.feed(KernelFailed(2, KernelStartFailed("It would not.", stderr="")))
    assert spec_of(stage) == before


# Idleness


IDLE_S = 600.0


def idle_stage(**options: Any) -> Stage:
    return started(opening=Opening(document=DOCUMENT, path=None, kernel_idle_s=IDLE_S), **options)


def test_an_idle_kernel_is_ended_after_the_time_and_says_so() -> None:
    stage = idle_stage()
    stage.wait(IDLE_S - 1)
    assert state(stage)[0] == "idle"
    assert stage.room.next_deadline() == pytest.approx(stage.now_s + 1)
    stage.wait(1)
    assert state(stage) == ("absent", "the kernel was idle for 600 s")


def test_a_kernel_is_never_idle_for_too_long_unless_that_is_set() -> None:
    stage = started()
    stage.wait(10 * 365 * 86_400.0)
    assert state(stage) == ("idle", None)


def test_a_kernel_that_runs_or_has_something_waiting_is_not_ended() -> None:
    stage = idle_stage()
    stage.peer().add_cell("a", "1")
    run(stage, "a")
    stage.wait(10 * IDLE_S)
    assert state(stage)[0] == "busy"
    stage.kernel_finishes()
    stage.wait(IDLE_S - 1)
    assert state(stage)[0] == "idle"
    stage.wait(1)
    assert state(stage)[0] == "absent"


def test_a_request_under_way_keeps_the_kernel_and_every_request_begins_the_time_anew() -> None:
    stage = idle_stage()
    stage.ask(rpc.Complete(document=DOCUMENT, code="pri", cursor=3, timeout_s=5000))
    stage.wait(2 * IDLE_S)
    assert state(stage)[0] == "idle"
    (asked,) = stage.of(AskKernel)
    stage.kernel_says(CompleteReply(asked.request.request_id, ("print",), 0, 3))
    stage.wait(IDLE_S - 1)
    stage.ask(rpc.Interrupt(document=DOCUMENT))
    assert stage.of(InterruptKernel) == []
    stage.wait(IDLE_S - 1)
    assert state(stage)[0] == "idle"
    stage.wait(1)
    assert state(stage)[0] == "absent"


def test_what_a_kernel_says_by_itself_begins_the_time_anew() -> None:
    stage = idle_stage()
    stage.wait(IDLE_S - 1)
    stage.kernel_says(Busy(None), Stream(None, "stdout", "from a thread"))
    stage.wait(IDLE_S - 1)
    assert state(stage)[0] == "idle"
