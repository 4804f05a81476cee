"""What every implementation of the environments port does, and what making them with uv does.

The wheels are the test's own and uv is offline: nothing comes from a network.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headway.core.document.dependencies import Dependencies
from headway.core.room.effects import FolderEnvironment, NotebookEnvironment
from headway.core.room.environment import installation_of
from headway.edges import environments
from headway.edges.environments import UvEnvironments, find_uv
from headway.edges.kernelspecs import find_in
from headway.edges.memory_environments import MemoryEnvironments
from headway.edges.ports import Environments
from headway.errors import EnvironmentNotFound, EnvironmentNotMade
from wheelhouse import settings_for, wheelhouse

UV = find_uv()
LIMIT_S = 120.0
GREETING = NotebookEnvironment(Dependencies(("greeting==1.0",)))

pytestmark = pytest.mark.skipif(UV is None, reason="uv is not installed")


@dataclass
class Dialect:
    make: Callable[[Path, Path], Environments]
    """From a folder of its own and the wheels."""
    environment: Callable[[Environments, Path], str]
    """The path of an environment without ipykernel."""
    damage: Callable[[Environments, str], None]
    """Have no kernel start in the environment at a path."""


def uv_at(folder: Path, wheels: Path) -> UvEnvironments:
    settings = {**os.environ, **settings_for(wheels, folder / "cache")}
    return UvEnvironments(folder / "environments", settings=settings)


async def made_at(folder: Path, wheels: Path) -> tuple[UvEnvironments, str]:
    """An environment that is there, by its path."""
    port = uv_at(folder, wheels)
    return port, await port.prepare(GREETING, installation_of(GREETING), Lines())


def bare_environment(_: Environments, folder: Path) -> str:
    place = folder / "bare"
    if not place.exists():
        assert UV is not None
        command = [UV, "venv", "--quiet", "--no-project", "--python", sys.executable, str(place)]
        subprocess.run(command, check=True, cwd=folder)
    return str(place)


def bare_memory(port: Environments, _: Path) -> str:
    assert isinstance(port, MemoryEnvironments)
    port.folders["/bare"] = False
    return "/bare"


def damage_memory(port: Environments, place: str) -> None:
    assert isinstance(port, MemoryEnvironments)
    port.damaged.add(place)


DIALECTS = {
    "memory": Dialect(lambda _folder, _wheels: MemoryEnvironments(), bare_memory, damage_memory),
    "uv": Dialect(uv_at, bare_environment, lambda _, place: no_packages(Path(place))),
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheelhouse(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@dataclass
class Lines:
    said: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.said.append(line)


def bounded(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await work

    asyncio.run(limited())


def python_says(folder: str, code: str) -> str:
    command = [str(Path(folder) / "bin" / "python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def left_in(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "environments").iterdir())


# Every implementation


def test_what_a_notebook_declares_is_not_there_until_it_was_installed(
    dialect: Dialect, tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        port = dialect.make(tmp_path, wheels)
        assert not await port.is_ready(GREETING)
        with pytest.raises(EnvironmentNotMade):
            await port.prepare(GREETING, None, Lines())
        lines = Lines()
        folder = await port.prepare(GREETING, installation_of(GREETING), lines)
        assert lines.said
        assert await port.is_ready(GREETING)
        quiet = Lines()
        assert await port.prepare(GREETING, None, quiet) == folder
        assert quiet.said == []
        other = NotebookEnvironment(Dependencies(("greeting==2.0",)))
        assert not await port.is_ready(other)

    bounded(scenario())


def test_an_environment_at_a_path_is_ready_once_it_has_ipykernel(
    dialect: Dialect, tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        port = dialect.make(tmp_path, wheels)
        environment = FolderEnvironment(dialect.environment(port, tmp_path))
        assert not await port.is_ready(environment)
        folder = await port.prepare(environment, installation_of(environment), Lines())
        assert folder == environment.path
        assert await port.is_ready(environment)

    bounded(scenario())


def test_what_was_there_and_is_damaged_is_made_anew_and_needs_no_consent(
    dialect: Dialect, tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        port = dialect.make(tmp_path, wheels)
        folder = await port.prepare(GREETING, installation_of(GREETING), Lines())
        assert not await port.repair(GREETING, Lines())
        dialect.damage(port, folder)
        assert await port.is_ready(GREETING)
        lines = Lines()
        assert await port.repair(GREETING, lines)
        assert lines.said
        assert not await port.repair(GREETING, Lines())
        assert await port.prepare(GREETING, None, Lines()) == folder

    bounded(scenario())


def test_an_environment_at_a_path_is_never_made_anew(
    dialect: Dialect, tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        port = dialect.make(tmp_path, wheels)
        place = dialect.environment(port, tmp_path)
        dialect.damage(port, place)
        assert not await port.repair(FolderEnvironment(place), Lines())

    bounded(scenario())


def test_a_path_without_an_environment_is_refused(
    dialect: Dialect, tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        port = dialect.make(tmp_path, wheels)
        with pytest.raises(EnvironmentNotFound) as refused:
            await port.is_ready(FolderEnvironment(str(tmp_path / "nothing")))
        assert refused.value.data["path"] == str(tmp_path / "nothing")

    bounded(scenario())


# uv


@pytest.mark.parametrize("path", ["bare", "/nul\0byte"])
def test_what_is_no_absolute_path_is_refused(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        await UvEnvironments(tmp_path).is_ready(FolderEnvironment(path))

    with pytest.raises(EnvironmentNotFound, match="is none"):
        bounded(scenario())


def test_the_environment_runs_what_was_declared_and_says_what_is_in_it(
    tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        _, folder = await made_at(tmp_path, wheels)
        assert python_says(folder, "import greeting; print(greeting.WORDS)") == "hello 1.0"
        assert python_says(folder, "import ipykernel, sys; print(sys.prefix)") == folder
        assert "greeting==1.0" in (Path(folder) / "headway.json").read_text()
        assert left_in(tmp_path) == [Path(folder).name]
        spec = find_in(Path(folder)).kernels["python3"]
        assert spec.command("c")[0] == str(Path(folder) / "bin" / "python")

    bounded(scenario())


def test_what_cannot_be_had_says_so_and_leaves_nothing(tmp_path: Path, wheels: Path) -> None:
    async def scenario() -> None:
        port = uv_at(tmp_path, wheels)
        missing = NotebookEnvironment(Dependencies(("no-such-package-of-ours>=3",)))
        with pytest.raises(EnvironmentNotMade) as refused:
            await port.prepare(missing, installation_of(missing), Lines())
        assert "no-such-package-of-ours" in str(refused.value)
        assert "UV_FIND_LINKS" in str(refused.value)
        assert not await port.is_ready(missing)
        assert left_in(tmp_path) == []

    bounded(scenario())


@pytest.mark.parametrize("wanted", [None, ">=3.11"])
def test_our_own_python_is_used_where_it_fits_also_if_it_is_not_on_path(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch, wanted: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "nothing"))

    async def scenario() -> None:
        port = uv_at(tmp_path, wheels)
        environment = NotebookEnvironment(Dependencies(("greeting",), wanted))
        folder = await port.prepare(environment, installation_of(environment), Lines())
        assert python_says(folder, "import sys; print(sys.base_prefix)") == sys.base_prefix

    bounded(scenario())


def test_a_python_that_is_not_here_says_so(tmp_path: Path, wheels: Path) -> None:
    async def scenario() -> None:
        port = uv_at(tmp_path, wheels)
        old = NotebookEnvironment(Dependencies((), "==2.1.*"))
        with pytest.raises(EnvironmentNotMade, match=r"2\.1"):
            await port.prepare(old, installation_of(old), Lines())

    bounded(scenario())


def test_without_uv_the_way_out_is_named_before_anybody_is_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        port = UvEnvironments(tmp_path / "environments", uv=lambda: None)
        with pytest.raises(EnvironmentNotMade, match="pip install uv"):
            await port.is_ready(GREETING)

    bounded(scenario())


def make_in_vain(port: UvEnvironments) -> EnvironmentNotMade:
    """How it fails to make an environment."""

    async def scenario() -> None:
        await port.prepare(GREETING, installation_of(GREETING), Lines())

    with pytest.raises(EnvironmentNotMade) as refused:
        bounded(scenario())
    return refused.value


def test_a_place_where_nothing_can_be_made_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "environments"
    error = make_in_vain(UvEnvironments(folder))
    assert error.data["reason"] == f"Not a directory ({folder})"
    assert "start the kernel again" in str(error)


def test_a_uv_that_cannot_be_started_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    folder = tmp_path / "environments"
    error = make_in_vain(UvEnvironments(folder, uv=lambda: "/uv"))
    assert "No such file or directory" in error.data["reason"]
    assert left_in(tmp_path) == []


def test_an_environment_that_cannot_have_its_name_is_told_and_leaves_nothing(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    monkeypatch.setattr(environments, "put_in_place", full)
    error = make_in_vain(uv_at(tmp_path, wheels))
    assert error.data["reason"] == f"No space left on device ({tmp_path})"
    assert left_in(tmp_path) == []


def test_a_place_that_cannot_be_looked_at_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))

    monkeypatch.setattr(environments, "is_whole", refuse)

    async def scenario() -> None:
        await UvEnvironments(tmp_path).is_ready(GREETING)

    with pytest.raises(EnvironmentNotMade, match="Permission denied"):
        bounded(scenario())


def test_many_makers_at_once_make_one_environment_and_all_get_it(
    tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        ports = [uv_at(tmp_path, wheels) for _ in range(2)]
        makers = [
            port.prepare(GREETING, installation_of(GREETING), Lines())
            for port in ports
            for _ in range(2)
        ]
        folders = await asyncio.gather(*makers)
        assert len(set(folders)) == 1
        assert left_in(tmp_path) == [Path(folders[0]).name]
        assert python_says(folders[0], "import greeting; print(greeting.WORDS)") == "hello 1.0"

    bounded(scenario())


def slow_uv(folder: Path) -> Path:
    """A uv that announces its process and that of its child, and never ends."""
    program = folder / "uv"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    program.chmod(0o755)
    return program


def test_a_maker_that_nobody_waits_for_any_more_is_killed_with_all_it_started(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        program = slow_uv(tmp_path)
        port = UvEnvironments(tmp_path / "environments", uv=lambda: str(program))
        begun: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

        def progress(line: str) -> None:
            begun.set_result([int(word) for word in line.split()])

        making = asyncio.create_task(port.prepare(GREETING, installation_of(GREETING), progress))
        pids = await begun
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert left_in(tmp_path) == []
        await asyncio.gather(*(gone(pid) for pid in pids))

    bounded(scenario())


@pytest.mark.parametrize("step", ["_begin", "put_in_place"])
def test_a_maker_that_is_called_off_while_a_thread_works_leaves_nothing_half_made(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The thread cannot be called off: nothing is removed while it goes on."""
    there, go_on = threading.Event(), threading.Event()
    whose = UvEnvironments if step == "_begin" else environments
    work: Callable[..., None] = getattr(whose, step)

    def slowly(*arguments: object) -> None:
        there.set()
        go_on.wait(LIMIT_S)
        work(*arguments)

    monkeypatch.setattr(whose, step, slowly)

    async def scenario() -> None:
        port = uv_at(tmp_path, wheels)
        making = asyncio.create_task(port.prepare(GREETING, installation_of(GREETING), Lines()))
        await asyncio.to_thread(there.wait, LIMIT_S)
        making.cancel()
        await asyncio.wait([making], timeout=0.1)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await making
        if step == "_begin":
            assert left_in(tmp_path) == []
        else:
            (made,) = left_in(tmp_path)
            folder = tmp_path / "environments" / made
            assert python_says(str(folder), "import greeting; print(greeting.WORDS)") == "hello 1.0"

    bounded(scenario())


async def gone(pid: int) -> None:
    """Until there is no such process that still runs."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        await asyncio.sleep(0.01)


def test_what_a_killed_maker_left_is_never_used_and_goes_with_the_next(
    tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        left = tmp_path / "environments" / ".making-of-somebody" / "environment" / "bin"
        left.mkdir(parents=True)
        port = uv_at(tmp_path, wheels)
        assert not await port.is_ready(GREETING)
        folder = await port.prepare(GREETING, installation_of(GREETING), Lines())
        assert left_in(tmp_path) == [Path(folder).name]

    bounded(scenario())


def no_python(folder: Path) -> None:
    python = folder / "bin" / "python"
    python.unlink()
    python.symlink_to(folder.parent / "removed-python")


def no_venv(folder: Path) -> None:
    (folder / "pyvenv.cfg").unlink()


def no_packages(folder: Path) -> None:
    (packages,) = folder.glob("lib/python*/site-packages")
    shutil.rmtree(packages)


def a_python_that_fails(folder: Path) -> None:
    script(folder, "#!/bin/sh\nexit 1\n")


def a_python_that_is_no_program(folder: Path) -> None:
    script(folder, "#!/nowhere/python\n")


def script(folder: Path, text: str) -> None:
    python = folder / "bin" / "python"
    python.unlink()
    python.write_text(text)
    python.chmod(0o755)


@pytest.mark.parametrize("damage", [no_python, no_venv])
def test_an_environment_that_is_seen_to_be_damaged_is_made_anew_before_a_kernel_starts(
    tmp_path: Path, wheels: Path, damage: Callable[[Path], None]
) -> None:
    async def scenario() -> None:
        port, folder = await made_at(tmp_path, wheels)
        damage(Path(folder))
        assert await port.is_ready(GREETING)
        lines = Lines()
        assert await port.prepare(GREETING, None, lines) == folder
        assert "damaged" in lines.said[0]
        assert python_says(folder, "import greeting; print(greeting.WORDS)") == "hello 1.0"
        assert left_in(tmp_path) == [Path(folder).name]

    bounded(scenario())


@pytest.mark.parametrize("damage", [no_packages, a_python_that_fails, a_python_that_is_no_program])
def test_an_environment_in_which_no_kernel_can_start_is_made_anew_when_one_did_not(
    tmp_path: Path, wheels: Path, damage: Callable[[Path], None]
) -> None:
    async def scenario() -> None:
        port, folder = await made_at(tmp_path, wheels)
        damage(Path(folder))
        lines = Lines()
        assert await port.repair(GREETING, lines)
        assert "damaged" in lines.said[0]
        assert python_says(folder, "import greeting, ipykernel; print(greeting.WORDS)")
        assert left_in(tmp_path) == [Path(folder).name]

    bounded(scenario())


def test_a_python_that_was_killed_says_nothing_of_its_environment(
    tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        port, folder = await made_at(tmp_path, wheels)
        script(Path(folder), "#!/bin/sh\nkill -9 $$\n")
        assert not await port.repair(GREETING, Lines())

    bounded(scenario())


def test_an_environment_that_cannot_be_made_anew_now_is_made_anew_later(
    tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        port, folder = await made_at(tmp_path, wheels)
        no_packages(Path(folder))
        empty = tmp_path / "no-wheels"
        empty.mkdir()
        offline = UvEnvironments(
            tmp_path / "environments",
            settings={**os.environ, **settings_for(empty, tmp_path / "other-cache")},
        )
        with pytest.raises(EnvironmentNotMade, match=r"is damaged.*UV_FIND_LINKS"):
            await offline.repair(GREETING, Lines())
        assert await port.is_ready(GREETING), "what was consented to is known still"
        assert await port.prepare(GREETING, None, Lines()) == folder
        assert python_says(folder, "import greeting; print(greeting.WORDS)") == "hello 1.0"

    bounded(scenario())


def test_what_was_made_anew_meanwhile_is_not_taken_for_damaged(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kernels did not start, and the second look is over when the first one has mended it."""

    async def scenario() -> None:
        port, other = uv_at(tmp_path, wheels), uv_at(tmp_path, wheels)
        folder = await port.prepare(GREETING, installation_of(GREETING), Lines())
        no_packages(Path(folder))
        look = environments._is_damaged

        async def late(python: Path) -> bool:
            is_damaged = await look(python)
            monkeypatch.setattr(environments, "_is_damaged", look)
            assert await other.repair(GREETING, Lines())
            return is_damaged

        monkeypatch.setattr(environments, "_is_damaged", late)
        lines = Lines()
        assert await port.repair(GREETING, lines)
        assert lines.said == [], "it is there"

    bounded(scenario())


def test_a_file_that_calls_itself_a_python_and_does_not_work_is_no_environment(
    tmp_path: Path, wheels: Path
) -> None:
    async def scenario() -> None:
        python = tmp_path / "odd" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\nexit 7\n")
        python.chmod(0o755)
        with pytest.raises(EnvironmentNotFound, match="status 7"):
            await uv_at(tmp_path, wheels).is_ready(FolderEnvironment(str(tmp_path / "odd")))

    bounded(scenario())
