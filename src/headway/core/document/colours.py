"""The colours and styles in effect at one place of a terminal's text.

Floor 1, pure. A value has one canonical escape sequence, so two places look alike exactly when
their sequences are equal.

Source: ECMA-48, 8.3.117, "Select graphic rendition", and xterm's extended colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Colours", "transition"]

_RESET = "\x1b[0m"

_SETS = (
    {
        1: "bold",
        2: "dim",
        3: "italic",
        4: "underline",
        5: "blink",
        6: "blink",
        7: "inverse",
        8: "hidden",
        9: "struck",
        21: "underline",
        53: "overline",
    }
    | dict.fromkeys([*range(30, 38), *range(90, 98)], "colour")
    | dict.fromkeys([*range(40, 48), *range(100, 108)], "ground")
)
_CLEARS = {
    22: ("bold", "dim"),
    23: ("italic",),
    24: ("underline",),
    25: ("blink",),
    27: ("inverse",),
    28: ("hidden",),
    29: ("struck",),
    39: ("colour",),
    49: ("ground",),
    55: ("overline",),
    59: ("line colour",),
}
_EXTENDED = {38: "colour", 48: "ground", 58: "line colour"}
_EXTENDED_LENGTH = {"5": 3, "2": 5}


@dataclass(frozen=True, slots=True)
class Colours:
    """What is in effect. `sequence` sets exactly this on a terminal that was reset; may be ""."""

    sequence: str = ""

    @staticmethod
    def of(sequence: str) -> Colours:
        """The value with this canonical sequence."""
        return Colours(sequence)

    def changed(self, parameters: str) -> Colours:
        """What is in effect after `CSI parameters m`; unknown parameters change nothing."""
        return Colours(_changed(self.sequence, parameters))


def transition(current: str, wanted: str) -> str:
    """What to write to get from one canonical sequence to another."""
    if current == wanted:
        return ""
    return wanted if not current else _RESET + wanted


@lru_cache(maxsize=1024)
def _changed(sequence: str, parameters: str) -> str:
    attributes: dict[str, str] = {}
    if sequence:
        _apply(attributes, sequence[2:-1])
    _apply(attributes, parameters)
    if not attributes:
        return ""
    return "\x1b[" + ";".join(attributes[name] for name in sorted(attributes)) + "m"


def _apply(attributes: dict[str, str], parameters: str) -> None:
    codes = parameters.split(";")
    position = 0
    while position < len(codes):
        code = codes[position]
        number = int(code.split(":")[0] or 0)
        length = 1
        if number == 0:
            attributes.clear()
        elif number in _EXTENDED:
            if ":" not in code:
                length = _EXTENDED_LENGTH.get("".join(codes[position + 1 : position + 2]), 1)
            chosen = codes[position : position + length]
            if ":" in code or length == len(chosen) > 1:
                attributes[_EXTENDED[number]] = ";".join(chosen)
        elif number in _SETS:
            attributes[_SETS[number]] = code
        else:
            for name in _CLEARS.get(number, ()):
                attributes.pop(name, None)
        position += length
