"""Where Headway keeps its things: one private folder, the home, and what is in it.

Floor 4. `HEADWAY_HOME`, or the platform's data folder. Only this module knows the names; a client
that looks for a daemon and the daemon itself ask here, so they agree. Nothing is opened here.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from headway.errors import StoreError

__all__ = [
    "HOME_VARIABLE",
    "MAX_SOCKET_PATH_BYTES",
    "Paths",
    "home",
    "named_path",
    "prepare",
    "socket_path",
]

HOME_VARIABLE = "HEADWAY_HOME"
"""The environment variable that names the home."""

MAX_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""A Unix socket's path has 104 (macOS) or 108 (Linux) bytes in the system's structure, and the
last is a zero: unix(7)."""

_SOCKET_NAME = "daemon.sock"
_SHORT_ROOT = "/tmp"  # noqa: S108 - a fixed place, not TMPDIR: every process must find the same
_HASH_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Paths:
    """Everything under one home. All absolute."""

    home: Path
    socket: Path
    """Where the daemon listens; in `home` unless that path would be too long."""
    lock: Path
    log: Path
    store: Path
    blobs: Path
    kernels: Path
    """The folder of the kernels' connection files and sockets."""
    environments: Path
    """The folder of the environments that were made for notebooks."""

    @classmethod
    def of(cls, home: Path) -> Paths:
        """The paths of a home. Looks at no disk and makes nothing."""
        return cls(
            home=home,
            socket=socket_path(home),
            lock=home / "daemon.lock",
            log=home / "daemon.log",
            store=home / "store.db",
            blobs=home / "blobs",
            kernels=home / "kernels",
            environments=home / "environments",
        )


def home(environment: Mapping[str, str] | None = None) -> Path:
    """The home that the environment names (default: this process's), absolute, links resolved.

    It need not exist.
    """
    named = (os.environ if environment is None else environment).get(HOME_VARIABLE)
    return named_path(named or platformdirs.user_data_path("headway", False))


def named_path(name: str | os.PathLike[str]) -> Path:
    """The path that a person means by a name: absolute, with their folder for `~`, links resolved.

    Whatever they type there is a path: pathlib raises for a user that is not known, and for links
    in a circle.
    """
    return Path(os.path.realpath(os.path.expanduser(name)))  # noqa: PTH111


def socket_path(home: Path) -> Path:
    """The daemon's socket for a home: short enough for the system, the same for every process."""
    direct = home / _SOCKET_NAME
    if len(os.fsencode(direct)) <= MAX_SOCKET_PATH_BYTES:
        return direct
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:_HASH_CHARACTERS]
    return Path(_SHORT_ROOT) / f"headway-{os.getuid()}-{digest}" / _SOCKET_NAME


def prepare(home: Path) -> Paths:
    """Make a home and its folders, for this user only (mode 0700), and give its paths.

    A folder that is there already is closed to others. Raises StoreError when one cannot be made
    or belongs to somebody else.
    """
    paths = Paths.of(home)
    _make_private(home, parents=True)
    _make_private(paths.kernels)
    _make_private(paths.blobs)
    if paths.socket.parent != home:
        _make_private(paths.socket.parent)
    return paths


def _make_private(folder: Path, *, parents: bool = False) -> None:
    try:
        folder.mkdir(mode=0o700, parents=parents, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise StoreError(
                f"{folder} is not a folder of yours, so nothing private can be kept there. "
                f"Remove it, or set {HOME_VARIABLE} to another folder.",
                path=str(folder),
            )
        if stat.S_IMODE(status.st_mode) != stat.S_IRWXU:
            folder.chmod(stat.S_IRWXU)
    except OSError as error:
        raise StoreError(
            f"The folder {folder} cannot be used: {error.strerror}. Set {HOME_VARIABLE} to a "
            "folder that you can write.",
            path=str(folder),
        ) from error
