"""A stage with a disk of one folder, and what another program may put there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from file_content import written
from headway.core.room.effects import Effect, ReadFile, StoreBlob, WriteFile
from headway.core.room.inputs import (
    FileSeen,
    FileTouched,
    FileUnseen,
    FileWriteFailed,
    FileWritten,
)
from headway.core.room.opening import Opening
from headway.core.wire import rpc
from headway.errors import FileChanged, HeadwayError
from room_stage import DOCUMENT, Stage

PATH = "/n/a.ipynb"


def sha(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def notebook(*cells: str | dict[str, Any], **metadata: Any) -> bytes:
    """A file. A cell given as text has that text and the id c0, c1 and so on."""
    made = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            **({"source": cell} if isinstance(cell, str) else cell),
        }
        for number, cell in enumerate(cells)
    ]
    content = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def shown(text: str, count: int = 1) -> dict[str, Any]:
    """A cell that was run."""
    output = {"output_type": "stream", "name": "stdout", "text": text}
    return {"source": "print()", "execution_count": count, "outputs": [output]}


@dataclass
class FileStage(Stage):
    """A stage with a disk of one folder. While `holds_file`, its answers wait for `file()`."""

    opening: Opening = field(
        default_factory=lambda: Opening(document=DOCUMENT, path=PATH, file=notebook("1", "2"))
    )
    holds_file: bool = False

    def __post_init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.refusal: HeadwayError | None = None
        self.write_refusal: HeadwayError | None = None
        self.asked: list[ReadFile | WriteFile] = []
        if self.opening.file is not None:
            self.files[PATH] = self.opening.file
        super().__post_init__()

    @property
    def text(self) -> str:
        return self.files[PATH].decode()

    def in_file(self) -> list[str]:
        return ["".join(cell["source"]) for cell in json.loads(self.text)["cells"]]

    def sources(self) -> list[str]:
        return [cell.source for cell in self.room.notebook.cells()]

    def outside(self, content: bytes | None, *, told: bool = True) -> None:
        """Another program writes the file, or removes it; the watcher may tell."""
        if content is None:
            self.files.pop(PATH, None)
        else:
            self.files[PATH] = content
        if told:
            self.feed(FileTouched())

    def save(self, path: str | None = None) -> Any:
        return self.answer(self.ask(rpc.Save(document=DOCUMENT, path=path)))

    def settle(self) -> None:
        """Let the autosave do what it wants to."""
        self.wait(60)

    def _perform(self, effects: list[Effect]) -> None:
        super()._perform(effects)
        for effect in effects:
            if isinstance(effect, StoreBlob):
                self.blobs[effect.sha256] = effect.data
            elif isinstance(effect, ReadFile | WriteFile):
                self.asked.append(effect)
        if not self.holds_file and hasattr(self, "room"):
            self.file()

    def file(self) -> None:
        """The disk does what it was asked to do."""
        while self.asked:
            effect = self.asked.pop(0)
            self.feed(self._write(effect) if isinstance(effect, WriteFile) else self._read(effect))

    def _read(self, effect: ReadFile) -> FileSeen | FileUnseen:
        if self.refusal is not None:
            return FileUnseen(effect.token, self.refusal)
        content = self.files.get(effect.path)
        return FileSeen(effect.token, content, sha(content))

    def _write(self, effect: WriteFile) -> FileWritten | FileWriteFailed:
        current = self.files.get(effect.path)
        refusal = self.refusal or self.write_refusal
        if refusal is not None:
            return FileWriteFailed(effect.token, refusal)
        content, image = written(effect.notebook, effect.like, self.blobs.__getitem__, current)
        if content != current and sha(current) != effect.expected_sha256:
            return FileWriteFailed(effect.token, FileChanged("It was written.", path=effect.path))
        self.files[effect.path] = content
        digest = hashlib.sha256(content).hexdigest()
        return FileWritten(
            effect.token, effect.path, digest, changed=content != current, content=image
        )

    def records(self, kind: type[Any]) -> list[Any]:
        return [each for persist in self.persists for each in persist.records if type(each) is kind]


def run(stage: Stage, cell: str, value: str, count: int) -> None:
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id=cell, execution_id=stage.new_id()))
    if count == 1:
        stage.kernel_ready()
    stage.kernel_finishes(value=value, count=count)
