from __future__ import annotations

from headway.core.room.autosave import (
    AUTOSAVE_LATEST_S,
    AUTOSAVE_QUIET_S,
    AUTOSAVE_REST,
    AUTOSAVE_REST_MOST_S,
    PERMANENT_S,
    RETRY_S,
    Autosave,
)
from headway.errors import FileNotWritable
from headway.moments import Moment


def at(seconds: float) -> Moment:
    return Moment(seconds, 0.0)


def test_nothing_is_written_while_nothing_has_changed() -> None:
    assert Autosave().next_deadline() is None


def test_a_change_is_written_after_a_quiet_while() -> None:
    autosave = Autosave()
    autosave.changed(at(10.0))

    assert not autosave.is_due(at(10.0))
    assert autosave.is_due(at(10.0 + AUTOSAVE_QUIET_S))
    assert not autosave.has_given_up


def test_a_busy_writer_does_not_put_the_write_off_for_ever() -> None:
    autosave = Autosave()
    moment = 10.0
    while moment < 10.0 + AUTOSAVE_LATEST_S:
        autosave.changed(at(moment))
        moment += AUTOSAVE_QUIET_S / 2

    assert autosave.is_due(at(10.0 + AUTOSAVE_LATEST_S))


def test_what_changes_during_a_write_is_written_after_it() -> None:
    autosave = Autosave()
    autosave.changed(at(1.0))
    autosave.began()
    autosave.changed(at(2.0))

    assert autosave.next_deadline() is None
    autosave.succeeded()
    assert autosave.is_behind
    assert autosave.is_due(at(2.0 + AUTOSAVE_QUIET_S))


def test_a_disk_that_refuses_is_asked_again_less_and_less_often() -> None:
    autosave = Autosave()
    autosave.changed(at(0.0))
    for wait_s in (*RETRY_S, RETRY_S[-1]):
        autosave.began()
        autosave.failed(FileNotWritable("full"), at(100.0))
        assert autosave.next_deadline() == 100.0 + wait_s


def test_after_a_write_that_went_well_no_earlier_refusal_counts() -> None:
    autosave = Autosave()
    autosave.changed(at(0.0))
    autosave.began()
    autosave.failed(FileNotWritable("a folder", transient=False), at(1.0))
    autosave.began()  # somebody asked for it
    autosave.succeeded(at(2.0))
    autosave.changed(at(2.0))
    assert autosave.is_due(at(2.0 + AUTOSAVE_QUIET_S))


def test_a_refusal_that_does_not_pass_is_not_tried_again_by_time_alone() -> None:
    autosave = Autosave()
    autosave.changed(at(0.0))
    autosave.began()
    autosave.failed(FileNotWritable("a folder", transient=False), at(1.0))
    autosave.changed(at(2.0))

    assert autosave.next_deadline() is None
    assert autosave.is_behind
    assert autosave.has_given_up
    autosave.changed(at(1.0 + PERMANENT_S))
    assert autosave.is_due(at(1.0 + PERMANENT_S + AUTOSAVE_QUIET_S))


def test_after_a_refusal_that_does_not_pass_a_hint_is_a_reason_to_try_again() -> None:
    autosave = Autosave()
    autosave.changed(at(0.0))
    autosave.began()
    autosave.failed(FileNotWritable("a folder", transient=False), at(1.0))
    autosave.try_again()

    assert autosave.is_due(at(1.0 + AUTOSAVE_QUIET_S))


def test_a_write_that_is_put_off_is_still_due() -> None:
    autosave = Autosave()
    autosave.changed(at(0.0))
    autosave.began()
    autosave.put_off(at(1.0))

    assert autosave.is_due(at(1.0 + AUTOSAVE_QUIET_S))
    assert autosave.error is None


def test_a_file_that_takes_long_to_write_is_written_for_a_share_of_the_time() -> None:
    autosave = Autosave()
    autosave.changed(at(0.0))
    autosave.began()
    autosave.changed(at(6.0))
    autosave.succeeded(at(9.0), 4.0)
    autosave.try_again()

    assert autosave.next_deadline() == 9.0 + AUTOSAVE_REST * 4.0
    autosave.began()
    autosave.changed(at(60.0))
    autosave.succeeded(at(60.001), 0.001)
    assert autosave.next_deadline() == 61.0


def test_after_a_disk_that_was_away_for_long_a_file_is_written_soon() -> None:
    autosave = Autosave()
    autosave.began()
    autosave.changed(at(1.0))
    autosave.succeeded(at(3600.0), 3600.0)
    assert autosave.next_deadline() == 3600.0 + AUTOSAVE_REST_MOST_S
