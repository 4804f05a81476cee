"""Power cuts: `python -m torture.power --states 20000`.

Three lives of a workload are recorded system call by system call: one that ends without closing,
one that is killed in the middle of a write, one that ends well. The trace is replayed on a disk
of two planes (`planes`); at each cut point many of the states that a power cut may leave are put
into a folder and opened as the next daemon would. Bad is every state where something that was
confirmed before the cut is not there, something is there in part, or the store cannot be opened.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from torture.planes import Disk, Tree
from torture.planted import PLANTED
from torture.trace import TRACED, Event, read_trace
from torture.tracing import run_traced
from torture.verdict import Promises, judge
from torture.world import Cradle, cradle, scratch

__all__ = ["Figures", "torture"]

STEPS = 14
"""Operations in one life."""

WAYS = 24
"""States tried at each cut point, before those that are alike are left out."""

_TRACE = ("-xx", "-s", "1000000", "-e", f"trace={TRACED}", "-e", "signal=none")


@dataclass
class Figures:
    """What a run found."""

    states: int = 0
    cuts: int = 0
    promises: int = 0
    bad: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"power cuts: {self.states} different states at {self.cuts} cut points, "
            f"{self.promises} confirmed operations at stake: {len(self.bad)} bad"
        )


async def torture(states: int, seed: int = 1, planted: str = "", stop_at: int = 3) -> Figures:
    """Try so many different states; gives up after `stop_at` bad ones."""
    figures = Figures()
    with scratch(in_memory=True) as folder, cradle(folder, planted) as born:
        while figures.states < states and len(figures.bad) < stop_at:
            lives = _record(born, folder, seed)
            await _replay(lives, folder, seed, states, stop_at, figures)
            seed += 1
    return figures


def _record(born: Cradle, folder: Path, seed: int) -> list[list[Event]]:
    """The traces of three lives on one disk."""
    disk = folder / f"disk-{seed}"
    disk.mkdir()
    kill = ("-e", f"inject=pwrite64:signal=KILL:when={30 + seed % 20}")
    lives = []
    for life, (end, options) in enumerate((("die", ()), ("die", kill), ("close", ()))):
        arguments = [str(disk), str(seed * 10 + life), str(STEPS), end, "0"]
        _, trace, ended = run_traced(born, folder, arguments, [*_TRACE, *options])
        assert ended, "the workload does not end"
        lives.append(read_trace(trace, disk))
    shutil.rmtree(disk)
    return lives


async def _replay(
    lives: list[list[Event]], folder: Path, seed: int, states: int, stop_at: int, figures: Figures
) -> None:
    dice = random.Random(seed)
    disk, promises = Disk(), Promises()
    seen: set[bytes] = set()
    number = 0
    # All the cut points of one recording share what is left to try, so that each gets some.
    points = sum(event.kind not in {"say", "open"} for life in lives for event in life)
    ways = max(2, min(WAYS, -(-(states - figures.states) * 2 // points)))
    for events in lives:
        disk.new_life()
        base = number
        for event in events:
            if event.kind == "say":
                promises.hear(event.content.decode())
                number += 1
                continue
            disk.apply(_shifted(event, base), number)
            number += 1
            if event.kind == "open":
                continue
            figures.cuts += 1
            for way in range(ways):
                tree = disk.cut(dice, way if ways > 6 else dice.randrange(12))
                mark = _mark(tree, len(promises.done))
                if mark in seen:
                    continue
                seen.add(mark)
                figures.states += 1
                place = f"seed {seed}, event {number} ({event.kind} {event.path}), way {way}"
                await _try(folder / "state", tree, promises, place, figures)
                if figures.states >= states or len(figures.bad) >= stop_at:
                    figures.promises += len(promises.done)
                    return
    figures.promises += len(promises.done)


def _shifted(event: Event, base: int) -> Event:
    if event.kind != "sync":
        return event
    return Event("sync", file=event.file, began=event.began + base)


def _mark(tree: Tree, done: int) -> bytes:
    """Two states with the same mark are one, as long as the same was promised."""
    digest = hashlib.blake2b(str(done).encode(), digest_size=16)
    for path, content in sorted(tree.items()):
        digest.update(f"{path}\0{-1 if content is None else len(content)}\0".encode())
        digest.update(content or b"")
    return digest.digest()


async def _try(folder: Path, tree: Tree, promises: Promises, place: str, figures: Figures) -> None:
    folder.mkdir()
    for path, content in tree.items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)
    wrong = await judge(folder, promises)
    if wrong:
        figures.bad.append(f"{place}: {'; '.join(wrong[:4])}")
        figures.bad[-1] += f" (files: {sorted(tree)})" if len(figures.bad) == 1 else ""
    shutil.rmtree(folder)


def main() -> int:
    """Exit status 0 when no state was bad."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--states", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--planted", choices=sorted(PLANTED), default="")
    given = parser.parse_args()
    began_s = time.monotonic()
    figures = asyncio.run(torture(given.states, given.seed, given.planted))
    print(f"{figures} ({time.monotonic() - began_s:.0f} s)")
    print("\n".join(figures.bad))
    return bool(figures.bad)


if __name__ == "__main__":
    sys.exit(main())
