"""Writing `.ipynb` files: notebook JSON to bytes, piece by piece. See `nbformat`, the face.

Floor 1, pure. As nbformat's own writer does it. Blobs are loaded one at a time, and what is made
of one is given away before the next, so a file of any size takes the memory of its largest value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count, zip_longest
from typing import Any, NamedTuple

from headway.core.document.align import with_ids_of
from headway.core.document.file_image import OutputsDigest, OutputsImage, image_of, split_image
from headway.core.document.file_reading import (
    ParsedCell,
    ParsedNotebook,
    interpret,
    parse_notebook,
)
from headway.core.document.json_values import identical
from headway.core.document.json_writing import JsonWriting, Load
from headway.core.document.mime import resolve
from headway.core.document.output_writing import OutputWriting, split_cell
from headway.core.document.strict_json import MAX_FILE_BYTES
from headway.errors import FileNotWritable, NotebookUnreadable
from headway.ids import CellId

__all__ = [
    "INDENT",
    "PIECE_BYTES",
    "CellToWrite",
    "FileWriting",
    "cells_to_write",
    "same_content",
    "unused_ids",
]

INDENT = 1

PIECE_BYTES = 65_536
"""A piece of a file is about this long: what is smaller waits for more."""

_INDENTATION = re.compile(rb"\A[^{]{0,10}\{\r?\n([ \t]{1,16})\"")


class FileWriting:
    """The bytes of a file that holds a notebook, and afterwards what there is to know of them.

    Of what is there now, its indentation is kept, and what only it knows: keys that nbformat does
    not know, metadata and attachments too large for a document, a newer minor format; cells match
    by id, and those without one of their own by what they are (`align`). Otherwise nbformat's
    conventions: an indent of 1, sorted keys, text beyond ASCII as it is, multi-line strings as
    lists of lines, a final line feed.

    Args:
        notebook: nbformat JSON, `mime.BlobPart` and `mime.JoinedText` where blobs belong.
        like: The bytes there now, or their image; None if there is no file.
        load: Gives the bytes of a blob by its SHA-256; what it raises comes through.
    """

    def __init__(self, notebook: dict[str, Any], like: bytes | None, load: Load) -> None:
        self._there = None if like is None else _understood(like)
        self._indent = " " * INDENT
        if like is not None and self._there is not None:
            self._there = with_ids_of(self._there, cells_to_write(notebook))
            notebook = _with_unknown(notebook, self._there)
            self._indent = _indentation(like)
        self._notebook = notebook
        self._load = load
        self._shown: dict[int, OutputsImage] = {}
        self._skeleton: list[bytes] = []

    def pieces(self) -> Iterator[bytes]:
        """The file, in order; to be taken once, to its end.

        Raises FileNotWritable for a notebook that could not be read again.
        """
        metadata = resolve(self._notebook["metadata"], self._load)
        self._notebook = {**self._notebook, "metadata": metadata}
        waiting: list[str] = []
        size = apart = 0
        for text, is_output in self._texts():
            waiting.append(text)
            size += len(text)
            if not is_output:
                self._skeleton.append(text.encode())
                apart += len(self._skeleton[-1])
            if apart > MAX_FILE_BYTES:
                raise FileNotWritable(
                    f"The notebook was not written: besides its outputs it has more than "
                    f"{MAX_FILE_BYTES:,} bytes, and such a file could not be opened again. Remove "
                    "some of its cells, attachments or metadata.",
                    limit=MAX_FILE_BYTES,
                )
            if size >= PIECE_BYTES:
                yield "".join(waiting).encode()
                waiting, size = [], 0
        yield "".join(waiting).encode()

    def image(self, sha256: str) -> bytes:
        """The image of what was written; `sha256` is of all of it."""
        return image_of(sha256, b"".join(self._skeleton), self._shown)

    @property
    def says_the_same(self) -> bool:
        """Whether what is there says the same already, whatever its form."""
        there = self._there
        if there is None or there.changed:
            return False
        bare = {**self._notebook, "cells": [_without_outputs(c) for c in self._notebook["cells"]]}
        ours = interpret(bare, unused_ids())
        shown = {
            ours.cells[place].id: ours.outputs[ours.cells[place].id]._replace(image=image)
            for place, image in self._shown.items()
        }
        return same_content(there, ours, shown)

    def _texts(self) -> Iterator[tuple[str, bool]]:
        """The text of the file, and of each part whether it belongs to a list of outputs."""
        plain = JsonWriting(self._indent)
        outputs = OutputWriting(self._indent, self._load)
        for key, opening in plain.members(self._notebook, 0):
            yield opening, False
            if key != "cells":
                for text in plain.value(self._notebook[key], 1):
                    yield text, False
                continue
            cells = self._notebook["cells"]
            for place, (cell, before) in enumerate(plain.items(cells, 1)):
                yield before, False
                yield from self._cell(place, cell, plain, outputs)
            yield plain.end(cells, 1), False
        yield plain.end(self._notebook, 0) + "\n", False

    def _cell(
        self, place: int, cell: dict[str, Any], plain: JsonWriting, outputs: OutputWriting
    ) -> Iterator[tuple[str, bool]]:
        is_code = cell["cell_type"] == "code"
        cell = split_cell(cell)
        for key, opening in plain.members(cell, 2):
            yield opening, False
            if key != "outputs" or not is_code:
                for text in plain.value(cell[key], 3):
                    yield text, False
                continue
            digest = OutputsDigest()
            yield "[", False
            for output, before in plain.items(cell["outputs"], 3):
                yield before.removeprefix("["), True
                for text in outputs.output(output, 4):
                    yield text, True
                digest.add(outputs.summary)
            yield plain.end(cell["outputs"], 3).removeprefix("[").removesuffix("]"), True
            yield "]", False
            self._shown[place] = OutputsImage(digest.number, digest.hexdigest())
        yield plain.end(cell, 2), False


def same_content(one: ParsedNotebook, other: ParsedNotebook, shown: Any = None) -> bool:
    """Whether two files say the same: everything but `changed` and `minted`.

    `shown` is what the other shows, if that is not known to it.
    """
    shown = other.outputs if shown is None else shown
    return (
        len(one.cells) == len(other.cells)
        and all(identical(ours, theirs) for ours, theirs in zip_longest(_parts(one), _parts(other)))
        and one.outputs.keys() == shown.keys()
        and all(
            (seen.execution_count, seen.digest) == (shown[each].execution_count, shown[each].digest)
            for each, seen in one.outputs.items()
        )
    )


def _understood(content: bytes) -> ParsedNotebook | None:
    try:
        return parse_notebook(content, unused_ids())
    except NotebookUnreadable:
        return None


def unused_ids() -> Callable[[], CellId]:
    """Ids that no cell of a document has: no cell without an id equals one with an id."""
    numbers = count()
    return lambda: f"no-id-in-the-file-{next(numbers)}"


class CellToWrite(NamedTuple):
    """A cell as far as it is told from others."""

    id: CellId
    cell_type: str
    source: str


def cells_to_write(notebook: dict[str, Any]) -> list[CellToWrite]:
    """The cells of nbformat JSON that has an id for each."""
    return [
        CellToWrite(each["id"], each["cell_type"], each["source"]) for each in notebook["cells"]
    ]


def _with_unknown(notebook: dict[str, Any], there: ParsedNotebook) -> dict[str, Any]:
    known = {cell.id: cell for cell in there.cells}
    return {
        **there.extra,
        **notebook,
        "cells": [_cell_with_unknown(cell, known.get(cell["id"])) for cell in notebook["cells"]],
        "metadata": {**there.oversize.get("metadata", {}), **notebook["metadata"]},
        "nbformat_minor": max(notebook["nbformat_minor"], there.nbformat_minor),
    }


def _cell_with_unknown(cell: dict[str, Any], there: ParsedCell | None) -> dict[str, Any]:
    # Attachments that only the file knows stay also when the cell is a code cell now: nbformat
    # knows none of those, but they would be lost for good.
    if there is None:
        return cell
    oversize = {name: {**entries, **cell.get(name, {})} for name, entries in there.oversize.items()}
    return {**there.extra, **cell, **oversize}


def _without_outputs(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "outputs": []} if cell["cell_type"] == "code" else cell


def _parts(notebook: ParsedNotebook) -> Iterator[Any]:
    yield notebook.metadata
    yield notebook.nbformat_minor
    yield notebook.extra
    yield notebook.oversize
    for cell in notebook.cells:
        yield [cell.id, cell.cell_type, cell.source]
        yield cell.metadata
        yield cell.attachments
        yield cell.extra
        yield cell.oversize


def _indentation(content: bytes) -> str:
    found = _INDENTATION.match(split_image(content)[0][:100])
    return found[1].decode() if found is not None else " " * INDENT
