"""A kernel's private folder: its connection file and its Unix sockets. Starts nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import zmq
from jupyter_client.connect import write_connection_file

from headway.edges.kernel_wire import ConnectionInfo
from headway.edges.kernelspecs import Kernelspec

__all__ = ["SOCKET_PATH_BYTES", "private_folder", "write_connection"]

SOCKET_PATH_BYTES: Final = min(zmq.IPC_PATH_MAX_LEN, 107)
"""The longest path of a Unix socket (`sun_path`, without its final zero)."""

_SOCKETS: Final = "k"
_LONGEST: Final = f"/kernel-00000000/{_SOCKETS}-00"


def private_folder(base: Path | None) -> Path:
    """A new folder, mode 0700, in `base`; in the system's temporary folder when that is too deep.

    Raises OSError.
    """
    if base is not None and len(os.fsencode(base.resolve())) + len(_LONGEST) <= SOCKET_PATH_BYTES:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        base = None
    # The real path, because kernels are handed it and may change their folder.
    return Path(tempfile.mkdtemp(prefix="kernel-", dir=base)).resolve()


def write_connection(private: Path, spec: Kernelspec) -> tuple[str, ConnectionInfo]:
    """Write the connection file, readable by us alone (0600); gives its path and content."""
    path, connection = write_connection_file(
        str(private / "connection.json"),
        ip=str(private / _SOCKETS) if spec.transport == "ipc" else "127.0.0.1",
        key=os.urandom(32).hex().encode(),
        transport=spec.transport,
        kernel_name=spec.name,
    )
    return path, dict(connection)
