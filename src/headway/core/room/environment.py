"""Which environment a kernel is to run in, what that lacks, and whether somebody consented.

Floor 3. A kernel that is to run in an environment is not started before somebody has looked what
is there: `LookAtEnvironment`, answered by `EnvironmentSeen`. While that look is under way every
request waits, in order, so that nothing overtakes a cell that was asked for. Then the requests are
served with what was seen, and that is forgotten again: the next start looks again.

Consent is given to an installation by its digest, with the request. What is not installed and not
consented to refuses the request; nothing is admitted, stopped or started then.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from headway.core.document.dependencies import KERNEL_REQUIREMENT, Installation
from headway.core.room.effects import FolderEnvironment, LookAtEnvironment, NotebookEnvironment
from headway.errors import InstallationNeeded

if TYPE_CHECKING:
    from headway.core.room.effects import Environment
    from headway.core.room.inputs import EnvironmentSeen, Requested
    from headway.core.room.ledger import Ledger

__all__ = ["Look", "installation_of"]


class Look:
    """What is known of an environment for the moment, and the requests that wait to know it."""

    def __init__(self, ledger: Ledger) -> None:
        """Nothing is known."""
        self._ledger = ledger
        self._looking_at: Environment | None = None
        self._seen: EnvironmentSeen | None = None
        self._held: deque[Requested] = deque()

    @property
    def is_under_way(self) -> bool:
        """Whether requests have to wait."""
        return self._looking_at is not None

    def hold(self, request: Requested) -> None:
        """This request waits, behind those that do."""
        self._held.append(request)

    def begin(self, environment: Environment, request: Requested) -> None:
        """Have somebody look at it; the request waits, before all that wait."""
        self._held.appendleft(request)
        self._looking_at = environment
        self._ledger.to_kernel(LookAtEnvironment(environment))

    def knows(self, environment: Environment) -> bool:
        """Whether what is there has just been seen."""
        return self._seen is not None and self._seen.environment == environment

    def ended(self, event: EnvironmentSeen) -> bool:
        """Whether this is what was looked for. From now on, until `forget`, it is known."""
        if event.environment != self._looking_at:
            return False
        self._looking_at, self._seen = None, event
        return True

    def next_held(self) -> Requested | None:
        """The request that has waited longest; None if there is none, or they must wait on."""
        return None if self.is_under_way or not self._held else self._held.popleft()

    def forget(self) -> None:
        """What was seen is history."""
        self._seen = None

    def missing_in(self, environment: Environment, consent: str | None) -> Installation | None:
        """What must be installed into an environment that is known; None if nothing.

        Raises InstallationNeeded without consent to exactly that, and what the look met with.
        """
        assert self._seen is not None, "it was looked at"
        if self._seen.error is not None:
            raise self._seen.error
        if self._seen.is_ready:
            return None
        installation = installation_of(environment)
        if consent != installation.digest:
            raise _needed(installation, consent)
        return installation


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
