"""Run one seed and print its trace: `python tests/sim/run.py 1234 [--planted NAME]`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim.planted import PLANTED
from sim.world import World


def main() -> int:
    """Exit status 0 when every property held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--planted", choices=sorted(PLANTED), help="with this bug put in")
    parser.add_argument("--quiet", action="store_true", help="without the trace")
    given = parser.parse_args()
    world = World(given.seed)
    planted = PLANTED[given.planted].patch() if given.planted else contextlib.nullcontext()
    failed = False
    with planted:
        try:
            world.run()
        except Exception:  # noqa: BLE001 - printed after the trace
            failed = True
            failure = traceback.format_exc()
    if not given.quiet:
        print(world.timeline.text())
        print(world.options)
    print(failure if failed else f"seed {given.seed}: every property held")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
