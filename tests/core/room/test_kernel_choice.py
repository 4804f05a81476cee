"""Which kernel a name means, and what becomes of a name that means none."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.document.edits import AddCell, SetNotebookMetadata
from headway.core.kernel.events import KernelInfo
from headway.core.room.effects import (
    FolderEnvironment,
    LookAtEnvironment,
    StartKernel,
    StopKernel,
)
from headway.core.room.inputs import EnvironmentSeen, KernelReady
from headway.core.wire import rpc
from headway.errors import InstallationNeeded, KernelNotFound
from room_stage import DOCUMENT, Stage

FOLDER = FolderEnvironment("/venv")


def ready(stage: Stage, name: str = "python3", language: str = "python") -> None:
    incarnation = stage.of(StartKernel)[-1].incarnation
    stage.feed(KernelReady(incarnation, KernelInfo(language), name))


def running(**named: Any) -> Stage:
    stage = Stage(**named)
    stage.ask(rpc.StartKernel(document=DOCUMENT, name=next(iter(stage.installed))))
    ready(stage, *next(iter(stage.installed.items())))
    return stage


def declare(stage: Stage, **spec: str) -> None:
    stage.peer().edit(SetNotebookMetadata("kernelspec", spec), AddCell("a", source="1"))


def is_left_alone(stage: Stage) -> bool:
    state = stage.room.kernel_state
    return (state.incarnation, state.status) == (1, "idle") and not stage.of(StopKernel)


@pytest.mark.parametrize("command", [rpc.StartKernel, rpc.RestartKernel])
def test_a_name_that_no_kernel_has_is_refused_and_the_kernel_that_runs_is_left_alone(
    command: Any,
) -> None:
    stage = running()
    token = stage.ask(command(document=DOCUMENT, name="pyhton3"))
    refusal = stage.answer(token)
    assert isinstance(refusal, KernelNotFound)
    assert str(refusal) == ('No kernel "pyhton3" is installed here. Choose one of: bash, python3.')
    assert refusal.data == {"name": "pyhton3", "installed": ["bash", "python3"]}
    assert is_left_alone(stage)


@pytest.mark.parametrize("is_run", [False, True])
def test_a_restart_of_a_notebook_whose_kernel_is_not_here_leaves_the_one_that_runs(
    *, is_run: bool
) -> None:
    stage = Stage()
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    ready(stage)
    declare(stage, name="nowhere")
    restart = rpc.RestartKernel(document=DOCUMENT)
    run = rpc.ExecuteAll(document=DOCUMENT, batch_id=stage.new_id(), restart=True)
    token = stage.ask(run if is_run else restart)
    assert isinstance(stage.answer(token), KernelNotFound)
    assert is_left_alone(stage)
    assert stage.runtime.executions() == []


def test_a_kernel_is_started_by_its_name_in_whatever_letters_and_one_that_runs_is_that_one() -> (
    None
):
    stage = Stage(installed={"upper": "python"})
    stage.ask(rpc.StartKernel(document=DOCUMENT, name="UPPER"))
    assert stage.of(StartKernel) == [StartKernel(1, "upper", None)]
    ready(stage, "upper")
    token = stage.ask(rpc.StartKernel(document=DOCUMENT, name="Upper"))
    stage.show()
    assert stage.answer(token).incarnation == 1
    assert is_left_alone(stage)


def test_a_cell_of_a_notebook_whose_kernel_is_not_here_is_admitted_and_ends_with_the_reason() -> (
    None
):
    stage = Stage()
    declare(stage, name="nowhere")
    token = stage.ask(rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=stage.new_id()))
    assert stage.answer(token).cell_id == "a"
    assert stage.of(LookAtEnvironment) == []
    assert stage.of(StartKernel) == [StartKernel(1, "nowhere", None)]


def test_a_notebook_that_names_only_its_language_is_run_by_a_kernel_of_it() -> None:
    stage = Stage()
    language = SetNotebookMetadata("language_info", {"name": "bash"})
    stage.peer().edit(language, AddCell("a", source="ls"))
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=stage.new_id()))
    assert stage.of(StartKernel) == [StartKernel(1, None, "bash")]


def test_a_name_whose_kernelspec_cannot_be_used_is_refused_with_the_reason() -> None:
    stage = running(unreadable={"odd": "/odd/kernel.json cannot be used: it is not JSON"})
    token = stage.ask(rpc.StartKernel(document=DOCUMENT, name="Odd"))
    refusal = stage.answer(token)
    assert isinstance(refusal, KernelNotFound)
    assert str(refusal) == (
        'The kernel "Odd" is installed, but /odd/kernel.json cannot be used: it is not JSON. '
        "Correct that file, or choose one of: bash, python3."
    )
    assert is_left_alone(stage)


# In an environment


def in_environment(stage: Stage, name: str | None, *, is_ready: bool = True, **kernels: str) -> Any:
    params = rpc.RestartKernel(document=DOCUMENT, name=name, environment="/venv")
    token = stage.ask(params)
    assert stage.of(LookAtEnvironment)[-1] == LookAtEnvironment(FOLDER)
    stage.feed(EnvironmentSeen(FOLDER, is_ready, kernels=kernels))
    return stage.answer(token)


def test_a_name_that_no_kernel_of_an_environment_has_is_refused_with_those_that_are_there() -> None:
    stage = running()
    refusal = in_environment(stage, "bash", python3="python")
    assert isinstance(refusal, KernelNotFound)
    assert str(refusal) == (
        'No kernel "bash" is in the environment /venv. Choose one of: python3, or leave the '
        "environment out."
    )
    assert is_left_alone(stage)


def test_a_notebook_of_another_language_runs_in_the_environments_kernel_of_its_name() -> None:
    stage = Stage()
    declare(stage, name="ir", language="R")
    assert in_environment(stage, None, python3="python", ir="R") is None
    assert stage.of(StartKernel) == [StartKernel(1, "ir", "r", FOLDER)]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (None, {"name": "ir", "language": "R"}),
        (None, {"language": "R"}),
        ("ir", {"name": "python3", "language": "python"}),
    ],
)
def test_a_kernel_of_another_language_needs_no_ipykernel_in_its_environment(
    asked: str | None, named: dict[str, str]
) -> None:
    stage = Stage()
    declare(stage, **named)
    assert in_environment(stage, asked, is_ready=False, python3="python", ir="R") is None
    (start,) = stage.of(StartKernel)
    assert start.installation is None


def test_the_python_of_an_environment_does_though_a_kernel_of_another_language_is_there() -> None:
    stage = Stage()
    declare(stage, name="ir", language="R")
    answer = in_environment(stage, "python3", is_ready=False, python3="python", ir="R")
    assert isinstance(answer, InstallationNeeded)


def test_a_notebook_of_another_language_is_never_given_to_the_python_of_an_environment() -> None:
    stage = running(installed={"ir": "R"})
    declare(stage, name="ir", language="R")
    refusal = in_environment(stage, None, python3="python")
    assert isinstance(refusal, KernelNotFound)
    assert str(refusal) == (
        'No kernel "ir" is in the environment /venv. Choose one of: python3, or leave the '
        "environment out."
    )
    assert is_left_alone(stage)


def test_a_notebook_that_says_its_language_alone_runs_in_a_kernel_of_that_language() -> None:
    stage = Stage()
    declare(stage, language="R")
    assert in_environment(stage, None, python3="python", ir="R") is None
    assert stage.of(StartKernel) == [StartKernel(1, None, "r", FOLDER)]


def test_a_python_notebook_runs_in_the_environments_python_whatever_it_calls_its_own() -> None:
    stage = Stage()
    declare(stage, name="conda-env-elsewhere-py", language="python")
    assert in_environment(stage, None, python3="python") is None
    assert stage.of(StartKernel) == [StartKernel(1, None, None, FOLDER)]


def test_text_of_a_language_that_no_kernel_has_is_not_given_to_python() -> None:
    stage = Stage()
    declare(stage, language="R")
    token = stage.ask(rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=stage.new_id()))
    refusal = stage.answer(token)
    assert isinstance(refusal, KernelNotFound)
    assert 'No kernel of the language "r"' in str(refusal)
    assert stage.of(StartKernel) == []
    assert stage.runtime.executions() == []
