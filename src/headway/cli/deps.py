"""`headway deps`: what a notebook declares that it needs.

Floor 6. Declaring installs nothing; a kernel that is started next runs in an environment that has
it, once somebody consented to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.terminal import complain_of, plain, say, say_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add", "list_dependencies", "remove"]

_AUTHOR = "headway deps"

Path = Annotated[str, typer.Argument(metavar="NOTEBOOK", help="The .ipynb.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def list_dependencies(notebook: Path, *, as_json: Json = False) -> None:
    """List what the notebook declares."""
    _with(notebook, lambda opened: opened.dependencies, as_json=as_json)


def add(
    notebook: Path,
    requirements: Annotated[
        list[str], typer.Argument(metavar="REQUIREMENT...", help="Such as pandas or numpy~=2.0.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Declare requirements; one of a package that is declared already replaces it."""
    _with(notebook, lambda opened: opened.add_dependencies(*requirements), as_json=as_json)


def remove(
    notebook: Path,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of packages.")],
    *,
    as_json: Json = False,
) -> None:
    """Take requirements back, by the names of their packages."""
    _with(notebook, lambda opened: opened.remove_dependencies(*names), as_json=as_json)


def _with(notebook: str, work: Callable[[Any], Any], *, as_json: bool) -> None:
    from headway.cli.named_notebook import existing_notebook
    from headway.client.sync import open as open_sync

    with open_sync(existing_notebook(notebook), name=_AUTHOR) as opened:
        complain_of(opened)
        found = work(opened)
        opened.confirm_sync()
    requirements = [] if found is None else list(found.requirements)
    python = None if found is None else found.requires_python
    if as_json:
        say_json({"dependencies": requirements, "requires-python": python})
        return
    if python is not None:
        say(f"Python {plain(python)}")
    for each in requirements:
        say(plain(each))
    if not requirements and python is None:
        say("The notebook declares no dependencies.")
