"""Output widgets: which outputs they catch, and that their state says so.

Floor 3, pure. While an Output widget's `msg_id` names a request, what that request shows belongs
into the widget and not into a cell. In a browser the page does that; here the daemon does, once for
all peers. The widget that began last catches first.

Source: ipywidgets' `widget_output`; nbclient's `OutputWidget`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.core.document.captured import CapturedOutputs
from headway.core.document.comm_state import KeyChange
from headway.core.kernel.events import (
    ClearOutput,
    DisplayData,
    ErrorOutput,
    ExecuteResult,
    OutputEvent,
    Stream,
    UpdateDisplay,
)

__all__ = ["OutputWidgets"]

_MODULE, _MODEL = "@jupyter-widgets/output", "OutputModel"


class OutputWidgets:
    """All of one kernel."""

    def __init__(self) -> None:
        self._caught: dict[str, CapturedOutputs] = {}
        self._catching: dict[str, str] = {}
        """Comm id -> the request whose outputs it catches."""
        self._changed: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._caught)

    def clear(self) -> None:
        """The kernel is gone."""
        self._caught.clear()
        self._catching.clear()
        self._changed.clear()

    def opened(self, comm_id: str, changes: Mapping[str, KeyChange]) -> None:
        """A widget was made, or its whole state was told."""
        model = (_value(changes, "_model_module"), _value(changes, "_model_name"))
        if model == (_MODULE, _MODEL):
            self._caught[comm_id] = CapturedOutputs(_outputs(changes) or ())
            self.updated(comm_id, changes)

    def closed(self, comm_id: str) -> None:
        """A widget is gone."""
        self._caught.pop(comm_id, None)
        self._catching.pop(comm_id, None)
        self._changed.pop(comm_id, None)

    def updated(self, comm_id: str, changes: Mapping[str, KeyChange]) -> None:
        """The kernel changed a widget's state."""
        if comm_id not in self._caught:
            return
        if (outputs := _outputs(changes)) is not None:
            self._caught[comm_id] = CapturedOutputs(outputs)
        if "msg_id" in changes:
            self._catching.pop(comm_id, None)  # whoever begins is the last
            if isinstance(request := _value(changes, "msg_id"), str) and request:
                self._catching[comm_id] = request

    def catch(self, event: OutputEvent) -> bool:
        """Take an output, if a widget catches it."""
        comm_id = self._catcher(event.execution_id)
        if isinstance(event, UpdateDisplay):
            return self._update_display(event)
        if comm_id is None:
            return False
        self._take(self._caught[comm_id], event)
        self._changed[comm_id] = None
        return True

    def take_changed(self) -> list[tuple[str, dict[str, KeyChange]]]:
        """The widgets that caught something since the last time, and what their state is now."""
        changed, self._changed = self._changed, {}
        return [(each, {"outputs": KeyChange(self._caught[each].outputs())}) for each in changed]

    def _catcher(self, request: str | None) -> str | None:
        for comm_id in reversed(self._catching):
            if self._catching[comm_id] == request:
                return comm_id
        return None

    def _update_display(self, event: UpdateDisplay) -> bool:
        """Wherever it is shown; a cell may show it too."""
        for comm_id, caught in self._caught.items():
            if caught.update_display(event.display_id, event.data, event.metadata):
                self._changed[comm_id] = None
        return False

    def _take(self, caught: CapturedOutputs, event: OutputEvent) -> None:
        match event:
            case Stream(name=name, text=text):
                caught.stream(name, text)
            case ClearOutput(wait=wait):
                caught.clear(wait=wait)
            case DisplayData(data=data, metadata=metadata, display_id=display_id):
                shown = {"output_type": "display_data", "data": data, "metadata": metadata}
                caught.show(shown, display_id)
            case ExecuteResult(data=data, metadata=metadata, display_id=display_id):
                shown = {"output_type": "execute_result", "data": data, "metadata": metadata}
                shown["execution_count"] = event.execution_count  # type: ignore[assignment]
                caught.show(shown, display_id)
            case ErrorOutput(name=name, value=value, traceback=lines):
                error = {"output_type": "error", "ename": name, "evalue": value}
                caught.show({**error, "traceback": list(lines)})
            case _:
                pass


def _value(changes: Mapping[str, KeyChange], key: str) -> Any:
    change = changes.get(key)
    return None if change is None else change.value


def _outputs(changes: Mapping[str, KeyChange]) -> list[dict[str, Any]] | None:
    """The outputs in a state, if it has them in their form."""
    outputs = _value(changes, "outputs")
    if isinstance(outputs, list) and all(isinstance(each, dict) for each in outputs):
        return outputs
    return None
