"""`headway doctor`: what is wrong is found, named, and given a remedy."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import Shell, broken_kernelspec
from headway.cli.doctor import Finding, examine
from headway.edges.lock import HomeLock
from headway.edges.paths import Paths


@pytest.fixture
def paths() -> Iterator[Paths]:
    with tempfile.TemporaryDirectory(prefix="headway-doctor-") as folder:
        yield Paths.of(Path(folder))


def findings(paths: Paths) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(paths)}


def test_a_sound_installation_is_ok_line_by_line(lonely_shell: Shell) -> None:
    done = lonely_shell.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert {line.split()[1] for line in lines} >= {"python", "packages", "home", "kernel"}


def test_a_running_daemon_is_asked(shell: Shell) -> None:
    assert shell.run("open", "any.ipynb").returncode == 0
    found = {each["name"]: each for each in shell.json("doctor")}
    assert found["daemon"]["ok"]
    assert "notebooks open" in found["daemon"]["what"]


def test_a_home_that_others_can_read_fails_with_a_remedy(lonely_shell: Shell) -> None:
    lonely_shell.home.chmod(0o755)
    done = lonely_shell.run("doctor")
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("failed"))
    assert f"Run: chmod 700 {lonely_shell.home}" in line


def test_a_home_that_is_a_file_fails(paths: Paths) -> None:
    (paths.home / "file").write_text("")
    found = findings(Paths.of(paths.home / "file"))["home"]
    assert not found.ok
    assert "not a folder" in found.what


def test_a_home_that_it_may_not_look_into_fails_and_the_rest_is_examined(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    # root may look into everything, and tests run as root
    monkeypatch.setattr(Path, "exists", refused)
    found = findings(paths)
    assert found["home"] == Finding(
        "home", False, f"{paths.home}: Permission denied.", "Set HEADWAY_HOME elsewhere."
    )
    assert found["python"].ok
    assert "daemon" in found


def test_a_socket_that_is_no_socket_fails(paths: Paths) -> None:
    paths.socket.write_text("")
    found = findings(paths)["socket"]
    assert not found.ok
    assert found.remedy == "Remove it."


def test_a_socket_that_others_can_use_fails(paths: Paths) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(paths.socket))
        paths.socket.chmod(0o666)
        found = findings(paths)["socket"]
    assert not found.ok
    assert "chmod 600" in found.remedy


def test_an_owner_of_the_home_that_does_not_listen_fails(paths: Paths) -> None:
    with HomeLock.acquire(paths.lock):
        found = findings(paths)["daemon"]
    assert not found.ok
    assert "does not listen" in found.what


def test_a_kernelspec_that_cannot_be_used_fails_and_is_named(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = broken_kernelspec(paths.home)
    monkeypatch.setenv("JUPYTER_PATH", str(paths.home))
    (found,) = (each for each in examine(paths) if each.what.startswith("odd: "))
    assert (found.name, found.ok) == ("kernel", False)
    assert found.what.startswith(f"odd: {file} cannot be used: it is not JSON")
    assert found.remedy == "Correct that file, or run: jupyter kernelspec remove odd"


def test_looking_changes_nothing(paths: Paths) -> None:
    list(examine(paths))
    assert list(paths.home.iterdir()) == []
