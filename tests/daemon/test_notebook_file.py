from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from headway.core.document import mime
from headway.core.room.effects import ReadFile, WriteFile
from headway.core.room.inputs import FileSeen, FileUnseen, FileWriteFailed, FileWritten
from headway.daemon.notebook_file import read_notebook, write_notebook
from headway.edges.memory import MemoryBlobs, MemoryFiles
from headway.errors import NotebookUnreadable

PNG = b"\x89PNG\r\n"
SHA = hashlib.sha256(PNG).hexdigest()
TEXT = hashlib.sha256(b"first part, ").hexdigest()


def notebook(*outputs: dict[str, Any]) -> dict[str, Any]:
    cell = {
        "cell_type": "code",
        "id": "one",
        "metadata": {},
        "source": "1",
        "execution_count": 1,
        "outputs": list(outputs),
    }
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def write(
    content: dict[str, Any], *, there: bytes | None = None, expected: str | None = None
) -> tuple[FileWritten | FileWriteFailed, MemoryFiles]:
    async def note(sha256: str, content: bytes) -> None:
        assert hashlib.sha256(content).hexdigest() == sha256

    async def scenario() -> tuple[FileWritten | FileWriteFailed, MemoryFiles]:
        async with asyncio.timeout(10):
            blobs, files = MemoryBlobs(), MemoryFiles()
            await blobs.put(SHA, PNG)
            await blobs.put(TEXT, b"first part, ")
            if there is not None:
                await files.replace("/a.ipynb", there, None)
            effect = WriteFile(7, "/a.ipynb", content, expected)
            return await write_notebook(effect, files, blobs, note), files

    return asyncio.run(scenario())


def test_blobs_are_put_in_their_places_and_the_bytes_are_reported() -> None:
    image = {
        "output_type": "display_data",
        "data": {"image/png": mime.BlobPart(SHA, "image/png")},
        "metadata": {},
    }
    text = mime.JoinedText((mime.BlobPart(TEXT, "text/plain"), "second part"))
    stream = {"output_type": "stream", "name": "stdout", "text": text}
    written, _ = write(notebook(image, stream))
    assert isinstance(written, FileWritten)
    assert (written.token, written.path, written.changed) == (7, "/a.ipynb", True)
    assert written.sha256 == hashlib.sha256(written.content).hexdigest()
    shown = json.loads(written.content)["cells"][0]["outputs"]
    assert shown[0]["data"]["image/png"].strip() == "iVBORw0K"
    assert "".join(shown[1]["text"]) == "first part, second part"


def test_a_missing_blob_leaves_the_file_as_it_is_and_says_which() -> None:
    absent = {
        "output_type": "display_data",
        "data": {"image/png": mime.BlobPart("0" * 64, "image/png")},
        "metadata": {},
    }
    failed, _ = write(notebook(absent))
    assert isinstance(failed, FileWriteFailed)
    assert failed.token == 7
    assert failed.error.data["sha256"] == "0" * 64


def test_a_file_that_another_program_changed_is_left_alone() -> None:
    failed, _ = write(notebook(), there=b"somebody else's", expected="0" * 64)
    assert isinstance(failed, FileWriteFailed)
    assert failed.error.code == "FILE_CHANGED"


def test_a_file_that_holds_the_notebook_already_is_not_touched() -> None:
    first, _ = write(notebook())
    assert isinstance(first, FileWritten)
    again, _ = write(notebook(), there=first.content, expected=first.sha256)
    assert isinstance(again, FileWritten)
    assert (again.changed, again.content) == (False, first.content)


def test_what_is_no_json_is_a_failure_and_not_a_crash() -> None:
    failed, _ = write(notebook({"output_type": "stream", "name": "stdout", "text": float("nan")}))
    assert isinstance(failed, FileWriteFailed)


def look(files: MemoryFiles) -> FileSeen | FileUnseen:
    return asyncio.run(read_notebook(ReadFile(3, "/a.ipynb"), files))


def test_a_look_gives_the_bytes_and_their_hash_or_that_there_is_no_file() -> None:
    files = MemoryFiles()
    assert look(files) == FileSeen(3, None, None)
    files.contents["/a.ipynb"] = b"{}"
    assert look(files) == FileSeen(3, b"{}", hashlib.sha256(b"{}").hexdigest())


def test_a_look_at_what_cannot_be_read_gives_the_error() -> None:
    files = MemoryFiles()
    files.refusals["/a.ipynb"] = NotebookUnreadable("It is a folder.", transient=False)
    seen = look(files)
    assert isinstance(seen, FileUnseen)
    assert isinstance(seen.error, NotebookUnreadable)
