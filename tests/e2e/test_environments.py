"""Real kernels in real environments: by path, and of what a notebook declares; uv is offline."""

from __future__ import annotations

import ast
import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway
from headway.core.document.dependencies import METADATA_KEY
from headway.edges.environments import find_uv
from headway.errors import EnvironmentNotFound, EnvironmentNotMade, InstallationNeeded
from headway_daemon import HeadwayDaemon, bounded, headway_daemon
from wheelhouse import settings_for, wheelhouse

RUN_S = 60.0
UV = find_uv()
GREET = "import greeting; greeting.WORDS"

pytestmark = pytest.mark.skipif(UV is None, reason="uv is not installed")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadwayDaemon]:
    folder = tmp_path_factory.mktemp("uv")
    settings = settings_for(wheelhouse(folder / "wheels"), folder / "cache")
    former = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with headway_daemon() as running:
            yield running
    finally:
        for name, value in former.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def bare(folder: Path) -> Path:
    """A virtual environment without ipykernel."""
    assert UV is not None
    command = [UV, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)]
    subprocess.run(command, check=True, cwd=folder.parent)
    return folder


def environments(daemon: HeadwayDaemon) -> list[str]:
    place = daemon.home / "environments"
    return sorted(each.name for each in place.iterdir()) if place.exists() else []


def with_its_environment(notebook: headway.Notebook) -> tuple[headway.Cell, Path]:
    """A cell that ran in the notebook's own environment, and the place of that; no kernel runs."""
    notebook.add_dependencies("greeting==1.0")
    cell = notebook.add_cell(GREET)
    assert notebook.execute_cell(cell, install=True, timeout=RUN_S).text == "'hello 1.0'"
    place = Path(notebook.kernel["environment"]["path"])
    notebook.shutdown_kernel()
    return cell, place


def test_a_declared_environment_is_made_with_consent_and_then_found(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        notebook.add_dependencies("greeting==1.0")
        cell = notebook.add_cell(GREET)
        with pytest.raises(InstallationNeeded) as refused:
            notebook.execute_cell(cell, timeout=RUN_S)
        assert "greeting==1.0" in str(refused.value)
        assert environments(daemon) == []
        assert notebook.queue == []
        result = notebook.execute_cell(cell, install=True, timeout=RUN_S)
        assert result.text == "'hello 1.0'"
        (made,) = environments(daemon)
        assert notebook.kernel["environment"] == {
            "path": str(daemon.home / "environments" / made),
            "source": "notebook",
        }
        notebook.shutdown_kernel()
        assert notebook.execute_cell(cell, timeout=RUN_S).text == "'hello 1.0'"
    with daemon.open(f"{name}-other") as other:
        other.add_dependencies("greeting==1.0")
        assert other.run(GREET, timeout=RUN_S).text == "'hello 1.0'"
    assert environments(daemon) == [made]


@pytest.mark.parametrize("damaged", ["pyvenv.cfg", "bin/python", "lib"])
def test_an_environment_that_was_damaged_is_made_anew_by_whoever_runs_a_cell(
    daemon: HeadwayDaemon, name: str, damaged: str
) -> None:
    with daemon.open(name) as notebook:
        cell, place = with_its_environment(notebook)
        (place / damaged).rename(place / "gone")
        assert notebook.execute_cell(cell, timeout=RUN_S).text == "'hello 1.0'"
        assert ast.literal_eval(notebook.run("import sys; sys.prefix").text) == str(place)
        assert not (place / "gone").exists()


def test_a_kernel_that_its_environment_does_not_let_start_says_how_to_have_that_made_anew(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        cell, place = with_its_environment(notebook)
        (packages,) = place.glob("lib/python*/site-packages")
        (packages / "zmq.py").write_text("raise ImportError('half of it is gone')")
        with pytest.raises(headway.KernelStartFailed, match="half of it is gone") as failed:
            notebook.start_kernel()
        remedy = str(failed.value).partition("have it made anew: ")[2]
        subprocess.run(shlex.split(remedy), check=True)
        assert notebook.execute_cell(cell, install=True, timeout=RUN_S).text == "'hello 1.0'"


def test_a_changed_declaration_counts_from_the_next_start_and_needs_consent_of_its_own(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        notebook.add_dependencies("greeting==1.0")
        cell = notebook.add_cell(GREET)
        assert notebook.execute_cell(cell, install=True, timeout=RUN_S).text == "'hello 1.0'"
        notebook.add_dependencies("greeting==2.0")
        assert notebook.execute_cell(cell, timeout=RUN_S).text == "'hello 1.0'"
        with pytest.raises(InstallationNeeded):
            notebook.restart_kernel()
        assert notebook.kernel["status"] == "idle"
        results = notebook.run_all(restart=True, install=True, timeout=RUN_S)
        assert [each.text for each in results] == ["'hello 2.0'"]


def test_what_somebody_else_adds_after_the_look_is_not_installed(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as ours, daemon.open(name) as theirs:
        ours.add_dependencies("greeting==1.0")
        ours.confirm_sync()
        theirs.wait_until(lambda: theirs.dependencies is not None, timeout=RUN_S)
        consent = theirs.dependencies
        assert consent is not None
        ours.add_dependencies("something-else")
        ours.confirm_sync()
        reply = daemon.post("start_kernel", document=ours.id, install=consent.installation().digest)
        assert (reply.status, reply.code) == (409, "INSTALLATION_NEEDED")
        assert "something-else" in reply.body["error"]["data"]["requirements"]


def test_what_goes_on_is_shown_and_a_failure_says_what_uv_said(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name) as notebook:
            notebook.add_dependencies("greeting==3.0")
            lines: set[str] = set()

            def is_over() -> bool:
                lines.add(str(notebook.kernel.get("progress")))
                return notebook.kernel.get("status") == "dead"

            watching = asyncio.create_task(notebook.wait_until(is_over, timeout=RUN_S))
            with pytest.raises(EnvironmentNotMade, match="greeting"):
                await notebook.start_kernel(install=True, timeout=RUN_S)
            await watching
            assert any(line != "None" for line in lines)
            assert "greeting" in str(notebook.kernel["reason"])

    bounded(scenario())


def test_a_kernel_runs_in_the_environment_at_a_path_and_stays_there_over_a_restart(
    daemon: HeadwayDaemon, name: str, tmp_path: Path
) -> None:
    folder = bare(tmp_path / "venv")
    with daemon.open(name) as notebook:
        with pytest.raises(EnvironmentNotFound, match="uv venv"):
            notebook.start_kernel(environment=tmp_path / "nothing")
        with pytest.raises(InstallationNeeded, match="ipykernel"):
            notebook.start_kernel(environment=folder)
        state = notebook.start_kernel(environment=folder, install=True)
        assert state.environment is not None
        assert (state.environment.path, state.environment.source) == (str(folder), "path")
        for _ in range(2):
            seen = notebook.run("import sys, os; sys.prefix, os.environ['VIRTUAL_ENV']")
            assert ast.literal_eval(seen.text) == (str(folder), str(folder))
            notebook.restart_kernel()
        notebook.shutdown_kernel()
        assert notebook.run("import sys; sys.prefix").text == repr(sys.prefix)


def test_a_kernel_in_an_environment_is_found_there_by_the_next_daemon(
    daemon: HeadwayDaemon, name: str, tmp_path: Path
) -> None:
    folder = bare(tmp_path / "venv")
    with daemon.open(name) as notebook:
        notebook.start_kernel(environment=folder, install=True)
        notebook.run("kept = 41", timeout=RUN_S)
        os.kill(int(daemon.post("status").body["pid"]), 9)
        assert notebook.run("kept + 1", timeout=RUN_S).text == "42"
        assert notebook.kernel["environment"] == {"path": str(folder), "source": "path"}


def test_a_declaration_is_in_the_file_and_makes_sense_to_whoever_reads_it(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        notebook.add_dependencies("pandas>=2", "rich")
        notebook.remove_dependencies("Rich")
        assert notebook.metadata[METADATA_KEY] == {"environment": {"dependencies": ["pandas>=2"]}}
        with pytest.raises(headway.InvalidDependencies):
            notebook.add_dependencies("--index-url=https://elsewhere.example")
        notebook.save()
        assert '"pandas>=2"' in daemon.path(name).read_text()
