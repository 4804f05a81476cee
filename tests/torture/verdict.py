"""Whether a folder holds what a workload was promised: the judge of `calls` and `power`.

It reads the folder with a store of its own, as the next daemon would, and compares with what the
workload said. Only the contents' names are shared with the product, no line of code.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from headway.edges.blobs import FileBlobs
from headway.edges.ports import StoredNotebook
from headway.edges.store import SqliteStore
from headway.errors import HeadwayError
from torture.script import DOCUMENTS, FILES, Operation, blob, number_of

__all__ = ["Promises", "judge"]


@dataclass
class Promises:
    """What a workload asked for and what it was told, so far."""

    asked: list[Operation] = field(default_factory=list)
    done: list[Operation] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    refusals: int = 0
    ended: bool = False
    _open: dict[int, Operation] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[str]) -> Promises:
        promises = cls()
        for line in lines:
            promises.hear(line)
        return promises

    def hear(self, line: str) -> None:
        """Take in one line of a workload."""
        try:
            said = json.loads(line)
        except ValueError:
            return  # Killed in the middle of a line: it says nothing yet.
        if "life" in said:
            self._open.clear()
            self.ended = False
        elif "asked" in said:
            operation = Operation.from_json(said["operation"])
            self._open[said["asked"]] = operation
            self.asked.append(operation)
        elif "done" in said:
            self.done.append(self._open.pop(said["done"]))
        elif "refused" in said:
            self.refusals += 1
        elif "broken" in said:
            self.complaints.append(f"{said['broken']} is not whole")
        elif "stands" in said:
            promised = self.last_done(said["stands"])
            if said["last"] < promised:
                where = f"{said['stands']} stood at {said['last']}"
                self.complaints.append(f"{where} after {promised} was confirmed")
        elif "ended" in said or "closed" in said:
            self.ended = True

    def last_done(self, document: str) -> int:
        """The last update that was confirmed."""
        kinds = {"append", "compact"}
        return max(
            (o.last for o in self.done if o.document == document and o.kind in kinds), default=0
        )


async def judge(folder: Path, promises: Promises) -> list[str]:
    """Everything that is wrong with `folder`, a sentence each; nothing when all is well."""
    wrong = list(promises.complaints)
    try:
        store = await SqliteStore.open(folder / "store.db")
    except HeadwayError as error:
        return [*wrong, f"the store cannot be opened: {error}"]
    try:
        for document in DOCUMENTS:
            wrong += await _judge_document(store, document, promises)
        wrong += store.notices()
    except HeadwayError as error:
        wrong.append(f"the store cannot be read: {error}")
    finally:
        await store.close()
    wrong += await _judge_blobs(folder, promises)
    for name in FILES:
        wrong += _judge_file(folder, name, promises)
    return wrong


async def _judge_document(store: SqliteStore, document: str, promises: Promises) -> list[str]:
    of_it = [each for each in promises.asked if each.document == document]
    done = [each for each in promises.done if each.document == document]
    found = await store.load(document)
    if found is None:
        return [f"{document} is lost"] if done else []
    last, wrong = _numbers(found, document)
    if last < promises.last_done(document):
        wrong.append(f"{document} ends at {last}, confirmed was {promises.last_done(document)}")
    appends = [each for each in of_it if each.kind == "append"]
    if last > max((each.last for each in appends), default=0):
        wrong.append(f"{document} ends at {last}, which nobody wrote")
    wrong += [
        f"{document} ends at {last}, in the middle of an append of {each.first} to {each.last}"
        for each in appends
        if each.first <= last < each.last and last not in {other.last for other in appends}
    ]
    for each in appends:
        wrong += await _judge_executions(store, each, appends, last, is_done=each in done)
    return wrong + _judge_base(found, document, appends, done)


async def _judge_executions(
    store: SqliteStore, append: Operation, appends: list[Operation], last: int, *, is_done: bool
) -> list[str]:
    """Executions came in one transaction with updates: both are there, or neither is."""
    wrong = []
    # After a refusal the same numbers may come again in another append.
    others = [each for each in appends if each is not append]
    is_alone = not any(each.first <= append.last <= each.last for each in others)
    for execution in append.accepted:
        stored = await store.find_execution(execution)
        if stored is None and (is_done or (is_alone and append.last <= last)):
            wrong.append(f"execution {execution} is lost")
        if stored is None:
            continue
        if append.last > last:
            wrong.append(f"execution {execution} is there without its updates")
        record = f"record of {execution}".encode() if execution in append.finished else None
        if stored.record != record:
            wrong.append(f"the end of execution {execution} is {stored.record!r}")
    return wrong


def _judge_base(
    found: StoredNotebook, document: str, appends: list[Operation], done: list[Operation]
) -> list[str]:
    promised = max((each.last for each in done if each.kind == "append" and each.name), default=0)
    if found.file_content is None:
        return [f"the last file of {document} is lost"] if promised else []
    number = number_of(f"{document}-file", found.file_content)
    if number is None or number < promised or number not in {e.last for e in appends if e.name}:
        return [f"the last file of {document} is number {number}, confirmed was {promised}"]
    return []


def _numbers(found: StoredNotebook, document: str) -> tuple[int, list[str]]:
    """The last update, and whether all before it are there, once each and in order."""
    last = 0
    if found.snapshot is not None:
        number = number_of(f"{document}-snapshot", found.snapshot)
        if number is None:
            return 0, [f"the snapshot of {document} is not whole"]
        last = number
    for update in found.updates:
        number = number_of(document, update)
        if number != last + 1:
            return last, [f"after update {last} of {document} comes {number}"]
        last = number
    return last, []


async def _judge_blobs(folder: Path, promises: Promises) -> list[str]:
    wrong = []
    with contextlib.suppress(FileNotFoundError):
        if any((folder / "blobs" / "quarantine").iterdir()):
            wrong.append("a damaged blob had taken its name")
    done = {each.last for each in promises.done if each.kind == "blob"}
    for number in {each.last for each in promises.asked if each.kind == "blob"}:
        name, data = blob(number)
        path = folder / "blobs" / name[:2] / name[2:]
        found = path.read_bytes() if path.exists() else None
        if found != data and (found is not None or number in done):
            wrong.append(f"blob {number} is {'lost' if found is None else 'not whole'}")
    if not wrong and promises.asked:
        try:
            FileBlobs(folder / "blobs")
        except HeadwayError as error:
            wrong.append(str(error))
    return wrong


def _judge_file(folder: Path, name: str, promises: Promises) -> list[str]:
    done = max((each.last for each in promises.done if each.name == name), default=0)
    asked = max((each.last for each in promises.asked if each.name == name), default=0)
    path = folder / name
    if not path.exists():
        return [f"{name} is lost"] if done else []
    number = number_of(name, path.read_bytes())
    if number is None:
        return [f"{name} is not whole ({path.stat().st_size} bytes)"]
    if not done <= number <= asked:
        return [f"{name} is version {number}, confirmed was {done}"]
    return []
