from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.notices import gap_text

LAST_S = 253_402_300_799
"""The last second of the year 9999."""


@given(st.integers(0, LAST_S), st.floats(0, LAST_S))
def test_a_gap_says_from_when_to_when_in_utc(since_s: int, until_s: float) -> None:
    since, until = (datetime.fromtimestamp(int(each), UTC) for each in (since_s, until_s))
    expected = f"from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC.]\n"
    assert gap_text(since_s, until_s).endswith(expected)


def test_a_gap_is_a_line_that_says_who_was_away() -> None:
    text = gap_text(1_700_000_000, 1_700_000_061.9)
    assert text == (
        "[Output may be missing here: the Headway daemon was away "
        "from 2023-11-14 22:13:20 to 2023-11-14 22:14:21 UTC.]\n"
    )
