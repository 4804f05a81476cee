"""What a real ipykernel still shows when its cells close its streams, or take them away."""

from __future__ import annotations

import pytest

from headway.core.kernel.events import DisplayData, ErrorOutput, ExecuteResult, KernelEvent
from headway.core.room.effects import ExecuteRequest
from headway.edges.kernels import JupyterKernels
from real_kernels import play, started


@pytest.mark.parametrize(
    "close",
    [
        "with sys.stdout as file: print('seen', file=file)",
        "print('seen'); sys.stdout.close(); sys.stderr.close()",
    ],
)
def test_the_notebooks_own_streams_are_flushed_by_who_closes_them_and_stay_open(close: str) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", f"import sys; sys.stdout.flush_interval = 3600\n{close}"))
        kernel.ask(ExecuteRequest("e2", "print('well'); print('so', file=sys.stderr)"))
        kernel.ask(ExecuteRequest("e3", "import os; os.system('echo past Python')"))
        await heard.finished("e3")
        assert heard.text() == "seen\nwell\npast Python\n"
        assert heard.text("stderr") == "so\n"

    play(scenario)


@pytest.mark.parametrize(
    ("shows", "kind"),
    [("1 + 1", ExecuteResult), ("display(1)", DisplayData), ("1 / 0", ErrorOutput)],
)
def test_whoever_has_no_stream_to_print_to_is_shown_everything_else(
    shows: str, kind: type[KernelEvent]
) -> None:
    async def scenario(kernels: JupyterKernels) -> None:
        kernel, heard = await started(kernels)
        kernel.ask(ExecuteRequest("e1", f"import sys; sys.stdout = sys.stderr = None; {shows}"))
        kernel.ask(ExecuteRequest("e2", f"print('nowhere'); {shows}"))
        await heard.finished("e2")
        assert sum(isinstance(event, kind) for event in heard.events) == 2
        assert sum(isinstance(event, ErrorOutput) for event in heard.events) in {0, 2}
        assert heard.text() == heard.text("stderr") == ""

    play(scenario)
