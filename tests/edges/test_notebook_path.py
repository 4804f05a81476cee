"""The path of a notebook's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.edges.notebook_path import notebook_path, resolve_path
from headway.errors import BadRequest


def test_a_path_is_made_real_and_ends_as_notebooks_do(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    real = str((tmp_path / "folder" / "a.ipynb").resolve())
    assert resolve_path(str(tmp_path / "link" / "a")) == real
    assert resolve_path(str(tmp_path / "folder" / ".." / "link" / "a.ipynb")) == real
    (tmp_path / "folder" / "a.ipynb").touch()
    (tmp_path / "b.ipynb").symlink_to(real)
    assert resolve_path(str(tmp_path / "b.ipynb")) == real


def test_a_path_gets_its_suffix_and_becomes_absolute() -> None:
    assert notebook_path("a") == str(Path("a.ipynb").resolve())
    assert notebook_path("/x/b.ipynb") == "/x/b.ipynb"
    assert notebook_path("~/c") == str(Path.home().resolve() / "c.ipynb")
    assert notebook_path("~nobody-of-this-name/d") == str(
        Path("~nobody-of-this-name/d.ipynb").resolve()
    )


def test_a_link_is_one_name_of_a_file_that_may_be_called_anything(tmp_path: Path) -> None:
    (tmp_path / "3f2a").touch()
    (tmp_path / "linked.ipynb").symlink_to("3f2a")
    for named in ("linked", "linked.ipynb"):
        assert resolve_path(notebook_path(tmp_path / named)) == str((tmp_path / "3f2a").resolve())


def test_the_suffix_may_be_written_in_capitals(tmp_path: Path) -> None:
    named = notebook_path(tmp_path / "A.IPYNB")
    assert resolve_path(named) == str(tmp_path.resolve() / "A.IPYNB")


@pytest.mark.parametrize("path", ["", "a.ipynb", "./a", "~/a", "/a\0b", "/" + "a" * 5000])
def test_a_path_that_means_nothing_here_is_refused(path: str) -> None:
    with pytest.raises(BadRequest):
        resolve_path(path)
