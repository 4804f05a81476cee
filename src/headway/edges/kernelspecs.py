"""Which kernels are installed, which one is meant, and how it is launched. Starts nothing.

Kernelspecs are found as Jupyter finds them; the one of our own interpreter is always there,
because ipykernel is a dependency.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any, Final

from jupyter_client.kernelspec import KernelSpecManager

from headway.errors import KernelNotFound

__all__ = [
    "DEFAULT_KERNEL",
    "NOT_INHERITED",
    "Kernelspec",
    "choose",
    "find_in",
    "find_installed",
    "python_in",
]

DEFAULT_KERNEL: Final = "python3"
"""What runs when neither a name nor a language is known."""

NOT_INHERITED: Final = frozenset({"PYTEST_CURRENT_TEST"})
"""By this ipykernel knows that it works inside pytest, and leaves to it what is written to its
descriptors. A kernel whose daemon a test has started does not, and its subprocesses had no output.
"""

_LOG = logging.getLogger("headway.kernels")
_PYTHON: Final = re.compile(r"python[\d.]*")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_IPYKERNEL: Final = frozenset({"ipykernel", "ipykernel_launcher"})
_CONFIGURATION: Final = "--config"
_OUR_INTERPRETER: Final = frozenset(
    {"python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}"}
)


@dataclass(frozen=True, slots=True)
class Kernelspec:
    """An installed kernel, as its `kernel.json` describes it."""

    name: str
    display_name: str
    language: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    interrupt_mode: str
    """`signal` or `message`."""
    transport: str
    """`ipc`, unless the spec's metadata asks for `tcp` (`{"headway": {"transport": "tcp"}}`)."""
    folder: str

    @property
    def is_ipykernel(self) -> bool:
        """Whether its command names ipykernel."""
        return not _IPYKERNEL.isdisjoint(self.arguments)

    @property
    def takes_configuration(self) -> bool:
        """Whether it is an ipykernel that is not told already which configuration to read."""
        return self.is_ipykernel and not any(
            argument.split("=")[0] == _CONFIGURATION for argument in self.arguments
        )

    def command(self, connection_file: str, configuration: str | None = None) -> list[str]:
        """The argument list that starts it, to read a `configuration` file first if one is given.

        See `takes_configuration`.
        """
        values = {
            "connection_file": connection_file,
            "prefix": sys.prefix,
            "resource_dir": self.folder,
        }
        filled = [
            _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), argument)
            for argument in self.arguments
        ]
        if filled and filled[0] in _OUR_INTERPRETER:
            # A bare "python" means the environment we run in, active on PATH or not.
            filled[0] = sys.executable
        if configuration is not None:
            filled.append(f"{_CONFIGURATION}={configuration}")
        return filled

    def full_environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """What the process gets: `inherited` and the spec's own variables, but `NOT_INHERITED`.

        The warden adds JPY_PARENT_PID: ipykernel ends by itself, within a second, when that is
        no longer its parent.
        """
        own = {name: Template(text).safe_substitute(inherited) for name, text in self._own()}
        kept = {name: text for name, text in inherited.items() if name not in NOT_INHERITED}
        return {**kept, **own}

    def _own(self) -> list[tuple[str, str]]:
        return [(name, str(text)) for name, text in self.environment.items()]


def find_installed() -> dict[str, Kernelspec]:
    """Every installed kernel by name: the default one first, then by name."""
    found = _read_all(KernelSpecManager().get_all_specs())
    return dict(sorted(found.items(), key=lambda item: (item[0] != DEFAULT_KERNEL, item[0])))


def find_in(environment: Path) -> dict[str, Kernelspec]:
    """The kernels of an environment by name, run by its own Python; the Python one first.

    That one is there whether or not ipykernel brought a kernelspec along.
    """
    places = KernelSpecManager(
        kernel_dirs=[str(environment / "share" / "jupyter" / "kernels")],
        ensure_native_kernel=False,
    )
    python = str(python_in(environment))
    variables = {
        "VIRTUAL_ENV": str(environment),
        "PATH": f"{python_in(environment).parent}:${{PATH}}",
    }
    ours = {
        "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python ({environment.name})",
        "language": "python",
    }
    entries: dict[str, Any] = {DEFAULT_KERNEL: {"spec": ours, "resource_dir": str(environment)}}
    entries |= {
        name: entry for name, entry in places.get_all_specs().items() if name != DEFAULT_KERNEL
    }
    found = {}
    for name, spec in _read_all(entries).items():
        program, *rest = spec.arguments or (python,)
        arguments = (python if _PYTHON.fullmatch(program) else program, *rest)
        found[name] = replace(
            spec, arguments=arguments, environment={**variables, **spec.environment}
        )
    return found


def python_in(environment: Path) -> Path:
    """Where an environment has its Python, whether it is there or not."""
    return environment / "bin" / "python"


def choose(
    installed: Mapping[str, Kernelspec], name: str | None, language: str | None
) -> Kernelspec:
    """The kernel that is meant: by name; else the first of the language; else the default.

    Raises KernelNotFound when that one is not installed.
    """
    if name is None and language:
        for spec in installed.values():
            if spec.language.casefold() == language.casefold():
                return spec
    wanted = name if name is not None else DEFAULT_KERNEL
    spec_or_none = installed.get(wanted) or installed.get(wanted.lower())
    if spec_or_none is None:
        names = sorted(installed)
        raise KernelNotFound(
            f'No kernel "{wanted}" is installed here. Choose one of: {", ".join(names) or "none"}.',
            name=wanted,
            installed=names,
        )
    return spec_or_none


def _read_all(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Kernelspec]:
    """Those that make sense; the others are passed over, and logged.

    So does Jupyter with what has not the types it declares, which say nothing of what a list holds.
    """
    found: dict[str, Kernelspec] = {}
    for name, entry in entries.items():
        if all(isinstance(argument, str) for argument in entry["spec"].get("argv") or ()):
            found[name] = _read(name, entry)
        else:
            fields = {"kernel": name, "folder": entry["resource_dir"]}
            _LOG.warning(
                "a kernelspec is passed over: its argv is no list of texts",
                extra={"fields": fields},
            )
    return found


def _read(name: str, entry: Mapping[str, Any]) -> Kernelspec:
    spec = entry["spec"]
    ours = (spec.get("metadata") or {}).get("headway")
    wants_tcp = isinstance(ours, dict) and ours.get("transport") == "tcp"
    return Kernelspec(
        name=name,
        display_name=spec.get("display_name") or name,
        language=spec.get("language") or "",
        arguments=tuple(spec.get("argv") or ()),
        environment=dict(spec.get("env") or {}),
        interrupt_mode=spec.get("interrupt_mode") or "signal",
        transport="tcp" if wants_tcp else "ipc",
        folder=entry["resource_dir"],
    )
