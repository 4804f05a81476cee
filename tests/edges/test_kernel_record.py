from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from headway.core.kernel.events import KernelInfo
from headway.edges.kernel_record import (
    Asked,
    AskedNote,
    KernelRecord,
    leave_record,
    read_asked,
    read_record,
    write_record,
)
from headway.errors import KernelStartFailed

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


def test_the_first_note_needs_no_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = AskedNote(tmp_path)
    write = os.pwrite

    def write_over(descriptor: int, data: bytes, offset: int) -> int:
        """As on a full disk: what is there can be written over, and nothing grows."""
        if offset + len(data) > os.fstat(descriptor).st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", write_over)
    asked = Asked.of("a" * 36, "x = 1", 1_000_000)
    note.write(asked)
    note.close()
    assert read_asked(tmp_path) == asked


def test_the_note_of_an_earlier_daemon_stays_until_the_next_is_made(tmp_path: Path) -> None:
    asked = Asked.of("a", "x", 1)
    first = AskedNote(tmp_path)
    first.write(asked)
    first.close()
    AskedNote(tmp_path).close()
    assert read_asked(tmp_path) == asked


@pytest.mark.parametrize("name", ["asked.json", "record.json.new"])
def test_a_folder_that_cannot_be_written_is_a_failed_start_with_its_reason(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(KernelStartFailed, match="cannot be written: Is a directory") as failed:
        leave_record(tmp_path, RECORD)
    assert failed.value.data["name"] == "python3"
    assert read_record(tmp_path) is None
