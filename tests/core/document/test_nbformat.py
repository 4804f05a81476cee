from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import nbformat as library
import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_content import serialize
from headway.core.document import strict_json
from headway.core.document.crdt import Replica
from headway.core.document.edits import AddCell, SetCellType, SetNotebookMetadata
from headway.core.document.forms import (
    SEAL_THRESHOLD_CHARACTERS,
    blobs_of,
    form_size,
    seal_outputs,
)
from headway.core.document.mime import resolve
from headway.core.document.nbformat import (
    ParsedNotebook,
    ShownOutputs,
    parse_notebook,
    render_notebook,
    same_content,
)
from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import ExecutionRecord
from headway.core.document.runtime_writing import RuntimeDocument
from headway.errors import NotebookUnreadable
from headway.moments import Moment

NOW = Moment(1.0, 1_700_000_000.0)
peers = itertools.count(1000)


def mint() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"m{next(numbers)}"


def parse(content: bytes | str | dict[str, Any]) -> ParsedNotebook:
    if isinstance(content, dict):
        content = json.dumps(content)
    return parse_notebook(content.encode() if isinstance(content, str) else content, mint())


def code(cell_id: str | None = "a", source: Any = "1", **fields: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": []} | fields
    cell.setdefault("execution_count", None)
    return cell if cell_id is None else cell | {"id": cell_id}


def notebook(*cells: dict[str, Any], minor: int = 5, **fields: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": minor} | fields


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a\nb\n", "a\r\nb", "a\x0bb\x0c\u2028c\n\n", "\n"]
)
keys = st.text("abkey_é", min_size=1, max_size=5)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(keys, values, max_size=3)
bundles = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "image/svg+xml", "application/javascript"]),
    texts,
    max_size=3,
) | st.fixed_dictionaries(
    {}, optional={"application/json": values, "image/png": st.just("iVBORw==\n")}
)
outputs = st.one_of(
    st.fixed_dictionaries(
        {
            "output_type": st.just("stream"),
            "name": st.sampled_from(["stdout", "stderr"]),
            "text": texts,
        }
    ),
    st.fixed_dictionaries(
        {"output_type": st.just("display_data"), "data": bundles, "metadata": objects}
    ),
    st.fixed_dictionaries(
        {
            "output_type": st.just("execute_result"),
            "data": bundles,
            "metadata": objects,
            "execution_count": st.none() | st.integers(0, 9),
        }
    ),
    st.fixed_dictionaries(
        {
            "output_type": st.just("error"),
            "ename": texts,
            "evalue": texts,
            "traceback": st.lists(texts, max_size=3),
        }
    ),
)
odd_outputs = outputs | st.fixed_dictionaries(
    {"output_type": st.sampled_from(["pyout", "new_kind"]), "anything": values}
)


@st.composite
def notebooks(draw: st.DrawFn, shown: st.SearchStrategy[dict[str, Any]] = outputs) -> Any:
    ids = draw(
        st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), unique=True, max_size=4)
    )
    cells = []
    for cell_id in ids:
        cell: dict[str, Any] = {
            "id": cell_id,
            "cell_type": draw(st.sampled_from(["code", "markdown", "raw"])),
            "source": draw(texts),
            "metadata": draw(objects),
        }
        if cell["cell_type"] == "code":
            cell["outputs"] = draw(st.lists(shown, max_size=3))
            cell["execution_count"] = draw(st.none() | st.integers(0, 99))
        elif draw(st.booleans()):
            cell["attachments"] = {"x.png": {"image/png": "iVBORw=="}}
        cells.append(cell)
    extra = draw(st.dictionaries(st.just("unknown"), values))
    return notebook(*cells, metadata=draw(objects)) | extra


@given(notebooks())
def test_what_is_written_reads_as_the_same(content: dict[str, Any]) -> None:
    written = serialize(content)
    assert same_content(parse(written), parse(content))
    assert serialize(content, written) == written


@given(notebooks(), st.sampled_from([None, 1, 2, 4, "\t"]), st.booleans(), st.booleans())
def test_bytes_that_say_the_same_are_never_touched(
    content: dict[str, Any], indent: Any, ascii_only: bool, sort: bool
) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=ascii_only, sort_keys=sort)
    assert serialize(content, text.encode()) == text.encode()


@pytest.mark.parametrize(
    "odd", [b"bytes", float("nan"), float("inf"), [b"bytes"], {"deep": {"er": float("-inf")}}]
)
def test_what_a_foreign_peer_wrote_that_is_no_json_stops_no_file(odd: Any) -> None:
    replica = Replica(next(peers))
    document = NotebookDocument(replica)
    document.initialize(NOW, "daemon")
    added = AddCell("a", "markdown", "1", {"kept": 1}, {"kept": {"image/png": ""}})
    document.apply([added], NOW, "")
    replica.map("metadata").set("odd", odd)
    for name in ("metadata", "attachments"):
        cell = replica.map("cells").map("a")
        values = None if cell is None else cell.map(name)
        assert values is not None
        values.set("odd", odd)
    for key in ("nbformat_minor", "schema"):
        replica.map("meta").set(key, odd)
    replica.commit(1, "foreign")
    rendered = render_notebook(document, RuntimeDocument(Replica(next(peers))).reader)
    written = serialize(rendered)
    assert serialize(rendered, written) == written
    parsed = parse(written)
    assert parsed.cells[0].metadata["kept"] == 1
    assert parsed.cells[0].attachments["kept"] == {"image/png": ""}


def test_a_notebook_that_nbformat_finds_invalid_is_written_as_a_valid_one() -> None:
    document = NotebookDocument(Replica(next(peers)))
    document.initialize(NOW, "daemon")
    cell = AddCell("a", "markdown", "1", {}, {"x.png": {"image/png": "iVBORw=="}})
    edits = [SetNotebookMetadata(key, "python") for key in ("kernelspec", "language_info")]
    document.apply([cell, SetCellType("a", "code"), *edits], NOW, "")
    runtime = RuntimeDocument(Replica(next(peers))).reader
    written = json.loads(serialize(render_notebook(document, runtime)))
    library.validate(written)
    assert document.cells()[0].attachments == {"x.png": {"image/png": "iVBORw=="}}
    document.apply([SetCellType("a", "markdown")], NOW, "")
    written = json.loads(serialize(render_notebook(document, runtime)))
    library.validate(written)
    assert written["cells"][0]["attachments"] == {"x.png": {"image/png": "iVBORw=="}}


@given(notebooks())
def test_it_writes_what_nbformats_own_writer_writes(content: dict[str, Any]) -> None:
    node = library.from_dict(json.loads(json.dumps(content)))  # type: ignore[no-untyped-call]
    assert serialize(content).decode() == library.v4.writes(node) + "\n"  # type: ignore[no-untyped-call]


def test_every_blob_that_outputs_were_sealed_into_is_named_by_them() -> None:
    large = "x" * SEAL_THRESHOLD_CHARACTERS * 2
    error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": [large + "1"]}
    bundle = {"data": {"text/plain": large + "2"}, "metadata": {"m": large + "3"}}
    stream = {"output_type": "stream", "name": "stdout", "text": large + "4"}
    strange = {"output_type": "strange", "what": large + "5"}
    sealed = seal_outputs([error, {"output_type": "display_data", **bundle}, stream, strange])
    assert len(sealed.blobs) >= 5
    assert set(blobs_of(sealed.outputs)) == {sha256 for sha256, _ in sealed.blobs}


@given(notebooks(odd_outputs))
def test_a_notebook_goes_through_the_documents_and_back_unchanged(content: dict[str, Any]) -> None:
    content.pop("unknown", None)
    parsed = parse(content)
    document = NotebookDocument(Replica(next(peers)))
    document.initialize(NOW, "daemon")
    edits: list[Any] = [SetNotebookMetadata(key, value) for key, value in parsed.metadata.items()]
    edits += [
        AddCell(cell.id, cell.cell_type, cell.source, cell.metadata, cell.attachments)
        for cell in parsed.cells
    ]
    document.apply(edits, NOW, "file")
    runtime = RuntimeDocument(Replica(next(peers)))
    blobs: dict[str, bytes] = {}
    for cell_id, shown in parsed.outputs.items():
        sealed = seal_outputs(shown.outputs)
        blobs |= dict(sealed.blobs)
        assert set(blobs_of(sealed.outputs)) == {sha256 for sha256, _ in sealed.blobs}
        runtime.add_execution(
            ExecutionRecord(
                execution_id=f"e-{cell_id}",
                cell_id=cell_id,
                status="ok",
                execution_count=shown.execution_count,
                outputs=sealed.outputs,
            )
        )
    rendered = resolve(render_notebook(document, runtime.reader), blobs.__getitem__)
    assert same_content(parse(serialize(rendered)), parsed)


def test_large_outputs_of_a_file_leave_the_document_and_come_back() -> None:
    big: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stdout", "text": "line\r\n" * 100_000},
        {
            "output_type": "display_data",
            "data": {"image/png": "AAAA" * 50_000, "application/json": {"blob": "x", "size": 3}},
            "metadata": {"m": "y" * 20_000},
        },
        {"output_type": "new_kind", "payload": ["z" * 5_000], "more": 1},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t" * 90_000]},
    ]
    sealed = seal_outputs(big)
    assert len(json.dumps(sealed.outputs)) < 3_000
    runtime = RuntimeDocument(Replica(next(peers)))
    runtime.add_execution(ExecutionRecord(execution_id="e", cell_id="a", outputs=sealed.outputs))
    document = NotebookDocument(Replica(next(peers)))
    document.apply([AddCell("a")], NOW, "test")
    rendered = resolve(render_notebook(document, runtime.reader), dict(sealed.blobs).__getitem__)
    assert rendered["cells"][0]["outputs"] == big


def test_outputs_that_a_file_has_no_room_for_are_counted_at_the_end_of_their_cell() -> None:
    document = NotebookDocument(Replica(next(peers)))
    runtime = RuntimeDocument(Replica(next(peers)))
    document.apply([AddCell("a"), AddCell("b")], NOW, "test")
    streams = [{"output_type": "stream", "name": "stdout", "text": "x" * 100_000}] * 3
    small: list[dict[str, Any]] = [
        {"output_type": "error", "ename": "", "evalue": "", "traceback": []}
    ]
    sealed = seal_outputs([*streams, *small])
    for cell_id, outputs in (("a", sealed.outputs), ("b", seal_outputs(small).outputs)):
        record = ExecutionRecord(execution_id=f"e{cell_id}", cell_id=cell_id, outputs=outputs)
        runtime.add_execution(record)
    rendered = render_notebook(document, runtime.reader, 202_000)
    first, second = resolve(rendered, dict(sealed.blobs).__getitem__)["cells"]
    assert first["outputs"][:-1] == streams[:2]
    left_out = sum(map(form_size, sealed.outputs[2:]))
    assert f"left 2 outputs of this cell, {left_out:,} bytes, out" in first["outputs"][2]["text"]
    assert second["outputs"] == small


def test_an_empty_file_is_an_empty_notebook() -> None:
    for content in (b"", b" \n"):
        assert parse(content).cells == ()
    assert json.loads(serialize(notebook(), b"")) == notebook()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_tolerated(encoding: str) -> None:
    content = json.dumps(notebook(code(source="é")), ensure_ascii=False).encode(encoding)
    assert parse(content).cells[0].source == "é"


def test_sources_as_lines_and_missing_fields_are_fine() -> None:
    parsed = parse(
        {
            "cells": [
                {"cell_type": "code", "id": "a", "source": ["x = 1\n", "y"]},
                {"cell_type": "markdown", "id": "b"},
            ],
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
    assert [cell.source for cell in parsed.cells] == ["x = 1\ny", ""]
    assert parsed.outputs["a"] == ShownOutputs()
    assert "b" not in parsed.outputs
    assert not parsed.changed


def test_valid_ids_are_kept_and_others_minted_once() -> None:
    cells = [code("m1"), code("bad id"), code("x" * 65), code("m1"), code(None), code("ok_-1")]
    parsed = parse(notebook(*cells))
    assert [cell.id for cell in parsed.cells] == ["m1", "m2", "m3", "m4", "m5", "ok_-1"]
    assert [cell.minted for cell in parsed.cells] == [False, True, True, True, True, False]
    assert parsed.changed


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4])
def test_older_formats_of_four_get_ids(minor: int) -> None:
    parsed = parse(notebook(code(None), code(None), minor=minor))
    assert [cell.id for cell in parsed.cells] == ["m1", "m2"]
    assert parsed.changed
    assert parsed.nbformat_minor == 5


def test_format_three_is_upgraded_with_our_ids() -> None:
    parsed = parse(
        {
            "metadata": {"name": "old", "kernel": "x"},
            "nbformat": 3,
            "nbformat_minor": 0,
            "worksheets": [
                {
                    "cells": [
                        {"cell_type": "heading", "level": 2, "source": ["Title"], "metadata": {}},
                        {
                            "cell_type": "code",
                            "input": ["1\n", "2"],
                            "language": "python",
                            "prompt_number": 4,
                            "outputs": [
                                {"output_type": "pyout", "prompt_number": 4, "text": ["2"]},
                                {"output_type": "stream", "stream": "stderr", "text": "warned"},
                                {"output_type": "display_data", "png": "iVBORw=="},
                            ],
                        },
                    ]
                }
            ],
        }
    )
    assert [(cell.id, cell.cell_type, cell.source) for cell in parsed.cells] == [
        ("m1", "markdown", "## Title"),
        ("m2", "code", "1\n2"),
    ]
    result, stream, shown = parsed.outputs["m2"].outputs
    assert parsed.outputs["m2"].execution_count == 4
    assert result["data"] == {"text/plain": "2"}
    assert (stream["name"], stream["text"]) == ("stderr", "warned")
    assert shown["data"] == {"image/png": "iVBORw=="}
    assert parsed.metadata == {"kernel": "x"}
    assert parsed.changed


def test_what_nbformat_drops_is_dropped() -> None:
    metadata = {"signature": "s", "orig_nbformat": 3, "orig_nbformat_minor": 0, "kept": 1}
    parsed = parse(notebook(code(metadata={"trusted": True, "x": 1}), metadata=metadata))
    assert parsed.metadata == {"kept": 1}
    assert parsed.cells[0].metadata == {"x": 1}


def test_unknown_keys_and_oversize_metadata_stay_with_the_file() -> None:
    widgets = {"state": {str(i): i for i in range(30_000)}}
    there = notebook(
        code("a", future=[1]),
        code("b"),
        minor=6,
        metadata={"widgets": widgets, "title": "old"},
        tool={"x": 1},
    )
    parsed = parse(there)
    assert parsed.metadata == {"title": "old"}
    ours = notebook(code("b"), code("a", source="2"), metadata={"title": "new"})
    written = json.loads(serialize(ours, json.dumps(there).encode()))
    assert written["metadata"] == {"widgets": widgets, "title": "new"}
    assert written["tool"] == {"x": 1}
    assert written["nbformat_minor"] == 6
    assert "future" not in written["cells"][0]
    assert written["cells"][1]["future"] == [1]


@pytest.mark.parametrize("ids", [(None, None, None), ("a", "a", "not an id")])
def test_what_only_a_file_without_usable_ids_knows_stays_with_its_cells(
    ids: tuple[str | None, ...],
) -> None:
    large = {"image.png": {"image/png": "A" * 9_000_000}}
    first, second, third = ids
    there = notebook(
        code(first, "import one", future=[1]),
        {"cell_type": "markdown", "source": "text", "metadata": {}, "attachments": large}
        | ({} if second is None else {"id": second}),
        code(third, "import three", metadata={"long": list(range(30_000))}),
        minor=5 if first else 4,
    )
    ours = notebook(
        code("fresh", "new"),
        {"cell_type": "markdown", "id": "m2", "source": "text", "metadata": {}},
        code("m3", "import three, more"),
        code("a" if first else "m1", "import one"),
    )
    written = json.loads(serialize(ours, json.dumps(there).encode()))["cells"]
    assert [set(cell) - set(code()) for cell in written] == [
        set(),
        {"attachments"},
        set(),
        {"future"},
    ]
    assert written[1]["attachments"] == large
    assert written[2]["metadata"] == {"long": list(range(30_000))}


@pytest.mark.parametrize("indent", [2, 4, "\t"])
def test_the_indentation_of_the_file_is_kept(indent: Any) -> None:
    there = json.dumps(notebook(code()), indent=indent).encode()
    written = serialize(notebook(code(source="other")), there)
    wanted = json.dumps(
        notebook(code(source=["other"])), indent=indent, sort_keys=True, separators=(",", ": ")
    )
    assert written.decode() == wanted + "\n"


def test_a_file_of_an_older_format_is_written_anew() -> None:
    there = json.dumps(notebook(code("a"), minor=4)).encode()
    assert json.loads(serialize(notebook(code("a")), there))["nbformat_minor"] == 5


def test_true_is_not_one_when_bytes_are_compared() -> None:
    there = json.dumps(notebook(code(metadata={"x": True}))).encode()
    assert serialize(notebook(code(metadata={"x": 1})), there) != there


def test_lone_surrogates_in_a_file_become_replacement_characters() -> None:
    parsed = parse(json.dumps(notebook(code(source="a\ud800b"))))
    assert parsed.cells[0].source == "a\ufffdb"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe\xff",
        b"\x80{}",
        b"[]",
        b"{}",
        b"null",
        b'{"nbformat": 5, "cells": []}',
        b'{"nbformat": "4", "cells": []}',
        b'{"nbformat": true, "cells": []}',
        b'{"nbformat": 0, "cells": []}',
        b'{"nbformat": 4}',
        b'{"nbformat": 4, "cells": {}}',
        b'{"nbformat": 4, "cells": [1]}',
        b'{"nbformat": 4, "cells": [], "metadata": []}',
        b'{"nbformat": 4, "cells": [{"cell_type": "heading", "source": ""}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": [], "source": ""}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 5}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [5]}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "metadata": 5}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "outputs": {}}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "outputs": [1]}]}',
        b'{"nbformat": 4, "cells": [], "metadata": {"x": NaN}}',
        b'{"nbformat": 4, "cells": [], "metadata": {"x": 1e999}}',
        b'{"nbformat": 3, "worksheets": 5}',
        b'{"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code"}]}]}',
        b'{"nbformat": 2}',
        b'{"nbformat": 1}',
        b'{"x":' * 300 + b"1" + b"}" * 300,
        b"[" * 1_000_000,
        b"<<<<<<< HEAD\n",
    ],
)
def test_what_is_no_notebook_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(NotebookUnreadable) as raised:
        parse(content)
    assert str(raised.value).endswith(".")
    assert len(str(raised.value)) < 400


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "MAX_FILE_BYTES", 10)
    with pytest.raises(NotebookUnreadable) as raised:
        parse(notebook())
    assert raised.value.data["limit"] == 10


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_random_bytes_are_refused_or_empty(content: bytes) -> None:
    with contextlib.suppress(NotebookUnreadable):
        assert parse(content).cells == ()


@given(notebooks(odd_outputs), st.data())
def test_a_broken_notebook_is_refused_or_read_but_nothing_else(
    content: dict[str, Any], data: st.DataObject
) -> None:
    target: Any = content
    while True:
        places: list[Any] = list(target) if isinstance(target, dict) else list(range(len(target)))
        if not places:
            break
        place = data.draw(st.sampled_from(places))
        if isinstance(target[place], dict | list) and data.draw(st.booleans()):
            target = target[place]
            continue
        target[place] = data.draw(values)
        break
    try:
        parsed = parse(content)
    except NotebookUnreadable:
        return
    for shown in parsed.outputs.values():
        seal_outputs(shown.outputs)
    serialize(notebook(code("a")), json.dumps(content).encode())
