"""A cell that leaves `sys.stdout` unusable costs nobody else their outputs.

A file that is closed by now, an object that cannot be flushed, or nothing at all: ipykernel flushes
both streams at the end of every request, fails there, and publishes no end of that cell nor of any
after it. So what cannot be flushed when a cell ends is the notebook's own stream again, and the
notebook says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from traceback import format_exception_only
from typing import Any, Final

__all__ = ["NAMES", "prepare", "restore"]

NAMES: Final = ("stdout", "stderr")


def prepare(kernel: Any) -> None:
    """Look at both streams of this kernel after each of its cells."""
    own: tuple[Any, ...] = sys.stdout, sys.stderr
    kernel.shell.events.register("post_execute", partial(restore, own))


def restore(own: Sequence[Any]) -> None:
    """Put `own` in the place of those of the two streams that cannot be flushed.

    None stays: that is how Python says that there is no such stream, and ipykernel passes it over.
    """
    said = []
    for name, stream in zip(NAMES, own):
        try:
            current = getattr(sys, name)
            if current is not None and current is not stream:
                current.flush()
        except Exception as error:  # noqa: BLE001 - whatever the user's object raises
            setattr(sys, name, stream)
            why = format_exception_only(type(error), error)[-1].strip()
            said.append(f"sys.{name} is the notebook's again: it could not be flushed ({why}).\n")
    for line in said:
        own[1].write(line)
