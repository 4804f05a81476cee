"""`headway doctor`: one line for each thing that must be right, and what to do where it is not.

Floor 6. It looks and changes nothing; it starts no daemon.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.exit_statuses import EXIT_FAILED
from headway.cli.terminal import plain, say, say_json

if TYPE_CHECKING:
    from headway.edges.paths import Paths

__all__ = ["Finding", "doctor", "examine"]

_OLDEST_PYTHON = (3, 11)
_PACKAGES = ("headway", "loro", "websockets", "jupyter_client", "nbformat", "ipykernel")
_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_LOW_DISK_BYTES = 200 * 1000 * 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing."""

    name: str
    ok: bool
    what: str
    remedy: str = ""
    """What to do about it, if it is not ok."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check what Headway needs, one line each; the exit status is 1 if something is wrong."""
    from headway.edges import paths

    findings = list(examine(paths.Paths.of(paths.home())))
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            remedy = f" {finding.remedy}" if finding.remedy else ""
            word = "ok" if finding.ok else "failed"
            say(f"{word:<7} {finding.name:<10} {plain(finding.what + remedy)}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def examine(found: Paths) -> Iterator[Finding]:
    """Everything that can be found out about a home and this installation."""
    checks: tuple[Callable[[Paths], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _home,
        _disk,
        _store,
        _socket,
        _daemon,
        _kernels,
    )
    for check in checks:
        try:
            yield from check(found)
        except OSError as error:
            what = f"{error.filename or found.home}: {error.strerror or error}."
            yield Finding(check.__name__.strip("_"), False, what, "Set HEADWAY_HOME elsewhere.")


def _python(found: Paths) -> Iterator[Finding]:
    del found
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= _OLDEST_PYTHON
    yield Finding("python", ok, f"{version}, {sys.executable}", "" if ok else "Use 3.11 or newer.")


def _packages(found: Paths) -> Iterator[Finding]:
    del found
    from importlib import metadata

    versions, missing = [], []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        names = " ".join(missing)
        yield Finding("packages", False, f"{names} missing.", f"Run: pip install {names}")
    else:
        yield Finding("packages", True, ", ".join(versions))


def _home(found: Paths) -> Iterator[Finding]:
    home = found.home
    if not home.exists():
        parent = next(folder for folder in home.parents if folder.exists())
        ok = os.access(parent, os.W_OK | os.X_OK)
        what = f"{home} is not there yet; the first daemon makes it."
        remedy = "" if ok else f"But {parent} cannot be written: set HEADWAY_HOME elsewhere."
        yield Finding("home", ok, what, remedy)
        return
    status = home.stat()
    mode = stat.S_IMODE(status.st_mode)
    if not home.is_dir() or status.st_uid != os.getuid():
        yield Finding(
            "home", False, f"{home} is not a folder of yours.", "Set HEADWAY_HOME to one that is."
        )
    elif not os.access(home, os.W_OK | os.X_OK):
        yield Finding("home", False, f"{home} cannot be written.", f"Run: chmod 700 {home}")
    elif mode != _PRIVATE_FOLDER:
        what = f"{home} has mode {mode:04o}, so others may look into it."
        yield Finding("home", False, what, f"Run: chmod 700 {home}")
    else:
        yield Finding("home", True, f"{home} (mode {mode:04o})")


def _disk(found: Paths) -> Iterator[Finding]:
    from headway.cli.show import human_size

    folder = next(each for each in (found.home, *found.home.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    ok = free >= _LOW_DISK_BYTES
    yield Finding(
        "disk", ok, f"{human_size(free)} free.", "" if ok else "Make room: edits need it to last."
    )


def _store(found: Paths) -> Iterator[Finding]:
    from headway.edges.store_check import examine as examine_store

    problems = examine_store(found.store, found.blobs)
    for problem in problems:
        remedy = f"Keep a copy of {found.store}; what is sound of it stays in use."
        yield Finding("store", False, problem, remedy)
    if not problems:
        yield Finding("store", True, f"{found.store} is sound.")


def _socket(found: Paths) -> Iterator[Finding]:
    path = found.socket
    try:
        status = path.lstat()
    except FileNotFoundError:
        yield Finding("socket", True, f"{path} is not there: no daemon runs.")
        return
    except OSError as error:
        yield Finding("socket", False, f"{path}: {error.strerror}.", "Set HEADWAY_HOME elsewhere.")
        return
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISSOCK(status.st_mode):
        yield Finding("socket", False, f"{path} is no socket.", "Remove it.")
    elif mode & ~_PRIVATE_FILE:
        what = f"{path} has mode {mode:04o}, so others may connect."
        yield Finding("socket", False, what, f"Run: chmod 600 {path}")
    else:
        yield Finding("socket", True, f"{path} (mode {mode:04o})")


def _daemon(found: Paths) -> Iterator[Finding]:
    from importlib import metadata

    from headway.cli.ask import ask
    from headway.core.wire.rpc import Status
    from headway.edges.lock import owner_pid
    from headway.errors import DaemonUnavailable, HeadwayError

    owner = owner_pid(found.lock)
    try:
        status = ask(found.socket, Status(timeout_s=5.0))
    except DaemonUnavailable:
        if owner is None:
            yield Finding("daemon", True, "none runs; opening a notebook starts one.")
        else:
            what = f"process {owner} holds the home and does not listen."
            yield Finding("daemon", False, what, f"Look at {found.log}, then: kill {owner}")
        return
    except HeadwayError as error:
        yield Finding("daemon", False, str(error), f"Look at {found.log}, then: headway stop")
        return
    here = metadata.version("headway")
    what = f"process {status.pid}, version {status.version}, {status.notebooks} notebooks open."
    remedy = "" if status.version == here else f"This is {here}. Run: headway stop"
    yield Finding("daemon", not remedy, what, remedy)


def _kernels(found: Paths) -> Iterator[Finding]:
    del found
    from headway.edges.kernelspecs import find_installed

    installed = find_installed()
    for name, spec in installed.kernels.items():
        program = spec.command("connection.json")[0]
        ok = shutil.which(program) is not None
        what = f"{name}: {spec.display_name}, {program}"
        remedy = "" if ok else f"which is not there. Run: jupyter kernelspec remove {name}"
        yield Finding("kernel", ok, what, remedy)
    for name, why in installed.unreadable.items():
        remedy = f"Correct that file, or run: jupyter kernelspec remove {name}"
        yield Finding("kernel", False, f"{name}: {why}.", remedy)
    if not installed.kernels:
        yield Finding("kernel", False, "none is installed.", "Run: pip install ipykernel")
