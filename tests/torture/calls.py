"""Storage system calls that fail, one by one: `python -m torture.calls`.

A workload is run once to count its calls, then once for each call and each fault: killed when it
calls, refused with EIO, refused with ENOSPC (strace does both), or given a short write. A short
write is a real one: a limit on the size of files (RLIMIT_FSIZE) is set in the middle of what a
write would have brought, so that the system takes the first part and refuses the rest; for the
notebook files, which are written from Python, `os.write` also takes half each time and says so,
and the whole must arrive. The numbers are counted by strace in each thread.

After each run the folder is opened as the next daemon would, and compared with what was promised.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torture.planted import PLANTED
from torture.trace import TRACED, read_trace
from torture.tracing import run_traced
from torture.verdict import Promises, judge
from torture.world import Cradle, cradle, scratch

__all__ = ["CALLS", "Fault", "Figures", "torture"]

CALLS = (
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
    "link",
    "ftruncate",
    "openat",
)
"""The calls that are made to fail."""

FAULTS = ("signal=KILL", "error=EIO", "error=ENOSPC")

STEPS = 12
"""Operations of the workload: enough for each call, and few enough to sweep."""

_THREAD = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)[( ]")
_SHORT_WRITES_EACH = 2


@dataclass(frozen=True)
class Fault:
    """One fault: the call number `when` in a thread, or a size that no file may pass."""

    kind: str
    call: str = ""
    when: int = 0

    def __str__(self) -> str:
        where = f"{self.call} {self.when}" if self.call else f"{self.when} bytes"
        return f"{self.kind} at {where}"

    @property
    def options(self) -> tuple[str, ...]:
        if not self.call:
            return ("-e", "trace=none")
        return (
            "-e",
            f"trace={self.call}",
            "-e",
            f"inject={self.call}:{self.kind}:when={self.when}",
        )


@dataclass
class Figures:
    """What a sweep found."""

    runs: Counter[str] = field(default_factory=Counter)
    refusals: int = 0
    killed: int = 0
    bad: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        runs = ", ".join(f"{count} {kind}" for kind, count in sorted(self.runs.items()))
        return (
            f"failing calls: {sum(self.runs.values())} runs ({runs}), "
            f"{self.killed} killed, {self.refusals} operations refused: {len(self.bad)} bad"
        )


async def torture(share: int = 1, planted: str = "", stop_at: int = 3) -> Figures:
    """Sweep every `share`-th of all faults; gives up after `stop_at` bad ones."""
    figures = Figures()
    with scratch(in_memory=True) as folder, cradle(folder, planted) as born:
        faults = list(_faults(born, folder))
        for fault in faults[::share]:
            await _run(born, folder, fault, figures)
            if len(figures.bad) >= stop_at:
                break
    return figures


def _faults(born: Cradle, folder: Path) -> Iterator[Fault]:
    """Every fault there can be, from one run in which all goes well."""
    disk = folder / "count"
    disk.mkdir()
    options = ("-xx", "-s", "1000000", "-e", f"trace={TRACED}")
    said, trace, ended = run_traced(born, folder, _arguments(disk), options)
    assert ended
    assert Promises.of(said).ended, said
    in_thread: Counter[tuple[str, str]] = Counter()
    for line in trace.read_text().splitlines():
        matched = _THREAD.match(line)
        if matched is not None and "resumed" not in line:
            in_thread[matched[2], matched[1]] += 1
    for call in CALLS:
        most = max((n for (name, _), n in in_thread.items() if name == call), default=0)
        assert most, f"the workload never calls {call}"
        for when in range(1, most + 1):
            for kind in FAULTS:
                yield Fault(kind, call, when)
    sizes = {
        event.offset + len(event.content) * part // (_SHORT_WRITES_EACH + 1) + 1
        for event in read_trace(trace, disk)
        if event.kind == "write" and len(event.content) > 1
        for part in range(1, _SHORT_WRITES_EACH + 1)
    }
    yield from (Fault("short", when=size) for size in sorted(sizes))
    yield Fault("halved")
    shutil.rmtree(disk)


async def _run(born: Cradle, folder: Path, fault: Fault, figures: Figures) -> None:
    disk = folder / "disk"
    disk.mkdir()
    said, trace, ended = run_traced(born, folder, _arguments(disk, fault), fault.options)
    promises = Promises.of(said)
    figures.runs[fault.kind] += 1
    figures.refusals += promises.refusals
    figures.killed += not promises.ended
    log = folder / "workload.err"
    log.touch()
    wrong = await judge(disk, promises)
    if not ended:
        wrong.append("the workload did not end")
    if said and not promises.ended and fault.kind != "signal=KILL":
        wrong.append(f"it failed without a typed error: {log.read_text()[-300:]!r}")
    if wrong:
        figures.bad.append(f"{fault}: {'; '.join(wrong[:4])}")
    for each in (trace, log):
        each.unlink()
    shutil.rmtree(disk)


def _arguments(disk: Path, fault: Fault | None = None) -> list[str]:
    limit = fault.when if fault is not None and fault.kind == "short" else 0
    halved = fault is not None and fault.kind == "halved"
    return [str(disk), "7", str(STEPS), "close", str(-1 if halved else limit)]


def main() -> int:
    """Exit status 0 when nothing was bad."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--share", type=int, default=1, help="every n-th of all faults")
    parser.add_argument("--planted", choices=sorted(PLANTED), default="")
    given = parser.parse_args()
    began_s = time.monotonic()
    figures = asyncio.run(torture(given.share, given.planted, stop_at=10))
    print(f"{figures} ({time.monotonic() - began_s:.0f} s)")
    print("\n".join(figures.bad))
    return bool(figures.bad)


if __name__ == "__main__":
    sys.exit(main())
