"""Environments without a disk: what is installed is remembered. Implements `Environments`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headway.core.document.dependencies import Installation
from headway.core.room.effects import Environment, FolderEnvironment, NotebookEnvironment
from headway.errors import EnvironmentNotFound, EnvironmentNotMade, HeadwayError

__all__ = ["MemoryEnvironments"]


class MemoryEnvironments:
    """`folders` maps the paths of environments that are there to whether they have ipykernel."""

    def __init__(self, folders: dict[str, bool] | None = None) -> None:
        self.folders = dict(folders or {})
        self.installed: list[Installation] = []
        """Everything that was installed, in order."""
        self.damaged: set[str] = set()
        """The paths of those in which no kernel starts."""
        self.failure: HeadwayError | None = None
        """While set, every installation fails with it."""
        self.gate: asyncio.Event | None = None
        """While set, installations wait for it."""

    async def is_ready(self, environment: Environment) -> bool:
        """Whether a kernel can run there as it is."""
        if isinstance(environment, FolderEnvironment):
            if environment.path not in self.folders:
                raise EnvironmentNotFound(
                    f"There is no environment at {environment.path}.", path=environment.path
                )
            return self.folders[environment.path]
        return self._place(environment) in self.folders

    async def prepare(
        self,
        environment: Environment,
        installation: Installation | None,
        progress: Callable[[str], None],
    ) -> str:
        """The folder of an environment in which a kernel can run."""
        place = self._place(environment)
        if isinstance(environment, FolderEnvironment) and place not in self.folders:
            raise EnvironmentNotFound(f"There is no environment at {place}.", path=place)
        if self.folders.get(place) and place not in self.damaged:
            return place
        if place in self.damaged and isinstance(environment, NotebookEnvironment):
            installation = environment.dependencies.installation()
        if installation is None:
            raise EnvironmentNotMade("It is not there.", reason="it is not there", written="")
        progress(f"installing {len(installation.requirements)} requirements")
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.installed.append(installation)
        self.folders[place] = True
        self.damaged.discard(place)
        return place

    async def repair(self, environment: Environment, progress: Callable[[str], None]) -> bool:
        """Make one that is damaged anew."""
        if isinstance(environment, FolderEnvironment):
            return False
        if self._place(environment) not in self.damaged:
            return False
        await self.prepare(environment, None, progress)
        return True

    def _place(self, environment: Environment) -> str:
        if isinstance(environment, FolderEnvironment):
            return environment.path
        return f"/environments/{environment.dependencies.installation().digest}"
