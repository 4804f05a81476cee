"""The text of one stream in a file: a JSON string, or a list of them, sealed while it is read.

Floor 1, pure, part of `file_scanning`. A text that turns out to be short is given back as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from headway.core.document.file_image import text_digest
from headway.core.document.forms import (
    SEAL_THRESHOLD_CHARACTERS,
    SEALED_BLOB_CHARACTERS,
    BlobSet,
)
from headway.core.document.mime import clean_text
from headway.errors import NotebookUnreadable

__all__ = ["TextScan"]

_STRINGS = re.compile(r'(?>(?:[\s,]*+"(?>(?:[^"\\]++|\\.)*)")*)[\s,]*+', re.DOTALL)
"""Whole strings of a list, and what stands between them. Groups are atomic instead of repeated
possessively: before Python 3.11.5 what a failed repetition had matched was kept (gh-106052)."""

_INSIDE = re.compile(
    r"(?>(?:[^\"\\]++|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}"
    r"(?:\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][0-9abAB])))*)",
    re.DOTALL,
)
"""A part of a string that can be read by itself: no escape, and no pair of them, is divided."""

_BETWEEN = " \t\r\n,"

_LONGEST_ESCAPE = 12


class TextScan:
    """Read from its opening quote or bracket on.

    Args:
        is_list: whether it is a list of strings.
    """

    def __init__(self, *, is_list: bool) -> None:
        self._is_list = is_list
        self._in_string = False
        self._parts: list[str] = []
        self._length = 0
        self._hash = hashlib.sha256()
        self._references: list[dict[str, Any]] = []
        self._began = False
        self.raw: str | None = ""
        """What was read, as it stands in the file, while that is short."""
        self.is_over = False
        self.is_text = True
        """Whether it is what it seemed to be. If not it is over, and short still."""

    def read(self, text: str, position: int, blobs: BlobSet, *, final: bool) -> int:
        """Read on in `text`; gives how far it came: not at all when more is needed."""
        if not self._began:
            self._began = True
            self._in_string = not self._is_list
            self._note(text[position])
            position += 1
        if self._in_string:
            return self._read_inside(text, position, blobs, final=final)
        strings = _STRINGS.match(text, position)
        assert strings is not None, "it matches nothing too"
        end = strings.end()
        if end > position:
            self._note(text[position:end])
            self._take("[" + strings.group().strip(_BETWEEN) + "]", blobs)
        if end == len(text):
            if final:
                raise _cut_off()
        elif text[end] == "]":
            self._note("]")
            self._end(blobs)
            end += 1
        elif text[end] != '"':
            self._refuse()
        elif final or len(text) - end > SEAL_THRESHOLD_CHARACTERS:
            self._in_string = True
            self._note('"')
            end += 1
        return end

    def sealed(self) -> tuple[str, list[dict[str, Any]]]:
        """The digest of the whole text, and the blobs that hold it; when it was not short."""
        return text_digest(self._hash.hexdigest()), self._references

    def _read_inside(self, text: str, position: int, blobs: BlobSet, *, final: bool) -> int:
        inside = _INSIDE.match(text, position)
        assert inside is not None, "it matches nothing too"
        end = inside.end()
        if end > position:
            self._note(inside.group())
            self._take(f'["{inside.group()}"]', blobs)
        if end < len(text) and text[end] == '"':
            self._in_string = False
            self._note('"')
            end += 1
            if not self._is_list:
                self._end(blobs)
        elif final or len(text) - end >= _LONGEST_ESCAPE:
            raise _cut_off()
        return end

    def _note(self, raw: str) -> None:
        if self.raw is not None:
            self.raw += raw
            if len(self.raw) > SEAL_THRESHOLD_CHARACTERS:
                self.raw = None

    def _take(self, strings: str, blobs: BlobSet) -> None:
        try:
            text = clean_text("".join(json.loads(strings)))
        except ValueError as error:
            raise NotebookUnreadable(f"The file is not JSON: {str(error)[:200]}.") from error
        self._hash.update(text.encode())
        self._parts.append(text)
        self._length += len(text)
        if self.raw is None and self._length >= SEALED_BLOB_CHARACTERS:
            self._seal(blobs, self._length // SEALED_BLOB_CHARACTERS * SEALED_BLOB_CHARACTERS)

    def _seal(self, blobs: BlobSet, until: int) -> None:
        text = "".join(self._parts)
        for start in range(0, until, SEALED_BLOB_CHARACTERS):
            piece = text[start : min(start + SEALED_BLOB_CHARACTERS, until)]
            self._references.append(blobs.add(piece.encode()))
        self._parts, self._length = [text[until:]], len(text) - until

    def _end(self, blobs: BlobSet) -> None:
        self.is_over = True
        if self.raw is None and self._length:
            self._seal(blobs, self._length)

    def _refuse(self) -> None:
        """It is a list of something else."""
        if self.raw is None:
            raise NotebookUnreadable("The file is no notebook: an output's text is no text.")
        self.is_over, self.is_text = True, False


def _cut_off() -> NotebookUnreadable:
    return NotebookUnreadable("The file is not JSON: it ends, or is broken, inside of a text.")
