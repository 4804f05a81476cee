"""A kernel that is no ipykernel, in another language: bash, from PyPI's `bash_kernel`."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway
from headway_daemon import HeadwayDaemon, bounded, headway_daemon

RUN_S = 30.0

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("bash_kernel") is None, reason="bash_kernel is not installed"
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadwayDaemon]:
    folder = tmp_path_factory.mktemp("jupyter")
    install(folder / "kernels" / "bash")
    os.environ["JUPYTER_DATA_DIR"] = str(folder)
    try:
        with headway_daemon() as running:
            yield running
    finally:
        del os.environ["JUPYTER_DATA_DIR"]


def install(place: Path) -> None:
    place.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"],
        "display_name": "Bash",
        "language": "bash",
        "env": {"PS1": "$"},
    }
    (place / "kernel.json").write_text(json.dumps(spec))


@pytest.fixture
def notebook(daemon: HeadwayDaemon, name: str) -> Iterator[headway.Notebook]:
    with daemon.open(name, kernel="bash") as opened:
        yield opened


def test_cells_run_in_it_and_the_notebook_says_its_language(notebook: headway.Notebook) -> None:
    assert notebook.run("x=40; echo $((x + 2))", timeout=RUN_S).text.strip() == "42"
    assert notebook.run("echo $x", timeout=RUN_S).text.strip() == "40"
    assert notebook.kernel["language"] == "bash"
    notebook.wait_until(lambda: "language_info" in notebook.metadata, timeout=RUN_S)
    assert notebook.metadata["kernelspec"] == {
        "name": "bash",
        "display_name": "Bash",
        "language": "bash",
    }
    assert notebook.metadata["language_info"]["name"] == "bash"


def test_it_runs_in_a_virtual_environment_that_has_it_and_no_ipykernel(
    daemon: HeadwayDaemon, name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "venv"
    venv.create(folder)
    install(folder / "share" / "jupyter" / "kernels" / "bash")
    with daemon.open(name) as notebook:
        with pytest.raises(headway.InstallationNeeded):
            notebook.start_kernel(environment=folder)
        notebook.start_kernel("bash", environment=folder)
        assert notebook.run("echo $VIRTUAL_ENV", timeout=RUN_S).text.strip() == str(folder)
        assert notebook.kernel["environment"] == {"path": str(folder), "source": "path"}


def test_a_command_that_fails_ends_its_batch(notebook: headway.Notebook) -> None:
    notebook.add_cell("echo before")
    notebook.add_cell("false")
    notebook.add_cell("echo never")
    statuses = [each.status for each in notebook.run_all(timeout=RUN_S)]
    assert statuses == ["ok", "error", "cancelled"]


def test_an_interrupt_ends_a_command_and_the_kernel_is_usable(
    daemon: HeadwayDaemon, name: str
) -> None:
    async def scenario() -> None:
        async with daemon.open_async(name, kernel="bash") as notebook:
            job = await notebook.queue_cell(notebook.add_cell("echo begun; sleep 600"))
            await notebook.wait_until(lambda: bool(job.outputs), timeout=RUN_S)
            await notebook.interrupt()
            assert await job.wait(RUN_S) in {"ok", "error", "cancelled"}
            assert (await notebook.run("echo again", timeout=RUN_S)).text.strip() == "again"

    bounded(scenario())


def test_it_completes_names(notebook: headway.Notebook) -> None:
    notebook.run("a_variable_of_mine=1", timeout=RUN_S)
    found = notebook.complete("echo $a_variable_of")
    assert "$a_variable_of_mine" in found.matches


def test_its_death_is_seen_with_its_cause_and_a_restart_begins_anew(
    notebook: headway.Notebook,
) -> None:
    notebook.run("kept=1", timeout=RUN_S)
    pid = int(notebook.run("echo $PPID", timeout=RUN_S).text)
    os.kill(pid, signal.SIGKILL)
    notebook.wait_until(lambda: notebook.kernel.get("status") == "dead", timeout=RUN_S)
    assert "signal 9 (SIGKILL)" in str(notebook.kernel["reason"])
    state = notebook.restart_kernel()
    assert (state.status, state.name) == ("idle", "bash")
    assert notebook.run('echo "[$kept]"', timeout=RUN_S).text.strip() == "[]"
