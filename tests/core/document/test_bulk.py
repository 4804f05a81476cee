"""Large updates: merged without a stall, and to the same document."""

from __future__ import annotations

import time

import loro
import pytest

from headway.core.document.bulk import LARGE_OPERATIONS, first_operation
from headway.core.document.crdt import Replica, Version
from headway.errors import MissingChanges

PASTED = "0123456789" * 40_000


def writer_and_reader() -> tuple[Replica, Replica]:
    """Two replicas that hold a text which a third one wrote."""
    origin = Replica(1)
    origin.map("m").new_text("t", "#")
    origin.commit(1, "")
    return origin.rebuilt(2), origin.rebuilt(3)


def paste(writer: Replica, text: str) -> None:
    source = writer.map("m").text("t")
    assert source is not None
    source.append(text)
    writer.commit(1, "")


def text_of(replica: Replica) -> str:
    return str(replica.map("m").text("t"))


def test_a_large_paste_of_another_peer_takes_a_fraction_of_what_the_bare_engine_takes() -> None:
    writer, reader = writer_and_reader()
    bare = loro.LoroDoc()  # type: ignore[no-untyped-call]
    bare.import_(reader.export())
    before = reader.version()
    paste(writer, PASTED)
    update = writer.export(before)
    began_s = time.perf_counter()
    bare.import_(update)
    bare_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    imported = reader.import_update(update)
    took_s = time.perf_counter() - began_s
    assert took_s < bare_s / 4, (took_s, bare_s)
    assert text_of(reader) == "#" + PASTED
    assert imported.before == before
    assert imported.after == writer.version() == reader.version()
    assert imported.heads_after == writer.heads()


@pytest.mark.parametrize("length", [LARGE_OPERATIONS, LARGE_OPERATIONS + 1])
def test_large_pastes_converge_with_what_was_written_meanwhile(length: int) -> None:
    one, other = writer_and_reader()
    before = one.version()
    paste(one, "a" * length)
    paste(other, "b" * length)
    first, second = one.export(before), other.export(before)
    one.import_update(second)
    other.import_update(first)
    assert text_of(one) == text_of(other)
    assert len(text_of(one)) == 1 + 2 * length
    assert not one.import_update(second).changed


def test_a_large_update_that_builds_on_missing_changes_is_refused_and_merges_nothing() -> None:
    writer, reader = writer_and_reader()
    paste(writer, "not sent")
    sent_from = writer.version()
    paste(writer, PASTED)
    before = reader.version()
    with pytest.raises(MissingChanges):
        reader.import_update(writer.export(sent_from))
    assert reader.version() == before


def test_the_first_operation_is_exported_of_a_large_change_alone() -> None:
    writer, reader = writer_and_reader()
    before = writer.version()
    paste(writer, "x" * (LARGE_OPERATIONS - 1))
    assert writer.export_first(before, writer.version()) is None
    paste(writer, "xx")
    first = writer.export_first(before, writer.version())
    assert first is not None
    reader.import_update(first)
    assert text_of(reader) == "#x"
    reader.import_update(writer.export(before))
    assert text_of(reader) == text_of(writer)


def first_of_import(document: loro.LoroDoc, data: bytes) -> bytes | None:
    metadata = loro.LoroDoc.decode_import_blob_meta(data, check_checksum=True)
    return first_operation(loro, document, data, metadata)


def test_an_empty_document_takes_a_snapshot_as_it_is() -> None:
    """Behind a first operation of its own it is merged, not loaded: twenty times as slow."""
    writer = Replica(1)
    writer.map("m").new_text("t", PASTED)
    writer.commit(1, "")
    empty = loro.LoroDoc()  # type: ignore[no-untyped-call]
    assert first_of_import(empty, writer.export()) is None
    assert first_of_import(empty, writer.export(Version.EMPTY, writer.version())) is not None


def test_a_short_snapshot_of_a_long_text_is_large() -> None:
    """A snapshot is compressed, so its length says nothing."""
    writer, reader = writer_and_reader()
    holds_text = loro.LoroDoc()  # type: ignore[no-untyped-call]
    holds_text.import_(reader.export())
    paste(writer, PASTED)
    snapshot = writer.export()
    assert len(snapshot) < LARGE_OPERATIONS
    assert first_of_import(holds_text, snapshot) is not None
    reader.import_update(snapshot)
    assert text_of(reader) == "#" + PASTED
