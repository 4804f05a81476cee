"""What a notebook declares: read strictly, where it is beyond doubt, and written in one place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.document.dependencies import (
    KERNEL_REQUIREMENT,
    MAX_DEPENDENCIES,
    Dependencies,
    Installation,
    declared,
    edited_metadata,
    with_added,
    without,
)
from headway.errors import InvalidDependencies

BLOCK = """# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "pandas>=2",
#   "rich",
# ]
# ///
import pandas
"""


def ours(*requirements: Any, **others: Any) -> dict[str, Any]:
    return {"headway": {"environment": {"dependencies": list(requirements), **others}}}


def test_a_notebook_that_declares_nothing_has_no_dependencies() -> None:
    assert declared({}) is None
    assert declared({"headway": {}, "runt": {"env_id": "x"}, "uv": 3}, ["import os"]) is None


def test_our_own_place_is_read() -> None:
    metadata = ours("pandas>=2", " rich ", "rich", **{"requires-python": ">=3.11"})
    assert declared(metadata) == Dependencies(("pandas>=2", "rich"), ">=3.11")


@pytest.mark.parametrize("place", [("runt", "uv"), ("uv",)])
def test_what_another_program_declares_in_the_metadata_is_read(place: tuple[str, ...]) -> None:
    content: Any = {"dependencies": ["polars"], "requires-python": None}
    for key in reversed(place):
        content = {key: content}
    assert declared(content) == Dependencies(("polars",))


def test_the_script_block_of_a_cell_is_read() -> None:
    assert declared({}, ["x = 1", BLOCK]) == Dependencies(("pandas>=2", "rich"), ">=3.11")


def test_places_that_say_the_same_agree_and_places_that_differ_are_refused() -> None:
    same = {"uv": {"dependencies": ["pandas>=2", "rich"], "requires-python": ">=3.11"}}
    assert declared(same, [BLOCK]) == Dependencies(("pandas>=2", "rich"), ">=3.11")
    with pytest.raises(InvalidDependencies, match="differ") as refused:
        declared({"uv": {"dependencies": ["numpy"]}}, [BLOCK])
    assert len(refused.value.data["places"]) == 2
    with pytest.raises(InvalidDependencies, match="differ"):
        declared({}, [BLOCK, BLOCK.replace("rich", "poor")])


def test_our_own_place_counts_whatever_the_others_say() -> None:
    metadata = ours("numpy") | {"uv": {"dependencies": ["pandas"]}}
    assert declared(metadata, [BLOCK]) == Dependencies(("numpy",))


def test_settings_for_an_installer_in_a_script_block_are_refused_and_not_ignored() -> None:
    block = BLOCK.replace("# ///\nimport", '# [tool.uv]\n# index-url = "https://x"\n# ///\nimport')
    with pytest.raises(InvalidDependencies, match="uv"):
        declared({}, [block])
    with pytest.raises(InvalidDependencies, match="prerelease"):
        declared({"runt": {"uv": {"dependencies": [], "prerelease": "allow"}}})


@pytest.mark.parametrize(
    "requirement",
    [
        "--index-url=https://elsewhere.example",
        "-e .",
        "-r requirements.txt",
        "./local",
        "pandas\n--pre",
        "pandas rich",
        "",
        "pandas>=",
        "x" * 501,
        3,
        None,
    ],
)
def test_what_is_no_single_requirement_is_refused(requirement: Any) -> None:
    with pytest.raises(InvalidDependencies):
        declared(ours(requirement))


@pytest.mark.parametrize("content", [[], "pandas", {"dependencies": "pandas"}, {"extra": 1}])
def test_a_declaration_of_another_form_is_refused(content: Any) -> None:
    with pytest.raises(InvalidDependencies):
        declared({"headway": {"environment": content}})


@pytest.mark.parametrize("version", ["three", 3, ">=3.11; rm"])
def test_a_python_that_is_no_specifier_is_refused(version: Any) -> None:
    with pytest.raises(InvalidDependencies, match="requires-python"):
        declared(ours(**{"requires-python": version}))


def test_there_is_a_limit_to_how_many_are_declared() -> None:
    with pytest.raises(InvalidDependencies, match=str(MAX_DEPENDENCIES)):
        declared(ours(*(f"package{number}" for number in range(MAX_DEPENDENCIES + 1))))


def test_a_package_that_is_added_again_is_replaced_where_it_was() -> None:
    now = Dependencies(("Pandas>=1", "rich"), ">=3.11")
    assert with_added(now, ["pandas>=2", "numpy"]) == Dependencies(
        ("pandas>=2", "rich", "numpy"), ">=3.11"
    )
    assert with_added(None, ["numpy"]) == Dependencies(("numpy",))


def test_a_package_is_removed_by_any_spelling_of_its_name() -> None:
    now = Dependencies(("typing_extensions>=4", "rich"))
    assert without(now, ["Typing-Extensions"]) == Dependencies(("rich",))
    with pytest.raises(InvalidDependencies, match="numpy"):
        without(now, ["numpy"])


def test_what_is_written_is_read_again_and_the_rest_of_our_metadata_stays() -> None:
    wanted = Dependencies(("numpy",), ">=3.12")
    metadata = {"headway": {"other": 1}, "kernelspec": {}}
    edited = edited_metadata(metadata, wanted)
    assert edited["other"] == 1
    assert declared({"headway": edited}) == wanted
    assert edited_metadata({"headway": edited}, None) == {"other": 1}


def test_an_installation_has_the_kernel_and_one_name_whatever_the_order() -> None:
    one = Dependencies(("numpy", "rich")).installation()
    other = Dependencies(("rich", "numpy")).installation()
    assert one.requirements == ("numpy", "rich", KERNEL_REQUIREMENT)
    assert one.digest == other.digest
    assert Dependencies(("ipykernel==7.0",)).installation().requirements == ("ipykernel==7.0",)


@given(st.data())
def test_different_installations_have_different_names(data: st.DataObject) -> None:
    names = st.sampled_from(["a", "b", "c>=1", "d"])
    made = st.builds(
        Installation,
        st.lists(names, unique=True).map(tuple),
        st.sampled_from([None, ">=3.11"]),
        st.sampled_from([None, "/env"]),
    )
    one, other = data.draw(made), data.draw(made)
    is_same = (frozenset(one.requirements), one.requires_python, one.into) == (
        frozenset(other.requirements),
        other.requires_python,
        other.into,
    )
    assert (one.digest == other.digest) == is_same
