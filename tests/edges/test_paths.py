"""Where Headway's things are, and who may look at them."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from headway.edges.paths import (
    MAX_SOCKET_PATH_BYTES,
    Paths,
    home,
    named_path,
    prepare,
    socket_path,
)
from headway.errors import StoreError


def test_the_home_is_what_the_environment_says(tmp_path: Path) -> None:
    assert home({"HEADWAY_HOME": str(tmp_path)}) == tmp_path.resolve()


def test_without_a_word_the_home_is_the_platforms_data_folder() -> None:
    for environment in ({}, {"HEADWAY_HOME": ""}):
        assert home(environment).is_absolute()
        assert home(environment).name == "headway"


def test_one_home_by_two_names_is_one_home(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert home({"HEADWAY_HOME": str(tmp_path / "link")}) == (tmp_path / "real").resolve()


def test_whatever_a_person_types_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert named_path(tmp_path / "circle" / "a").is_absolute()
    assert named_path("~") == Path.home().resolve()
    assert named_path("~nobody-of-this-name") == Path("~nobody-of-this-name").absolute()


def test_asking_for_paths_makes_nothing(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path / "home")
    inside = [paths.lock, paths.log, paths.store, paths.blobs, paths.kernels]
    assert {each.parent for each in inside} == {paths.home}
    assert not paths.home.exists()


def test_a_home_is_made_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        paths = prepare(tmp_path / "deep" / "home")
    finally:
        os.umask(before)
    for folder in (paths.home, paths.blobs, paths.kernels, paths.socket.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert prepare(tmp_path / "deep" / "home") == paths


def test_a_home_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o777)
    prepare(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(StoreError, match="HEADWAY_HOME"):
            prepare(folder)


def test_the_home_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away; the foreign home was not tried")
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, 65534)
    with pytest.raises(StoreError, match="not a folder of yours"):
        prepare(tmp_path / "home")


def test_a_socket_lies_in_the_home_as_long_as_its_path_is_short_enough() -> None:
    for length in range(60, 140):
        folder = Path("/" + "h" * length)
        found = socket_path(folder)
        assert len(os.fsencode(found)) <= MAX_SOCKET_PATH_BYTES
        direct = len(os.fsencode(folder / found.name)) <= MAX_SOCKET_PATH_BYTES
        assert (found.parent == folder) is direct


def test_long_homes_have_short_private_socket_folders_of_their_own(tmp_path: Path) -> None:
    one, two = tmp_path / ("é" * 60) / "one", tmp_path / ("é" * 60) / "two"
    assert socket_path(one) == socket_path(one)
    assert socket_path(one) != socket_path(two)
    paths = prepare(one)
    try:
        assert stat.S_IMODE(paths.socket.parent.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(paths.socket))
        paths.socket.unlink()
    finally:
        paths.socket.parent.rmdir()


def test_a_link_planted_where_the_short_socket_folder_belongs_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    planted = socket_path(folder).parent
    planted.symlink_to(tmp_path)
    try:
        with pytest.raises(StoreError, match="not a folder of yours"):
            prepare(folder)
    finally:
        planted.unlink()
