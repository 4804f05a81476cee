"""What a notebook needs to run: the Python packages that it declares. Read, checked and changed.

Floor 1, pure. The form is that of inline script metadata (PEP 723): `requires-python` and
`dependencies`, in the notebook's metadata under `headway.environment`. Other programs' places are
read where there is no doubt what they mean: `runt.uv` and `uv` of the metadata, and one `# ///
script` block in a code cell. Only our own place is written.

A declaration comes from whoever wrote the notebook, and what it names is installed and run. So it
is checked strictly (a requirement is one requirement of PEP 508, never an option of an installer),
and what would be installed has a name, `Installation.digest`: consent is given to that and to
nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from headway.errors import InvalidDependencies

__all__ = [
    "KERNEL_REQUIREMENT",
    "MAX_DEPENDENCIES",
    "METADATA_KEY",
    "Dependencies",
    "Installation",
    "declared",
    "edited_metadata",
    "with_added",
    "without",
]

METADATA_KEY: Final = "headway"
_ENVIRONMENT: Final = "environment"

KERNEL_REQUIREMENT: Final = "ipykernel>=6.29"
"""What an environment needs besides, so that a notebook can run in it."""

MAX_DEPENDENCIES = 200
"""How many requirements one notebook may declare."""

_MAX_REQUIREMENT_CHARACTERS = 500
_FIELDS: Final = frozenset({"requires-python", "dependencies"})
# The regular expression of PEP 723 itself.
_BLOCK: Final = re.compile(
    r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a notebook declares. Made by `declared`, which checks it."""

    requirements: tuple[str, ...] = ()
    """Requirements of PEP 508, in the order of the declaration."""
    requires_python: str | None = None
    """A version specifier, such as ">=3.11"."""

    def installation(self) -> Installation:
        """What an environment for it holds."""
        names = {canonicalize_name(Requirement(each).name) for each in self.requirements}
        kernel = () if "ipykernel" in names else (KERNEL_REQUIREMENT,)
        return Installation((*self.requirements, *kernel), self.requires_python)


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be installed: into an environment of its own, or `into` one that is there."""

    requirements: tuple[str, ...]
    requires_python: str | None = None
    into: str | None = None
    """The folder of an environment."""

    @property
    def digest(self) -> str:
        """Its name (SHA-256, hex): the same for the same set of requirements, in any order."""
        content = [sorted(self.requirements), self.requires_python, self.into]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What a person, or a program, must know of it to consent."""
        return {
            "installation": self.digest,
            "requirements": list(self.requirements),
            "requires_python": self.requires_python,
            "into": self.into,
        }


def declared(metadata: Mapping[str, Any], code_cells: Iterable[str] = ()) -> Dependencies | None:
    """What a notebook declares; None if it says nothing.

    Args:
        metadata: The notebook's.
        code_cells: The sources of its code cells; looked at when the metadata says nothing.

    Our own place counts, whatever the others say. Raises InvalidDependencies for what has not
    the right form, and where two other places say different things.
    """
    ours = _at(metadata, METADATA_KEY, _ENVIRONMENT)
    if ours is not None:
        return _checked(ours, "metadata.headway.environment")
    found: dict[str, Dependencies] = {}
    for place in (("runt", "uv"), ("uv",)):
        theirs = _at(metadata, *place)
        if isinstance(theirs, dict) and "dependencies" in theirs:
            name = ".".join(("metadata", *place))
            found[name] = _checked(theirs, name)
    for content in _script_blocks(code_cells):
        name = f"script block {len(found)}" if "script block" in found else "script block"
        found[name] = _checked(content, "the `# /// script` block of a cell")
    if len(set(found.values())) > 1:
        raise InvalidDependencies(
            f"The notebook declares its dependencies in {len(found)} places that differ "
            f"({', '.join(found)}). Say which count: headway deps add NOTEBOOK ...",
            places=sorted(found),
        )
    return next(iter(found.values()), None)


def edited_metadata(metadata: Mapping[str, Any], wanted: Dependencies | None) -> dict[str, Any]:
    """The value of METADATA_KEY that declares `wanted`; what else is under it is kept."""
    ours = metadata.get(METADATA_KEY)
    kept = {k: v for k, v in ours.items() if k != _ENVIRONMENT} if isinstance(ours, dict) else {}
    if wanted is None:
        return kept
    content: dict[str, Any] = {"dependencies": list(wanted.requirements)}
    if wanted.requires_python is not None:
        content["requires-python"] = wanted.requires_python
    return {**kept, _ENVIRONMENT: content}


def with_added(now: Dependencies | None, requirements: Sequence[str]) -> Dependencies:
    """`now` with requirements added; one that names a package already there takes its place.

    Raises InvalidDependencies.
    """
    now = now or Dependencies()
    added = {_name_of(each): each.strip() for each in requirements}
    kept = [added.pop(_name_of(each), each) for each in now.requirements]
    content = {"dependencies": [*kept, *added.values()], "requires-python": now.requires_python}
    return _checked(content, "the new list")


def without(now: Dependencies | None, names: Sequence[str]) -> Dependencies:
    """`now` without the packages of these names. Raises InvalidDependencies for one not there."""
    now = now or Dependencies()
    gone = {canonicalize_name(each): each for each in names}
    there = {_name_of(each) for each in now.requirements}
    for name, said in gone.items():
        if name not in there:
            raise InvalidDependencies(
                f"The notebook does not declare {said!r}, so it cannot be removed.", name=said
            )
    kept = tuple(each for each in now.requirements if _name_of(each) not in gone)
    return Dependencies(kept, now.requires_python)


def _at(metadata: Mapping[str, Any], *keys: str) -> Any:
    found: Any = metadata
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _script_blocks(code_cells: Iterable[str]) -> Iterable[dict[str, Any]]:
    for source in code_cells:
        if "# ///" not in source:
            continue
        for block in _BLOCK.finditer(source if source.endswith("\n") else source + "\n"):
            if block["type"] == "script":
                lines = block["content"].splitlines()
                text = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)
                yield _script_table(text)


def _script_table(text: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidDependencies(
            f"The `# /// script` block of a cell is not TOML: {error}."
        ) from error
    tool = table.pop("tool", {})
    settings = tool.get("uv") if isinstance(tool, dict) else None
    if settings:
        # They may name other indexes and sources: what would be installed is not what it seems.
        raise InvalidDependencies(
            "The `# /// script` block of a cell has settings for uv (tool.uv), which Headway does "
            "not apply. Declare what the notebook needs: headway deps add NOTEBOOK ..."
        )
    return table


def _checked(content: Any, place: str) -> Dependencies:
    if not isinstance(content, Mapping):
        raise InvalidDependencies(f"What {place} holds is no declaration of dependencies.")
    unknown = sorted(str(key) for key in content if key not in _FIELDS and content[key])
    if unknown:
        raise InvalidDependencies(
            f"{place} has {', '.join(unknown)}, which Headway does not apply.", fields=unknown
        )
    requirements = content.get("dependencies")
    if requirements is None:
        requirements = []
    if not isinstance(requirements, list) or len(requirements) > MAX_DEPENDENCIES:
        raise InvalidDependencies(
            f"The dependencies in {place} must be a list of at most {MAX_DEPENDENCIES} texts."
        )
    for each in requirements:
        _name_of(each)
    texts = tuple(dict.fromkeys(each.strip() for each in requirements))
    return Dependencies(texts, _checked_python(content.get("requires-python")))


def _checked_python(version: Any) -> str | None:
    if version is None:
        return None
    try:
        return str(SpecifierSet(version if isinstance(version, str) else "no text")) or None
    except InvalidSpecifier as error:
        raise InvalidDependencies(
            f"requires-python must be a version specifier such as >=3.11, not {version!r}."
        ) from error


def _name_of(requirement: Any) -> str:
    """The canonical name of the package that is required. Raises InvalidDependencies."""
    shown = str(requirement)[:_MAX_REQUIREMENT_CHARACTERS]
    problem = "it is not one line of text of a usual length"
    try:
        if isinstance(requirement, str) and shown == requirement and requirement.isprintable():
            return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement as error:
        problem = str(error).splitlines()[0]
    raise InvalidDependencies(
        f"{shown!r} is no requirement such as pandas>=2: {problem}.", requirement=shown
    )
