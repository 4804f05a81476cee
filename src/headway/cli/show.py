"""Outputs in a terminal: text as text, everything else as one line that says what it is.

Floor 6, pure: values of nbformat in, lines out. It draws no pictures and runs no HTML.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headway.cli.stream_text import StreamText

__all__ = [
    "HEAD_LINES",
    "LINE_CHARACTERS",
    "TAIL_LINES",
    "StreamLines",
    "Window",
    "human_size",
    "join_text",
    "output_lines",
    "safe_line",
    "without_escapes",
]

HEAD_LINES = 20
"""How many lines of a cell's text are shown before the rest is left out."""

TAIL_LINES = 5
"""How many of its last lines are shown when something was left out."""

LINE_CHARACTERS = 2_000
"""How much of one line is shown where not everything is."""

# ECMA-48: control sequences, operating system commands, two-character escapes.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# What would move the cursor or ring; tabs may stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;:]*m)")

# What Python says of an object that has no plain form of its own.
_PLACEHOLDER = re.compile(r"<[\w.]+ object(?: at 0x[0-9a-f]+)?>")

_KILO = 1000
_TEXTS = ("text/plain", "text/markdown", "text/latex")


def without_escapes(text: str) -> str:
    """Text without colours and other escape sequences."""
    return _ESCAPES.sub("", text)


def join_text(value: Any) -> str:
    """A text value of nbformat: a string, or a list of them."""
    if isinstance(value, list):
        return "".join(str(part) for part in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def human_size(size: int) -> str:
    """A number of bytes for people: `812 B`, `34 kB`, `1.2 MB`, `73 GB` (powers of ten)."""
    if size < _KILO:
        return f"{size} B"
    if size < _KILO * _KILO:
        return f"{size / _KILO:.0f} kB"
    if size < _KILO**3:
        return f"{size / _KILO**2:.1f} MB"
    return f"{size / _KILO**3:.0f} GB"


def output_lines(output: Mapping[str, Any]) -> list[str]:
    """An output as lines: a stream's text, a traceback, a value's plain text, `[image/png 34 kB]`.

    They are as the kernel wrote them: a terminal is shown their `safe_line`.
    """
    kind = output.get("output_type")
    if kind == "stream":
        text = join_text(output.get("text", ""))
    elif kind == "error":
        text = _traceback(output)
    else:
        text = _bundle(output.get("data", {}))
    return text.rstrip("\n").split("\n")


def _traceback(output: Mapping[str, Any]) -> str:
    traceback = "\n".join(str(line) for line in output.get("traceback", ()))
    name, value = output.get("ename") or "Error", output.get("evalue")
    return traceback or (f"{name}: {value}" if value else name)


def _bundle(data: Mapping[str, Any]) -> str:
    pictures = [media for media in data if media.startswith(("image/", "video/", "audio/"))]
    if pictures:
        return " ".join(f"[{media} {human_size(_size(media, data[media]))}]" for media in pictures)
    texts = [join_text(data[media]) for media in _TEXTS if media in data]
    telling = [text for text in texts if not _PLACEHOLDER.fullmatch(text)]
    if telling:
        return telling[0]
    rest = [media for media in data if media != "text/plain"] or list(data)
    return " ".join(f"[{media} {human_size(_size(media, data[media]))}]" for media in rest)


def _size(media: str, value: Any) -> int:
    if isinstance(value, Mapping) and set(value) >= {"blob", "size"}:
        return int(value["size"])
    text = join_text(value)
    if not media.startswith("text/") and not media.endswith(("+xml", "json")):
        try:
            return len(base64.b64decode(text))
        except (binascii.Error, ValueError):
            pass
    return len(text.encode("utf-8", "surrogatepass"))


def safe_line(line: str, *, colours: bool, limit: int | None = None) -> str:
    """A line for a terminal: its first `limit` characters, without colours if that is not all.

    `colours` keeps colour sequences; anything else that would act on a terminal is always taken
    out, because a notebook from elsewhere must not drive the terminal of its reader.
    """
    # The end of an overwritten line is what a terminal would show.
    line = line.rstrip("\r").rpartition("\r")[2]
    if limit is not None and len(line) > limit:
        line = without_escapes(line)
        shown = _CONTROLS.sub("", line[:limit])
        rest = len(line) - limit
        word = "character" if rest == 1 else "characters"
        return f"{shown} ... {rest} more {word} ..." if rest > 0 else shown.rstrip()
    line = _only_colours(line) if colours else without_escapes(line)
    line = _CONTROLS.sub("", line)
    return line + "\x1b[0m" if "\x1b" in line else line.rstrip()


def _only_colours(line: str) -> str:
    return _ESCAPES.sub(lambda found: found[0] if _COLOUR.fullmatch(found[0]) else "", line)


class StreamLines:
    """The lines of a growing text, each given when its end has come, and again if it changes."""

    def __init__(self, text: StreamText) -> None:
        self._text = text
        self._given = 0
        self._looked = 0

    def complete(self) -> list[str]:
        """After a change: the lines that have their end and are not given yet as they are."""
        text = self._text
        self._looked = min(self._looked, text.kept)
        if text.kept < self._given:
            newline = text.last_newline(0, text.kept)
            self._given = 0 if newline is None else newline + 1
            self._looked = self._given
        newline = text.last_newline(self._looked, len(text))
        self._looked = len(text)
        if newline is None:
            return []
        begin, self._given = self._given, newline + 1
        return text.part(begin, newline).split("\n")

    def open_line(self, limit: int) -> str:
        """The line that has no end yet: its first `limit` characters."""
        return self._text.part(self._given, self._given + limit)

    def end(self) -> str:
        """The line that has no end, as if it had one: it is given, too."""
        begin, self._given = self._given, len(self._text)
        return self._text.part(begin)


class Window:
    """Shows the first lines and the last ones, and says how many it left out between.

    Args:
        write: Takes each line that is shown, safe for a terminal.
        colours: Whether colour sequences are kept.
        head: How many lines are shown as they come, none of them longer than `LINE_CHARACTERS`;
            None shows all.
        tail: How many of the lines held back are shown at the end.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        colours: bool = False,
        head: int | None = HEAD_LINES,
        tail: int = TAIL_LINES,
    ) -> None:
        self._write = write
        self._colours = colours
        self._head = head
        self._shown = 0
        self._left_out = 0
        self._last: deque[str] = deque(maxlen=tail)

    def add(self, lines: Iterable[str]) -> None:
        """Show these lines, as the kernel wrote them, or hold them back."""
        for line in lines:
            if self._head is None or self._shown < self._head:
                self._shown += 1
                self._show(line)
            else:
                self._left_out += 1
                self._last.append(line)

    def close(self) -> None:
        """Show how many lines were left out, and the last ones (nothing with a head of 0)."""
        if self._head == 0:
            return
        hidden = self._left_out - len(self._last)
        if hidden > 0:
            self._write(f"... {hidden} more {'line' if hidden == 1 else 'lines'} ...")
        for line in self._last:
            self._show(line)

    def _show(self, line: str) -> None:
        limit = None if self._head is None else LINE_CHARACTERS
        self._write(safe_line(line, colours=self._colours, limit=limit))
