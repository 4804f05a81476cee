"""What an Output widget caught: outputs as nbformat has them, for its state `outputs`.

Floor 1, pure. Which outputs are caught is asked elsewhere. As in a cell, neighbouring pieces of a
stream are one output, as a terminal would show it, and a display is updated in place. What is
beyond `MAX_CAPTURED_BYTES` is left out, and a last output says how much.

Source: ipywidgets' `widget_output`; nbclient's `OutputWidget`, which does the same for its runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.core.document.forms import value_size
from headway.core.document.mime import text_size
from headway.core.document.terminal import TerminalText

__all__ = ["MAX_CAPTURED_BYTES", "CapturedOutputs", "captured_marker_text"]

MAX_CAPTURED_BYTES = 8 * 1024 * 1024
"""What one Output widget keeps: its outputs travel to the kernel and back as a whole."""


def captured_marker_text(left_out: int) -> str:
    """What the last output says when something was left out."""
    return (
        f"[Headway left out {left_out:,} bytes: an Output widget keeps at most "
        f"{MAX_CAPTURED_BYTES:,} bytes.]\n"
    )


class CapturedOutputs:
    """The outputs of one Output widget. What is given to it must be clean."""

    def __init__(self, shown: Sequence[dict[str, Any]] = ()) -> None:
        """`shown` it has already."""
        self._outputs = [dict(each) for each in shown]
        self._displays: dict[str, list[int]] = {}
        self._terminal: TerminalText | None = None
        """Of the last output, if it is a stream that goes on."""
        self._finished: list[str] = []
        self._kept_bytes = sum(map(value_size, self._outputs))
        self._left_out = 0
        self._clear_waits = False

    def outputs(self) -> list[dict[str, Any]]:
        """All of them, as they are now."""
        self._settle()
        shown = [dict(each) for each in self._outputs]
        if self._left_out:
            text = captured_marker_text(self._left_out)
            shown.append({"output_type": "stream", "name": "stderr", "text": text})
        return shown

    def stream(self, name: str, text: str) -> None:
        """Text was written."""
        self._clear_if_due()
        size = text_size(text)
        if not self._has_room(size):
            return
        last = self._outputs[-1] if self._outputs else {}
        goes_on = (last.get("output_type"), last.get("name")) == ("stream", name)
        if not goes_on or not isinstance(last["text"], str):
            self._append({"output_type": "stream", "name": name, "text": ""})
            last = self._outputs[-1]
        if self._terminal is None:
            self._terminal = TerminalText()
            self._finished = [self._terminal.feed(last["text"])]
        self._kept_bytes += size
        self._finished.append(self._terminal.feed(text))

    def show(self, output: dict[str, Any], display_id: str | None = None) -> None:
        """A display, a result or an error came."""
        self._clear_if_due()
        if self._has_room(size := value_size(output)):
            self._kept_bytes += size
            self._append(output)
            if display_id is not None:
                self._displays.setdefault(display_id, []).append(len(self._outputs) - 1)

    def update_display(
        self, display_id: str, data: dict[str, Any], metadata: dict[str, Any]
    ) -> bool:
        """A display shows something else now; whether there is one of this id here."""
        places = self._displays.get(display_id, ())
        for index in places:
            former = self._outputs[index]
            output = {**former, "data": data, "metadata": metadata}
            grown = value_size(output) - value_size(former)
            if self._has_room(grown):
                self._kept_bytes += grown
                self._outputs[index] = output
        return bool(places)

    def clear(self, *, wait: bool) -> None:
        """No outputs: now, or when the next one comes."""
        if wait:
            self._clear_waits = True
            return
        self._outputs, self._displays, self._terminal = [], {}, None
        self._kept_bytes = self._left_out = 0
        self._clear_waits = False

    def _append(self, output: dict[str, Any]) -> None:
        self._settle()
        self._terminal = None
        self._outputs.append(output)

    def _settle(self) -> None:
        """Put the text of the stream that goes on where it belongs."""
        if self._terminal is not None:
            finished = "".join(self._finished)
            self._finished = [finished]
            self._outputs[-1]["text"] = finished + self._terminal.line

    def _clear_if_due(self) -> None:
        if self._clear_waits:
            self.clear(wait=False)

    def _has_room(self, size: int) -> bool:
        if self._left_out == 0 and self._kept_bytes + size <= MAX_CAPTURED_BYTES:
            return True
        self._left_out += max(0, size)
        return False
