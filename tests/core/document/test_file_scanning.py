"""A file read in pieces into its image, and written in pieces, however it is cut."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_content import image, serialize, written
from headway.core.document import file_writing, notices
from headway.core.document.file_image import is_blank, is_sound, named_sha256
from headway.core.document.file_reading import ShownOutputs
from headway.core.document.forms import SEALED_BLOB_CHARACTERS, file_form
from headway.core.document.mime import BlobPart, JoinedText, resolve
from headway.core.document.nbformat import FileWriting, parse_notebook, same_content
from headway.errors import FileNotWritable, NotebookUnreadable

MANY = 3 * SEALED_BLOB_CHARACTERS


def mint() -> str:
    return "minted"


def code(*outputs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "execution_count": 1}
    return {**cell, "outputs": list(outputs), **fields}


def notebook(*cells: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **fields}


def stream(text: Any, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def shown_in(content: bytes, piece_bytes: int = 2**18) -> tuple[ShownOutputs, list[dict[str, Any]]]:
    """What the image of a file shows, and the same as nbformat has it, from its blobs."""
    blobs: dict[str, bytes] = {}
    seen = parse_notebook(image(content, blobs, piece_bytes), mint).outputs["a"]
    assert seen.image is not None
    assert seen.image.outputs is not None
    forms = [file_form(form) for form in seen.image.outputs]
    return seen, resolve(forms, blobs.__getitem__)


texts = st.text(  # all that divides lines, or needs an escape
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from(list('\n\r\x0b\x1c\x85\u2028"\\\b\x1b\U0001f600é')),
    max_size=40,
)


@given(texts, st.integers(1, 40), st.booleans(), st.integers(1, 20))
def test_a_stream_of_any_length_is_read_and_written_as_it_is_however_it_is_cut(
    text: str, piece_bytes: int, ascii_only: bool, times: int
) -> None:
    content = notebook(code(stream((text or "-") * times), stream("after", "stderr")))
    for lines in (False, True):
        if lines:
            content["cells"][0]["outputs"][0]["text"] = ((text or "-") * times).splitlines(True)
        there = json.dumps(content, ensure_ascii=ascii_only).encode()
        seen, outputs = shown_in(there, piece_bytes)
        assert outputs[0]["text"] == (text or "-") * times
        assert seen.digest == parse_notebook(there, mint).outputs["a"].digest


@pytest.mark.parametrize("text", ["x", "ab\r\n", "\U0001f600\n", '"\\\x1b[0m', "é\x85"])
@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("piece_bytes", [2**18, 100_003])
def test_a_long_stream_goes_into_blobs_and_comes_back(
    text: str, lines: bool, ascii_only: bool, piece_bytes: int
) -> None:
    long = text * (MANY // len(text)) + "end"
    output = stream(long.splitlines(True) if lines else long)
    there = json.dumps(notebook(code(output)), ensure_ascii=ascii_only, indent=1).encode()
    seen, outputs = shown_in(there, piece_bytes)
    assert outputs == [stream(long)]
    assert seen.image is not None
    assert seen.image.outputs is not None
    assert seen.image.outputs[0]["text"] == ""
    assert len(seen.image.outputs[0]["sealed"]) >= 3
    assert len(image(there, {})) < 2_000
    assert seen.digest == parse_notebook(there, mint).outputs["a"].digest


@given(texts.filter(bool), st.lists(st.integers(0, 5_000), max_size=5))
def test_what_is_written_does_not_depend_on_how_the_text_is_divided_into_blobs(
    text: str, cuts: list[int]
) -> None:
    text *= 100
    places = sorted({0, len(text), *(cut % len(text) for cut in cuts)})
    parts = [text[one:other].encode() for one, other in itertools.pairwise(places)]
    blobs = {hashlib.sha256(part).hexdigest(): part for part in parts}
    names = (BlobPart(hashlib.sha256(part).hexdigest(), "text/plain") for part in parts)
    apart = notebook(code(stream(JoinedText(tuple(names)))))
    content, seen = written(apart, None, blobs.__getitem__)
    assert content == serialize(notebook(code(stream(text))))
    ours, theirs = (parse_notebook(each, mint) for each in (seen, image(content)))
    assert same_content(ours, theirs)
    assert named_sha256(seen) == hashlib.sha256(content).hexdigest()


def test_an_image_that_was_damaged_is_told() -> None:
    content = serialize(notebook(code(stream("x"))))
    sha256 = hashlib.sha256(content).hexdigest()
    seen = image(content)
    assert is_sound(seen, sha256)
    assert is_sound(content, sha256)
    assert not is_sound(seen[:-2] + b"?\n", sha256)
    assert not is_sound(seen, "0" * 64)
    assert is_blank(image(b" \n"))
    assert not is_blank(seen)


@pytest.mark.parametrize("odd", [[1], ["a", 1], [["a"]], {"a": 1}, None, 5])
def test_a_text_that_is_none_is_kept_as_it_is(odd: Any) -> None:
    there = json.dumps(notebook(code(stream(odd), stream("x")))).encode()
    seen, _ = shown_in(there)
    assert seen.digest == parse_notebook(there, mint).outputs["a"].digest


@pytest.mark.parametrize(
    "there",
    [
        json.dumps(notebook(code(stream("x" * MANY)))).encode()[:-MANY],
        json.dumps(notebook(code(stream(["x" * MANY, 1])))).encode(),
        json.dumps(notebook(code({"output_type": "other", "text": "x" * MANY}))).encode(),
        json.dumps(notebook(code(5))).encode(),  # type: ignore[arg-type]
        json.dumps(notebook(code("x"))).encode(),  # type: ignore[arg-type]
        json.dumps(notebook(code({"output_type": 5}))).encode(),
        b'{"cells": [{"cell_type": "code", "outputs": [{]}]}',
        b'{"cells": [{"cell_type": "code", "outputs": [',
        b'{"cells": [{"cell_type": "code", "outputs": [{"output_type": "stream", "text": "\\ud8',
        b"[" * 1_000_000,
        b"\xff\xfe\xff",
    ],
)
@pytest.mark.parametrize("piece_bytes", [7, 2**18])
def test_what_is_no_notebook_is_refused_with_a_sentence(there: bytes, piece_bytes: int) -> None:
    pieces = there[:4096] if piece_bytes == 7 and len(there) < 4096 else there
    with pytest.raises(NotebookUnreadable) as raised:
        parse_notebook(image(pieces, {}, piece_bytes if len(there) < 4096 else 2**18), mint)
    assert str(raised.value).endswith(".")


def test_outputs_of_cells_that_are_not_code_stay_with_the_file() -> None:
    odd = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "", "outputs": [1]}
    there = json.dumps(notebook(odd)).encode()
    assert parse_notebook(image(there), mint).cells[0].extra == {"outputs": [1]}


def test_a_notebook_that_could_not_be_read_again_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_writing, "MAX_FILE_BYTES", 1_000)
    serialize(notebook(code(stream("x" * 5_000))))
    with pytest.raises(FileNotWritable, match="could not be opened again"):
        serialize(notebook(code(source="x" * 5_000)))


def test_no_piece_of_a_large_file_is_large() -> None:

    part = BlobPart("0" * 64, "text/plain")
    loaded = []

    def load(sha256: str) -> bytes:
        loaded.append(sha256)
        return b"x" * SEALED_BLOB_CHARACTERS

    writing = FileWriting(notebook(code(stream(JoinedText((part,) * 100)))), None, load)
    sizes = []
    for piece in writing.pieces():
        sizes.append(len(piece))
        assert sum(sizes) >= (len(loaded) - 2) * SEALED_BLOB_CHARACTERS
    assert max(sizes) < 3 * SEALED_BLOB_CHARACTERS
    assert len(writing.image("0" * 64)) < 2_000
    assert notices.MAX_FILE_OUTPUT_BYTES > 10 * 50_000_000


@pytest.mark.parametrize(
    "cell",
    [
        code(),
        code(stream("x")),
        {"cell_type": "code", "id": "a", "metadata": {}, "source": []},
        {"cell_type": "markdown", "id": "a", "metadata": {"deep": [{"a": [1]}]}, "source": ["]}"]},
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "", "outputs": []},
        {"outputs": [], "cell_type": "raw", "id": "a", "metadata": {}, "source": ""},
        code(source='"outputs": [1]'),
        code(metadata={"outputs": [], "cell_type": "x"}),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_cell_that_is_taken_at_once_is_read_as_step_by_step(
    cell: dict[str, Any], indent: int | None
) -> None:
    there = json.dumps(notebook(cell, code(id="b"), cell | {"id": "c"}), indent=indent).encode()
    # In pieces of one byte no cell is ever there whole.
    at_once, in_steps = (
        parse_notebook(image(there, {}, piece_bytes), mint) for piece_bytes in (2**18, 1)
    )
    assert at_once == in_steps


@given(texts, st.integers(1, 40), st.booleans())
def test_a_file_that_shows_no_output_is_its_own_text_in_its_image(
    text: str, piece_bytes: int, ascii_only: bool
) -> None:
    content = notebook(code(source=text), {**code(source=text), "id": "b"})
    there = json.dumps(content, ensure_ascii=ascii_only).encode()
    seen = image(there, {}, piece_bytes)
    assert is_sound(seen, hashlib.sha256(there).hexdigest())
    read, whole = parse_notebook(seen, mint), parse_notebook(there, mint)
    assert (read.cells, read.metadata) == (whole.cells, whole.metadata)
    for cell_id, shown in whole.outputs.items():
        assert read.outputs[cell_id].execution_count == shown.execution_count
        assert (read.outputs[cell_id].number, read.outputs[cell_id].digest) == (0, shown.digest)


@pytest.mark.parametrize("name", ["output_type", "output\\u005ftype"])
def test_the_first_output_late_in_a_file_is_taken_out_of_its_text(name: str) -> None:
    before = [{**code(), "id": f"c{number}", "source": "x" * 1000} for number in range(400)]
    there = json.dumps(notebook(*before, code(stream("y" * MANY)))).encode()
    there = there.replace(b"output_type", name.encode())
    for piece_bytes in (2**18, 100_003):
        seen, outputs = shown_in(there, piece_bytes)
        assert outputs == [stream("y" * MANY)]
        assert seen.number == 1
        assert len(image(there, {}, piece_bytes)) < len(there) - MANY // 2


def test_a_long_file_without_outputs_is_scanned_as_it_comes() -> None:
    cells = [{**code(), "id": f"c{number}", "source": "x" * 10_000} for number in range(300)]
    there = json.dumps(notebook(*cells)).encode()
    seen = parse_notebook(image(there, {}, 2**18), mint)
    assert seen.cells == parse_notebook(there, mint).cells
    assert [shown.number for shown in seen.outputs.values()] == [0] * 300
