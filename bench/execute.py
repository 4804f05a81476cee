"""Add a cell and execute it, `1+1` and one of 38 lines: ours, over jupyter_client and every peer.

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
_FUNCTION = (
    "def _f{}(x, y=2):\n    z = x * 2 + y\n    return [each for each in range(z) if each > 3]\n\n"
)
LONG = "".join(map(_FUNCTION.format, range(9))) + "\n_f1(3)"
"""A cell of a usual length. In marimo such names are the cell's own."""
SHOWING = {
    "printed": "import time\nprint('x')\ntime.sleep(0.3)",
    "printed and flushed": "import time\nprint('x', flush=True)\ntime.sleep(0.05)",
}


def main() -> None:
    options = Options(__doc__)
    names = [*OURS, FLOOR, "jupyter_client, async", *options.peers(*PEERS)]
    with field(names) as among:
        taken = among.take_turns("execute", options.of(25, 2), count=options.of(BLOCK, 5))
        long = among.take_turns("execute", options.of(10, 2), count=options.of(BLOCK, 5), code=LONG)
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
    longer = Figure(
        name="A client adds a cell of 38 lines, with a result, and runs it",
        unit="ms",
        ours=OURS,
        rounds=long,
        absent=absent,
        aims=[Aim(1.15, FLOOR)],
        note="Nine functions are defined, and one is called.",
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
    publish([figure, longer, *firsts], options)


if __name__ == "__main__":
    main()
