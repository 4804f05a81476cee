"""A kernel in an environment: looked at first, and nothing installed without consent."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.document.dependencies import Dependencies
from headway.core.document.edits import AddCell, CellType, SetNotebookMetadata
from headway.core.kernel.events import KernelInfo
from headway.core.room.effects import (
    FolderEnvironment,
    LookAtEnvironment,
    NotebookEnvironment,
    StartKernel,
    StopKernel,
)
from headway.core.room.inputs import EnvironmentSeen, KernelProgress, KernelReady
from headway.core.room.opening import LivingKernel, Opening
from headway.core.wire import rpc
from headway.errors import (
    EnvironmentNotFound,
    HeadwayError,
    InstallationNeeded,
    InvalidDependencies,
)
from headway.ids import execution_id
from room_stage import DOCUMENT, Stage

WANTED = Dependencies(("pandas",))
DIGEST = WANTED.installation().digest
DECLARED = NotebookEnvironment(WANTED)
FOLDER = FolderEnvironment("/venv")


def declaring(*requirements: str, cells: int = 1) -> Stage:
    stage = Stage()
    content = {"environment": {"dependencies": list(requirements or ("pandas",))}}
    stage.peer().edit(
        SetNotebookMetadata("headway", content),
        *(AddCell(name, source=f"'{name}'") for name in "abc"[:cells]),
    )
    return stage


def execute(stage: Stage, cell_id: str = "a", **options: Any) -> int:
    return stage.ask(
        rpc.Execute(document=DOCUMENT, cell_id=cell_id, execution_id=stage.new_id(), **options)
    )


def see(stage: Stage, *, is_ready: bool = False, error: HeadwayError | None = None) -> None:
    look = stage.of(LookAtEnvironment)[-1]
    stage.feed(EnvironmentSeen(look.environment, is_ready, error))


def ready_in(stage: Stage, environment: rpc.KernelEnvironment | None) -> None:
    incarnation = stage.of(StartKernel)[-1].incarnation
    stage.feed(KernelReady(incarnation, KernelInfo("python"), "python3", "Python", environment))


def test_a_notebook_that_declares_nothing_is_started_without_a_look() -> None:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    execute(stage)
    assert stage.of(LookAtEnvironment) == []
    assert stage.of(StartKernel) == [StartKernel(1, None, None)]


def test_nothing_is_admitted_or_started_without_consent_and_the_error_names_what_is_missing() -> (
    None
):
    stage = declaring()
    token = execute(stage)
    assert stage.of(LookAtEnvironment) == [LookAtEnvironment(DECLARED)]
    assert stage.answer(token) is None
    see(stage)
    refusal = stage.answer(token)
    assert isinstance(refusal, InstallationNeeded)
    assert refusal.data["installation"] == DIGEST
    assert "pandas" in refusal.data["requirements"]
    assert "pandas" in str(refusal)
    assert "install=True" in str(refusal)
    assert "has changed" not in str(refusal)
    assert stage.of(StartKernel) == []
    assert stage.runtime.executions() == []


def test_with_consent_the_kernel_is_started_with_what_is_missing() -> None:
    stage = declaring()
    token = execute(stage, install=DIGEST)
    see(stage)
    assert stage.answer(token).cell_id == "a"
    (start,) = stage.of(StartKernel)
    assert start == StartKernel(1, None, "python", DECLARED, WANTED.installation())


@pytest.mark.parametrize("kind", ["code", "markdown", "raw"])
def test_only_code_declares_what_a_notebook_needs(kind: CellType) -> None:
    stage = Stage()
    block = "# /// script\n# dependencies = ['pandas']\n# ///"
    stage.peer().edit(AddCell("a", source="1"), AddCell("b", kind, block))
    execute(stage)
    looks = stage.of(LookAtEnvironment)
    assert looks == ([LookAtEnvironment(DECLARED)] if kind == "code" else [])


def test_an_environment_that_is_there_needs_no_consent_and_nothing_is_installed() -> None:
    stage = declaring()
    execute(stage)
    see(stage, is_ready=True)
    assert stage.of(StartKernel) == [StartKernel(1, None, "python", DECLARED, None)]


def test_consent_to_what_was_declared_before_is_no_consent_to_what_is_declared_now() -> None:
    stage = declaring("pandas", "added-by-somebody")
    token = stage.ask(rpc.StartKernel(document=DOCUMENT, install=DIGEST))
    see(stage)
    refusal = stage.answer(token)
    assert isinstance(refusal, InstallationNeeded)
    assert "has changed" in str(refusal)
    assert stage.of(StartKernel) == []


def test_what_was_seen_of_another_environment_or_for_nobody_changes_nothing() -> None:
    stage = declaring()
    other = NotebookEnvironment(Dependencies(("numpy",)))
    stage.feed(EnvironmentSeen(other, True))
    token = execute(stage)
    stage.feed(EnvironmentSeen(other, True))
    assert stage.answer(token) is None
    assert stage.of(StartKernel) == []
    see(stage, is_ready=True)
    assert isinstance(stage.answer(token), rpc.Accepted)


def test_what_is_asked_during_the_look_keeps_its_place() -> None:
    stage = declaring(cells=3)
    tokens = [execute(stage, each, install=DIGEST) for each in "ab"]
    interrupt = stage.ask(rpc.Interrupt(document=DOCUMENT))
    last = execute(stage, "c", install=DIGEST)
    assert stage.of(LookAtEnvironment) == [LookAtEnvironment(DECLARED)]
    see(stage)
    assert stage.answer(interrupt).cancelled == 2
    ids = [stage.answer(token).execution_id for token in (*tokens, last)]
    assert [stage.runtime.status(each) for each in ids] == ["cancelled", "cancelled", "queued"]
    ready_in(stage, None)
    assert [code for _, code in stage.ran()] == ["'c'"]


def test_a_request_that_nobody_waits_for_any_more_is_not_served_after_the_look() -> None:
    stage = declaring()
    execute(stage, timeout_s=1, install=DIGEST)
    stage.wait(2)
    see(stage)
    assert stage.of(StartKernel) == []
    assert stage.runtime.executions() == []


def test_what_was_seen_is_not_believed_the_next_time() -> None:
    stage = declaring()
    execute(stage)
    see(stage)
    token = execute(stage)
    assert len(stage.of(LookAtEnvironment)) == 2
    see(stage, is_ready=True)
    assert stage.answer(token).cell_id == "a"


def test_an_answer_to_another_question_is_ignored() -> None:
    stage = declaring()
    token = execute(stage)
    stage.feed(EnvironmentSeen(FOLDER, is_ready=True))
    assert stage.answer(token) is None
    see(stage, is_ready=True)
    assert stage.answer(token) is not None


def test_a_repeat_of_an_accepted_execution_gets_its_answer_without_an_environment() -> None:
    stage = declaring()
    request = rpc.Execute(
        document=DOCUMENT, cell_id="a", execution_id=stage.new_id(), install=DIGEST
    )
    first = stage.ask(request)
    see(stage)
    ready_in(stage, None)
    stage.kernel_finishes()
    stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    again = stage.ask(request)
    assert stage.answer(again) == stage.answer(first)
    assert len(stage.of(LookAtEnvironment)) == 1


def test_a_kernel_that_runs_needs_no_look_for_further_cells() -> None:
    stage = declaring()
    execute(stage, install=DIGEST)
    see(stage)
    ready_in(stage, rpc.KernelEnvironment(path="/made", source="notebook"))
    stage.kernel_finishes()
    execute(stage)
    assert len(stage.of(LookAtEnvironment)) == 1
    assert len(stage.ran()) == 2
    assert stage.room.kernel_state.environment == rpc.KernelEnvironment(
        path="/made", source="notebook"
    )


def test_consent_counts_for_what_is_asked_before_the_first_is_durable() -> None:
    stage = declaring(cells=2)
    stage.holds_disk = True
    first = execute(stage, "a", install=DIGEST)
    see(stage)
    second = execute(stage, "b")
    stage.holds_disk = False
    stage.disk()
    assert isinstance(stage.answer(first), rpc.Accepted)
    assert isinstance(stage.answer(second), rpc.Accepted)
    (started,) = stage.of(StartKernel)
    assert started.installation == WANTED.installation()


def test_an_execution_that_is_taken_back_before_it_is_durable_takes_its_consent_along() -> None:
    stage = declaring()
    stage.holds_disk = True
    execute(stage, install=DIGEST)
    see(stage)
    stage.ask(rpc.Interrupt(document=DOCUMENT))
    stage.holds_disk = False
    stage.disk()
    token = execute(stage)
    see(stage)
    assert isinstance(stage.answer(token), InstallationNeeded)


def test_a_kernel_that_is_asked_for_by_name_runs_where_its_kernelspec_says() -> None:
    stage = declaring()
    stage.ask(rpc.StartKernel(document=DOCUMENT, name="python3"))
    assert stage.of(LookAtEnvironment) == [LookAtEnvironment(None)]
    assert stage.of(StartKernel) == [StartKernel(1, "python3", None)]


def test_a_notebook_in_another_language_is_not_run_in_its_python_environment() -> None:
    stage = declaring()
    stage.peers[1].edit(SetNotebookMetadata("kernelspec", {"name": "ir", "language": "R"}))
    execute(stage)
    assert stage.of(StartKernel) == [StartKernel(1, "ir", "r")]


def test_what_makes_no_sense_is_refused_before_anything_is_looked_at() -> None:
    stage = declaring("--index-url=https://elsewhere.example")
    token = execute(stage)
    assert isinstance(stage.answer(token), InvalidDependencies)
    assert stage.of(LookAtEnvironment) == []


# By path


def test_a_kernel_is_started_in_the_environment_at_a_path() -> None:
    stage = Stage()
    token = stage.ask(rpc.StartKernel(document=DOCUMENT, environment="/venv"))
    see(stage, is_ready=True)
    assert stage.of(StartKernel) == [StartKernel(1, None, None, FOLDER)]
    at_path = rpc.KernelEnvironment(path="/venv", source="path")
    ready_in(stage, at_path)
    stage.show()
    assert stage.answer(token).environment == at_path
    again = stage.ask(rpc.StartKernel(document=DOCUMENT, environment="/venv"))
    stage.show()
    assert stage.answer(again).incarnation == 1


def test_an_environment_without_ipykernel_is_named_with_what_it_lacks() -> None:
    stage = Stage()
    token = stage.ask(rpc.StartKernel(document=DOCUMENT, environment="/venv"))
    see(stage)
    refusal = stage.answer(token)
    assert isinstance(refusal, InstallationNeeded)
    assert refusal.data["into"] == "/venv"
    assert "ipykernel" in str(refusal)
    token = stage.ask(
        rpc.StartKernel(
            document=DOCUMENT, environment="/venv", install=refusal.data["installation"]
        )
    )
    see(stage)
    (start,) = stage.of(StartKernel)
    assert start.installation.into == "/venv"


def test_a_path_without_an_environment_leaves_the_running_kernel_alone() -> None:
    stage = Stage()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    token = stage.ask(rpc.RestartKernel(document=DOCUMENT, environment="/venv"))
    see(stage, error=EnvironmentNotFound("There is none.", path="/venv"))
    assert isinstance(stage.answer(token), EnvironmentNotFound)
    assert stage.of(StopKernel) == []
    assert stage.room.kernel_state.status == "idle"


def test_a_restart_stays_in_the_environment_that_was_asked_for_and_a_shutdown_leaves_it() -> None:
    stage = Stage()
    stage.peer().add_cell("a", "1")
    stage.ask(rpc.StartKernel(document=DOCUMENT, environment="/venv"))
    see(stage, is_ready=True)
    ready_in(stage, rpc.KernelEnvironment(path="/venv", source="path"))
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    see(stage, is_ready=True)
    assert stage.of(StartKernel)[-1] == StartKernel(2, None, None, FOLDER)
    ready_in(stage, rpc.KernelEnvironment(path="/venv", source="path"))
    stage.ask(rpc.ShutdownKernel(document=DOCUMENT))
    execute(stage)
    assert stage.of(StartKernel)[-1].environment is None


def test_a_restart_takes_what_the_notebook_declares_now() -> None:
    stage = Stage()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    content = {"environment": {"dependencies": ["pandas"]}}
    stage.peer().edit(SetNotebookMetadata("headway", content))
    stage.ask(rpc.RestartKernel(document=DOCUMENT, install=DIGEST))
    see(stage)
    assert stage.of(StartKernel)[-1].environment == DECLARED


def test_a_run_on_a_fresh_kernel_without_consent_restarts_nothing() -> None:
    stage = Stage()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    content = {"environment": {"dependencies": ["pandas"]}}
    stage.peer().edit(SetNotebookMetadata("headway", content), AddCell("a", source="1"))
    batch = execution_id(stage.now_s, stage.random.randbytes)
    run = rpc.ExecuteAll(document=DOCUMENT, batch_id=batch, restart=True)
    token = stage.ask(run)
    see(stage)
    assert isinstance(stage.answer(token), InstallationNeeded)
    assert stage.of(StopKernel) == []
    assert stage.runtime.executions() == []


@pytest.mark.parametrize("source", ["path", "notebook"])
def test_a_kernel_of_an_earlier_daemon_is_restarted_where_it_was(source: Any) -> None:
    environment = rpc.KernelEnvironment(path="/venv", source=source)
    living = LivingKernel(7, "python3", KernelInfo("python"), None, 1_700_000_000.0, environment)
    stage = Stage(opening=Opening(document=DOCUMENT, path=None, kernel=living))
    assert stage.room.kernel_state.environment == environment
    stage.ask(rpc.RestartKernel(document=DOCUMENT))
    assert stage.of(LookAtEnvironment) == ([LookAtEnvironment(FOLDER)] if source == "path" else [])


def test_what_goes_on_while_it_starts_is_shown_until_it_is_ready() -> None:
    stage = declaring()
    execute(stage, install=DIGEST)
    see(stage)
    stage.feed(KernelProgress(1, "Resolved 7 packages in 5ms"))
    stage.wait(1)
    assert stage.runtime.kernel()["status"] == "starting"
    assert stage.runtime.kernel()["progress"] == "Resolved 7 packages in 5ms"
    ready_in(stage, None)
    stage.feed(KernelProgress(1, "too late"))
    stage.wait(1)
    assert stage.runtime.kernel()["progress"] is None
