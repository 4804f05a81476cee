"""1,000 cells added one by one: until they are confirmed, and until a second client has them all.

python bench/cells.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

import contextlib

from contender import Absent, Contender, field
from measure import Options, publish
from results import Aim, Figure, Rounds

OURS = "headway"
PEERS = [
    "jupyter-collaboration",
    "jupyter-collaboration, TCP_NODELAY",
    "jupyter-server-documents, TCP_NODELAY",
]
CELLS = 1_000
CONFIRMED_AIM_S = 1.0
SEEN_AIM_S = 0.3


def main() -> None:
    options = Options(__doc__)
    cells = options.of(CELLS, 200)
    confirmed: Rounds = {}
    seen: Rounds = {}
    with field([OURS, *options.peers(*PEERS)]) as among:
        for turn in range(options.of(5, 2)):
            for name in list(among.present):
                try:
                    begun, acknowledged, arrived = _one(among.present[name], name, cells, turn)
                except Absent as error:
                    among.drop(name, str(error))
                    continue
                seen.setdefault(name, []).append([arrived - begun])
                if acknowledged is not None:
                    confirmed.setdefault(name, []).append([acknowledged - begun])
        absent = among.absent
    publish(
        [
            Figure(
                name=f"{cells:,} cells added one by one, until all are confirmed",
                unit="s",
                ours=[OURS],
                rounds=confirmed,
                aims=[Aim(CONFIRMED_AIM_S)],
                note="No peer confirms.",
            ),
            Figure(
                name=f"{cells:,} cells added one by one, until a second client has them all",
                unit="s",
                ours=[OURS],
                rounds=seen,
                absent=absent,
                aims=[Aim(SEEN_AIM_S)],
            ),
        ],
        options,
    )


def _one(writer: Contender, name: str, cells: int, turn: int) -> tuple[float, float | None, float]:
    """When it began, was confirmed (if that is known), and was all at the second client."""
    place = writer.ask("prepare", number=turn)
    with contextlib.closing(Contender(name)) as reader:
        reader.ask("join", place=place, clients=1)
        reader.ask("await_cells", count=cells)
        times = writer.ask("add_cells", count=cells)
        return times["begun"], times.get("confirmed"), reader.ask("arrived")


if __name__ == "__main__":
    main()
