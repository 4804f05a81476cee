"""The standard streams, made fit for a command before it does anything else.

Floor 6. It imports nothing of ours: it comes first.
"""

from __future__ import annotations

import io
import os
import sys

__all__ = ["make_usable"]

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""In the order of their descriptors."""


def make_usable() -> None:
    """Open what is closed, and let nothing that is printed fail for its characters.

    A closed stream is as one that nobody reads. Left closed, its descriptor would go to the next
    thing that is opened, a socket or the event loop's own, and what is printed would go there.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free, and all below it are taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
