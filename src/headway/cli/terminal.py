"""What commands say: lines and JSON on standard output, one sentence on standard error.

Floor 6. Everything that a command prints goes through here, so that a path or a title with
control characters in it cannot drive the terminal.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.client.local import LocalNotebook

__all__ = ["complain", "complain_of", "plain", "say", "say_json", "short_path", "table", "visible"]

_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the text after them around, so that it reads as something else."""


def say(text: str = "") -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """One value as one line of JSON on standard output, at once."""
    # What an encoding lacks is shown as a backslash sequence, and JSON has its own.
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    say(json.dumps(value, ensure_ascii=not is_unicode, separators=(",", ":")))


def complain(sentence: str) -> None:
    """One line on standard error, with the program's name before it."""
    sys.stderr.write(f"headway: {plain(sentence)}\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """Text as one line without control characters; line ends become spaces."""
    return visible(" ".join(text.split()))


def visible(line: str) -> str:
    """A line as it is, with what would act on a terminal made visible; tabs may stay."""
    return "".join("�" if _acts(each) and each != "\t" else each for each in line)


def complain_of(notebook: LocalNotebook) -> None:
    """What the daemon says is not as it should be with a notebook: a line each."""
    path = notebook.path
    for notice in notebook.notices:
        is_named = path is None or path in notice.message
        complain(notice.message if is_named else f"{short_path(path)}: {notice.message}")


def short_path(path: str | None) -> str:
    """A file's path for people: relative where it lies below the current folder."""
    if path is None:
        return "(untitled)"
    try:
        relative = os.path.relpath(path)
    except FileNotFoundError:
        return plain(path)  # the current folder was removed
    return plain(path if relative.startswith("..") else relative)


def _acts(character: str) -> bool:
    """Whether a terminal would do something else than show it (joiners of emoji are shown)."""
    kind = unicodedata.category(character)
    return kind in {"Cc", "Cs"} or character in _DIRECTIONS


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows under titles as lines, in columns as wide as their widest entry."""
    shown = [list(titles), *([plain(entry) for entry in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(titles))]
    return [
        "  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
