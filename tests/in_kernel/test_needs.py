"""A kernel that lacks something of what is used works as it comes: nothing of it is changed."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from headway.core.kernel.ipykernel import prepare_request
from headway.edges.kernel_meeting import PROGRAMS

NEEDED = sorted({path for program in PROGRAMS for path in program.NEEDS})
OF_OURS = {"headway_publisher"}
OF_SOME_VERSIONS = {"_cancel_on_sigint", "_execute_sleep"}


def kernel_without(missing: str) -> SimpleNamespace:
    """A kernel that has everything that is needed but one thing."""
    kernel = SimpleNamespace()
    for path in NEEDED:
        part = kernel
        for name in path.split("."):
            if not hasattr(part, name):
                setattr(part, name, SimpleNamespace())
            owner, part = part, getattr(part, name)
        if path == missing:
            delattr(owner, name)
    return kernel


@pytest.mark.parametrize("missing", NEEDED)
def test_a_kernel_that_lacks_anything_is_not_touched_and_says_what_it_lacks(missing: str) -> None:
    kernel = kernel_without(missing)
    before = repr(kernel)
    names: dict[str, Any] = {"get_ipython": lambda: SimpleNamespace(kernel=kernel)}
    with pytest.raises(AttributeError, match=missing.rpartition(".")[2]):
        exec(prepare_request(*PROGRAMS)["code"], names)
    assert repr(kernel) == before
    assert set(names) == {"get_ipython", "__builtins__"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_whatever_is_used_of_the_kernel_itself_is_needed(program: ModuleType) -> None:
    text = Path(str(program.__file__)).read_text()
    used = set(re.findall(r"\bkernel\.(\w+)", text.partition("NEEDS")[2]))
    first_names = {path.partition(".")[0] for path in program.NEEDS}
    assert used - OF_OURS - OF_SOME_VERSIONS <= first_names
