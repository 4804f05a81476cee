"""A small process that uses the real store, blobs and files, and says what it was promised.

`main([FOLDER, SEED, STEPS, END, LIMIT])`: END is `close` or `die`; no file may grow beyond LIMIT
bytes until that has been felt (0: no limit; -1: every os.write takes only a half). Each promise
is a line of JSON on the standard output, written with writev(2), which no harness makes fail:
`asked` before, `done` or `refused` after. A refusal is taken as the daemon takes one: what is
there is read again, and the work goes on from that.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path

from file_content import got, put
from headway.core.room.effects import (
    ExecutionAccepted,
    ExecutionFinished,
    FileRecorded,
    Record,
    UpdateStored,
)
from headway.edges.blobs import FileBlobs
from headway.edges.files import DiskFiles
from headway.edges.store import SqliteStore
from headway.edges.store_reopening import ReopeningStore
from headway.errors import HeadwayError
from torture.script import FILES, Operation, blob, content, number_of, steps

__all__ = ["main"]

REFUSALS_BORNE = 6
"""After so many refusals the workload gives up: a disk that is gone for good."""

STEP_LIMIT_S = 20.0

_WRITE = os.write


class _Workload:
    def __init__(self, folder: Path, store: ReopeningStore[SqliteStore], blobs: FileBlobs) -> None:
        self._folder = folder
        self._store = store
        self._blobs = blobs
        self._files = DiskFiles()
        self._refusals = 0
        self._asked = 0
        self._blob_count = 0
        self._last: dict[str, int] = {}
        self._versions: dict[str, int] = {}

    async def run(self, seed: int, count: int) -> None:
        """Do every step. Raises HeadwayError when it cannot begin."""
        for name in FILES:
            found = await got(self._files, self._path(name))
            number = None if found is None else number_of(name, found)
            self._versions[name] = number or 0
        for kind, about in steps(seed, count):
            if self._refusals > REFUSALS_BORNE:
                return
            async with asyncio.timeout(STEP_LIMIT_S):
                await getattr(self, f"_{kind}")(about)

    async def _create(self, document: str) -> None:
        path = self._path(f"{document}.ipynb")
        operation = Operation("create", document, name=path)
        if await self._ask(operation, self._store.create(document, path)):
            await self._stand(document)

    async def _append(self, document: str) -> None:
        await self._ask_append(document)

    async def _together(self, document: str) -> None:
        """Several appends under way at once: they share a transaction."""
        if document in self._last:
            await asyncio.gather(*[self._ask_append(document) for _ in range(3)])

    async def _ask_append(self, document: str) -> None:
        if document not in self._last:
            return
        first = self._last[document] + 1
        last = first + first % 3
        self._last[document] = last
        execution = f"{document}-{first}-{self._asked}"
        operation = Operation(
            "append",
            document,
            first,
            last,
            accepted=(execution,) if first % 2 else (),
            finished=(execution,) if first % 4 == 1 else (),
            name=self._path(f"{document}.ipynb") if first % 5 == 0 else "",
        )
        if not await self._ask(operation, _waited(self._store, operation)):
            await self._stand(document)

    async def _compact(self, document: str) -> None:
        if document not in self._last:
            return
        through = self._last[document]
        operation = Operation("compact", document, last=through)
        snapshot = content(f"{document}-snapshot", through)
        await self._ask(operation, _future(self._store, document, snapshot))

    async def _blob(self, _about: str) -> None:
        self._blob_count += 1
        name, data = blob(self._blob_count)
        operation = Operation("blob", last=self._blob_count)
        await self._ask(operation, self._blobs.put(name, data))

    async def _file(self, name: str) -> None:
        before = self._versions[name]
        known = hashlib.sha256(content(name, before)).hexdigest() if before else None
        version = before + 1
        operation = Operation("file", name=name, last=version)
        writing = put(self._files, self._path(name), content(name, version), known)
        if await self._ask(operation, writing):
            self._versions[name] = version
            return
        try:
            found = await got(self._files, self._path(name))
        except HeadwayError:
            return
        number = 0 if found is None else number_of(name, found)
        _say({"broken": name} if number is None else {"found": name, "version": number})
        self._versions[name] = number or 0

    async def _stand(self, document: str) -> None:
        """Where the document stands, as a room that is opened again would find it."""
        self._last.pop(document, None)
        try:
            stored = await self._store.load(document)
        except HeadwayError:
            return
        if stored is None:
            return
        last = 0
        if stored.snapshot is not None:
            last = number_of(f"{document}-snapshot", stored.snapshot) or 0
        for update in stored.updates:
            last = number_of(document, update) or 0
        _say({"stands": document, "last": last})
        self._last[document] = last

    async def _ask(self, operation: Operation, work: Awaitable[object]) -> bool:
        self._asked += 1
        number = self._asked
        _say({"asked": number, "operation": operation.to_json()})
        try:
            await work
        except HeadwayError as error:
            _say({"refused": number, "why": str(error)})
            self._refusals += 1
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            return False
        _say({"done": number})
        return True

    def _path(self, name: str) -> str:
        return str(self._folder / name)


async def _waited(store: ReopeningStore[SqliteStore], operation: Operation) -> None:
    await store.append(_records(operation))


async def _future(store: ReopeningStore[SqliteStore], document: str, snapshot: bytes) -> None:
    await store.compact(document, snapshot)


def _records(operation: Operation) -> list[Record]:
    document = operation.document
    records: list[Record] = [
        UpdateStored(document, content(document, number))
        for number in range(operation.first, operation.last + 1)
    ]
    records += [
        ExecutionAccepted(document, each, each, "cell", "00") for each in operation.accepted
    ]
    records += [
        ExecutionFinished(document, each, f"record of {each}".encode())
        for each in operation.finished
    ]
    if operation.name:
        kept = content(f"{document}-file", operation.last)
        sha256 = hashlib.sha256(kept).hexdigest()
        records.append(FileRecorded(document, operation.name, sha256, kept))
    return records


def _say(line: dict[str, object]) -> None:
    os.writev(1, [json.dumps(line).encode() + b"\n"])


async def _run(folder: Path, seed: int, count: int, end: str) -> None:
    _say({"life": seed})
    try:
        first = await SqliteStore.open(folder / "store.db")
        store = ReopeningStore(first, SqliteStore.reopened)
        await _Workload(folder, store, FileBlobs(folder / "blobs")).run(seed, count)
    except HeadwayError as error:
        _say({"closed": str(error)})
        return
    if end == "close":
        await store.close()
    _say({"ended": seed})


def _half(descriptor: int, data: bytes | memoryview) -> int:
    return _WRITE(descriptor, data[: max(1, len(data) // 2)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script."""
    folder, seed, count, end, limit = sys.argv[1:] if arguments is None else arguments
    os.umask(0o077)
    if int(limit) > 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    elif int(limit) < 0:
        os.write = _half  # type: ignore[assignment]
    asyncio.run(_run(Path(folder), int(seed), int(count), end))
    return 0


if __name__ == "__main__":
    sys.exit(main())
