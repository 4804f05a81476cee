"""Which kernels are installed, which one is meant, and how it is launched. Starts nothing.

Kernelspecs are found as Jupyter finds them; the one of our own interpreter is always there,
because ipykernel is a dependency.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template
from typing import Any, Final

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from headway.errors import KernelNotFound

__all__ = [
    "DEFAULT_KERNEL",
    "NOT_INHERITED",
    "Kernelspec",
    "Kernelspecs",
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


@dataclass(frozen=True, slots=True)
class Kernelspecs:
    """What was found somewhere."""

    kernels: Mapping[str, Kernelspec]
    """Those that can be launched, by name, the default one first."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """The others by name: which file it is and what is wrong with it, as a clause."""


def find_installed() -> Kernelspecs:
    """Every installed kernel: the default one first, then by name."""
    found = _read_all(KernelSpecManager())
    in_order = sorted(found.kernels.items(), key=lambda item: (item[0] != DEFAULT_KERNEL, item[0]))
    return replace(found, kernels=dict(in_order))


def find_in(environment: Path) -> Kernelspecs:
    """The kernels of an environment, run by its own Python; the Python one first.

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
    there = _read_all(places, but=DEFAULT_KERNEL)
    kernels = {DEFAULT_KERNEL: _read(DEFAULT_KERNEL, str(environment), ours), **there.kernels}
    for name, spec in kernels.items():
        program, *rest = spec.arguments
        arguments = (python if _PYTHON.fullmatch(program) else program, *rest)
        kernels[name] = replace(
            spec, arguments=arguments, environment={**variables, **spec.environment}
        )
    return replace(there, kernels=kernels)


def python_in(environment: Path) -> Path:
    """Where an environment has its Python, whether it is there or not."""
    return environment / "bin" / "python"


def choose(found: Kernelspecs, name: str | None, language: str | None) -> Kernelspec:
    """The kernel that is meant: by name; else the first of the language; else the default.

    Raises KernelNotFound when that one is not installed, or its kernelspec cannot be used.
    """
    kernels = found.kernels
    if name is None and language:
        for spec in kernels.values():
            if spec.language.casefold() == language.casefold():
                return spec
    wanted = name if name is not None else DEFAULT_KERNEL
    spec_or_none = kernels.get(wanted) or kernels.get(wanted.lower())
    if spec_or_none is None:
        raise KernelNotFound.named(wanted, kernels, found.unreadable)
    return spec_or_none


def _read_all(places: KernelSpecManager, *, but: str | None = None) -> Kernelspecs:
    """Every kernelspec there, except that of the name `but`."""
    kernels: dict[str, Kernelspec] = {}
    unreadable: dict[str, str] = {}
    for name, folder in places.find_kernel_specs().items():
        if name == but:
            continue
        try:
            kernels[name] = _read(name, folder, places.get_kernel_spec(name).to_dict())
        except Exception as error:  # noqa: BLE001 - Jupyter lets through what reading a file raises
            file = Path(folder, "kernel.json")
            unreadable[name] = f"{file} cannot be used: {_what_is_wrong(error)}"
    return Kernelspecs(kernels, unreadable)


def _read(name: str, folder: str, spec: Mapping[str, Any]) -> Kernelspec:
    """From what has the types that Jupyter declares. They say nothing of what is in a list."""
    arguments = tuple(spec["argv"])
    if not arguments:
        raise ValueError("it has no argv, the command that starts the kernel")
    if not all(isinstance(argument, str) for argument in arguments):
        raise ValueError("its argv is no list of texts")
    ours = (spec.get("metadata") or {}).get("headway")
    wants_tcp = isinstance(ours, dict) and ours.get("transport") == "tcp"
    return Kernelspec(
        name=name,
        display_name=spec.get("display_name") or name,
        language=spec.get("language") or "",
        arguments=arguments,
        environment=dict(spec.get("env") or {}),
        interrupt_mode=spec.get("interrupt_mode") or "signal",
        transport="tcp" if wants_tcp else "ipc",
        folder=folder,
    )


def _what_is_wrong(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"it is not JSON ({error})"
        case UnicodeDecodeError():
            return f"byte {error.start + 1} is not UTF-8"
        case OSError():
            return str(error.strerror or error)
        case TypeError():
            return "it does not hold a JSON object of a kernelspec's fields"
        case NoSuchKernel():
            return "the provisioner that it names is not installed"
        case _:
            return str(error).rstrip(".")
