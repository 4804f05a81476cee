"""A kernel's private folder: its connection file and its Unix sockets. Starts nothing."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

import zmq
from jupyter_client.connect import write_connection_file

from headway.core.kernel.ipykernel import CONFIGURE_IPYKERNEL
from headway.edges.kernel_wire import ConnectionInfo
from headway.edges.kernelspecs import Kernelspec

__all__ = [
    "SOCKET_PATH_BYTES",
    "base_folder",
    "private_folder",
    "private_folders",
    "read_connection",
    "write_configuration",
    "write_connection",
]

SOCKET_PATH_BYTES: Final = min(zmq.IPC_PATH_MAX_LEN, 107)
"""The longest path of a Unix socket (`sun_path`, without its final zero)."""

_PREFIX: Final = "kernel-"
_SOCKETS: Final = "k"
_CONNECTION: Final = "connection.json"
_CONFIGURATION: Final = "configuration.py"
_LONGEST: Final = f"/{_PREFIX}00000000/{_SOCKETS}-00"
_SHORT_ROOT: Final = "/tmp"  # noqa: S108 - a fixed place: the next daemon must find the same
_HASH_CHARACTERS: Final = 16


def base_folder(wanted: Path) -> Path:
    """Where kernels get their folders: `wanted`, or a short one in its stead if it is too deep.

    Made if needed, for this user only. The same for every process. Raises OSError.
    """
    base = wanted.resolve()
    if len(os.fsencode(base)) + len(_LONGEST) > SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:_HASH_CHARACTERS]
        base = Path(_SHORT_ROOT) / f"headway-kernels-{os.getuid()}-{digest}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = base.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{base} is not a folder of yours")
    return base


def private_folder(base: Path | None) -> Path:
    """A new folder, mode 0700, in `base`; in the system's temporary folder without one.

    Raises OSError.
    """
    if base is not None:
        base = base_folder(base)
    # The real path, because kernels are handed it and may change their folder.
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base)).resolve()


def private_folders(base: Path) -> list[Path]:
    """The kernels' folders that are there now, by name. Raises OSError."""
    return sorted(base_folder(base).glob(f"{_PREFIX}*"))


def write_connection(private: Path, spec: Kernelspec) -> tuple[str, ConnectionInfo]:
    """Write the connection file, readable by us alone (0600); gives its path and content.

    Nothing is signed between us and an ipykernel on Unix sockets: who can reach those, in a folder
    that is closed to others, could read the key as well.
    """
    is_signed = spec.transport != "ipc" or not spec.is_ipykernel
    path, connection = write_connection_file(
        str(private / _CONNECTION),
        ip=str(private / _SOCKETS) if spec.transport == "ipc" else "127.0.0.1",
        key=os.urandom(32).hex().encode() if is_signed else b"",
        transport=spec.transport,
        kernel_name=spec.name,
    )
    return path, dict(connection)


def write_configuration(private: Path) -> str:
    """Write how an ipykernel is to start; gives the file's path. Raises OSError."""
    path = private / _CONFIGURATION
    path.write_text(CONFIGURE_IPYKERNEL, encoding="utf-8")
    return str(path)


def read_connection(private: Path) -> ConnectionInfo:
    """What is in the connection file. Raises OSError, ValueError."""
    return dict(json.loads((private / _CONNECTION).read_bytes()))
