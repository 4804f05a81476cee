"""A person at a terminal answers what a cell asks.

Floor 6. A line is read on the event loop, so that the waiting can end without it: somebody else
was first, or the cell was interrupted. A password is read without echo.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TextIO

from headway.cli.terminal import say
from headway.core.document.prompts import END_OF_INPUT
from headway.errors import HeadwayError

if TYPE_CHECKING:
    from headway.client.models import InputRequested

__all__ = ["Answering", "answering", "read_line"]

_MARK: Final = "> "
_READ_BYTES: Final = 65_536


class Answering:
    """Asks the person, for one prompt at a time.

    Args:
        descriptor: The terminal that is read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._task: asyncio.Task[None] | None = None

    async def begin(self, asked: InputRequested) -> None:
        """Ask the person, without waiting for the answer; it goes to the kernel by itself."""
        await self.end()
        self._task = asyncio.create_task(self._answer(asked))

    async def end(self) -> None:
        """Nobody waits for an answer any more."""
        task, self._task = self._task, None
        if task is None:
            return
        if task.cancel():
            say()  # whatever was typed stands on the line
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _answer(self, asked: InputRequested) -> None:
        value = await read_line(self._descriptor, _MARK, sys.stdout, hidden=asked.prompt.password)
        try:
            await asked.answer(value)
        except HeadwayError as error:
            say(str(error))


async def read_line(descriptor: int, question: str, show: TextIO, *, hidden: bool = False) -> str:
    """A line of a terminal without its end; `END_OF_INPUT` when the person ends the input.

    Args:
        descriptor: The terminal that is read, on the event loop: a signal can end the waiting.
        question: What stands before the answer.
        show: Where that is shown.
        hidden: Whether what is typed is not seen.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()
    taken = bytearray()

    def readable() -> None:
        piece = os.read(descriptor, _READ_BYTES)
        taken.extend(piece)
        if not (piece.endswith(b"\n") or not piece) or line.done():
            return
        text = taken.decode("utf-8", "replace")
        line.set_result(text.removesuffix("\n") if text else END_OF_INPUT)

    with _echo(descriptor, shown=not hidden):
        show.write(question)
        show.flush()
        loop.add_reader(descriptor, readable)
        try:
            return await line
        finally:
            loop.remove_reader(descriptor)


def answering() -> Answering | None:
    """Who answers here: the person, if standard input and output are a terminal."""
    try:
        both = sys.stdin.isatty() and sys.stdout.isatty()
        return Answering(sys.stdin.fileno()) if both else None
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _echo(descriptor: int, *, shown: bool) -> Iterator[None]:
    """While a line is read: whether what is typed is seen. What was typed before is no answer."""
    termios.tcflush(descriptor, termios.TCIFLUSH)
    former = termios.tcgetattr(descriptor)
    wanted = termios.tcgetattr(descriptor)
    if not shown:
        wanted[3] = (wanted[3] & ~termios.ECHO) | termios.ECHONL
    termios.tcsetattr(descriptor, termios.TCSADRAIN, wanted)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, former)
