"""Reading an `.ipynb` piece by piece into its image, the bulk of its outputs into blobs.

Floor 1, pure. Each output is read on its own and put into the document's form as soon as its end
has come; the text of a stream, the one value that may be long in many small parts, is sealed as it
comes. So a file takes the memory of its largest other value, and of what is kept of it. What the
text means besides that is for `file_reading`; here only as much of JSON is understood as it takes
to find the outputs, and nothing of a short file that has none. Files of formats before 4 have
them elsewhere and are left as they are.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

import msgspec

from headway.core.document.file_image import OutputsDigest, OutputsImage, image_of, summary_of
from headway.core.document.file_reading import joined_output
from headway.core.document.forms import SEAL_THRESHOLD_CHARACTERS, BlobSet, seal_output
from headway.core.document.mime import MAX_DEPTH
from headway.core.document.strict_json import (
    MAX_FILE_BYTES,
    not_utf8,
    read_json_text,
    too_deep,
    too_large,
)
from headway.core.document.text_scanning import TextScan
from headway.errors import NotebookUnreadable

__all__ = ["FileScan"]

Blobs = tuple[tuple[str, bytes], ...]

_TOKEN = re.compile(r'["{}\[\],:]')
_STRING = re.compile(r'"(?>(?:[^"\\]++|\\.)*)"', re.DOTALL)
_REST = re.compile(r'(?>(?:[^"\\]++|\\.)*)', re.DOTALL)
_EMPTY_OUTPUTS = re.compile(r'"outputs"\s*:\s*\[\]')


def _braced(depth: int) -> str:
    """The pattern of an object's inside, with so many levels in it."""
    inner = rf"|\{{{_braced(depth - 1)}\}}|\[{_braced(depth - 1)}\]" if depth else ""
    return rf'(?:[^"{{}}\[\]]++|"(?:[^"\\]++|\\.)*+"{inner})*+'


_SMALL_OBJECT = re.compile(rf"\{{{_braced(3)}\}}", re.DOTALL)
_OUTPUT_MARK = re.compile(r'"output_type"|\\u')
"""What every output has in its text, if need be with escapes."""

_UNSCANNED_CHARACTERS = 1_048_576
"""A file is scanned once an output is in it; a longer one is, so that it is not kept whole."""

_BETWEEN = frozenset(" \t\r\n,")
_CLOSING = {"{": "}", "[": "]"}

_LIST_OF_OUTPUTS, _OUTPUT = 4, 5
"""How many levels there are in a list of outputs, and in an output."""

_BYTE_ORDER_MARK = 4


class _PlainCell(msgspec.Struct):
    """What a cell must say of itself to be taken at once; whoever reads the image reads it all."""

    cell_type: Any = None
    outputs: Any = msgspec.UNSET


class _Level:
    __slots__ = ("has_value", "key", "opening")

    def __init__(self, opening: str) -> None:
        self.opening = opening
        self.key = ""
        self.has_value = opening == "["
        """Whether a value comes next and not a key."""


class FileScan:
    """One file. `feed` it all of its bytes in order, then ask for its `image`.

    Both raise NotebookUnreadable for what cannot be a notebook.
    """

    def __init__(self) -> None:
        self._start = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._decoded = 0
        self._text = ""
        """What is not understood yet."""
        self._is_unscanned = True
        """Whether no output was seen, so that all of the text stays as it is."""
        self._in_string = False
        self._last_string = ""
        self._levels: list[_Level] = []
        self._stream: TextScan | None = None
        """The text of an output that is being read."""
        self._sealed: tuple[str, list[dict[str, Any]]] | None = None
        """Of the output that is being read, the digest of its text and the blobs of it."""
        self._skeleton: list[str] = []
        self._output: list[str] | None = None
        self._size = 0
        self._cell = 0
        self._is_code = True
        self._digest = OutputsDigest()
        self._outputs: list[dict[str, Any]] | None = None
        """The outputs of the cell that is being read; None outside of a list of them."""
        self._shown: dict[int, OutputsImage] = {}
        self._blobs = BlobSet()

    def feed(self, piece: bytes) -> Blobs:
        """The next bytes; gives the blobs to be stored, as pairs of SHA-256 and bytes."""
        if self._decoder is None:
            self._start += piece
            if len(self._start) < _BYTE_ORDER_MARK:
                return ()
            piece = self._begin()
        self._decode(piece, final=False)
        return self._taken()

    def end(self) -> Blobs:
        """There are no more bytes; gives the last blobs."""
        self._decode(self._begin() if self._decoder is None else b"", final=True)
        self._keep(self._text)
        if self._outputs is not None or self._in_string:
            raise _no_json("it ends in the middle")
        return self._taken()

    def image(self, sha256: str) -> bytes:
        """The image of the file, whose bytes this SHA-256 names."""
        return image_of(sha256, "".join(self._skeleton).encode(), self._shown)

    def _begin(self) -> bytes:
        utf16 = self._start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._decoder = codecs.getincrementaldecoder("utf-16" if utf16 else "utf-8-sig")()
        start, self._start = self._start, b""
        return start

    def _decode(self, piece: bytes, *, final: bool) -> None:
        assert self._decoder is not None, "it has begun"
        try:
            self._text += self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise not_utf8(self._decoded + error.start) from error
        self._decoded += len(piece)
        if self._is_unscanned:
            is_short = len(self._text) <= _UNSCANNED_CHARACTERS
            self._is_unscanned = is_short and not _OUTPUT_MARK.search(self._text)
            if self._is_unscanned:
                return
        position = 0
        while (after := self._step(position, final=final)) is not None:
            position = after
        self._text = self._text[position:]

    def _taken(self) -> Blobs:
        taken = self._blobs.taken()
        self._blobs = BlobSet()
        return taken

    # One step: from a position in the text to a later one; None: more text is needed

    def _step(self, position: int, *, final: bool) -> int | None:
        if self._stream is not None:
            return self._read_stream(position, final=final)
        if self._in_string:
            return self._read_string(position)
        token = _TOKEN.search(self._text, position)
        if token is None:
            if position == len(self._text):
                return None
            self._keep(self._text[position:])
            return len(self._text)
        start, mark = token.start(), token.group()
        self._keep(self._text[position:start])
        if mark == '"':
            return self._begin_string(position, start, final=final)
        level = self._levels[-1] if self._levels else None
        if mark == "{" and self._is_in_cells(2) and (end := self._plain_cell(start)) is not None:
            return end
        if mark == "[" and self._is_stream_text():
            self._stream = TextScan(is_list=True)
            return start
        if mark in "{[":
            self._open(mark)
        elif mark in "}]":
            self._close(mark)
        else:
            self._keep(mark)
            if level is not None and level.opening == "{":
                level.has_value = mark == ":"
                if mark == ":":
                    level.key = self._last_string
            elif mark == "," and self._is_in_cells(2):
                self._begin_cell(self._cell + 1)
        return start + 1

    def _plain_cell(self, start: int) -> int | None:
        """Take a cell that is here whole and has no outputs at once, in a tenth of the time.

        Gives its end; None for any other one, which is read step by step.
        """
        found = _SMALL_OBJECT.match(self._text, start)
        if found is None:
            return None
        text = found.group()
        named = text.count('"outputs"')
        if named > 1 or text.count('"cell_type"') > 1:
            return None
        if named and not _EMPTY_OUTPUTS.search(text):
            return None
        try:
            cell = msgspec.json.decode(text, type=_PlainCell)
        except (ValueError, RecursionError):
            return None
        if cell.outputs is not msgspec.UNSET:
            if not named or cell.outputs != [] or cell.cell_type != "code":
                return None
            self._shown[self._cell] = OutputsImage(0, OutputsDigest().hexdigest(), ())
        self._keep(text)
        return found.end()

    def _begin_string(self, position: int, start: int, *, final: bool) -> int | None:
        string = _STRING.match(self._text, start)
        is_long = len(self._text) - start > SEAL_THRESHOLD_CHARACTERS
        if string is None and not is_long and not final:
            return start if start > position else None
        if (string is None or string.end() - start > SEAL_THRESHOLD_CHARACTERS) and (
            self._is_stream_text()
        ):
            self._stream = TextScan(is_list=False)
            return start
        if self._outputs is not None and self._output is None:
            raise self._no_outputs()
        if string is None:
            self._keep('"')
            self._in_string = True
            return start + 1
        self._keep(string.group())
        self._last_string = string.group()[1:-1]
        if (
            self._is_in_cells(3)
            and self._levels[2].key == "cell_type"
            and self._levels[2].has_value
        ):
            self._is_code = self._last_string == "code"
        return string.end()

    def _read_string(self, position: int) -> int | None:
        rest = _REST.match(self._text, position)
        assert rest is not None, "it matches nothing too"
        end = rest.end()
        if end < len(self._text) and self._text[end] == '"':
            self._in_string = False
            end += 1
        elif end == position:
            return None
        self._keep(self._text[position:end])
        return end

    def _read_stream(self, position: int, *, final: bool) -> int | None:
        assert self._stream is not None, "a text is being read"
        after = self._stream.read(self._text, position, self._blobs, final=final)
        if self._stream.is_over:
            if self._stream.raw is None:
                self._keep('""')
                self._sealed = self._stream.sealed()
            elif self._stream.is_text:
                self._keep(self._stream.raw)
            else:
                # A list of something else: it is read as any value.
                self._keep("[")
                self._levels.append(_Level("["))
                after = self._rewind(self._stream.raw[1:], after)
            self._stream = None
        return None if after == position and self._stream is not None else after

    def _rewind(self, raw: str, after: int) -> int:
        self._text = raw + self._text[after:]
        return 0

    # Levels

    def _is_in_cells(self, count: int) -> bool:
        levels = self._levels
        return (
            len(levels) == count
            and levels[0].opening == "{"
            and levels[0].key == "cells"
            and levels[1].opening == "["
        )

    def _is_stream_text(self) -> bool:
        if self._output is None or len(self._levels) != _OUTPUT:
            return False
        return self._levels[-1].key == "text" and self._levels[-1].has_value

    def _open(self, mark: str) -> None:
        if self._outputs is not None and self._output is None:
            if mark == "[":
                raise self._no_outputs()
            self._output = []
        if len(self._levels) == 1 and self._levels[0].key == "cells":
            self._begin_cell(0)
        begins_outputs = (
            mark == "["
            and self._is_in_cells(3)
            and self._levels[2].opening == "{"
            and self._levels[2].key == "outputs"
            and self._is_code
        )
        self._keep(mark)
        self._levels.append(_Level(mark))
        if len(self._levels) > MAX_DEPTH + 2:
            raise too_deep()
        if begins_outputs:
            self._outputs, self._digest = [], OutputsDigest()

    def _close(self, mark: str) -> None:
        if not self._levels or _CLOSING[self._levels[-1].opening] != mark:
            raise _no_json(f"{mark!r} closes nothing")
        ends_outputs = self._outputs is not None and len(self._levels) == _LIST_OF_OUTPUTS
        if ends_outputs:
            assert self._outputs is not None
            digest = self._digest.hexdigest()
            self._shown[self._cell] = OutputsImage(
                self._digest.number, digest, tuple(self._outputs)
            )
            self._outputs = None
        self._keep(mark)
        self._levels.pop()
        if self._output is not None and len(self._levels) == _LIST_OF_OUTPUTS:
            self._end_output()

    def _begin_cell(self, place: int) -> None:
        if place == 0:
            self._shown.clear()
        self._cell, self._is_code = place, True

    # Outputs

    def _keep(self, text: str) -> None:
        """Text that is understood goes where it belongs."""
        if self._output is not None:
            self._output.append(text)
        elif self._outputs is not None:
            if not _BETWEEN.issuperset(text):
                raise self._no_outputs()
            return
        else:
            self._skeleton.append(text)
        self._size += len(text)
        if self._size > MAX_FILE_BYTES:
            raise too_large(self._size)

    def _end_output(self) -> None:
        assert self._output is not None
        assert self._outputs is not None
        text = "".join(self._output)
        self._size -= len(text)
        self._output = None
        output = read_json_text(text)
        if not isinstance(output.get("output_type"), str):
            raise self._no_outputs()
        output = joined_output(output)
        sealed, self._sealed = self._sealed, None
        form = seal_output(output, self._blobs)
        summary = summary_of(output)
        if sealed is not None:
            if "sealed" not in form:
                raise NotebookUnreadable(
                    f"In cell {self._cell + 1}: an output has a text that is too long for its kind."
                )
            summary["text"], form["sealed"] = sealed
        self._digest.add(summary)
        self._outputs.append(form)

    def _no_outputs(self) -> NotebookUnreadable:
        return NotebookUnreadable(f"In cell {self._cell + 1}: the outputs are no list of outputs.")


def _no_json(reason: str) -> NotebookUnreadable:
    return NotebookUnreadable(f"The file is not JSON: {reason}.")
