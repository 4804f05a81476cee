"""Add a cell with `1+1` and execute it: ours, over jupyter_client and over every peer.

jupyter_client only runs code. We also put the cell into a replicated document, store it, store the
admission, store the result, each before it is shown, and bring the result back.

    python bench/execute.py [--quick] [--alone] [--json FILE]
"""

from __future__ import annotations

from contender import field
from measure import Options, publish
from results import Aim, Figure

FLOOR = "jupyter_client"
OURS = ["headway, blocking", "headway"]
PEERS = [
    "marimo",
    "jupyter-collaboration",
    "jupyter-collaboration, TCP_NODELAY",
    "jupyter-server-documents",
    "jupyter-server-documents, TCP_NODELAY",
    "runtimed",
]
BLOCK = 15
SHOWING = {
    "printed": "import time\nprint('x')\ntime.sleep(0.3)",
    "printed and flushed": "import time\nprint('x', flush=True)\ntime.sleep(0.05)",
}


def main() -> None:
    options = Options(__doc__)
    names = [*OURS, FLOOR, "jupyter_client, async", *options.peers(*PEERS)]
    with field(names) as among:
        taken = among.take_turns("execute", options.of(25, 2), count=options.of(BLOCK, 5))
        absent = among.absent
    with field(["headway", FLOOR]) as among:
        shown = {
            name: among.take_turns("first_output", options.of(15, 2), count=5, code=code)
            for name, code in SHOWING.items()
        }
    present = [name for name in PEERS if name in taken]
    figure = Figure(
        name="A client adds a cell with `1+1` and runs it",
        unit="ms",
        ours=OURS,
        rounds=taken,
        absent=absent,
        aims=[
            Aim(1.15, FLOOR),
            Aim(1.4, FLOOR, 0.99),
            Aim(1.15, "jupyter_client, async", ours="headway"),
            *(Aim(1.0, peer) for peer in present),
        ],
        note="jupyter_client has no document: it only runs the code. marimo has its own kernel.",
        plot="execute",
    )
    firsts = [
        Figure(
            name=f"From asking to the first output of a cell that goes on, {name}",
            unit="ms",
            ours=["headway"],
            rounds=rounds,
            aims=[Aim(1.25, FLOOR)],
            note="Ours is on the disk, and in the document of every peer, before it is shown.",
        )
        for name, rounds in shown.items()
    ]
    publish([figure, *firsts], options)


if __name__ == "__main__":
    main()
