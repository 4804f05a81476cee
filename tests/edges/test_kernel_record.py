from __future__ import annotations

from pathlib import Path

from headway.core.kernel.events import KernelInfo
from headway.edges.kernel_record import (
    Asked,
    AskedNote,
    KernelRecord,
    read_asked,
    read_record,
    write_record,
)

INFO = KernelInfo("python", {"name": "python", "version": "3"}, "5.3", "hello")
RECORD = KernelRecord.of(
    "nb-1",
    3,
    "python3",
    INFO,
    interrupt_mode="signal",
    is_ipykernel=True,
    is_prepared=True,
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD
    assert RECORD.info == INFO


def test_a_folder_without_a_record_or_with_a_damaged_one_has_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    (tmp_path / "record.json").write_bytes(b'{"document": ')
    assert read_record(tmp_path) is None


def test_the_note_is_of_the_last_execution_whatever_its_length(tmp_path: Path) -> None:
    note = AskedNote(tmp_path)
    assert read_asked(tmp_path) is None
    note.write(Asked.of("a" * 36, "x = 1", 1_000_000))
    last = Asked.of("b", "y", 2)
    note.write(last)
    assert read_asked(tmp_path) == last
    note.close()
    note.close()
    note.write(Asked.of("c", "z", 3))
    assert read_asked(tmp_path) == last
