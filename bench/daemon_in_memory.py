"""A daemon whose store is memory: what confirming costs without a disk.

Only for measuring: it keeps nothing and says that it is durable.

    python bench/daemon_in_memory.py HOME
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headway.daemon import main as daemon
from headway.daemon.ports import Outside
from headway.edges.memory import MemoryStore
from headway.edges.paths import Paths

_outside = daemon._outside  # noqa: SLF001 - the daemon's own ports, but for one


@asynccontextmanager
async def in_memory(places: Paths) -> AsyncIterator[Outside]:
    async with _outside(places) as outside:
        yield dataclasses.replace(outside, store=MemoryStore())


def main() -> int:
    home = Path(sys.argv[1])
    daemon._outside = in_memory  # noqa: SLF001 - see above
    return daemon.main(["--home", str(home)])


if __name__ == "__main__":
    sys.exit(main())
