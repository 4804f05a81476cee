"""Three-way merge of texts, by lines, that never throws text away.

Floor 1, pure. Where only one side changed lines, its change is taken. Where both changed the same
lines differently, both versions are kept, ours first, except that a deletion gives way to a change,
and that a version which only adds something in one place to the other stands for both: it is the
later one of the same typing. Without a base nobody can tell, and both are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

__all__ = ["merge_texts"]

MAX_COMPARED_LINES = 20_000
"""Beyond this many differing lines a text counts as changed as a whole: a diff takes too long."""


def merge_texts(base: str | None, theirs: str, ours: str) -> str:
    """What both sides made of `base`; without one, what both have counts as the base."""
    if theirs in (ours, base):
        return ours
    if ours == base:
        return theirs
    if not theirs or not ours:
        return theirs or ours
    # Not splitlines: only a line feed ends a line of a source, and every character is kept.
    their_lines, our_lines = theirs.split("\n"), ours.split("\n")
    base_lines = _common(our_lines, their_lines) if base is None else base.split("\n")
    choose = _both if base is None else _later
    return "\n".join(_merge(base_lines, their_lines, our_lines, choose))


def _common(one: list[str], other: list[str]) -> list[str]:
    return [line for start, end, _, _ in _equal(one, other) for line in one[start:end]]


def _equal(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Ranges of equal lines, in order: start and end in `one`, start and end in `other`."""
    head = 0
    while head < min(len(one), len(other)) and one[head] == other[head]:
        head += 1
    tail = 0
    while tail < min(len(one), len(other)) - head and one[-1 - tail] == other[-1 - tail]:
        tail += 1
    inner_one, inner_other = one[head : len(one) - tail], other[head : len(other) - tail]
    ranges = [(0, head, 0, head)]
    if len(inner_one) + len(inner_other) <= MAX_COMPARED_LINES:
        matcher = SequenceMatcher(None, inner_one, inner_other, autojunk=False)
        ranges += [
            (head + at, head + at + size, head + there, head + there + size)
            for at, there, size in matcher.get_matching_blocks()
        ]
    ranges.append((len(one) - tail, len(one), len(other) - tail, len(other)))
    return [each for each in ranges if each[0] < each[1]]


_Choice = Callable[[list[str], list[str]], list[str]]


def _merge(base: list[str], theirs: list[str], ours: list[str], choose: _Choice) -> list[str]:
    """Walk the lines of `base` that both sides kept; decide what is between them."""
    in_theirs, in_ours = _positions(base, theirs), _positions(base, ours)
    kept = [line for line in range(len(base)) if line in in_theirs and line in in_ours]
    merged: list[str] = []
    at_base = at_theirs = at_ours = 0
    for line in kept:
        their_line, our_line = in_theirs[line], in_ours[line]
        chunk = theirs[at_theirs:their_line], ours[at_ours:our_line]
        merged += _chosen(base[at_base:line], *chunk, choose)
        merged.append(base[line])
        at_base, at_theirs, at_ours = line + 1, their_line + 1, our_line + 1
    merged += _chosen(base[at_base:], theirs[at_theirs:], ours[at_ours:], choose)
    return merged


def _positions(base: list[str], side: list[str]) -> dict[int, int]:
    """Where each line of `base` that the side kept is in it."""
    return {
        start + step: there + step
        for start, end, there, _ in _equal(base, side)
        for step in range(end - start)
    }


def _chosen(base: list[str], theirs: list[str], ours: list[str], choose: _Choice) -> list[str]:
    if ours == base:
        return theirs
    if theirs in (base, ours):
        return ours
    if not theirs or not ours:
        # A deletion gives way to a change.
        return theirs or ours
    if 1 < len(base) == len(theirs) == len(ours):
        # Neighbouring lines, each changed in place: decide line by line.
        versions = zip(base, theirs, ours, strict=True)
        return [
            line
            for old, their_line, our_line in versions
            for line in _chosen([old], [their_line], [our_line], choose)
        ]
    return choose(theirs, ours)


def _both(theirs: list[str], ours: list[str]) -> list[str]:
    return [*ours, *theirs]


def _later(theirs: list[str], ours: list[str]) -> list[str]:
    """The one that goes on where the other stopped, else both."""
    our_text, their_text = "\n".join(ours), "\n".join(theirs)
    if _adds_to(our_text, their_text):
        return ours
    if _adds_to(their_text, our_text):
        return theirs
    return _both(theirs, ours)


def _adds_to(longer: str, shorter: str) -> bool:
    """Whether `longer` is `shorter` with something inserted at one place."""
    if not shorter or len(longer) < len(shorter):
        return False
    same = 0
    while same < len(shorter) and longer[same] == shorter[same]:
        same += 1
    return longer.endswith(shorter[same:])
