from __future__ import annotations

from headway.core.room.bases import MAX_OLDER_BASES, OLDER_BASE_BYTES, Base, Bases


def test_the_last_few_versions_are_remembered_the_latest_last() -> None:
    bases = Bases(b"0", "0")
    for number in range(1, 10):
        bases.know(Base(b"%d" % number, is_ours=True), str(number))
    found = [each.content for each in bases.all]
    assert found == [b"%d" % number for number in range(9 - MAX_OLDER_BASES, 10)]
    assert bases.sha256 == "9"


def test_a_write_that_changes_nothing_does_not_push_an_older_version_out() -> None:
    bases = Bases(b"0", "0")
    bases.know(Base(b"1"), "1")
    for _ in range(MAX_OLDER_BASES + 1):
        bases.know(Base(b"1 without its outputs", is_ours=True), "1")
    assert [each.content for each in bases.all] == [b"0", b"1 without its outputs"]


def test_a_large_version_is_forgotten_once_there_is_a_later_one() -> None:
    bases = Bases(b"0" * (OLDER_BASE_BYTES + 1), "0")
    bases.know(Base(b"1"), "1")
    assert [each.content for each in bases.all] == [b"1"]
