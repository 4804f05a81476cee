"""Presence: values that travel between stores and expire."""

from __future__ import annotations

from headway.core.document.presence import PresenceStore


def test_a_value_travels_and_a_newcomer_gets_all() -> None:
    one, two, newcomer = PresenceStore(30), PresenceStore(30), PresenceStore(30)
    two.apply(one.set("ann", {"cell": "a", "cursor": 3}))
    two.set("bob", None)
    newcomer.apply(two.encode_all())
    assert newcomer.get_all() == {"ann": {"cell": "a", "cursor": 3}, "bob": None}


def test_applying_the_same_twice_is_harmless() -> None:
    one, two = PresenceStore(30), PresenceStore(30)
    told = one.set("ann", 1)
    two.apply(told)
    two.apply(told)
    assert two.get_all() == {"ann": 1}


def test_what_expired_is_neither_shown_nor_told() -> None:
    store = PresenceStore(-1)
    store.set("ann", 1)
    store.remove_outdated()
    assert store.get_all() == {}
    newcomer = PresenceStore(30)
    newcomer.apply(store.encode_all())
    assert newcomer.get_all() == {}
