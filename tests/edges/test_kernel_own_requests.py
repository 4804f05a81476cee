from __future__ import annotations

from headway.edges.kernel_own_requests import OWN_REQUESTS_KEPT, OwnRequests


def test_the_newest_are_known_and_older_ones_forgotten() -> None:
    requests = OwnRequests(lambda _: False)
    begun = [requests.begin() for _ in range(OWN_REQUESTS_KEPT + 5)]
    assert [each for each in begun if each in requests] == begun[5:]
    assert len(requests) == OWN_REQUESTS_KEPT


def test_one_that_somebody_waits_for_is_known_however_old() -> None:
    awaited: set[str] = set()
    requests = OwnRequests(awaited.__contains__)
    first, second = requests.begin(), requests.begin()
    awaited.add(first)
    for _ in range(2 * OWN_REQUESTS_KEPT):
        requests.begin()
    assert first in requests
    assert second not in requests
    awaited.clear()
    requests.begin()
    assert first not in requests
