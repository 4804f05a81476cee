"""From effects to the outside world. Begins each effect in order; waits for none.

Floor 5. What takes time runs as a job of the host and answers with an input.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from headway.core.room.effects import (
    Answer,
    AskKernel,
    Close,
    Compact,
    Effect,
    FileIntended,
    InterruptKernel,
    LookAtEnvironment,
    Persist,
    ReadFile,
    Refuse,
    Send,
    StartKernel,
    StopKernel,
    StoreBlob,
    WriteFile,
)
from headway.core.room.inputs import FileWritten
from headway.daemon.notebook_file import read_notebook, write_notebook

if TYPE_CHECKING:
    from headway.daemon.host import RoomHost

__all__ = ["perform"]


def perform(effect: Effect, host: RoomHost) -> None:
    """Begin one effect."""
    match effect:
        case Send(peer, frames):
            outlet = host.outlets.get(peer)
            if outlet is not None:
                outlet.send(frames)
        case Persist():
            host.storage.persist(effect)
        case StoreBlob():
            host.storage.store_blob(effect)
        case Compact():
            host.storage.compact(effect)
        case Answer(token, result):
            host.desk.answer(token, result)
        case Refuse(token, error):
            host.desk.answer(token, error)
        case LookAtEnvironment():
            host.kernels.look(effect)
        case StartKernel():
            host.kernels.start(effect, host.folder)
        case AskKernel():
            host.kernels.ask(effect)
        case InterruptKernel():
            host.kernels.interrupt(effect)
        case StopKernel():
            host.kernels.stop(effect)
        case WriteFile():
            host.spawn(_write(effect, host))
        case ReadFile():
            host.spawn(_read(effect, host))
        case Close(peer, code, reason):
            outlet = host.outlets.get(peer)
            if outlet is not None:
                outlet.close(code, reason)
        case _:
            assert_never(effect)


async def _write(effect: WriteFile, host: RoomHost) -> None:
    async def note(sha256: str, content: bytes) -> None:
        await host.outside.store.append([FileIntended(host.document, sha256, content)])

    async with contextlib.nullcontext() if effect.is_awaited else host.turns.turn():
        begun_s = host.outside.clock.now().monotonic_s
        written = await write_notebook(effect, host.outside.files, host.outside.blobs, note)
        took_s = host.outside.clock.now().monotonic_s - begun_s
    if isinstance(written, FileWritten):
        written = replace(written, took_s=took_s)
    host.feed(written)


async def _read(effect: ReadFile, host: RoomHost) -> None:
    host.feed(await read_notebook(effect, host.outside.files, host.outside.blobs))
