"""JSON as nbformat writes it, piece by piece: indented, sorted keys, text beyond ASCII as it is.

Floor 1, pure. The same bytes as `json.dumps(value, indent=..., sort_keys=True, ensure_ascii=False,
separators=(",", ": "))`, but no more than a piece of them at a time, and a long text may come in
pieces itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["TEXT_PIECE_CHARACTERS", "JsonWriting", "Load"]

Load = Callable[[str], bytes]
"""Gives the bytes of a blob by its SHA-256."""

TEXT_PIECE_CHARACTERS = 32_768
"""A longer text is written in pieces of this length: each is a step that nobody else gets into."""

_ENCODER = msgspec.json.Encoder()
_LINE_ENDS = frozenset("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


class JsonWriting:
    """Writes values at a level of indentation."""

    def __init__(self, indent: str) -> None:
        self._indent = indent
        self.text_sha256 = ""
        """Of the UTF-8 of the last text that came in pieces."""

    def value(self, value: Any, level: int) -> Iterator[str]:
        """Any JSON value."""
        match value:
            case dict() if value:
                for key, opening in self.members(value, level):
                    yield opening
                    yield from self.value(value[key], level + 1)
                yield self.end(value, level)
            case list() | tuple() if value:
                for item, before in self.items(value, level):
                    yield before
                    yield from self.value(item, level + 1)
                yield self.end(value, level)
            case str():
                yield _quoted(value)
            case _:
                yield json.dumps(value, allow_nan=False)

    def members(self, value: Mapping[str, Any], level: int) -> Iterator[tuple[str, str]]:
        """Each key of an object, in order, and what is written before its value."""
        before = "{"
        for key in sorted(value):
            yield key, f"{before}{self._line(level + 1)}{_quoted(key)}: "
            before = ","

    def items(self, value: Sequence[Any], level: int) -> Iterator[tuple[Any, str]]:
        """Each item of a list, and what is written before it."""
        before = "["
        for item in value:
            yield item, before + self._line(level + 1)
            before = ","

    def end(self, value: Mapping[str, Any] | Sequence[Any], level: int) -> str:
        """What ends an object or a list; all of it when that is empty."""
        opening, closing = "{}" if isinstance(value, Mapping) else "[]"
        return self._line(level) + closing if value else opening + closing

    def text(self, pieces: Iterable[str]) -> Iterator[str]:
        """One string, whose text comes in pieces."""
        digest = hashlib.sha256()
        yield '"'
        for piece in _cut(pieces):
            digest.update(piece.encode())
            yield _quoted(piece)[1:-1]
        yield '"'
        self.text_sha256 = digest.hexdigest()

    def lines(self, pieces: Iterable[str], level: int) -> Iterator[str]:
        """A list of lines, their ends included, whose text comes in pieces."""
        digest = hashlib.sha256()
        before, between = "[" + self._line(level + 1), "," + self._line(level + 1)
        is_open = False
        for piece in _cut(pieces):
            digest.update(piece.encode())
            written = between.join(map(_quoted, piece.splitlines(keepends=True)))
            start = 1 if is_open else 0
            # A line that goes on in the next piece is closed when its end has come.
            is_open = piece[-1] not in _LINE_ENDS
            end = len(written) - 1 if is_open else len(written)
            yield (before if not start else "") + written[start:end]
            before = between
        if is_open:
            yield '"'
        yield self._line(level) + "]" if before == between else "[]"
        self.text_sha256 = digest.hexdigest()

    def _line(self, level: int) -> str:
        return "\n" + self._indent * level


def _quoted(text: str) -> str:
    # As the standard library's `encode_basestring`, in a fifth of the time.
    return _ENCODER.encode(text).decode()


def _cut(pieces: Iterable[str]) -> Iterator[str]:
    """The same text in pieces that are not long and not empty, no line end divided."""
    held = ""
    for text in pieces:
        for start in range(0, len(text), TEXT_PIECE_CHARACTERS):
            piece = held + text[start : start + TEXT_PIECE_CHARACTERS]
            # It may be the first half of one line end.
            held = "\r" if piece.endswith("\r") else ""
            piece = piece.removesuffix("\r")
            if piece:
                yield piece
    if held:
        yield held
