"""Notebooks that do what nbclient's own test notebooks do, by their names, made anew.

Source of the names and of what each shows: nbclient's public test files (`tests/files`). Only what
a cell is about was kept; nothing sleeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import nbformat

__all__ = ["NOTEBOOKS", "PARALLEL", "Sample", "code", "stream"]


@dataclass(frozen=True)
class Sample:
    """A notebook's cells, and how it is to be run."""

    cells: Sequence[dict[str, Any]]
    allow_errors: bool = False
    fails: bool = field(default=False)
    """Whether a cell fails that nothing allows to."""


def code(source: str, *tags: str, outputs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A code cell; with outputs it looks as if it had been run before."""
    cell = nbformat.v4.new_code_cell(source)  # type: ignore[no-untyped-call]
    if tags:
        cell.metadata["tags"] = list(tags)
    cell.outputs = [nbformat.from_dict(output) for output in outputs]  # type: ignore[no-untyped-call]
    return dict(cell)


def markdown(source: str) -> dict[str, Any]:
    """A markdown cell."""
    return dict(nbformat.v4.new_markdown_cell(source))  # type: ignore[no-untyped-call]


def raw(source: str) -> dict[str, Any]:
    """A raw cell."""
    return dict(nbformat.v4.new_raw_cell(source))  # type: ignore[no-untyped-call]


def stream(text: str) -> dict[str, Any]:
    """Printed text, as a file has it."""
    return {"output_type": "stream", "name": "stdout", "text": text}


_DOT_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
_NESTED = """\
from contextlib import redirect_stderr, redirect_stdout
import io, sys
inner = io.StringIO()
print("outside, before")
with redirect_stdout(inner):
    print("caught")
    with redirect_stderr(sys.__stdout__ if False else inner):
        print("caught as well", file=sys.stderr)
print("outside, after")
print("to the other", file=sys.stderr)
print("and back")
inner.getvalue()
"""
_CAPTURED = """\
from IPython.utils.capture import capture_output
from IPython.display import display
with capture_output() as held:
    print("held back")
    display("shown later")
print("first")
held.show()
"""
_PARALLEL = """\
import pathlib, time
mine, other = pathlib.Path("here-{mine}"), pathlib.Path("here-{other}")
mine.write_text("{mine}")
give_up_s = time.monotonic() + 60
while not (other.exists() and other.read_text()):
    assert time.monotonic() < give_up_s, "the other one does not run"
print("{mine} met", other.read_text())
"""

NOTEBOOKS: dict[str, Sample] = {
    "HelloWorld": Sample([code('print("Hello World")')]),
    "Empty Cell": Sample(
        [markdown("Nothing"), code(""), code("  \n\t", outputs=[stream("old\n")]), code("1")]
    ),
    "Inline Image": Sample(
        [
            code("from IPython.display import Image"),
            code(f'import base64\nImage(base64.b64decode("{_DOT_PNG}"), format="png", width=9)'),
        ]
    ),
    "SVG": Sample(
        [
            code("from IPython.display import SVG"),
            code(
                'SVG(\'<svg xmlns="http://www.w3.org/2000/svg"><circle r="9" fill="red"/></svg>\')'
            ),
        ]
    ),
    "LaTeX": Sample(
        [
            code("from IPython.display import Latex, Math, display"),
            code(r'display(Latex(r"$\sqrt{2}$"), Math(r"\frac{1}{2}"))'),
            code(r'Latex(r"\begin{align}a & = b\end{align}")'),
        ]
    ),
    "Clear Output": Sample(
        [
            code("from IPython.display import clear_output, display"),
            code("for i in range(10):\n    clear_output()\n    print(i)"),
            code("for i in range(5):\n    clear_output(wait=True)\n    print(i)"),
            code("print('Hello World')\nclear_output()"),
            code("print('Hello World')\nclear_output(wait=True)"),
            code("print('Hello World')\nclear_output(wait=True)\nprint('hello again')"),
            code("print('Hello')\nclear_output(wait=True)\ndisplay('shown')\nprint('after')"),
            code("shown = display('Hello world', display_id='cleared')"),
            code("clear_output(wait=True)\nshown.update('changed elsewhere')"),
            code("display('here', display_id='again')\nclear_output()\nshown.update('again')\n'v'"),
        ]
    ),
    "Output": Sample(
        [
            code(_NESTED),
            code(_CAPTURED),
            code("import sys\nfor i in range(3):\n    print(i)\n    print(-i, file=sys.stderr)"),
            code("from IPython.display import display\nprint('a')\ndisplay(1)\nprint('b')\n2"),
            code("print('no end', end='')"),
            code("print('')\nprint()\nprint('x', end='\\n\\n')"),
            code("import threading\nt = threading.Thread(target=print, args=('thread',))"),
            code("t.start(); t.join(); print('done')"),
            code("3;"),
            code("None"),
        ]
    ),
    "Unicode": Sample([code("print('☃')"), code("'\\u2603 \\U0001f600 e\\u0301 ñ 日本語'")]),
    "UnicodePy3": Sample([code("größe = '☃'\nprint(größe)"), code("größe")]),
    "Error": Sample([code("0/0"), code("print('never')")], fails=True),
    "Skip Exceptions": Sample(
        [code("raise Exception('message')"), code("print('ok')")], allow_errors=True
    ),
    "Skip Exceptions with Cell Tags": Sample(
        [code("raise Exception('message')", "raises-exception"), code("print('ok')")]
    ),
    "Error after an allowed one": Sample(
        [code("1 / 0", "raises-exception"), code("assert False, 'why'"), code("print('no')")],
        fails=True,
    ),
    "Skip Execution with Cell Tag": Sample(
        [
            code("print('this cell is skipped')", "skip-execution", outputs=[stream("kept\n")]),
            code("x = 1", "skip-execution"),
            code("'x' in dir()"),
        ]
    ),
    "Disable Stdin": Sample(
        [code("try:\n    input()\nexcept Exception as error:\n    print(type(error).__name__)")]
    ),
    "Interrupt": Sample(
        [code("import signal"), code("signal.raise_signal(signal.SIGINT)"), code("'never'")],
        fails=True,
    ),
    "Interrupt caught": Sample(
        [
            code(
                "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\n"
                "except KeyboardInterrupt:\n    print('caught')"
            ),
            code("'goes on'"),
        ]
    ),
    "Factorials": Sample(
        [
            code("i, j = 1, 1"),
            code("print(j)"),
            *(code("i += 1\nj *= i\nprint(j)") for _ in range(4)),
        ]
    ),
    "update-display-id": Sample(
        [
            code("from IPython.display import display, update_display"),
            code("handle = display('above', display_id='here')\nprint('between')\nhandle"),
            code("display('also', display_id='here')\ndisplay('other', display_id='there')"),
            code("update_display('both', display_id='here')\nupdate_display('x', display_id='no')"),
            code("for i in range(9):\n    update_display({'n': i}, display_id='there')"),
            code("update_display('text', display_id='here', metadata={'text/plain': {'a': 1}})"),
        ]
    ),
    "Unexecuted": Sample(
        [
            markdown("# Title"),
            raw("raw text"),
            code("x = 6"),
            code("x * 7", outputs=[stream("from before\n")]),
        ]
    ),
    "Rich values": Sample(
        [
            code("from IPython.display import HTML, JSON, Javascript, Markdown, display"),
            code("display(HTML('<b>b</b>'), Markdown('**b**'), JSON({'a': [1, {'b': None}]}))"),
            code("display({'application/x.y+json': {'a': 1}, 'text/plain': 'p'}, raw=True)"),
            code("display({'application/octet-stream': 'AAEC', 'text/x': 'x' * 3000}, raw=True)"),
            code("display({'text/plain': 'p'}, raw=True, metadata={'m': {'n': [1]}})"),
            code("Javascript('1 + 1')"),
        ]
    ),
    "Plain and special": Sample(
        [
            code("if 1:\n        a = 1\n    b = 2"),
            code("x = 1\n  y"),
            code("%precision 2\n3.14159"),
            code("[1, 'a', 2.5, None, {'b': (1, 2)}, {3}, b'c', 1j, True]"),
            code("5;"),
            code("'5;'"),
            code("a = %pwd\nlen(a) > 0"),
            code("for i in range(2):\n    %env HEADWAY_PLAIN=1"),
            code("import asyncio\nawait asyncio.sleep(0, 'awaited')"),
            code(
                "shown = get_ipython().display_formatter.formatters\n"
                "shown['text/html'].for_type(int, '<b>{}</b>'.format)"
            ),
            code("6"),
            code("def f(x):\n    return f'{x!r} % 5'\n\nf('a')"),
        ],
        allow_errors=True,
    ),
}
"""Name -> notebook."""

PARALLEL: dict[str, Sample] = {
    f"Parallel Execute {mine}": Sample([code(_PARALLEL.format(mine=mine, other=other))])
    for mine, other in (("A", "B"), ("B", "A"))
}
"""Two that end only if both run at the same time, in one folder."""
