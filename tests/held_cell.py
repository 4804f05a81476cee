"""A cell that runs until the test lets it go on. For tests with a real kernel."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Blocker"]


class Blocker:
    """A cell that reads a line that the test writes."""

    def __init__(self, path: Path) -> None:
        self.source = f"with open({str(path)!r}) as pipe:\n    print(pipe.readline(), end='')"
        os.mkfifo(path)
        # Open at both ends: neither side's opening blocks, and the line waits for its reader.
        self.end = os.open(path, os.O_RDWR)

    def let_go(self, words: str = "go") -> None:
        """The cell prints the words and ends."""
        os.write(self.end, f"{words}\n".encode())

    def close(self) -> None:
        """The pipe is not needed any more."""
        os.close(self.end)
