from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from headway.edges.kernels import JupyterKernels
from headway.edges.kernelspecs import choose, find_in, find_installed
from headway.errors import KernelNotFound, KernelStartFailed

SOUND = {"argv": ["true"], "display_name": "Sound", "language": "sound"}


def install(share: Path, name: str, **changed: Any) -> None:
    place = share / "kernels" / name
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps({**SOUND, **changed}))


@pytest.mark.parametrize(
    "changed",
    [
        {"argv": ["true", 5]},
        {"argv": [["true"]]},
        {"argv": 5},
        {"display_name": 5},
        {"env": "x"},
        {"metadata": []},
    ],
)
def test_a_kernelspec_with_odd_types_is_passed_over_and_the_others_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    share = tmp_path / "share" / "jupyter"
    install(share, "odd", **changed)
    install(share, "sound")
    monkeypatch.setenv("JUPYTER_PATH", str(share))
    for found in (find_installed(), find_in(tmp_path)):
        assert found["sound"].arguments == ("true",)
        assert "python3" in found
        with pytest.raises(KernelNotFound):
            choose(found, "odd", None)


@pytest.mark.parametrize(
    "changed",
    [{"argv": ["tr\0ue"]}, {"argv": ["tr\ud800ue"]}, {"env": {"A=B": "x"}}, {"env": {"A": "\0"}}],
)
def test_a_kernelspec_with_text_that_no_process_can_have_fails_to_start_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    install(tmp_path, "odd", **changed)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    private = tmp_path / "private"

    async def scenario() -> None:
        kernels = JupyterKernels(private)
        try:
            with pytest.raises(KernelStartFailed, match='"odd" could not be launched'):
                await kernels.start("odd", None, "/", lambda _: None, lambda _: None)
        finally:
            await kernels.close()

    asyncio.run(scenario())
    assert list(private.iterdir()) == []
