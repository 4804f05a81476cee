"""Environments for kernels: found, looked into, and made with `uv`. Implements `Environments`.

Theory of operation
-------------------
What a notebook declares has an environment of its own, in a folder named by what is in it, so that
notebooks that declare the same share one. It is made *beside* its place and renamed there when
everything is installed: whoever finds it finds all of it. Two makers at once make two, and the
second throws its own away; what a maker left that was killed is removed by the next.

Nothing is decided here. What is installed is what an `Installation` says, which somebody consented
to. It is kept in the environment's folder (`headway.json`): while that is there, an environment
that was damaged is made anew without a question. Looks at files tell at each start whether its
Python is gone, or would run as another one (no `pyvenv.cfg`); the Python itself is only asked when
a kernel did not start (`repair`).

The arguments are passed as arguments, and no shell sees them. `uv` runs in a session of its
own, is killed with everything in it when nobody waits any more, and does not outlive the daemon.
The person's own settings of uv (indexes, credentials, offline) hold; those of the notebook's
folder do not, because uv does not run there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet

from headway.core.document.dependencies import Installation
from headway.core.room.effects import Environment, FolderEnvironment, NotebookEnvironment
from headway.edges.environment_folder import (
    give_up,
    inode_of,
    is_whole,
    put_in_place,
    python_at,
    was_made,
)
from headway.edges.kernelspecs import python_in
from headway.errors import EnvironmentNotFound, EnvironmentNotMade

__all__ = ["INSTALL_TIMEOUT_S", "LOOK_TIMEOUT_S", "UvEnvironments", "find_uv"]

INSTALL_TIMEOUT_S: Final = 1800.0
"""How long making an environment may take."""

LOOK_TIMEOUT_S: Final = 20.0
"""How long the Python of an environment may take to say whether it has ipykernel."""

WRITTEN_CHARACTERS: Final = 8_000
"""How much of the end of what uv wrote is kept for the error."""

_PROGRESS_CHARACTERS: Final = 200
_LINE_BYTES: Final = 64 * 1024
_MAKING: Final = ".making-"
_HAS_IPYKERNEL: Final = (
    "import importlib.util as u, sys; sys.exit(3 if u.find_spec('ipykernel') is None else 0)"
)
_LACKS_IPYKERNEL: Final = 3
_NO_PROGRAM: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP}
)
"""Why a program cannot be started, whenever that is tried."""
# The system ends it when the thread that started it, the daemon's own, is gone.
_WITH_PARENT: Final = (
    "import ctypes, os, signal, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_OUR_VERSION: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"
_ERROR: Final = re.compile(r"error|  \W ")
_OFFLINE: Final = re.compile(
    r"dns error|network|offline|connect|timed out|no index|Failed to fetch", re.IGNORECASE
)

Progress = Callable[[str], None]


def find_uv() -> str | None:
    """The path of `uv`: on PATH, beside our own Python, or where its installer puts it."""
    beside = Path(sys.executable).parent / "uv"
    places = (beside, Path("~/.local/bin/uv").expanduser(), Path("~/.cargo/bin/uv").expanduser())
    return shutil.which("uv") or next(
        (str(each) for each in places if os.access(each, os.X_OK)), None
    )


class UvEnvironments:
    """The environments of one home.

    Args:
        folder: Where those that are made live; made when the first one is.
        uv: Gives the path of uv, or None.
        settings: Environment variables for uv, instead of our own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        uv: Callable[[], str | None] = find_uv,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._find_uv = uv
        self._settings = settings
        self._making: set[str] = set()

    async def is_ready(self, environment: Environment) -> bool:
        """Whether a kernel can run there, as it is or made anew; see `Environments`."""
        if isinstance(environment, FolderEnvironment):
            return await self._has_ipykernel(environment.path)
        place = self._place(environment)
        with _explained():
            if await asyncio.to_thread(is_whole, place):
                return True
            self._uv()
            return await asyncio.to_thread(was_made, place)

    async def prepare(
        self, environment: Environment, installation: Installation | None, progress: Progress
    ) -> str:
        """The folder of an environment in which a kernel can run; see `Environments`."""
        with _explained():
            return await self._prepare(environment, installation, progress)

    async def repair(self, environment: Environment, progress: Progress) -> bool:
        """Make an environment anew that is damaged; see `Environments`."""
        if isinstance(environment, FolderEnvironment):
            return False
        place = self._place(environment)
        with _explained():
            inode = await asyncio.to_thread(inode_of, place)
            if not await _is_damaged(python_in(place)):
                return False
            await asyncio.to_thread(give_up, place, inode)
            await self._prepare(environment, None, progress)
        return True

    async def _prepare(
        self, environment: Environment, installation: Installation | None, progress: Progress
    ) -> str:
        if isinstance(environment, FolderEnvironment):
            if installation is not None:
                python = str(python_at(environment.path))
                await self._install(python, installation, progress, Path(environment.path))
            return environment.path
        place = self._place(environment)
        if await asyncio.to_thread(is_whole, place):
            return str(place)
        if installation is not None:
            await self._make(place, installation, progress)
        elif await asyncio.to_thread(was_made, place):
            await self._make_anew(place, environment.dependencies.installation(), progress)
        else:
            raise EnvironmentNotMade(
                f"The environment {place} is not there any more; start the kernel again.",
                reason="it is not there",
                written="",
            )
        return str(place)

    def _place(self, environment: NotebookEnvironment) -> Path:
        installation = environment.dependencies.installation()
        content = [installation.digest, sys.platform, platform.machine()]
        if installation.requires_python is None:
            content.append(_OUR_VERSION)
        return self._folder / hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    async def _make(self, place: Path, installation: Installation, progress: Progress) -> None:
        making = self._folder / f"{_MAKING}{secrets.token_hex(8)}"
        self._making.add(making.name)
        try:
            await _to_its_end(self._begin, making)
            made = making / "environment"
            python = _python_for(installation)
            await self._run(
                ("venv", "--no-project", "--relocatable", "--python", python, str(made)), progress
            )
            await self._install(str(python_in(made)), installation, progress, made)
            await _to_its_end(put_in_place, made, place, installation)
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, making, ignore_errors=True))
            self._making.discard(making.name)

    async def _make_anew(self, place: Path, installation: Installation, progress: Progress) -> None:
        progress("the environment is damaged, and is made anew")
        try:
            await self._make(place, installation, progress)
        except EnvironmentNotMade as why:
            sentence = f"The environment {place} is damaged, and has to be made anew. {why}"
            raise EnvironmentNotMade(sentence, **why.data) from why

    def _begin(self, making: Path) -> None:
        """A fresh folder to make one in; those of makers that are gone are removed."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob(f"{_MAKING}*"):
            if left.name not in self._making:
                shutil.rmtree(left, ignore_errors=True)
        making.mkdir(mode=0o700)

    async def _install(
        self, python: str, installation: Installation, progress: Progress, where: Path
    ) -> None:
        arguments = ("pip", "install", "--python", python, "--", *installation.requirements)
        progress(f"installing {len(installation.requirements)} requirements into {where.name}")
        await self._run(arguments, progress)

    async def _has_ipykernel(self, folder: str) -> bool:
        python = await asyncio.to_thread(python_at, folder)
        try:
            status = await _ask_for_ipykernel(python)
        except OSError as why:
            raise EnvironmentNotFound(
                f"The Python of {folder} cannot be run: {why.strerror or why}.", path=folder
            ) from why
        if status not in {0, _LACKS_IPYKERNEL}:
            raise EnvironmentNotFound(
                f"The Python of {folder} does not work: {python} "
                + ("did not answer." if status is None else f"ended with status {status}."),
                path=folder,
            )
        return status == 0

    def _uv(self) -> str:
        uv = self._find_uv()
        if uv is None:
            raise EnvironmentNotMade(
                "The notebook declares what it needs, and `uv`, which installs that, is not here. "
                "Install it (https://docs.astral.sh/uv, or: pip install uv), or name an "
                "environment or a kernel to run in.",
                reason="uv is not installed",
                written="",
            )
        return uv

    async def _run(self, arguments: Sequence[str], progress: Progress) -> None:
        """Run uv to its end. Raises EnvironmentNotMade; nothing of it is left when cancelled."""
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        command = (sys.executable, "-I", "-S", "-c", _WITH_PARENT, self._uv(), *arguments)
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self._folder,
            env=self._variables(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_BYTES,
            start_new_session=True,
        )
        written = ""
        try:
            async with asyncio.timeout(INSTALL_TIMEOUT_S):
                async for line in _lines(process.stdout):
                    written = f"{written}{line}\n"[-WRITTEN_CHARACTERS:]
                    if line and not line.startswith(" "):
                        progress(line[:_PROGRESS_CHARACTERS])
                status = await process.wait()
        except TimeoutError:
            raise _not_made(f"it was not done within {INSTALL_TIMEOUT_S:g} s", written) from None
        finally:
            await _end(process)
        if status != 0:
            raise _not_made(f"uv ended with status {status}", written)

    def _variables(self) -> dict[str, str]:
        inherited = os.environ if self._settings is None else self._settings
        ours = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT"}
        kept = {name: value for name, value in inherited.items() if name not in ours}
        return {**kept, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}


def _python_for(installation: Installation) -> str:
    """What uv takes: the Python we run on if it fits, on PATH or not; else which would fit."""
    wanted = installation.requires_python
    ours = ".".join(map(str, sys.version_info[:3]))
    return sys.executable if wanted is None or ours in SpecifierSet(wanted) else wanted


async def _ask_for_ipykernel(python: Path) -> int | None:
    """How it ends when it is asked whether it has ipykernel: 0, `_LACKS_IPYKERNEL`, or otherwise.

    None: not in time. Raises OSError.
    """
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-c", _HAS_IPYKERNEL),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        await _end(process)


async def _is_damaged(python: Path) -> bool:
    """Whether no kernel will ever run there: its Python does not start, or has no ipykernel."""
    try:
        status = await _ask_for_ipykernel(python)
    except OSError as why:
        return why.errno in _NO_PROGRAM
    # One that was late, or was killed, is no worse than the machine.
    return status is not None and status > 0


async def _to_its_end(work: Callable[..., None], *arguments: object) -> None:
    """Do it in a thread. Cancelled, it still waits for that, which cannot be called off."""
    done = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(done)
    finally:
        await asyncio.wait([done])


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    assert stream is not None, "it was asked for"
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue  # longer than anything that is worth showing
        if not line:
            return
        yield line.decode("utf-8", "replace").rstrip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it, with everything in its session, unless it has ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What the system refuses, a full disk say, is EnvironmentNotMade with the reason."""
    try:
        yield
    except OSError as why:
        place = "" if why.filename is None else f" ({why.filename})"
        reason = f"{why.strerror or why}{place}"
        raise EnvironmentNotMade(
            f"The environment could not be made: {reason}. See to that and start the kernel again.",
            reason=reason,
            written="",
        ) from why


def _not_made(reason: str, written: str) -> EnvironmentNotMade:
    lines = [line for line in written.splitlines() if line.strip()]
    errors = [at for at, line in enumerate(lines) if _ERROR.match(line)]
    said = " ".join(" ".join(lines[errors[0] :] if errors else lines[-3:]).split())
    sentence = f"The environment could not be made: {reason}."
    if said:
        sentence += f" It said: {said[:1000]}"
    if _OFFLINE.search(said):
        sentence += (
            " Without a network uv can install only what is in its cache, or in a folder that "
            "UV_FIND_LINKS names."
        )
    return EnvironmentNotMade(sentence, reason=reason, written=written)
