"""What commands say: lines and JSON on standard output, one sentence on standard error.

Floor 6. Everything that a command prints goes through here, so that a path or a title with
control characters in it cannot drive the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["complain", "plain", "say", "say_json", "table"]


def say(text: str = "") -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """One value as one line of JSON on standard output, at once."""
    say(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def complain(sentence: str) -> None:
    """One line on standard error, with the program's name before it."""
    sys.stderr.write(f"headway: {plain(sentence)}\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """Text as one line without control characters; line ends become spaces."""
    words = " ".join(text.split())
    return "".join(character if character.isprintable() else "�" for character in words)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows under titles as lines, in columns as wide as their widest entry."""
    shown = [list(titles), *([plain(entry) for entry in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(titles))]
    return [
        "  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
