"""Known bugs, put into the product on purpose: the simulator must find each of them.

Those of the field and those of our own making are in `planted_sync`, `planted_execution` and
`planted_inheritance`; `python tests/sim/planted.py [NAME]...` looks for the first seeds that show
each.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim import planted_execution, planted_inheritance, planted_sync
from sim.planting import FOUND, PLANTED, Planted
from sim.world import World

__all__ = [
    "FOUND",
    "PLANTED",
    "Planted",
    "planted_execution",
    "planted_inheritance",
    "planted_sync",
]


def main() -> None:
    """Look for the first seeds that show each bug."""
    wanted = sys.argv[1:] or list(PLANTED)
    for name in wanted:
        found: list[str] = []
        for seed in range(300):
            with PLANTED[name].patch():
                try:
                    World(seed).run()
                except FOUND as error:
                    found.append(f"{seed} ({type(error).__name__} {str(error)[:60]})")
            if len(found) == 3:
                break
        print(name, found, flush=True)


if __name__ == "__main__":
    main()
