from __future__ import annotations

import asyncio
import json
import re
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
    ("content", "wrong"),
    [
        ('{"argv": ["true"', r"it is not JSON \(Expecting ',' delimiter: line 1 .*\)"),
        ("\udcff", "byte 1 is not UTF-8"),
        ("[1]", "it does not hold a JSON object of a kernelspec's fields"),
        ('{"display_name": "Odd"}', "it has no argv, the command that starts the kernel"),
        ({"argv": ["true", 5]}, "its argv is no list of texts"),
        ({"argv": [["true"]]}, "its argv is no list of texts"),
        ({"argv": 5}, "The 'argv' trait .* expected a list, not the int 5"),
        ({"display_name": 5}, "The 'display_name' trait .* expected a unicode string, .*"),
        ({"env": "x"}, "The 'env' trait .* expected a dict, not the str 'x'"),
        ({"metadata": []}, "The 'metadata' trait .* expected a dict, not the list .*"),
        (
            {"metadata": {"kernel_provisioner": {"provisioner_name": "nobody's"}}},
            "the provisioner that it names is not installed",
        ),
    ],
)
def test_a_kernelspec_that_cannot_be_used_is_said_to_be_there_and_the_others_are_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | dict[str, Any],
    wrong: str,
) -> None:
    share = tmp_path / "share" / "jupyter"
    install(share, "odd", **(content if isinstance(content, dict) else {}))
    install(share, "sound")
    file = share / "kernels" / "odd" / "kernel.json"
    if isinstance(content, str):
        file.write_bytes(content.encode(errors="surrogateescape"))
    monkeypatch.setenv("JUPYTER_PATH", str(share))
    for found in (find_installed(), find_in(tmp_path)):
        assert found.kernels["sound"].arguments == ("true",)
        assert "python3" in found.kernels
        assert "odd" not in found.kernels
        with pytest.raises(KernelNotFound) as refused:
            choose(found, "Odd", None)
        sentence = (
            f'The kernel "Odd" is installed, but {file} cannot be used: (.*)\\. '
            r"Correct that file, or choose one of: .*sound.*\."
        )
        said = re.fullmatch(sentence, str(refused.value))
        assert said
        assert re.fullmatch(wrong, said[1])


def test_a_broken_kernelspec_in_the_place_of_our_own_is_told_when_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "python3", argv=[])
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(KernelNotFound, match=r'"python3" is installed, but .* has no argv'):
        choose(find_installed(), None, "python")
    assert find_in(tmp_path / "elsewhere").unreadable == {}


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
