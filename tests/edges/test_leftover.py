from __future__ import annotations

from headway.edges.leftover import Leftover


def test_what_nobody_uses_is_cleared_away_at_once_and_once() -> None:
    cleared: list[str] = []
    left = Leftover(cleared.append)
    with left.in_use():
        left.keep("file")
    assert cleared == []
    left.give_up()
    left.give_up()
    assert cleared == ["file"]


def test_what_is_in_use_is_cleared_away_when_the_last_is_done() -> None:
    cleared: list[str] = []
    left = Leftover(cleared.append)
    with left.in_use():
        with left.in_use():
            left.keep("file")
            left.give_up()
        assert cleared == []
    assert cleared == ["file"]


def test_what_is_made_although_nobody_wants_it_any_more_is_cleared_away() -> None:
    cleared: list[str] = []
    left = Leftover(cleared.append)
    with left.in_use():
        left.give_up()
        left.keep("file")
        assert left.is_unwanted
    assert cleared == ["file"]


def test_where_nothing_was_made_nothing_is_cleared_away() -> None:
    cleared: list[str] = []
    left = Leftover(cleared.append)
    left.give_up()
    assert cleared == []
