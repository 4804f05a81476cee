"""Widget state as an `.ipynb` holds it: `metadata.widgets`, so that widgets can be shown again.

Floor 1, pure. It belongs to the machine, as outputs do: it comes from the runtime document, and the
notebook document has none of it. What a file had before any kernel made widgets stays as it was.

Source: "Jupyter Widget State JSON" 2.0 (the `schema` of `@jupyter-widgets`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.core.document.forms import is_reference
from headway.core.document.mime import BlobPart

if TYPE_CHECKING:
    from headway.core.document.comm_records import CommReader, CommRecord

__all__ = ["WIDGETS_KEY", "WIDGET_STATE_TYPE", "widgets_form"]

WIDGETS_KEY = "widgets"
"""The key of a notebook's metadata."""

WIDGET_STATE_TYPE = "application/vnd.jupyter.widget-state+json"

_VERSION = {"version_major": 2, "version_minor": 0}


def widgets_form(comms: CommReader) -> Any:
    """The value of `metadata.widgets`, with `BlobPart` where blobs belong; None if there is none.

    The widgets of the kernel, also of one that ended; if it made none, what the file had.
    """
    models = {each.comm_id: _model(each) for each in comms.records() if each.is_widget}
    if models:
        return {WIDGET_STATE_TYPE: {"state": models, **_VERSION}}
    saved = comms.saved_widgets
    return None if saved is None else BlobPart(saved["blob"], "application/json")


def _model(record: CommRecord) -> dict[str, Any]:
    # The empty key is `mime.resolve`'s own, and no trait's name.
    state = {key: _placed(value) for key, value in record.state.items() if key}
    model = {
        "model_name": state.get("_model_name"),
        "model_module": state.get("_model_module"),
        "model_module_version": state.get("_model_module_version"),
        "state": state,
    }
    buffers = [
        {
            "data": BlobPart(part["blob"], "application/octet-stream"),
            "encoding": "base64",
            "path": part["path"],
        }
        for parts in record.buffers.values()
        for part in parts
    ]
    return {**model, "buffers": buffers} if buffers else model


def _placed(value: Any) -> Any:
    return BlobPart(value["blob"], "application/json") if is_reference(value) else value
