from __future__ import annotations

import random

from headway.core.sync.backoff import BACKOFF_LONGEST_S, Backoff


def least(n: int) -> bytes:
    return bytes(n)


def most(n: int) -> bytes:
    return b"\xff" * n


def test_the_bound_doubles_up_to_the_longest_delay() -> None:
    backoff = Backoff(first_s=1.0, longest_s=5.0)
    assert [backoff.next_delay_s(most) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_jitter_takes_at_most_half_of_the_bound_away() -> None:
    backoff = Backoff(first_s=1.0, longest_s=5.0)
    assert [backoff.next_delay_s(least) for _ in range(4)] == [0.5, 1.0, 2.0, 2.5]


def test_two_clients_do_not_come_back_together() -> None:
    first, second = random.Random(1).randbytes, random.Random(2).randbytes
    assert Backoff().next_delay_s(first) != Backoff().next_delay_s(second)


def test_success_begins_again_with_the_shortest_delay() -> None:
    backoff = Backoff()
    shortest = backoff.next_delay_s(most)
    for _ in range(20):
        assert backoff.next_delay_s(most) <= BACKOFF_LONGEST_S
    backoff.reset()
    assert backoff.next_delay_s(most) == shortest
