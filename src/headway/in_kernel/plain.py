"""What an ipykernel need not look for in plain code and plain values.

*   IPython's own syntax (`%magic`, `!command`, `name?`), for which it cuts each cell into tokens:
    0.6 ms for 40 lines (measured). Where none of its characters is, there is none of it.
*   A semicolon at the end, for which it does the same once more for each result.
*   Whether a cell awaits, for which it compiles each cell twice before it does so to run it, and
    what Python warns of in the code is said once more each time.
*   How a number or a list wants to be shown besides as text: ten formatters ask its type and a
    dozen registers, a tenth of the kernel's time in a small cell (measured). A built-in type has no
    methods for that; only where somebody registered something for it there is something to find.

What may be special goes the old way, whole; see docs/decisions/0013.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["NEEDS", "PLAIN_TYPES", "is_plain", "prepare"]

NEEDS: Final = (
    "shell.display_formatter.format",
    "shell.display_formatter.formatters",
    "shell.display_formatter.ipython_display_formatter",
    "shell.display_formatter.mimebundle_formatter",
    "shell.displayhook.quiet",
    "shell.history_manager.input_hist_parsed",
    "shell.input_transformer_manager.do_token_transforms",
    "shell.input_transformer_manager.token_transformers",
    "shell.should_run_async",
)

PLAIN_TYPES: Final = frozenset(
    {bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple, type(None)}
)
"""Types whose objects have no attributes of their own."""

_CALLING: Final = frozenset(",;/")
"""At the start of a line they call what follows."""

_WARNED_OF: Final = re.compile(r"\\|\b\d[\w.]*(and|else|for|if|in|is|not|or)\b")
"""What Python may warn of while it reads: a backslash, as that of an unknown escape, and a number
that ends in a word (`1if a else 2`)."""

_OF_TRANSFORMERS: Final = "IPython.core.inputtransformer2"
_OF_FORMATTERS: Final = "IPython.core.formatters"
_TEXT: Final = "text/plain"


def prepare(kernel: Any) -> None:
    """Have this kernel look only where there may be something."""
    shell = kernel.shell
    manager = shell.input_transformer_manager
    hook = shell.displayhook
    formatter = shell.display_formatter
    manager.do_token_transforms = _transforming(manager, manager.do_token_transforms)
    hook.quiet = _listening(shell.history_manager, hook.quiet)
    shell.should_run_async = _awaiting(shell.should_run_async)
    formatter.format = _showing(formatter, formatter.format)


def is_plain(lines: list[str]) -> bool:
    """Whether IPython surely leaves these lines of a cell as they are, and finds no fault."""
    text = "".join(lines)
    if any(mark in text for mark in "%!?"):
        return False
    if not all(line.endswith("\n") and line.lstrip()[:1] not in _CALLING for line in lines):
        return False  # lines that end otherwise are warned of
    # What is left is a fault of the indentation, or a character that nothing can read.
    is_flat = text.isascii() and not any(line[0] in " \t\f" for line in lines)
    return is_flat or _is_python(text)


def _is_python(text: str) -> bool:
    if _WARNED_OF.search(text):
        return False  # it would be warned of once more
    try:
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compile(text, "<cell>", "exec", flags, dont_inherit=True)
    except Exception:  # noqa: BLE001 - whatever it is, IPython says it in its own way
        return False
    return True


def _transforming(
    manager: Any, transform: Callable[[list[str]], list[str]]
) -> Callable[[list[str]], list[str]]:
    def transform_what_is_special(lines: list[str]) -> list[str]:
        __tracebackhide__ = True
        # Those of others may look for anything.
        known = all(each.__module__ == _OF_TRANSFORMERS for each in manager.token_transformers)
        return lines if known and is_plain(lines) else transform(lines)

    return transform_what_is_special


def _listening(history: Any, is_quiet: Callable[[], bool]) -> Callable[[], bool]:
    def is_quiet_where_it_may_be() -> bool:
        return any(";" in cell for cell in history.input_hist_parsed[-1:]) and is_quiet()

    return is_quiet_where_it_may_be


def _awaiting(awaits: Callable[..., bool]) -> Callable[..., bool]:
    def awaits_where_it_may(code: str, **named: Any) -> bool:
        cell = named.get("transformed_cell")
        if cell is not None and "await" not in cell and "async" not in cell:
            return False
        return awaits(code, **named)

    return awaits_where_it_may


def _showing(display: Any, show: Callable[..., Any]) -> Callable[..., Any]:
    def show_plainly(obj: Any, include: Any = None, exclude: Any = None) -> Any:
        __tracebackhide__ = True
        kind = type(obj)
        if kind not in PLAIN_TYPES or include or exclude or not _is_text_alone(display, kind):
            return show(obj, include=include, exclude=exclude)
        text = display.formatters[_TEXT](obj)
        return ({} if text is None else {_TEXT: text}), {}

    return show_plainly


def _is_text_alone(display: Any, kind: type) -> bool:
    """Whether objects of a plain type are surely shown as text, and as nothing else."""
    types = kind.__mro__
    names = [(each.__module__, each.__name__) for each in types]
    for each in display.formatters.values():
        if type(each).__module__ != _OF_FORMATTERS:
            return False
    others = [each for name, each in display.formatters.items() if name != _TEXT]
    return not any(
        each.singleton_printers
        or any(of in each.type_printers for of in types)
        or any(name in each.deferred_printers for name in names)
        for each in (display.ipython_display_formatter, display.mimebundle_formatter, *others)
    )
