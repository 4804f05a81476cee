"""Which kernel is to run and where, what is missing there, and whether somebody consented.

Floor 3. A kernel that somebody named, or that is to run in an environment, is not started before
somebody has looked what is there: `LookAtEnvironment`, answered by `EnvironmentSeen`. While that
look is under way every request waits, in order, so that nothing overtakes a cell that was asked
for. Then the requests are served with what was seen, and that is forgotten again: the next start
looks again. So a name that nobody has refuses the request, and the kernel that runs goes on.

Consent is given to an installation by its digest, with the request. What is not installed and not
consented to refuses the request; nothing is admitted, stopped or started then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from headway.core.document.dependencies import KERNEL_REQUIREMENT, Installation
from headway.core.room.effects import FolderEnvironment, LookAtEnvironment, NotebookEnvironment
from headway.errors import InstallationNeeded, KernelNotFound

if TYPE_CHECKING:
    from headway.core.room.effects import Environment
    from headway.core.room.inputs import EnvironmentSeen, Requested
    from headway.core.room.kernel import KernelChoice
    from headway.core.room.ledger import Ledger

__all__ = ["Look", "installation_of"]


class Look:
    """What is known of an environment for the moment, and the requests that wait to know it."""

    def __init__(self, ledger: Ledger) -> None:
        """Nothing is known."""
        self._ledger = ledger
        self._under_way: LookAtEnvironment | None = None
        self._seen: EnvironmentSeen | None = None
        self._held: deque[Requested] = deque()

    @property
    def is_under_way(self) -> bool:
        """Whether requests have to wait."""
        return self._under_way is not None

    def hold(self, request: Requested) -> None:
        """This request waits, behind those that do."""
        self._held.append(request)

    def begin(self, look: LookAtEnvironment, request: Requested) -> None:
        """Have somebody look; the request waits, before all that wait."""
        self._held.appendleft(request)
        self._under_way = look
        self._ledger.to_kernel(look)

    def knows(self, look: LookAtEnvironment) -> bool:
        """Whether what it is for has just been seen."""
        return self._seen is not None and self._seen.environment == look.environment

    def ended(self, event: EnvironmentSeen) -> None:
        """What was looked for is known from now on, until `forget`; anything else is nothing."""
        if self._under_way is not None and event.environment == self._under_way.environment:
            self._under_way, self._seen = None, event

    def next_held(self) -> Requested | None:
        """The request that has waited longest; None if there is none, or they must wait on."""
        return None if self.is_under_way or not self._held else self._held.popleft()

    def forget(self) -> None:
        """What was seen is history."""
        self._seen = None

    def found(self, choice: KernelChoice, consent: str | None) -> KernelChoice:
        """The choice by the name that its kernel has there, with what must be installed first.

        Raises KernelNotFound, InstallationNeeded without consent to exactly that, and what the
        look met with.
        """
        seen = self._seen
        assert seen is not None, "it was looked at"
        if seen.error is not None:
            raise seen.error
        name = _name_among(seen, choice)
        installation: Installation | None = None
        # What is lacking is for Python: a kernel of another language comes with what it needs.
        language = seen.kernels[name] if seen.kernels and name else choice.language
        is_python = not language or language.casefold() == "python"
        if choice.environment is not None and is_python and not seen.is_ready:
            installation = installation_of(choice.environment)
            if consent != installation.digest:
                raise _needed(installation, consent)
        return replace(choice, name=name, installation=installation)


def _name_among(seen: EnvironmentSeen, choice: KernelChoice) -> str | None:
    """The name of the kernel that is meant; None for the first of its language.

    Jupyter's names have no capitals, and people write them with some.
    """
    kernels = seen.kernels
    if kernels is None:
        return choice.name
    if choice.name is None:
        languages = {language.casefold() for language in kernels.values()}
        if choice.language is None or choice.language in languages:
            return None
        wanted = f'kernel of the language "{choice.language}"'
    else:
        for name in choice.name, choice.name.lower():
            if name in kernels:
                return name
        why = seen.unreadable.get(choice.name.lower())
        if why is not None:
            raise KernelNotFound.unreadable(choice.name, why, kernels)
        wanted = f'kernel "{choice.name}"'
    where, otherwise = "installed here", ""
    if isinstance(choice.environment, FolderEnvironment):
        where = f"in the environment {choice.environment.path}"
        otherwise = ", or leave the environment out"
    names = sorted(kernels)
    raise KernelNotFound(
        f"No {wanted} is {where}. Choose one of: {', '.join(names) or 'none'}{otherwise}.",
        name=choice.name,
        installed=names,
    )


def installation_of(environment: Environment) -> Installation:
    """Everything that an environment which is not ready lacks."""
    match environment:
        case FolderEnvironment(path):
            return Installation((KERNEL_REQUIREMENT,), into=path)
        case NotebookEnvironment(dependencies):
            return dependencies.installation()


def _needed(installation: Installation, consent: str | None) -> InstallationNeeded:
    named = ", ".join(installation.requirements)
    if installation.into is not None:
        sentence = f"The environment {installation.into} lacks {named}, which runs its notebooks."
    else:
        python = installation.requires_python
        version = f", for Python {python}" if python is not None else ""
        sentence = f"The notebook needs an environment with {named}{version}, which is not there."
    if consent is not None:
        sentence += " That is not what was consented to: what the notebook declares has changed."
    sentence += (
        " To have it installed, say so: --install, or install=True. A kernel that is asked for "
        "by name runs without."
    )
    return InstallationNeeded(sentence, **installation.to_json())
