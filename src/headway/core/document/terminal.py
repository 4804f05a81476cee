r"""Text as a terminal would leave it: carriage returns, backspaces and erasures on the open line.

Floor 1, pure. It is no terminal: there is one line that can still change, everything before it is
finished, and each code point is one column. Colours are kept. What cannot be done on one line
(cursor up, hyperlinks, titles) is kept in place as it came.

A line is kept as it came, byte for byte, until something is written over it; only then is it taken
apart into columns. So plain and coloured text costs no more than joining it. The result depends
only on the whole text, never on how it was cut into pieces.

Source: ECMA-48 (CSI, SGR, EL); "\b" moves left and erases nothing, as terminals do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.core.document.colours import Colours, transition

__all__ = ["MAX_LINE_CHARACTERS", "TerminalText"]

MAX_LINE_CHARACTERS = 16_384
"""An open line is finished in pieces of this length; a carriage return goes back to the last."""

_LONGEST_ESCAPE = 4_200
_STEP = re.compile(
    r"[^\r\x08\x1b]+"
    r"|\r|\x08"
    r"|\x1b\[[0-?]{0,60}[ -/]{0,2}[@-~]"
    r"|\x1b\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)"
    r"|\x1b[ -/]{0,2}[0-Z\\^-~]"
    r"|\x1b"
)
_INCOMPLETE = re.compile(
    r"(?:\x1b\][^\x07\x1b\n]{0,4096}\x1b?|\x1b\[[0-?]{0,60}[ -/]{0,2}|\x1b[ -/]{0,2})\Z"
)
_ERASE = re.compile(r"\x1b\[([012]?)K")
_COLOUR = re.compile(r"\x1b\[([0-9;:]*)m")


class TerminalText:
    """One stream of text. `feed` it pieces; what it gives back is finished for ever."""

    __slots__ = (
        "_at_start",
        "_characters",
        "_colours",
        "_cursor",
        "_edited",
        "_held",
        "_incomplete",
        "_line",
        "_start",
        "_styles",
        "_weight",
    )

    def __init__(self) -> None:
        self._line = ""
        """The open line while nothing has been written over it."""
        self._at_start = False
        """The cursor stands at the start of `_line`, after a carriage return."""
        self._incomplete = ""
        """An escape sequence whose end has not come."""
        self._edited = False
        """The open line is in the columns below, not in `_line`."""
        self._characters: list[str] = []
        self._styles: list[str] = []
        self._cursor = 0
        self._held = ""
        """Sequences without a column, to be put before the next character."""
        self._weight = 0
        self._start = Colours()
        """The colours in effect where the open line starts."""
        self._colours = self._start
        """The colours in effect at the cursor, while edited."""

    @property
    def line(self) -> str:
        """The open line as it looks now, with an incomplete escape sequence at its end."""
        shown = self._rendered(len(self._characters)) if self._edited else self._line
        return shown + self._incomplete

    def feed(self, text: str) -> str:
        """Take the next piece of text; gives what became finished by it."""
        if self._incomplete:
            text = self._incomplete + text
            self._incomplete = ""
        if "\x1b" in text[-_LONGEST_ESCAPE:]:
            found = _INCOMPLETE.search(text, max(0, len(text) - _LONGEST_ESCAPE))
            if found is not None:
                self._incomplete = text[found.start() :]
                text = text[: found.start()]
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if self._is_plain(text):
            return self._feed_plain(text)
        finished: list[str] = []
        *lines, rest = text.split("\n")
        for line in lines:
            finished.extend(self._write(line))
            finished.append(self._end_line())
        finished.extend(self._write(rest))
        return "".join(finished)

    def _is_plain(self, text: str) -> bool:
        return not (
            self._edited
            or self._at_start
            or "\r" in text
            or "\b" in text
            or ("\x1b" in text and _ERASE.search(text) is not None)
        )

    def _feed_plain(self, text: str) -> str:
        end = text.rfind("\n") + 1
        if not end:
            self._line += text
            return "".join(self._cut_line())
        finished = self._line + text[:end]
        self._pass_colours(finished)
        self._line = text[end:]
        return finished + "".join(self._cut_line())

    def _write(self, text: str) -> Iterator[str]:
        """Write text without line feeds; gives what became finished because of its length."""
        if self._is_plain(text):
            self._line += text
            yield from self._cut_line()
            return
        for step in _STEP.findall(text):
            if self._edited:
                yield from self._write_over(step)
            elif step == "\r":
                self._at_start = self._line != ""
            elif self._at_start or step == "\b" or _ERASE.fullmatch(step) is not None:
                self._take_apart()
                yield from self._write_over(step)
            else:
                self._line += step
                yield from self._cut_line()

    def _write_over(self, step: str) -> Iterator[str]:
        if step == "\r":
            self._cursor = 0
        elif step == "\b":
            self._cursor = max(0, self._cursor - 1)
        elif step[0] != "\x1b" or step == "\x1b":
            self._put(step)
        elif (colour := _COLOUR.fullmatch(step)) is not None:
            self._colours = self._colours.changed(colour[1])
        elif (erase := _ERASE.fullmatch(step)) is not None:
            self._erase(erase[1])
        else:
            self._held += step
            self._weight += len(step)
        yield from self._cut_columns()

    def _put(self, text: str) -> None:
        end = self._cursor + len(text)
        self._characters[self._cursor : end] = text
        self._styles[self._cursor : end] = [self._colours.sequence] * len(text)
        if self._held:
            self._characters[self._cursor] = self._held + text[0]
            self._held = ""
        self._cursor = end

    def _erase(self, which: str) -> None:
        cursor = self._cursor
        if which == "1":
            count = min(cursor + 1, len(self._characters))
            self._characters[:count] = " " * count
            self._styles[:count] = [""] * count
            return
        del self._characters[cursor:], self._styles[cursor:]
        if which == "2":
            self._characters[:] = " " * cursor
            self._styles[:] = [""] * cursor

    def _take_apart(self) -> None:
        line, at_start = self._line, self._at_start
        self._line, self._at_start, self._edited = "", False, True
        self._colours, self._cursor, self._weight = self._start, 0, 0
        for step in _STEP.findall(line):
            # Shorter than the limit, so nothing is finished by this.
            for _ in self._write_over(step):
                pass
        if at_start:
            self._cursor = 0

    def _end_line(self) -> str:
        if not self._edited:
            finished = self._line + "\n"
            self._pass_colours(finished)
            self._line, self._at_start = "", False
            return finished
        finished = self._rendered(len(self._characters)) + "\n"
        self._start = self._colours
        self._characters.clear()
        self._styles.clear()
        self._held, self._cursor, self._edited = "", 0, False
        return finished

    def _cut_line(self) -> Iterator[str]:
        if len(self._line) >= MAX_LINE_CHARACTERS:
            count = len(self._line) // MAX_LINE_CHARACTERS * MAX_LINE_CHARACTERS
            finished, self._line = self._line[:count], self._line[count:]
            self._pass_colours(finished)
            yield finished

    def _cut_columns(self) -> Iterator[str]:
        count = len(self._characters) // MAX_LINE_CHARACTERS * MAX_LINE_CHARACTERS
        if self._weight >= MAX_LINE_CHARACTERS:
            count = len(self._characters)
            self._cursor = max(self._cursor, count)
        elif not count:
            return
        yield self._rendered(count)
        last = self._styles[count - 1] if count else self._start.sequence
        if count == len(self._characters):
            self._start, self._held, self._weight = self._colours, "", 0
        else:
            self._start = Colours.of(last)
        del self._characters[:count], self._styles[:count]
        self._cursor = max(0, self._cursor - count)

    def _rendered(self, count: int) -> str:
        """The first `count` columns; with all of them, also what stands at the end."""
        current = self._start.sequence
        parts: list[str] = []
        for character, style in zip(self._characters[:count], self._styles, strict=False):
            if style != current:
                parts.append(transition(current, style))
                current = style
            parts.append(character)
        if count == len(self._characters):
            parts.append(transition(current, self._colours.sequence))
            parts.append(self._held)
        return "".join(parts)

    def _pass_colours(self, finished: str) -> None:
        """Note what a finished text leaves in effect."""
        if "\x1b" not in finished:  # a single character is found a hundred times as fast as two
            return
        since = max(finished.rfind("\x1b[0m"), finished.rfind("\x1b[m"), 0)
        for parameters in _COLOUR.findall(finished, since):
            self._start = self._start.changed(parameters)
