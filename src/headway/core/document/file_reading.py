"""Reading `.ipynb` files: bytes, or their JSON, to a parsed notebook. See `nbformat`, the face.

Floor 1, pure. Tolerant of what real files have (old formats, sources as lists of lines, missing or
repeated ids, missing fields); what is no notebook is refused with NotebookUnreadable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from headway.core.document.edits import CELL_TYPES, MAX_SOURCE_CHARACTERS, CellType
from headway.core.document.file_image import OutputsImage, digest_of, split_image
from headway.core.document.forms import BUNDLE_TYPES
from headway.core.document.json_values import check_json
from headway.core.document.mime import is_json
from headway.core.document.strict_json import MAX_FILE_BYTES, read_json
from headway.core.document.upgrade import OLDEST_FORMAT, upgrade
from headway.core.document.widget_state import WIDGETS_KEY
from headway.errors import InvalidEdit, NotebookUnreadable
from headway.ids import CellId

__all__ = [
    "MAX_FILE_BYTES",
    "NBFORMAT",
    "NBFORMAT_MINOR",
    "ParsedCell",
    "ParsedNotebook",
    "ShownOutputs",
    "interpret",
    "joined_output",
    "parse_notebook",
]

NBFORMAT = 4
NBFORMAT_MINOR = 5

_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CELL_KEYS = frozenset(
    {"id", "cell_type", "source", "metadata", "attachments", "outputs", "execution_count"}
)
_NOTEBOOK_KEYS = frozenset({"cells", "metadata", "nbformat", "nbformat_minor"})
_TRANSIENT_METADATA = ("signature", "orig_nbformat", "orig_nbformat_minor")

Oversize = dict[str, dict[str, Any]]
"""`metadata` and `attachments`: the entries that do not fit a document."""


@dataclass(frozen=True, slots=True)
class ParsedCell:
    """A cell of a file."""

    id: CellId
    cell_type: CellType
    source: str
    metadata: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that nbformat does not know."""
    oversize: Oversize = field(default_factory=dict)
    minted: bool = False
    """The file gave no usable id."""


class ShownOutputs(NamedTuple):
    """What a code cell of a file shows."""

    execution_count: int | None = None
    outputs: tuple[dict[str, Any], ...] = ()
    """As nbformat has them, lines joined; none of those that `image` has."""
    image: OutputsImage | None = None
    """What an image of the file knows of the outputs."""

    @property
    def number(self) -> int:
        """How many outputs there are."""
        return len(self.outputs) if self.image is None else self.image.number

    @property
    def digest(self) -> str:
        """Equal for equal outputs."""
        return digest_of(self.outputs) if self.image is None else self.image.digest


@dataclass(frozen=True, slots=True)
class ParsedNotebook:
    """A file's content.

    `outputs` has every code cell. `changed`: the file is of an older format or lacks cell ids, so
    writing the same notebook again gives other bytes.
    """

    cells: tuple[ParsedCell, ...] = ()
    outputs: Mapping[CellId, ShownOutputs] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    nbformat: int = NBFORMAT
    nbformat_minor: int = NBFORMAT_MINOR
    extra: dict[str, Any] = field(default_factory=dict)
    oversize: Oversize = field(default_factory=dict)
    """What does not fit, and widget state."""
    changed: bool = False

    @property
    def widgets(self) -> Any:
        """The widget state; None if there is none."""
        return self.oversize.get("metadata", {}).get(WIDGETS_KEY)


def parse_notebook(content: bytes, mint: Callable[[], CellId]) -> ParsedNotebook:
    """The notebook in a file's bytes, or in their image; an empty file is an empty notebook.

    `mint` gives a fresh id for each cell without a valid one of its own. Raises
    NotebookUnreadable with a sentence for anything that is no notebook.
    """
    text, images = split_image(content)
    if not text.strip():
        return ParsedNotebook(changed=True)
    parsed = interpret(read_json(text), mint)
    if not images:
        return parsed
    outputs = dict(parsed.outputs)
    for place, image in images.items():
        cell_id = parsed.cells[place].id
        if cell_id in outputs:
            outputs[cell_id] = outputs[cell_id]._replace(image=image)
    return replace(parsed, outputs=outputs)


def interpret(notebook: Any, mint: Callable[[], CellId]) -> ParsedNotebook:
    """The notebook in a JSON value, as `parse_notebook`; the value is not changed."""
    notebook, major, minor = _as_format_4(notebook)
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise NotebookUnreadable("The file is no notebook: it has no list of cells.")
    metadata = _object(notebook, "metadata", "the notebook")
    for key in _TRANSIENT_METADATA:
        metadata.pop(key, None)
    oversize: Oversize = {}
    if WIDGETS_KEY in metadata:
        # It is the machine's, as outputs are, and may be thousands of values.
        oversize["metadata"] = {WIDGETS_KEY: metadata.pop(WIDGETS_KEY)}
    given = _with_ids(cells, mint)
    parsed = tuple(
        _parse_cell(cell, f"cell {position + 1}", cell_id, minted=minted)
        for position, (cell, cell_id, minted) in enumerate(given)
    )
    return ParsedNotebook(
        cells=parsed,
        outputs={
            cell_id: _shown(cell, f"cell {position + 1}")
            for position, (cell, cell_id, _) in enumerate(given)
            if cell["cell_type"] == "code"
        },
        metadata=_fitting(metadata, "metadata", oversize),
        nbformat=NBFORMAT,
        nbformat_minor=max(minor, NBFORMAT_MINOR),
        extra={key: value for key, value in notebook.items() if key not in _NOTEBOOK_KEYS},
        oversize=oversize,
        changed=(major, minor) < (NBFORMAT, NBFORMAT_MINOR) or any(cell.minted for cell in parsed),
    )


def _as_format_4(notebook: Any) -> tuple[dict[str, Any], int, int]:
    """The notebook in format 4, and the format it was in."""
    if not isinstance(notebook, dict):
        raise NotebookUnreadable("The file is no notebook: it is JSON, but not an object.")
    major: Any = notebook.get("nbformat", NBFORMAT if "cells" in notebook else None)
    minor: Any = notebook.get("nbformat_minor", 0)
    if not _is_count(major) or not _is_count(minor) or major < OLDEST_FORMAT:
        raise NotebookUnreadable("The file is no notebook: it does not say its format.")
    if major > NBFORMAT:
        raise NotebookUnreadable(
            f"The notebook has format {major}.{minor}; this reads formats up to {NBFORMAT}. Have "
            f"the program that wrote it save it as format {NBFORMAT}.",
            nbformat=major,
        )
    if major < NBFORMAT:
        return upgrade(notebook, major, minor), major, minor
    return notebook, major, minor


def _with_ids(
    cells: list[Any], mint: Callable[[], CellId]
) -> list[tuple[dict[str, Any], CellId, bool]]:
    """Each cell with its id, and whether that was minted. Of equal ids the first is kept."""
    taken = {cell["id"] for cell in cells if isinstance(cell, dict) and _has_id(cell)}
    seen: set[CellId] = set()
    found = []
    for position, cell in enumerate(cells):
        if not isinstance(cell, dict):
            raise NotebookUnreadable(
                f"The file is no notebook: cell {position + 1} is not an object."
            )
        minted = not _has_id(cell) or cell["id"] in seen
        cell_id = _fresh(mint, taken) if minted else cell["id"]
        seen.add(cell_id)
        found.append((cell, cell_id, minted))
    return found


def _has_id(cell: dict[str, Any]) -> bool:
    cell_id = cell.get("id")
    return isinstance(cell_id, str) and _CELL_ID.fullmatch(cell_id) is not None


def _fresh(mint: Callable[[], CellId], taken: set[str]) -> CellId:
    for _ in range(100):
        cell_id = mint()
        if cell_id not in taken:
            taken.add(cell_id)
            return cell_id
    raise AssertionError("mint gives no fresh ids")


def _parse_cell(cell: dict[str, Any], where: str, cell_id: CellId, *, minted: bool) -> ParsedCell:
    cell_type: Any = cell.get("cell_type")
    if not any(cell_type == known for known in CELL_TYPES):
        raise NotebookUnreadable(
            f"In {where}: {cell_type!r:.50} is no type of cell; write code, markdown or raw."
        )
    source = _source(cell.get("source"), where)
    metadata = _object(cell, "metadata", where)
    metadata.pop("trusted", None)
    attachments = {
        name: _joined_bundle(bundle) for name, bundle in _object(cell, "attachments", where).items()
    }
    oversize: Oversize = {}
    is_code = cell_type == "code"
    known = _CELL_KEYS if is_code else _CELL_KEYS - {"outputs", "execution_count"}
    return ParsedCell(
        id=cell_id,
        cell_type=cell_type,
        source=source,
        metadata=_fitting(metadata, "metadata", oversize),
        attachments=_fitting(attachments, "attachments", oversize),
        extra={key: value for key, value in cell.items() if key not in known},
        oversize=oversize,
        minted=minted,
    )


def _source(source: Any, where: str) -> str:
    text = _joined_lines("" if source is None else source)
    if not isinstance(text, str):
        raise NotebookUnreadable(f"In {where}: the source is not text.")
    if len(text) > MAX_SOURCE_CHARACTERS:
        raise NotebookUnreadable(
            f"In {where}: the source has {len(text):,} characters; "
            f"the limit is {MAX_SOURCE_CHARACTERS:,}.",
            limit=MAX_SOURCE_CHARACTERS,
            actual=len(text),
        )
    return text


def _shown(cell: dict[str, Any], where: str) -> ShownOutputs:
    count = cell.get("execution_count")
    outputs = cell.get("outputs")
    outputs = [] if outputs is None else outputs
    if not isinstance(outputs, list) or not all(
        isinstance(output, dict) and isinstance(output.get("output_type"), str)
        for output in outputs
    ):
        raise NotebookUnreadable(f"In {where}: the outputs are no list of outputs.")
    shown = tuple(joined_output(output) for output in outputs)
    return ShownOutputs(count if _is_count(count) else None, shown)


def joined_output(output: dict[str, Any]) -> dict[str, Any]:
    """A copy with multi-line strings joined and required fields present."""
    output = dict(output)
    output_type = output["output_type"]
    if output_type in BUNDLE_TYPES:
        output["data"] = _joined_bundle(output.get("data") or {})
        output["metadata"] = output.get("metadata") or {}
        if output_type == "execute_result":
            output.setdefault("execution_count", None)
    elif output_type == "stream":
        output.setdefault("name", "stdout")
        output["text"] = _joined_lines(output.get("text") or "")
    elif output_type == "error":
        output.setdefault("ename", "")
        output.setdefault("evalue", "")
        traceback = output.get("traceback") or []
        output["traceback"] = [traceback] if isinstance(traceback, str) else traceback
    return output


def _joined_lines(value: Any) -> Any:
    """A string for a list of strings; anything else as it is."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value


def _joined_bundle(bundle: Any) -> Any:
    """A MIME bundle with the strings joined that nbformat splits into lines."""
    if not isinstance(bundle, dict):
        return bundle
    return {
        media_type: value if is_json(media_type) else _joined_lines(value)
        for media_type, value in bundle.items()
    }


def _object(owner: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = owner.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotebookUnreadable(f"In {where}: {key} is not an object.")
    return dict(value)


def _fitting(values: dict[str, Any], name: str, oversize: Oversize) -> dict[str, Any]:
    """The entries that a document can hold; the others go into `oversize`."""
    fitting = {}
    for key, value in values.items():
        try:
            check_json({key: value})
        except InvalidEdit:
            oversize.setdefault(name, {})[key] = value
        else:
            fitting[key] = value
    return fitting


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
