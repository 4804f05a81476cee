"""What `headway run` leaves in a file is what nbclient leaves there, cell by cell.

Not compared: ids of executions, times, memory addresses, how a stream was cut into pieces. What
differs by decision is in docs/decisions/0004-outputs-beside-nbclient.md, and told here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest

from command_line import Shell, new_home
from notebooks_as_nbclient_has_them import NOTEBOOKS, PARALLEL, Sample, code, stream

_NBCLIENT = Path(__file__).parents[1] / "nbclient_process.py"
_CHANGING = ((re.compile(r"0x[0-9a-fA-F]{6,}"), "0x"), (re.compile(r"ipykernel_\d+"), "ipykernel"))
END_S = 30.0
_MODEL_ID = re.compile(r"[0-9a-f]{32}")
_STATE_TYPE = "application/vnd.jupyter.widget-state+json"

WIDGETS = Sample(
    [
        code(
            "import ipywidgets as widgets\n"
            "slider = widgets.FloatSlider(description='first', value=0.5)\n"
            "other = widgets.FloatText()\n"
            "link = widgets.link((slider, 'value'), (other, 'value'))\n"
            "slider.value = 2.25\n"
            "widgets.VBox([slider, other])"
        ),
        code("image = widgets.Image(value=bytes(range(256)), format='raw', width=5)\nimage"),
        code(
            "out = widgets.Output()\n"
            "print('outside')\n"
            "with out:\n"
            "    print('inside')\n"
            "    display(3)\n"
            "    1 / 0\n"
            "out"
        ),
        code("with out:\n    print('again')\nlen(out.outputs)"),
        code("widgets.interact(lambda x: x * 2, x=(0, 10))"),
        code("slider.value, out.outputs[0]['text']"),
    ]
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with new_home() as made:
        yield made


@pytest.fixture
def shell(home: Path, tmp_path: Path) -> Shell:
    return Shell(home, tmp_path)


class Nbclient:
    """nbclient, which runs one notebook after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, sample: Sample, path: Path) -> list[Any]:
        """The cells with their outputs."""
        write(sample, path)
        asked = {"path": str(path), "allow_errors": sample.allow_errors}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == ("failed\n" if sample.fails else "done\n")
        return read(path)


@pytest.fixture(scope="module")
def nbclient() -> Iterator[Nbclient]:
    command = [sys.executable, str(_NBCLIENT)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield Nbclient(process)
            process.communicate(timeout=END_S)
        finally:
            process.kill()


def write(sample: Sample, path: Path) -> None:
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.from_dict(dict(cell)) for cell in sample.cells]  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)  # type: ignore[no-untyped-call]
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


def read(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return list(notebook.cells)


def by_headway(sample: Sample, shell: Shell, name: str) -> list[Any]:
    path = shell.folder / f"{name}.ipynb"
    write(sample, path)
    allow = ["--allow-errors"] if sample.allow_errors else []
    done = shell.run("run", path.name, *allow)
    assert done.returncode == (1 if sample.fails or sample.allow_errors else 0), done.stderr
    return read(path)


def comparable(value: Any) -> Any:
    """A value without what is another one in every run."""
    if isinstance(value, str):
        for found, instead in _CHANGING:
            value = found.sub(instead, value)
        return value
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    return value


def joined(outputs: list[Any]) -> list[Any]:
    """Outputs with neighbouring pieces of one stream in one."""
    whole: list[Any] = []
    for output in map(dict, outputs):
        before = whole[-1] if whole else {}
        kind = output["output_type"], output.get("name")
        if kind[0] == "stream" and kind == (before.get("output_type"), before.get("name")):
            before["text"] += output["text"]
        else:
            whole.append(output)
    return comparable(whole)  # type: ignore[no-any-return]


def shown(cells: list[Any]) -> list[Any]:
    return [
        (cell.cell_type, cell.source, cell.get("execution_count"), joined(cell.get("outputs", [])))
        for cell in cells
    ]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_has_the_outputs_that_nbclient_gives_it(
    nbclient: Nbclient, shell: Shell, name: str
) -> None:
    with ThreadPoolExecutor() as both:
        theirs = both.submit(nbclient.run, NOTEBOOKS[name], shell.folder / "theirs.ipynb")
        ours = both.submit(by_headway, NOTEBOOKS[name], shell, name)
        assert shown(ours.result()) == shown(theirs.result())


def test_cells_after_a_failure_lose_their_old_outputs_here_and_keep_them_with_nbclient(
    nbclient: Nbclient, shell: Shell
) -> None:
    sample = Sample([code("0/0"), code("1", outputs=[stream("old\n")])], fails=True)
    with ThreadPoolExecutor() as both:
        theirs = both.submit(nbclient.run, sample, shell.folder / "theirs.ipynb")
        ours = by_headway(sample, shell, "ours")
        assert [len(cell.outputs) for cell in theirs.result()] == [1, 1]
    assert [len(cell.outputs) for cell in ours] == [1, 0]


def test_overwritten_text_is_kept_as_a_terminal_shows_it_and_nbclient_keeps_all_of_it(
    nbclient: Nbclient, shell: Shell
) -> None:
    sample = Sample([code(r"print('10%\r100%\rdone')"), code(r"print('abc\b\bX')")])
    with ThreadPoolExecutor() as both:
        theirs = both.submit(nbclient.run, sample, shell.folder / "theirs.ipynb")
        ours = by_headway(sample, shell, "ours")
        raw = [cell.outputs[0].text for cell in theirs.result()]
    assert raw == ["10%\r100%\rdone\n", "abc\b\bX\n"]
    assert [cell.outputs[0].text for cell in ours] == ["done\n", "aXc\n"]


def test_what_python_warns_of_in_the_code_is_said_once_here_and_three_times_with_nbclient(
    nbclient: Nbclient, shell: Shell
) -> None:
    sample = Sample([code("1 is 1")])
    with ThreadPoolExecutor() as both:
        theirs = both.submit(nbclient.run, sample, shell.folder / "theirs.ipynb")
        ours = by_headway(sample, shell, "ours")
        texts = [joined(cells[0].outputs)[0]["text"] for cells in (ours, theirs.result())]
    assert [text.count("SyntaxWarning") for text in texts] == [1, 3]
    assert texts[1].endswith(texts[0])


def test_notebooks_run_at_the_same_time(shell: Shell) -> None:
    with ThreadPoolExecutor() as both:
        running = [both.submit(by_headway, PARALLEL[name], shell, name) for name in PARALLEL]
        texts = [run.result()[0].outputs[0].text for run in running]
    assert texts == ["A met B\n", "B met A\n"]


def widgets_in(path: Path) -> tuple[list[Any], dict[str, Any]]:
    """The widget state of a file: its models in an order of their content, and the rest."""
    notebook = json.loads(path.read_text())
    saved = dict(notebook["metadata"]["widgets"][_STATE_TYPE])
    models = comparable(json.loads(_MODEL_ID.sub("ID", json.dumps([*saved.pop("state").values()]))))
    return sorted(models, key=json.dumps), saved


def without_ids(cells: list[Any]) -> Any:
    return json.loads(_MODEL_ID.sub("ID", json.dumps(shown(cells))))


def test_widgets_have_the_state_that_nbclient_saves(nbclient: Nbclient, shell: Shell) -> None:
    with ThreadPoolExecutor() as both:
        theirs = both.submit(nbclient.run, WIDGETS, shell.folder / "theirs.ipynb")
        ours = by_headway(WIDGETS, shell, "ours")
        assert without_ids(ours) == without_ids(theirs.result())
    (our_models, our_rest), (models, rest) = (
        widgets_in(shell.folder / f"{each}.ipynb") for each in ("ours", "theirs")
    )
    assert our_rest == rest
    assert len(our_models) == len(models) > 10
    for our_model, model in zip(our_models, models, strict=True):
        assert our_model == model


def test_a_closed_widget_is_not_saved_here_and_is_by_nbclient(
    nbclient: Nbclient, shell: Shell
) -> None:
    source = "import ipywidgets as w; w.IntText(value=1); w.IntText(value=2).close()"
    sample = Sample([code(source)])
    with ThreadPoolExecutor() as both:
        theirs = both.submit(nbclient.run, sample, shell.folder / "theirs.ipynb")
        by_headway(sample, shell, "ours")
        theirs.result()

    def values(name: str) -> list[int]:
        models, _ = widgets_in(shell.folder / f"{name}.ipynb")
        return sorted(m["state"]["value"] for m in models if m["model_name"] == "IntTextModel")

    assert (values("ours"), values("theirs")) == ([1], [1, 2])
