"""What is plain is shown and run as IPython does it by itself, for less."""

from __future__ import annotations

import ast
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from IPython.core.async_helpers import _should_be_async
from IPython.core.displayhook import DisplayHook
from IPython.core.formatters import DisplayFormatter, HTMLFormatter
from IPython.core.inputtransformer2 import EscapedCommand, TransformerManager

from headway.in_kernel.plain import is_plain, prepare

pieces = st.sampled_from(
    [
        *"ab1()[]{}'\"#:=.,;/%!?\\@ \t\n\f\r\x1c\u2028é\ud800",
        *("    ", "if a:\n", "'''", "f'", "x = ", "\\\n", "await a\n", "0x1", "for b in c"),
    ]
)
cells = st.lists(pieces, max_size=30).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


new_manager: Callable[[], Any] = TransformerManager
new_formatter: Callable[[], Any] = DisplayFormatter


class Kernel(SimpleNamespace):
    """As much of an ipykernel as is prepared, and what was asked of IPython itself."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.history = SimpleNamespace(input_hist_parsed=[""])
        hook = SimpleNamespace(quiet=self.is_quiet)
        awaits = self.noting(lambda _, *, transformed_cell: _should_be_async(transformed_cell))
        self.manager, self.formatter = new_manager(), new_formatter()
        for owner, name in (
            (self.manager, "do_token_transforms"),
            (hook, "quiet"),
            (self.formatter, "format"),
        ):
            setattr(owner, name, self.noting(getattr(owner, name)))
        self.shell = SimpleNamespace(
            input_transformer_manager=self.manager,
            displayhook=hook,
            history_manager=self.history,
            display_formatter=self.formatter,
            should_run_async=awaits,
        )
        prepare(self)

    def is_quiet(self) -> bool:
        cells = self.history.input_hist_parsed
        ends: Callable[[str], bool] = DisplayHook.semicolon_at_end_of_expression
        return bool(cells) and ends(cells[-1])

    def noting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            self.asked.append(call)
            return call(*arguments, **named)

        return noted


def lines_of(cell: str) -> list[str]:
    return f"{cell}\n".splitlines(keepends=True)


@given(cells)
@example("if a:\n        b\n    c")
@example("if a and (b\n    and c):\n        d\n    e")
@example("a = (\n/ b)")
@example("f'{a!r}'")
def test_what_is_plain_ipython_leaves_as_it_is(cell: str) -> None:
    lines = lines_of(cell)
    if is_plain(lines):
        assert new_manager().do_token_transforms(lines) == lines


@pytest.mark.parametrize(
    "cell",
    [
        "1+1",
        "x",
        "",
        "def f(x):\n    return x\n\nf(3);",
        "await a",
        "print('é')",
        "for each in a:\n    if each:\n        print(each)",
    ],
)
def test_plain_code_is_cut_into_no_tokens(cell: str) -> None:
    kernel = Kernel()
    assert kernel.manager.transform_cell(cell) == f"{cell}\n"
    assert not kernel.asked


@pytest.mark.parametrize(
    "cell", ["%time 1", "a = !ls", "len?", "!ls", ", f a", "; f a", "/f a", "  x\n%ls"]
)
def test_special_code_is_transformed_as_ever(cell: str) -> None:
    assert Kernel().manager.transform_cell(cell) == new_manager().transform_cell(cell)


@pytest.mark.parametrize("cell", ["if a:\n        b\n    c", "if a:\n        '\\d'\n    c"])
def test_a_fault_is_found_where_ipython_finds_it(cell: str) -> None:
    with pytest.raises(IndentationError, match="unindent") as known:
        new_manager().transform_cell(cell)
    with pytest.raises(IndentationError, match="unindent") as found:
        Kernel().manager.transform_cell(cell)
    assert found.value.args == known.value.args


@pytest.mark.parametrize("warned_of", ["'\\d'", "1if a else 2", "0x1for b in c", "1.e3or a"])
def test_what_python_warns_of_is_not_warned_of_by_us(
    warned_of: str, recwarn: pytest.WarningsRecorder
) -> None:
    ast.parse(warned_of)
    assert recwarn.pop()
    Kernel().manager.transform_cell(f"if a:\n    ({warned_of})")
    assert not list(recwarn)


def test_a_transformer_of_others_sees_everything() -> None:
    class Shouting(EscapedCommand):
        pass

    kernel = Kernel()
    kernel.manager.token_transformers.append(Shouting)
    kernel.manager.transform_cell("1+1")
    assert kernel.asked


@pytest.mark.parametrize(
    ("cell", "is_quiet"), [("1", False), ("1;", True), ("1; 2", False), ("'a;'", False)]
)
def test_a_semicolon_at_the_end_is_found(cell: str, is_quiet: bool) -> None:
    kernel = Kernel()
    kernel.history.input_hist_parsed.append(cell)
    assert kernel.shell.displayhook.quiet() == is_quiet
    assert bool(kernel.asked) == (";" in cell)
    kernel.history.input_hist_parsed.clear()
    assert not kernel.shell.displayhook.quiet()


@pytest.mark.filterwarnings("ignore")
@given(cells)
@example("await a")
@example("[b async for b in c]")
@example("async def f(): ...")
@example("\N{MATHEMATICAL BOLD SMALL A}wait a")
def test_what_awaits_is_found(cell: str) -> None:
    kernel = Kernel()
    found = kernel.shell.should_run_async(cell, transformed_cell=cell)
    assert found == _should_be_async(cell)


def test_what_has_no_word_for_it_is_not_compiled_to_see_whether_it_awaits() -> None:
    kernel = Kernel()
    assert not kernel.shell.should_run_async("1 is 1", transformed_cell="1 is 1\n")
    assert not kernel.asked


@given(values)
def test_values_are_shown_as_ipython_shows_them(value: Any) -> None:
    kernel = Kernel()
    assert kernel.formatter.format(value) == new_formatter().format(value)
    assert not kernel.asked


def register_type(formatter: Any) -> None:
    formatter.formatters["text/latex"].for_type(int, "${}$".format)


def register_base(formatter: Any) -> None:
    formatter.formatters["text/html"].for_type(object, "<b>{}</b>".format)


def register_name(formatter: Any) -> None:
    formatter.formatters["text/html"].for_type_by_name("builtins", "int", "<i>{}</i>".format)


def register_bundle(formatter: Any) -> None:
    formatter.mimebundle_formatter.for_type(int, lambda *_, **__: {"text/x": "5"})


def register_display(formatter: Any) -> None:
    formatter.ipython_display_formatter.for_type(int, lambda _: None)


def register_singleton(formatter: Any) -> None:
    formatter.formatters["text/html"].singleton_printers[id(5)] = "<u>{}</u>".format


def register_formatter(formatter: Any) -> None:
    class Loud(HTMLFormatter):
        def __call__(self, obj: object) -> str:
            return f"{obj}!"

    formatter.formatters["text/html"] = Loud()


def register_text(formatter: Any) -> None:
    formatter.formatters["text/plain"].for_type(int, lambda obj, to, _: to.text(f"*{obj}"))


@pytest.mark.parametrize(
    "register",
    [
        register_type,
        register_base,
        register_name,
        register_bundle,
        register_display,
        register_singleton,
        register_formatter,
        register_text,
    ],
)
def test_what_somebody_registered_is_asked(register: Callable[[Any], None]) -> None:
    known, kernel = new_formatter(), Kernel()
    before = known.format(5)
    register(known)
    register(kernel.formatter)
    shown = known.format(5)
    assert shown != before
    assert kernel.formatter.format(5) == shown


def test_an_object_that_shows_itself_and_a_choice_of_forms_are_left_to_ipython() -> None:
    class Number(int):
        def _repr_html_(self) -> str:
            return "<b>5</b>"

    kernel = Kernel()
    shown, _ = kernel.formatter.format(Number(5))
    assert shown == {"text/plain": "5", "text/html": "<b>5</b>"}
    assert kernel.formatter.format(5, include={"text/html"}) == ({}, {})
    assert kernel.formatter.format(5, exclude=("text/plain",)) == ({}, {})
