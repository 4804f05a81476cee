from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

from file_content import image, put
from headway.core.document import mime
from headway.core.document.file_image import named_sha256
from headway.core.document.file_reading import joined_output
from headway.core.document.forms import file_form, seal_outputs
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


async def noted(sha256: str, image: bytes) -> None:
    assert named_sha256(image) == sha256


def write(
    content: dict[str, Any], *, there: bytes | None = None, expected: str | None = None
) -> tuple[FileWritten | FileWriteFailed, MemoryFiles]:
    async def scenario() -> tuple[FileWritten | FileWriteFailed, MemoryFiles]:
        async with asyncio.timeout(10):
            blobs, files = MemoryBlobs(), MemoryFiles()
            await blobs.put(SHA, PNG)
            await blobs.put(TEXT, b"first part, ")
            if there is not None:
                await put(files, "/a.ipynb", there, None)
            like = None if there is None else image(there)
            effect = WriteFile(7, "/a.ipynb", content, expected, like)
            return await write_notebook(effect, files, blobs, noted), files

    return asyncio.run(scenario())


def test_blobs_are_put_in_their_places_and_the_bytes_are_reported() -> None:
    picture = {
        "output_type": "display_data",
        "data": {"image/png": mime.BlobPart(SHA, "image/png")},
        "metadata": {},
    }
    text = mime.JoinedText((mime.BlobPart(TEXT, "text/plain"), "second part"))
    stream = {"output_type": "stream", "name": "stdout", "text": text}
    written, files = write(notebook(picture, stream))
    assert isinstance(written, FileWritten)
    assert (written.token, written.path, written.changed) == (7, "/a.ipynb", True)
    content = files.contents["/a.ipynb"]
    assert written.sha256 == hashlib.sha256(content).hexdigest()
    shown = json.loads(content)["cells"][0]["outputs"]
    assert shown[0]["data"]["image/png"].strip() == "iVBORw0K"
    assert "".join(shown[1]["text"]) == "first part, second part"


def pictures(*data: bytes) -> list[dict[str, Any]]:
    """Outputs as nbformat has them, too large to stand in a document."""
    encoded = [base64.b64encode(each).decode() + "\n" for each in data]
    return [
        {"output_type": "display_data", "data": {"image/png": each}, "metadata": {}}
        for each in encoded
    ]


def written_without_blobs(
    there: dict[str, Any] | None, *outputs: dict[str, Any]
) -> tuple[FileWritten | FileWriteFailed, MemoryFiles, MemoryBlobs]:
    """Write outputs whose blobs are not in the store over a file that is there."""
    sealed = seal_outputs(map(joined_output, outputs))
    effect = WriteFile(7, "/a.ipynb", notebook(*map(file_form, sealed.outputs)), None)
    files, blobs = MemoryFiles(), MemoryBlobs()
    if there is not None:
        content = files.contents["/a.ipynb"] = json.dumps(there).encode()
        effect = replace(
            effect, expected_sha256=hashlib.sha256(content).hexdigest(), like=image(content)
        )
    return asyncio.run(write_notebook(effect, files, blobs, noted)), files, blobs


def test_a_missing_blob_that_the_file_has_is_put_into_the_store_again() -> None:
    (shown,) = pictures(b"picture" * 1000)
    there = notebook(shown)
    there["cells"][0]["source"] = "older"
    written, files, blobs = written_without_blobs(there, shown)
    assert isinstance(written, FileWritten)
    assert (written.changed, written.lost) == (True, 0)
    (cell,) = json.loads(files.contents["/a.ipynb"])["cells"]
    assert (cell["source"], cell["outputs"]) == (["1"], [shown])
    assert list(blobs.contents.values()) == [b"picture" * 1000]


def test_a_missing_blob_holds_back_nothing_else_and_is_told() -> None:
    for there in (None, notebook()):
        written, files, _ = written_without_blobs(there, *pictures(b"a" * 2000, b"b" * 2000))
        assert isinstance(written, FileWritten)
        assert (written.changed, written.lost) == (True, 2)
        (cell,) = json.loads(files.contents["/a.ipynb"])["cells"]
        assert cell["source"] == ["1"]
        assert [each["output_type"] for each in cell["outputs"]] == ["stream", "stream"]
        assert "missing from the store" in "".join(cell["outputs"][0]["text"])


def test_a_file_that_says_already_that_an_output_is_lost_is_not_written_again() -> None:
    (shown,) = pictures(b"a" * 2000)
    _, files, _ = written_without_blobs(None, shown)
    there = files.contents["/a.ipynb"]
    again, files, _ = written_without_blobs(json.loads(there), shown)
    assert isinstance(again, FileWritten)
    assert (again.changed, again.lost) == (False, 1)


def test_a_file_that_another_program_changed_is_left_alone() -> None:
    failed, _ = write(notebook(), there=b"somebody else's", expected="0" * 64)
    assert isinstance(failed, FileWriteFailed)
    assert failed.error.code == "FILE_CHANGED"


def test_a_file_that_holds_the_notebook_already_is_not_touched() -> None:
    _, files = write(notebook())
    for indent in (1, 3):
        there = json.dumps(json.loads(files.contents["/a.ipynb"]), indent=indent).encode()
        expected = hashlib.sha256(there).hexdigest()
        again, touched = write(notebook(), there=there, expected=expected)
        assert isinstance(again, FileWritten)
        assert (again.changed, again.content) == (False, image(there))
        assert touched.contents["/a.ipynb"] == there


def test_a_file_that_is_gone_is_written_although_it_would_say_the_same() -> None:
    _, files = write(notebook())
    there = files.contents["/a.ipynb"]
    effect = WriteFile(7, "/b.ipynb", notebook(), None, image(there))
    written = asyncio.run(write_notebook(effect, files, MemoryBlobs(), noted))
    assert isinstance(written, FileWritten)
    assert written.changed
    assert files.contents["/b.ipynb"] == there


def test_what_is_no_json_is_a_failure_and_not_a_crash() -> None:
    failed, _ = write(notebook({"output_type": "stream", "name": "stdout", "text": float("nan")}))
    assert isinstance(failed, FileWriteFailed)


def look(files: MemoryFiles, known: str | None = None) -> FileSeen | FileUnseen:
    return asyncio.run(read_notebook(ReadFile(3, "/a.ipynb", known), files, MemoryBlobs()))


def test_a_look_gives_the_image_and_its_hash_or_that_there_is_no_file() -> None:
    files = MemoryFiles()
    assert look(files) == FileSeen(3, None, None)
    files.contents["/a.ipynb"] = b"{}"
    sha256 = hashlib.sha256(b"{}").hexdigest()
    assert look(files) == FileSeen(3, image(b"{}"), sha256)
    assert look(files, known="0" * 64) == FileSeen(3, image(b"{}"), sha256)
    assert look(files, known=sha256) == FileSeen(3, None, sha256)


def test_a_look_at_what_cannot_be_read_gives_the_error() -> None:
    files = MemoryFiles()
    files.refusals["/a.ipynb"] = NotebookUnreadable("It is a folder.", transient=False)
    seen = look(files)
    assert isinstance(seen, FileUnseen)
    assert isinstance(seen.error, NotebookUnreadable)
