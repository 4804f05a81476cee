"""A file that only its owner can read, from its first byte on.

Floor 4. Whoever opens it first makes it so: a mode that is set later comes too late for who has it
open by then.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["PRIVATE_MODE", "open_to_append"]

PRIVATE_MODE: Final = 0o600
"""Its owner reads and writes it, nobody else does anything."""


def open_to_append(path: Path | str) -> int:
    """The descriptor of a file to append to, made if it is not there. Raises OSError.

    One that is there and open to others is closed to them; what is no ordinary file is let be.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE_MODE)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & ~PRIVATE_MODE:
            os.fchmod(descriptor, PRIVATE_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
