"""A notebook's file on the disk: written (blobs in their places, then bytes), and read.

Floor 5. What the notebook holds and when it is written is the room's decision. Both go piece by
piece in a thread of their own; nobody ever holds the whole file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import replace

from headway.core.document.mime import parts_of
from headway.core.document.nbformat import FileScan, FileWriting, without_lost
from headway.core.room.effects import ReadFile, WriteFile
from headway.core.room.inputs import FileSeen, FileUnseen, FileWriteFailed, FileWritten
from headway.edges.ports import Blobs, FileContent, Files
from headway.errors import FileError, FileNotWritable, HeadwayError, NotebookUnreadable

__all__ = ["Note", "read_notebook", "see_file", "write_notebook"]

Note = Callable[[str, bytes], Awaitable[None]]


class _BlobMissing(Exception):
    """A blob that is not in the store, or damaged there."""


async def write_notebook(
    effect: WriteFile, files: Files, blobs: Blobs, note: Note
) -> FileWritten | FileWriteFailed:
    """Do what the effect says; the answer is the input for the room. Raises nothing of ours.

    `note` makes the SHA-256 and the image of what the file is about to hold durable.
    """
    try:
        try:
            return await _write(effect, files, blobs, note)
        except _BlobMissing:
            whole, lost = await _without_lost(effect, files, blobs)
        return replace(await _write(whole, files, blobs, note), lost=lost)
    except _BlobMissing as error:
        sentence = f"{effect.path} was not written: outputs are vanishing from the store ({error})."
        return FileWriteFailed(effect.token, FileError(sentence, path=effect.path))
    except HeadwayError as error:
        return FileWriteFailed(effect.token, error)


async def _write(effect: WriteFile, files: Files, blobs: Blobs, note: Note) -> FileWritten:
    writing = FileWriting(effect.notebook, effect.like, lambda sha256: _load(sha256, blobs))

    async def ready(sha256: str) -> bool:
        if effect.expected_sha256 is not None and writing.says_the_same:
            return False
        await note(sha256, writing.image(sha256))
        return True

    pieces = _pieces(writing, effect.path)
    state = await files.replace(effect.path, pieces, effect.expected_sha256, ready)
    # What stays as it is has the form that it had.
    kept = effect.like is not None and not state.changed and state.sha256 == effect.expected_sha256
    image = effect.like if kept else writing.image(state.sha256)
    assert image is not None, "what is kept is known"
    return FileWritten(effect.token, effect.path, state.sha256, state.changed, image)


async def _without_lost(effect: WriteFile, files: Files, blobs: Blobs) -> tuple[WriteFile, int]:
    """The effect with what can be written, and how many outputs are nowhere."""
    found: FileContent | None = None
    with contextlib.suppress(NotebookUnreadable):
        # What the file has of them is in the store again once it was read.
        found = await see_file(effect.path, (), files, blobs)
    parts = {part.sha256 for part in parts_of(effect.notebook)}
    lost = await asyncio.to_thread(lambda: {each for each in parts if blobs.get_now(each) is None})
    image = None if found is None else found.content
    notebook, missing = without_lost(effect.notebook, lost, image)
    return replace(effect, notebook=notebook), missing


async def read_notebook(effect: ReadFile, files: Files, blobs: Blobs) -> FileSeen | FileUnseen:
    """Do what the effect says; the answer is the input for the room. Raises nothing of ours."""
    known = () if effect.known_sha256 is None else (effect.known_sha256,)
    try:
        found = await see_file(effect.path, known, files, blobs)
    except HeadwayError as error:
        return FileUnseen(effect.token, error)
    if found is None:
        return FileSeen(effect.token, None, None)
    if found.unreadable is not None:
        return FileUnseen(effect.token, found.unreadable)
    return FileSeen(effect.token, found.content, found.sha256)


async def see_file(
    path: str, known: Collection[str], files: Files, blobs: Blobs
) -> FileContent | None:
    """What is in a file; None if there is none. Raises NotebookUnreadable when it cannot be read.

    Of a file whose SHA-256 is among `known` nothing else is read.
    """
    if known:
        sha256 = await files.read(path, lambda _: None)
        if sha256 is None:
            return None
        if sha256 in known:
            return FileContent(None, sha256)
    scanning = _Scanning(blobs)
    sha256 = await files.read(path, scanning.take)
    return None if sha256 is None else scanning.seen(sha256)


class _Scanning:
    """Takes a file's bytes. What is no notebook is read to its end, to know its hash."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._scan = FileScan()
        self._error: NotebookUnreadable | None = None

    def take(self, piece: bytes) -> None:
        if self._error is not None:
            return
        try:
            found = self._scan.feed(piece)
        except NotebookUnreadable as error:
            self._error = error
            return
        self._put(found)

    def seen(self, sha256: str) -> FileContent:
        if self._error is None:
            try:
                self._put(self._scan.end())
            except NotebookUnreadable as error:
                self._error = error
        if self._error is not None:
            return FileContent(None, sha256, self._error)
        return FileContent(self._scan.image(sha256), sha256)

    def _put(self, blobs: tuple[tuple[str, bytes], ...]) -> None:
        for sha256, data in blobs:
            self._blobs.put_now(sha256, data)


def _pieces(writing: FileWriting, path: str) -> Iterator[bytes]:
    try:
        yield from writing.pieces()
    except (TypeError, ValueError, RecursionError) as error:
        sentence = f"The notebook could not be written to {path}: {error}"
        raise FileNotWritable(sentence, path=path) from error


def _load(sha256: str, blobs: Blobs) -> bytes:
    data = blobs.get_now(sha256)
    if data is None:
        raise _BlobMissing(sha256)
    return data
