"""A cell that leaves `sys.stdout` unusable costs nobody else their outputs.

A file that is closed by now, an object that cannot be flushed, or nothing at all: ipykernel flushes
both streams at the end of every request, fails there, and publishes no end of that cell nor of any
after it. So what cannot be flushed when a cell ends is the notebook's own stream again, and the
notebook says so.

The notebook's own streams are not to be closed: they are all that there is to write to, for as long
as the kernel lives. `with sys.stdout as file` closes at its end; it flushes instead.

And None is Python's way to say that there is no such stream. What is printed goes nowhere then, and
ipykernel would fail to flush it wherever it shows a value, a picture or an error (before version 7
at the end of each cell, too). So something that takes every text and shows none stands in for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOBase
from traceback import format_exception_only
from typing import Any, Final

__all__ = ["NAMES", "NEEDS", "Nowhere", "prepare", "restore", "stand_in"]

NEEDS: Final = (
    "shell._showtraceback",
    "shell.display_pub._flush_streams",
    "shell.displayhook.finish_displayhook",
    "shell.events.register",
)

NAMES: Final = ("stdout", "stderr")


class Nowhere(TextIOBase):
    """A stream that takes every text and shows none."""

    encoding = "UTF-8"

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take a text."""
        return len(text)


def prepare(kernel: Any) -> None:
    """Look at both streams of this kernel after each of its cells, and before it flushes them."""
    own: tuple[Any, ...] = sys.stdout, sys.stderr
    for stream in own:
        stream.close = stream.flush
    shell = kernel.shell
    shell.events.register("post_execute", partial(restore, own))
    for shows, name in (
        (shell, "_showtraceback"),
        (shell.displayhook, "finish_displayhook"),
        (shell.display_pub, "_flush_streams"),
    ):
        setattr(shows, name, _with_streams(getattr(shows, name)))


def _with_streams(show: Callable[..., Any]) -> Callable[..., Any]:
    def show_with_streams(*arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        stand_in()
        return show(*arguments, **named)

    return show_with_streams


def stand_in() -> None:
    """Put a stream in the place of one that is None."""
    for name in NAMES:
        if getattr(sys, name, NAMES) is None:
            setattr(sys, name, Nowhere())


def restore(own: Sequence[Any]) -> None:
    """Put `own` in the place of those of the two streams that cannot be flushed."""
    stand_in()
    said = []
    for name, stream in zip(NAMES, own):
        try:
            current = getattr(sys, name)
            if current is not stream:
                current.flush()
        except Exception as error:  # noqa: BLE001 - whatever the user's object raises
            setattr(sys, name, stream)
            why = format_exception_only(type(error), error)[-1].strip()
            said.append(f"sys.{name} is the notebook's again: it could not be flushed ({why}).\n")
    for line in said:
        own[1].write(line)
